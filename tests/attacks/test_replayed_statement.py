"""Replay: what was signed once, for one store, launch, place and type, is put where it was not meant for."""

from dataclasses import replace
from typing import Any

import pytest
from simulator import Envelope, Fleet, ids, leaked

from memstore.admin import OPERATOR_LAUNCH, _registration
from memstore.core.keys import verify_signature
from memstore.core.statements import (
    PrincipalRegistered,
    Recorded,
    Role,
    SessionStarted,
    digest_of,
    id_of,
    parse_statement,
    payload_of,
    payload_type,
    pre_authentication_encoding,
)
from memstore.errors import Denied, IntegrityError
from memstore.signing import Signer
from memstore.write import Author, append


def logged(fleet: Fleet, record: str) -> Envelope:
    """A record as it lies in the log."""
    kind, payload, keyid, signature = fleet.sql(
        "SELECT payload_type, payload, keyid, signature FROM entries JOIN records USING (seq) WHERE id = ?", record
    )[0]
    return Envelope(kind, payload, keyid, signature)


def register(fleet: Fleet, signer: Signer) -> None:
    """Register a key that another store knows already, as nothing but bad luck or intent would."""
    fields = _registration(fleet.house.key, signer, role=Role.WORKER, scopes=["main"])
    with fleet.house.store.write() as unit:
        append(unit, fleet.house.key, fleet.house.operator(), PrincipalRegistered, fields)


def test_a_record_of_another_store_is_found_and_not_served(fleet: Fleet):
    fleet.agent("agent")
    signer = fleet.house.keyring.load("agent")
    with Fleet(fleet.folder.parent / "other", fleet.clock) as other:
        register(other, signer)
        stolen = fleet.signed(signer, Recorded)
        at = other.forge(stolen)
        answer = other.agent("reader").search("forged admitted")
        assert ids(answer, "attributed") == []
        assert leaked("Nobody admitted this", answer) == ""
        assert at in {problem["seq"] for problem in other.audit()["problems"]}


def test_a_proof_of_possession_counts_for_one_store_and_one_name(fleet: Fleet):
    signer = Signer.generate("agent")
    with Fleet(fleet.folder.parent / "other", fleet.clock) as other:
        there = _registration(other.house.key, signer, role=Role.WORKER, scopes=["main"])
    here = _registration(fleet.house.key, signer, role=Role.WORKER, scopes=["main"])
    renamed = _registration(fleet.house.key, replace(signer, name="lead"), role=Role.LEAD, scopes=["main"])
    assert len({there["proof"], here["proof"], renamed["proof"]}) == 3


@pytest.mark.parametrize("twist", ["again", "later", "other launch"])
def test_a_place_in_the_authors_chain_is_used_once(fleet: Fleet, twist: str):
    fleet.agent("agent")
    signer = fleet.house.keyring.load("agent")
    first = fleet.signed(signer, Recorded)
    fleet.forge(first)
    fleet.assert_sound()
    places: dict[str, dict[str, Any]] = {
        "again": {"n": 1, "prev": ""},
        "later": {"n": 3},
        "other launch": {"launch": "second", "n": 2},
    }
    at = fleet.forge(fleet.signed(signer, Recorded, **{"task": "again", **places[twist]}))
    assert {"seq": at, "code": "bad_chain"}.items() <= fleet.audit()["problems"][0].items()


def test_the_very_same_entry_twice_is_found(fleet: Fleet):
    agent = fleet.agent("agent")
    said = agent.write("finding", "Own", "words")
    size = fleet.size()
    fleet.sql(
        "INSERT INTO entries SELECT ?, logged_at, payload_type, payload, keyid, signature, signature_state, label,"
        " because, disclosures, leaf FROM entries WHERE seq = ?",
        size,
        said["seq"],
    )
    assert size in {problem["seq"] for problem in fleet.audit()["problems"]}


def test_another_launch_or_author_is_another_statement(fleet: Fleet):
    said = fleet.agent("agent").write("finding", "Own", "words")
    envelope = logged(fleet, said["id"])
    signer = fleet.house.keyring.load("agent")
    statement = parse_statement(envelope.kind, envelope.payload)
    for changed in ({"launch": "other"}, {"author": "lead"}, {"n": 2}, {"store": "a" * 26}, {"asserted_at": 1}):
        payload = payload_of(statement.model_copy(update=changed))
        with pytest.raises(IntegrityError):
            verify_signature(signer.public, envelope.signature, pre_authentication_encoding(envelope.kind, payload))
        assert id_of(statement, digest_of(envelope.kind, payload)) != said["id"]


def test_bytes_signed_as_one_type_are_nothing_as_another(fleet: Fleet):
    said = fleet.agent("agent").write("finding", "Own", "words")
    envelope = logged(fleet, said["id"])
    other = payload_type(SessionStarted)
    with pytest.raises(IntegrityError):
        parse_statement(other, envelope.payload)
    with pytest.raises(IntegrityError):
        verify_signature(
            fleet.house.keyring.load("agent").public,
            envelope.signature,
            pre_authentication_encoding(other, envelope.payload),
        )


def test_the_operators_launch_gives_no_rights(fleet: Fleet):
    fleet.agent("agent")
    fields = _registration(fleet.house.key, Signer.generate("boss"), role=Role.HUMAN, scopes=["main"])
    author = Author(fleet.house.keyring.load("agent"), OPERATOR_LAUNCH)
    with fleet.house.store.write() as unit, pytest.raises(Denied):
        append(unit, fleet.house.key, author, PrincipalRegistered, fields)


def test_an_act_that_its_author_may_not_do_is_found_though_it_is_well_signed(fleet: Fleet):
    fleet.agent("agent")
    signer, boss = fleet.house.keyring.load("agent"), Signer.generate("boss")
    fields = _registration(fleet.house.key, boss, role=Role.HUMAN, scopes=["main"])
    at = fleet.forge(fleet.signed(signer, PrincipalRegistered, **fields))
    assert at in {problem["seq"] for problem in fleet.audit()["problems"]}
