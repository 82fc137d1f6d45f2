"""A record as evidence: what was said, by whom, who reviewed and withdrew it, proved without the store."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from simulator import Fleet

from memstore import admin
from memstore.bundles import read_bundle, store_of_key, verify_bundle
from memstore.core.statements import KeyAction
from memstore.errors import Denied, IntegrityError, InvalidInput, NotFound
from memstore.service import MemStore
from memstore.signing import encode


def proven(fleet: Fleet, bundle: dict[str, Any]) -> dict[str, Any]:
    return verify_bundle(read_bundle(json.dumps(bundle).encode()), store=fleet.house.key.store)


@pytest.fixture
def record(ada: MemStore) -> str:
    return str(ada.write("finding", "Found", "it was there", verification="unverified")["id"])


def test_what_was_said_and_what_became_of_it_verifies_offline(fleet: Fleet, lead: MemStore, ada: MemStore, record: str):
    lead.get([record], detail="full")
    lead.review([record], "endorse")
    found = proven(fleet, ada.export_bundle(record))
    assert [(act["act"], act["author"]) for act in found["acts"]] == [("recorded", "ada"), ("reviewed", "lead")]
    assert (found["label_when_logged"], found["label"], found["status"]) == ("attributed", "trusted", "in_force")
    assert (found["author"], found["role"], found["size"]) == ("ada", "worker", fleet.size())
    assert found["note"].startswith(f"It speaks of the log's first {fleet.size()} entries")


def test_a_retraction_stands_in_it(fleet: Fleet, ada: MemStore, record: str):
    ada.retract(record, "outdated")
    found = proven(fleet, ada.export_bundle(record, quarantined=True))
    assert found["acts"][-1] | {"seq": 0} == {
        "seq": 0, "act": "retracted", "author": "ada", "role": "worker", "signature": "valid", "reason": "outdated",
    }  # fmt: skip
    assert found["status"] == "retracted"


def test_without_content_it_proves_what_was_said_and_holds_no_word_of_it(fleet: Fleet, ada: MemStore, record: str):
    bundle = ada.export_bundle(record, content=False)
    assert "content" not in bundle
    assert proven(fleet, bundle)["content"] == "withheld"
    whole = ada.export_bundle(record)
    assert b"it was there" in base64.b64decode(whole["content"]["content"])
    assert proven(fleet, whole)["content"] == "included"


def test_no_word_of_the_record_is_in_what_verifying_answers(fleet: Fleet, ada: MemStore, record: str):
    assert "there" not in json.dumps(proven(fleet, ada.export_bundle(record)))


def test_the_public_checkpoint_key_is_all_that_is_needed(fleet: Fleet, ada: MemStore, record: str):
    store = store_of_key(encode(fleet.house.key.signer.public))
    assert verify_bundle(ada.export_bundle(record), store=store)["store"] == fleet.house.key.store


@pytest.mark.parametrize("key", ["", "A" * 43, "x", "not a key at all", "é" * 43])
def test_what_is_no_key_is_refused_as_such(key: str):
    with pytest.raises(InvalidInput) as refused:
        store_of_key(key)
    assert refused.value.code == "bad_key"


@pytest.mark.parametrize("action", [KeyAction.ROTATED, KeyAction.REKEYED])
def test_a_key_that_was_replaced_still_proves_what_it_signed(
    fleet: Fleet, ada: MemStore, record: str, action: KeyAction
):
    admin.replace_key(fleet.house, "ada", action)
    later = fleet.fresh("ada").write("finding", "Later", "b", verification="unverified")["id"]
    for one in (record, later):
        assert proven(fleet, fleet.fresh("ben").export_bundle(one))["author"] == "ada"


def test_a_retired_key_still_proves_what_it_signed(fleet: Fleet, ben: MemStore, record: str):
    admin.retire(fleet.house, "ada")
    assert proven(fleet, ben.export_bundle(record))["author"] == "ada"


def test_a_key_that_was_compromised_proves_nothing_from_then_on(fleet: Fleet, ada: MemStore, person: MemStore):
    before = ada.write("finding", "Before", "b", verification="unverified")["id"]
    after = ada.write("finding", "After", "b", verification="unverified")
    admin.compromise(fleet.house, "ada", after["seq"])
    assert proven(fleet, person.export_bundle(before, quarantined=True))["author"] == "ada"
    with pytest.raises(IntegrityError) as refused:
        proven(fleet, person.export_bundle(after["id"], quarantined=True))
    assert refused.value.code == "key_compromised"


def test_a_review_by_a_compromised_key_is_told_to_be_void(fleet: Fleet, ada: MemStore, lead: MemStore, record: str):
    lead.get([record], detail="full")
    lead.review([record], "endorse")
    admin.compromise(fleet.house, "lead", 0)
    found = proven(fleet, fleet.fresh("ada").export_bundle(record))
    assert [act.get("void", False) for act in found["acts"]] == [False, True]
    assert found["label"] == "attributed"


def test_a_handoff_of_a_compromised_key_is_refused(fleet: Fleet, ada: MemStore, ben: MemStore, record: str):
    handoff = ada.handoff_offer("ben", "transfer", outputs=[record], questions=["none"])["handoff"]
    admin.compromise(fleet.house, "ada", fleet.size() - 1)
    with pytest.raises(IntegrityError) as refused:
        proven(fleet, fleet.fresh("person").handoff_bundle(handoff))
    assert refused.value.code == "key_compromised"


def test_what_is_quarantined_is_taken_only_as_such_and_lowers_the_mark(fleet: Fleet, ada: MemStore, lead: MemStore):
    page = ada.observe("https://evil.example/", "words of the outside")["id"]
    with pytest.raises(Denied) as refused:
        lead.export_bundle(page)
    assert refused.value.code == "quarantined"
    assert lead.get([page])["mark"] == "trusted"
    assert proven(fleet, lead.export_bundle(page, quarantined=True))["label"] == "untrusted"
    assert lead.get([page])["mark"] == "tainted"


def test_in_lockdown_nothing_that_is_quarantined_is_taken_out(fleet: Fleet, ada: MemStore):
    page = ada.observe("https://evil.example/", "words of the outside")["id"]
    with pytest.raises(Denied) as refused:
        fleet.fresh("lead", lockdown=True).export_bundle(page, quarantined=True)
    assert refused.value.code == "lockdown"


def test_what_stands_beside_words_that_were_raised_is_for_people(fleet: Fleet, ada: MemStore, lead: MemStore):
    ada.observe("https://evil.example/", "words of the outside")
    note = ada.write("finding", "A note", "about it", verification="unverified")["id"]
    ref = lead.get([note])["quarantined"][0]["ref"]
    lead.open([ref])
    lead.review([note], "endorse")
    with pytest.raises(Denied) as refused:
        fleet.fresh("ben").export_bundle(note)
    assert refused.value.code == "quarantined"
    assert proven(fleet, fleet.fresh("person").export_bundle(note))["label"] == "attributed"


def test_taking_it_is_a_disclosure_and_lets_nobody_endorse(fleet: Fleet, lead: MemStore, record: str):
    lead.export_bundle(record)
    assert lead.get(["key:none"])["mark"] == "attributed"
    assert lead.review([record], "endorse")["results"][0]["label"] == "attributed"


def test_a_record_may_be_named_by_its_key(fleet: Fleet, ada: MemStore):
    record = ada.write("finding", "F", "b", verification="unverified", key="mine")["id"]
    assert proven(fleet, ada.export_bundle("key:mine"))["id"] == record


def test_ids_of_nothing_of_another_scope_and_erased_look_alike(fleet: Fleet, ada: MemStore, record: str):
    hidden = fleet.agent("zoe", scopes=("side",)).write("finding", "E", "b", verification="unverified")["id"]
    fleet.erase(record)
    told = set()
    for asked in (hidden, record, "m-" + "a" * 26, "key:nobody"):
        with pytest.raises(NotFound) as refused:
            ada.export_bundle(asked)
        told.add(str(refused.value))
    assert len(told) == 1


def test_a_record_that_was_changed_in_the_file_is_no_evidence(fleet: Fleet, ada: MemStore, record: str):
    fleet.sql("UPDATE contents SET content = zeroblob(4)")
    with pytest.raises(IntegrityError) as refused:
        ada.export_bundle(record, quarantined=True)
    assert refused.value.code == "tampered"
