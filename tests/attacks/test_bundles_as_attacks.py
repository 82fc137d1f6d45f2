"""A bundle is handed over by somebody who gains by it: changed, cut short, of another store, with an act left out.

Whatever is done to it, it proves what it proved, or it is refused with a code; it never makes the verifier crash.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from simulator import Fleet, taken

from memstore import admin
from memstore.bundles import MANIFEST, Manifest, read_bundle, verify_bundle
from memstore.core.canonical import canonical_bytes
from memstore.core.labels import SignatureState
from memstore.core.statements import pre_authentication_encoding
from memstore.envelopes import sealed
from memstore.errors import IntegrityError
from memstore.service import MemStore
from memstore.signing import Signer, StoreKey, encode

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def ada(fleet: Fleet) -> MemStore:
    fleet.agent("lead", role="lead")
    return fleet.agent("ada", under="lead")


@pytest.fixture
def bundle(fleet: Fleet, ada: MemStore) -> dict[str, Any]:
    """Of a record that a lead disputed and its author withdrew: what somebody would like to leave out."""
    record = ada.write("finding", "Found", "it", verification="unverified")["id"]
    lead = fleet.fresh("lead")
    lead.get([record], detail="full")
    lead.review([record], "dispute")
    ada.retract(record, "wrong")
    return dict(ada.export_bundle(record, quarantined=True))


def refused(fleet: Fleet, bundle: dict[str, Any]) -> str:
    """The code that it is refused with."""
    with pytest.raises(IntegrityError) as error:
        verify_bundle(read_bundle(json.dumps(bundle).encode()), store=fleet.house.key.store)
    return error.value.code


def test_as_it_is_it_verifies(fleet: Fleet, bundle: dict[str, Any]):
    found = verify_bundle(read_bundle(json.dumps(bundle).encode()), store=fleet.house.key.store)
    assert [act["act"] for act in found["acts"]] == ["recorded", "reviewed", "retracted"]


CODES = {"bad_bundle", "bad_statement", "bad_signature", "bad_proof", "bad_checkpoint", "bad_content", "wrong_store"}


@pytest.mark.parametrize("flip", [0x01, 0x20])
def test_no_byte_can_be_changed(fleet: Fleet, ada: MemStore, flip: int):
    record = ada.write("finding", "F", "b", verification="unverified")["id"]
    raw = json.dumps(ada.export_bundle(record), separators=(",", ":")).encode()
    store, seen = fleet.house.key.store, set()
    assert verify_bundle(read_bundle(raw), store=store)["ok"]
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :]
        try:
            verify_bundle(read_bundle(changed), store=store)
        except IntegrityError as error:
            seen.add(error.code)
        else:
            # As JSON it is still the same: nothing but white space is.
            assert json.loads(changed) == json.loads(raw), at
    assert {"bad_bundle", "bad_signature", "bad_proof", "bad_checkpoint"} <= seen <= CODES


def test_no_end_can_be_cut_off(fleet: Fleet, bundle: dict[str, Any]):
    raw = json.dumps(bundle, indent=2).encode()
    for length in range(len(raw)):
        with pytest.raises(IntegrityError):
            verify_bundle(read_bundle(raw[:length]), store=fleet.house.key.store)


@pytest.mark.parametrize("left_out", [-1, -2, 0, 1])
def test_no_act_can_be_left_out(fleet: Fleet, bundle: dict[str, Any], left_out: int):
    del bundle["entries"][left_out]
    assert refused(fleet, bundle) == "bad_bundle"


def test_the_manifest_cannot_be_made_to_fit_what_was_left_out(fleet: Fleet, bundle: dict[str, Any]):
    del bundle["entries"][-1]
    told = json.loads(base64.b64decode(bundle["manifest"]["payload"]))
    told["entries"].pop()
    bundle["manifest"]["payload"] = base64.b64encode(canonical_bytes(told)).decode()
    assert refused(fleet, bundle) == "bad_signature"
    thief = StoreKey(Signer.generate("thief"))
    bundle["manifest"] = sealed(thief, MANIFEST, canonical_bytes(told))
    assert refused(fleet, bundle) == "bad_signature"
    bundle["manifest"]["signatures"][0]["keyid"] = fleet.house.key.signer.keyid
    assert refused(fleet, bundle) == "bad_signature"


def test_an_older_manifest_does_not_fit_a_newer_checkpoint(fleet: Fleet, ada: MemStore):
    record = ada.write("finding", "Found", "it", verification="unverified")["id"]
    older = ada.export_bundle(record)
    ada.retract(record, "wrong")
    newer = ada.export_bundle(record, quarantined=True)
    assert refused(fleet, {**newer, "manifest": older["manifest"], "entries": newer["entries"][:-1]}) == "bad_bundle"
    # An older bundle is as good as it was, and says up to where that goes.
    found = verify_bundle(older, store=fleet.house.key.store)
    assert (found["status"], found["size"]) == ("in_force", fleet.size() - 1)
    assert "nothing after them" in found["note"]


def test_what_the_store_says_elsewhere_is_no_manifest(fleet: Fleet, ada: MemStore, bundle: dict[str, Any]):
    """The checkpoint key signs attestations as well: the type of a payload keeps the two apart."""
    attested = ada.export_intoto(record=bundle["record"])["attestations"][0]
    assert refused(fleet, {**bundle, "manifest": attested}) == "bad_signature"
    assert refused(fleet, {**bundle, "manifest": {**attested, "payloadType": MANIFEST}}) == "bad_signature"


def test_the_manifest_of_another_record_does_not_fit(fleet: Fleet, ada: MemStore, bundle: dict[str, Any]):
    other = ada.write("finding", "Other", "it", verification="unverified")["id"]
    manifest = ada.export_bundle(other)["manifest"]
    assert refused(fleet, {**bundle, "manifest": manifest}) == "bad_bundle"


def test_a_bundle_of_another_store_is_refused_whatever_it_says_of_itself(
    fleet: Fleet, tmp_path: Any, bundle: dict[str, Any]
):
    with Fleet(tmp_path / "other") as other:
        stranger = other.agent("ada")
        foreign = stranger.export_bundle(stranger.write("finding", "F", "b", verification="unverified")["id"])
    assert refused(fleet, foreign) == "wrong_store"
    assert refused(fleet, {**foreign, "store": bundle["store"]}) == "wrong_store"
    assert refused(fleet, {**foreign, "store": bundle["store"], "public_key": bundle["public_key"]}) == "bad_checkpoint"
    assert refused(fleet, {**bundle, "entries": foreign["entries"]}) == "bad_bundle"


def _other_words(bundle: dict[str, Any]) -> None:
    bundle["content"]["content"] = base64.b64encode(b'{"body":"other","title":"Found"}').decode()


def _words_taken_out(bundle: dict[str, Any]) -> None:
    del bundle["content"]


def _other_salt(bundle: dict[str, Any]) -> None:
    bundle["content"]["salt"] = base64.b64encode(bytes(16)).decode()


def _both_kinds(bundle: dict[str, Any]) -> None:
    bundle["handoff"] = "h-" + "a" * 26


def _no_kind(bundle: dict[str, Any]) -> None:
    del bundle["record"]


def _more_than_is_known(bundle: dict[str, Any]) -> None:
    bundle["note"] = "This was approved"


def _two_signatures(bundle: dict[str, Any]) -> None:
    bundle["manifest"]["signatures"] *= 2


def _an_entry_twice(bundle: dict[str, Any]) -> None:
    bundle["entries"].append(bundle["entries"][-1])


def _raised(bundle: dict[str, Any]) -> None:
    bundle["entries"][-1]["entry"]["label"] = "trusted"


def _said_by_another(bundle: dict[str, Any]) -> None:
    bundle["entries"][-1]["entry"]["keyid"] = bundle["entries"][0]["entry"]["keyid"]


def _a_flag_for_a_number(bundle: dict[str, Any]) -> None:
    bundle["entries"][0]["entry"]["seq"] = False


def _a_fraction(bundle: dict[str, Any]) -> None:
    bundle["entries"][-1]["entry"]["seq"] += 0.0


def _no_entry(bundle: dict[str, Any]) -> None:
    bundle["entries"] = []


def _no_place(bundle: dict[str, Any]) -> None:
    del bundle["entries"][0]["entry"]["seq"]


CHANGES = (
    _other_words, _words_taken_out, _other_salt, _both_kinds, _no_kind, _more_than_is_known, _two_signatures,
    _an_entry_twice, _raised, _said_by_another, _a_flag_for_a_number, _a_fraction, _no_entry, _no_place,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_no_change_passes(fleet: Fleet, bundle: dict[str, Any], change: Change):
    changed = copy.deepcopy(bundle)
    change(changed)
    assert refused(fleet, changed) in CODES


ODD: tuple[Any, ...] = (None, "", "x", 0, -1, 1.5, True, [], {}, [[]], 2**70, "\ud800", "=" * 44)


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, name)
            yield from places(item, (*path, name))


def test_no_value_can_be_another_and_nothing_odd_crashes_it(fleet: Fleet, bundle: dict[str, Any]):
    for path in places(bundle):
        for odd in ODD:
            changed = copy.deepcopy(bundle)
            at: Any = changed
            for name in path[:-1]:
                at = at[name]
            was, at[path[-1]] = at[path[-1]], odd
            if was == odd and type(was) is type(odd):
                continue
            with pytest.raises(IntegrityError) as error:
                verify_bundle(changed, store=fleet.house.key.store)
            assert error.value.code in CODES, path


def test_words_cannot_be_put_into_a_bundle_without_them(fleet: Fleet, ada: MemStore):
    record = ada.write("finding", "F", "b", verification="unverified")["id"]
    bare, whole = ada.export_bundle(record, content=False), ada.export_bundle(record)
    assert refused(fleet, {**bare, "content": whole["content"]}) == "bad_bundle"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"1e999",
        b"NaN",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"store":"a","store":"b"}',
        b'{"entries":[' + b"1" * 5000 + b"]}",
        b'{"store":"\\ud800"}',
    ],
)
def test_what_is_no_bundle_is_refused_and_crashes_nothing(fleet: Fleet, raw: bytes):
    with pytest.raises(IntegrityError) as error:
        verify_bundle(read_bundle(raw), store=fleet.house.key.store)
    assert error.value.code == "bad_bundle"


def test_a_handoff_without_its_last_answer_is_refused(fleet: Fleet, ada: MemStore):
    ben = fleet.agent("ben", under="lead")
    output = ada.write("finding", "F", "b", verification="verified", evidence=["log"])["id"]
    handoff = ada.handoff_offer("ben", "transfer", outputs=[output], questions=["none"])["handoff"]
    ben.handoff_respond(handoff, "fail", lease=taken(ben, handoff), reason="It broke")
    bundle = dict(ben.handoff_bundle(handoff))
    assert verify_bundle(bundle, store=fleet.house.key.store)["acts"][-1]["act"] == "fail"
    del bundle["entries"][-1]
    assert refused(fleet, bundle) == "bad_bundle"


def test_a_compromise_cannot_be_left_out(fleet: Fleet, ada: MemStore):
    record = ada.write("finding", "F", "b", verification="unverified")
    admin.compromise(fleet.house, "ada", record["seq"])
    person = fleet.agent("person", role="human")
    bundle = dict(person.export_bundle(record["id"], quarantined=True))
    assert refused(fleet, bundle) == "key_compromised"
    del bundle["entries"][-1]
    assert refused(fleet, bundle) == "bad_bundle"


def test_words_of_a_stranger_are_no_statement_of_the_store(fleet: Fleet, ada: MemStore):
    """A statement that the store's own key signed for a principal is told as attested; for the operator it is none."""
    record = ada.write("finding", "F", "b", verification="unverified")["id"]
    bundle = copy.deepcopy(dict(ada.export_bundle(record)))
    key = fleet.house.key.signer

    def attested(item: dict[str, Any]) -> None:
        message = pre_authentication_encoding(item["entry"]["payload_type"], base64.b64decode(item["payload"]))
        item["signature"] = base64.b64encode(key.sign(message)).decode()

    attested(bundle["entries"][-1])
    found = verify_bundle(bundle, store=fleet.house.key.store)
    assert found["acts"][-1]["signature"] == SignatureState.ATTESTED
    attested(bundle["entries"][0])
    assert refused(fleet, bundle) == "bad_signature"


def test_a_manifest_of_the_store_that_says_nothing_true_of_the_log_proves_nothing(fleet: Fleet, bundle: dict[str, Any]):
    """Even with the checkpoint key at hand, what is not in the tree is not proved."""
    told = Manifest.model_validate(json.loads(base64.b64decode(bundle["manifest"]["payload"])))
    made = told.model_copy(update={"entries": [*told.entries, told.size - 1 + 5]})
    bundle["manifest"] = sealed(fleet.house.key, MANIFEST, made.to_bytes())
    extra = copy.deepcopy(bundle["entries"][-1])
    extra["entry"]["seq"] = told.size - 1 + 5
    bundle["entries"].append(extra)
    assert refused(fleet, bundle) == "bad_proof"


def test_a_key_that_would_verify_anything_names_no_store(fleet: Fleet):
    from memstore.bundles import store_of_key
    from memstore.errors import InvalidInput

    with pytest.raises(InvalidInput) as error:
        store_of_key(encode(bytes([1]) + bytes(31)))  # the identity point: one signature is of every message
    assert error.value.code == "bad_key"
