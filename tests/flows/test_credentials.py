"""Store tokens, a bridge's credential and an issuer's JWT: what is taken, for how long, and what is kept of it."""

import json
from pathlib import Path

import pytest
from forged import AUDIENCE, URL, Mint, rekeyed
from simulator import Fleet

from memstore import admin, log, tokens
from memstore.config import DATABASE
from memstore.core.statements import KeyAction
from memstore.credentials import Authenticated, Fault, How, Unauthenticated, issue, verify_credential
from memstore.errors import Denied, InvalidInput, NotFound, StoreUnavailable
from memstore.issuers import Issuer
from memstore.signing import encode


@pytest.fixture
def fleet(tmp_path):
    with Fleet(tmp_path / "store") as made:
        yield made


@pytest.fixture
def mint(fleet, tmp_path):
    return Mint(fleet.house, tmp_path, fleet.clock)


def verified(mint: Mint, shown: str) -> Authenticated:
    with mint.house.store.read() as unit:
        return verify_credential(unit, shown, mint.issuer)


def refusal(mint: Mint, shown: str) -> str:
    """What is said of a credential that is refused; "" where it is taken."""
    try:
        verified(mint, shown)
    except Unauthenticated as error:
        return str(error)
    return ""


def test_a_token_a_bridge_and_an_issuer_each_say_who_calls(mint):
    shown = {How.TOKEN: mint.token["token"], How.BRIDGE: mint.bridge(), How.ISSUER: mint.issued()}
    for how, text in shown.items():
        found = verified(mint, text)
        assert (found.name, found.how, found.keyid) == ("worker", how, mint.signer.keyid)


def test_whatever_is_wrong_in_one_thing_is_refused_in_the_same_words(mint):
    told = set()
    for name, text in mint.forged().items():
        said = refusal(mint, text)
        assert said, name
        assert not text or text not in said, name
        told.add(said)
    assert len(told) == 1


def test_what_a_bridge_issues_is_taken_for_five_minutes_and_by_this_store_alone(fleet, mint, tmp_path):
    shown = issue(mint.signer, mint.house.key.store, fleet.clock())
    fleet.clock.advance(seconds=299)
    assert verified(mint, shown).how is How.BRIDGE
    fleet.clock.advance(seconds=1)
    with pytest.raises(Unauthenticated):
        verified(mint, shown)
    with Fleet(tmp_path / "another") as other, other.house.store.read() as unit:
        other.agent("worker")
        with pytest.raises(Unauthenticated):
            verify_credential(unit, issue(mint.signer, mint.house.key.store, fleet.clock()))


def test_a_person_comes_by_a_bridge_alone(mint):
    person = mint.house.keyring.load("person")
    assert verified(mint, mint.bridge(signer=person)).name == "person"
    for name in ("person", "operator"):
        with pytest.raises(Denied, match="own key"):
            tokens.make(mint.house, name)


def test_a_key_that_was_rotated_out_says_nothing_any_more_and_its_tokens_go_on(fleet, mint):
    admin.replace_key(mint.house, "worker", KeyAction.ROTATED)
    with pytest.raises(Unauthenticated) as caught:
        verified(mint, mint.bridge())
    assert caught.value.fault is Fault.KEY
    found = verified(mint, mint.token["token"])
    assert found.keyid != mint.signer.keyid


def test_a_token_falls_for_good_with_a_key_that_was_compromised(mint):
    rekeyed(mint)
    with pytest.raises(Unauthenticated):
        verified(mint, mint.lost["stolen"])
    states = {one["principal"]: one["state"] for one in tokens.listed(mint.house.store)}
    assert states == {"worker": "stands", "gone": "no_key", "stolen": "fallen"}
    assert verified(mint, tokens.make(mint.house, "stolen")["token"]).name == "stolen"


def test_a_token_ends_by_itself_and_a_revoked_one_stays_revoked(fleet, mint):
    short = tokens.make(mint.house, "worker", ttl="90m")
    fleet.clock.advance(seconds=90 * 60 - 1)
    assert verified(mint, short["token"]).name == "worker"
    fleet.clock.advance(seconds=1)
    with pytest.raises(Unauthenticated):
        verified(mint, short["token"])
    for _ in range(2):
        assert tokens.revoke(mint.house, mint.token["id"])["status"] == "revoked"
    with pytest.raises(NotFound):
        tokens.revoke(mint.house, "t-nobody")
    states = {one["id"]: one["state"] for one in tokens.listed(mint.house.store)}
    assert (states[short["id"]], states[mint.token["id"]]) == ("expired", "revoked")


def test_no_file_of_the_store_holds_a_token(fleet, mint):
    secret = mint.token["token"].removeprefix("mst_").encode()
    files = [path for path in fleet.folder.rglob("*") if path.is_file()]
    assert fleet.folder / DATABASE in files
    assert not [path.name for path in files if secret[:16] in path.read_bytes()]


def test_tokens_are_no_projection(fleet, mint):
    log.rebuild(mint.house.store)
    assert verified(mint, mint.token["token"]).name == "worker"
    fleet.assert_sound()


@pytest.mark.parametrize("ttl", ["", "0d", "367d", "30", "-1d", "1w", "٣d", "30d ", "9" * 12 + "s"])
def test_a_time_to_live_is_a_number_with_a_unit(ttl):
    with pytest.raises(InvalidInput):
        tokens.seconds_of(ttl)


def test_an_issuer_may_name_the_principal_in_another_claim_and_audiences_in_a_list(mint):
    mint.issuer.claim = "agent"
    shown = mint.issued(sub="a-subject-of-theirs", agent="worker", aud=["https://elsewhere.example", AUDIENCE])
    assert verified(mint, shown).name == "worker"
    for agent in (None, 1, ["worker"]):
        with pytest.raises(Unauthenticated):
            verified(mint, mint.issued(agent=agent))


def test_without_an_issuer_its_tokens_are_nothing(mint):
    with mint.house.store.read() as unit, pytest.raises(Unauthenticated):
        verify_credential(unit, mint.issued())


@pytest.mark.parametrize(
    "keys",
    [
        b"",
        b"[]",
        b'{"keys": 1}',
        b'{"keys": []}',
        b'{"keys": ["x"]}',
        b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}',
        b'{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}',
        b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]}',
    ],
)
def test_a_key_set_without_a_strong_public_key_of_the_algorithm_is_refused(tmp_path: Path, keys):
    path = tmp_path / "jwks.json"
    path.write_bytes(keys)
    with pytest.raises(InvalidInput):
        Issuer(URL, AUDIENCE, str(path))


def test_a_key_set_is_fetched_over_https_or_from_this_machine(tmp_path):
    with pytest.raises(InvalidInput, match="https"):
        Issuer(URL, AUDIENCE, "http://issuer.example/jwks.json")
    with pytest.raises(StoreUnavailable):
        Issuer(URL, AUDIENCE, str(tmp_path / "nothing.json"))


def test_an_issuer_may_sign_with_ed25519(fleet, mint, tmp_path):
    public = {"kty": "OKP", "crv": "Ed25519", "kid": mint.signer.keyid, "x": encode(mint.signer.public)}
    path = tmp_path / "okp.json"
    path.write_text(json.dumps({"keys": [public]}))
    issuer = Issuer(URL, AUDIENCE, str(path), algorithm="EdDSA")
    with mint.house.store.read() as unit:
        found = verify_credential(unit, mint.bridge(iss=URL, aud=AUDIENCE), issuer)
    assert found.how is How.ISSUER
