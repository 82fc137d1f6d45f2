"""What a person decides, and the forms that handed-over work has to have (DESIGN 3.5)."""

from __future__ import annotations

from typing import Any

import pytest
from simulator import Fleet, codes, taken

from memstore import admin, contracts
from memstore.errors import MemStoreError
from memstore.service import MemStore

FORM = {
    "type": "object",
    "properties": {"rows": {"type": "integer", "minimum": 0}},
    "required": ["rows"],
    "additionalProperties": False,
}


def refused(call: Any, *args: Any, **arguments: Any) -> MemStoreError:
    with pytest.raises(MemStoreError) as error:
        call(*args, **arguments)
    return error.value


def counted(member: MemStore, data: dict[str, Any]) -> str:
    written = member.write("finding", "Counted", data=data, verification="verified", evidence=["count.py"])
    return str(written["id"])


def gated(ada: MemStore, **more: Any) -> str:
    output = counted(ada, {"rows": 3})
    told = {"outputs": [output], "questions": ["none"], "gate": "May the table be dropped?", **more}
    answer = ada.handoff_offer("ben", "transfer", **told)
    assert answer["state"] == "awaiting_approval"
    return str(answer["handoff"])


def test_a_gate_is_waited_at_until_a_person_approves(fleet: Fleet, ada: MemStore, ben: MemStore, person: MemStore):
    handoff = gated(ada)
    assert ben.handoff_inbox()["items"] == []
    assert refused(ben.handoff_receive, handoff).code == "awaiting_approval"
    shown = person.handoff_show(handoff)
    assert any("If you approve, ben" in line for line in shown["summary"])
    assert any("If you deny" in line for line in shown["summary"])
    assert shown["decide"]["title"] == "May the table be dropped?"
    assert [hit["data"] for hit in shown["payload"]["outputs"]["attributed"]["hits"]] == [{"rows": 3}]
    assert person.handoff_decide(handoff, approved=True)["state"] == "offered"
    size = fleet.size()
    assert "nothing was done twice" in person.handoff_decide(handoff, approved=True)["note"]
    assert fleet.size() == size
    assert taken(ben, handoff) == "1"
    fleet.assert_sound()


def test_what_is_denied_ends_at_its_gate(fleet: Fleet, ada: MemStore, ben: MemStore, person: MemStore):
    handoff = gated(ada)
    assert person.handoff_decide(handoff, approved=False)["state"] == "denied"
    assert refused(person.handoff_decide, handoff, approved=True).code == "wrong_state"
    assert refused(ben.handoff_receive, handoff).code == "handoff_over"
    fleet.assert_sound()


@pytest.mark.parametrize("who", ["ada", "ben", "lead"])
def test_no_agent_decides_at_a_gate(fleet: Fleet, ada: MemStore, who: str):
    handoff, size = gated(ada), fleet.size()
    assert refused(fleet.fresh(who).handoff_decide, handoff, approved=True).code == "not_a_person"
    assert refused(fleet.fresh(who).handoff_respond, handoff, "approve").code == "invalid"
    assert fleet.size() == size


def test_what_nobody_decides_goes_to_the_fallback_owner(fleet: Fleet, ada: MemStore, lead: MemStore):
    handoff = gated(ada, deadline="2025-06-15T16:00:00Z", fallback="lead")
    fleet.clock.advance(seconds=3600)
    assert [item["handoff"] for item in lead.handoff_inbox("dead_letter")["items"]] == [handoff]


def test_an_approval_by_a_stolen_key_does_not_count(fleet: Fleet, ada: MemStore, ben: MemStore, person: MemStore):
    handoff = gated(ada)
    since = fleet.size()
    person.handoff_decide(handoff, approved=True)
    admin.compromise(fleet.house, "person", since)
    found = ben.handoff_receive(handoff)
    assert not found["valid"]
    assert codes(found) == ["not_approved"]
    accept = {"receipt": found["receipt"], "acknowledge": codes(found)}
    assert refused(ben.handoff_respond, handoff, "accept", **accept).code == "not_valid"
    fleet.assert_sound()


@pytest.fixture
def summing(fleet: Fleet) -> MemStore:
    """A worker that accepts sum@1.0; there are sum@1.0 and sum@2.0."""
    house = fleet.house
    for version in ("sum@1.0", "sum@2.0"):
        contracts.add(house.store, house.key, house.operator(), version, FORM)
    return fleet.agent("cy", accepts=("sum@1.0",), capabilities=("sum",))


def test_outputs_are_held_to_their_contract(fleet: Fleet, ada: MemStore, summing: MemStore):
    good, bad = counted(ada, {"rows": 3}), counted(ada, {"rows": "many"})
    told = {"questions": ["none"], "contract": "sum@1.0"}
    sound = ada.handoff_offer("cy", "transfer", outputs=[good], **told)
    assert sound["problems"] == []
    taken(summing, sound["handoff"])
    size = fleet.size()
    error = refused(ada.handoff_offer, "cy", "transfer", outputs=[good, bad], **told)
    assert (error.code, bad in error.what, good in error.what) == ("contract_violation", True, False)
    assert fleet.size() == size
    assert summing.handoff_inbox(states=["offered"])["items"] == []
    fleet.assert_sound()


@pytest.mark.parametrize("to", ["cy", "capability:sum"])
def test_a_version_that_the_receiver_does_not_accept_is_refused(ada: MemStore, summing: MemStore, to: str):
    told = {"outputs": [counted(ada, {"rows": 3})], "questions": ["none"], "contract": "sum@2.0"}
    assert refused(ada.handoff_offer, to, "transfer", **told).code in ("contract_not_accepted", "no_receiver")


def test_a_deprecated_contract_takes_no_new_work_and_is_told_of_open_work(fleet: Fleet, ada, summing: MemStore):
    house = fleet.house
    told = {"outputs": [counted(ada, {"rows": 3})], "questions": ["none"], "contract": "sum@1.0"}
    before = ada.handoff_offer("cy", "transfer", **told)["handoff"]
    contracts.deprecate(house.store, house.key, house.operator(), "sum@1.0", successor="sum@2.0")
    error = refused(ada.handoff_offer, "cy", "transfer", idempotency_key="2", **told)
    assert (error.code, error.next_call) == ("contract_deprecated", "Use sum@2.0.")
    assert codes(summing.handoff_receive(before)) == ["contract_deprecated"]
    fleet.assert_sound()


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"type": "no such type"}, "bad_contract"),
        ({"properties": {"a": {"pattern": "(a+)+$"}}}, "bad_contract"),
        ({"patternProperties": {"(a+)+$": {}}}, "bad_contract"),
        ({"$ref": "https://a.example/schema.json"}, "bad_contract"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "bad_contract"),
        ({"description": "x" * 40_000}, "too_long"),
    ],
)
def test_what_is_no_contract_is_refused(fleet: Fleet, form: dict[str, Any], code: str):
    house, size = fleet.house, fleet.size()
    assert refused(contracts.add, house.store, house.key, house.operator(), "a@1.0", form).code == code
    assert fleet.size() == size


def test_a_property_may_be_called_pattern(fleet: Fleet):
    house = fleet.house
    form = {"properties": {"pattern": {"enum": ["a", "b"]}, "$ref": {"const": 1}}}
    assert contracts.add(house.store, house.key, house.operator(), "a@1.0", form)["status"] == "added"


def test_a_version_never_changes_and_only_the_operator_or_a_person_adds_one(fleet: Fleet, ada: MemStore):
    from memstore.write import Author

    house = fleet.house
    contracts.add(house.store, house.key, house.operator(), "a@1.0", FORM)
    assert refused(contracts.add, house.store, house.key, house.operator(), "a@1.0", {}).code == "contract_exists"
    assert refused(contracts.add, house.store, house.key, house.operator(), "a@1", {}).code == "bad_contract"
    worker = Author(house.signer("ada"), "c-test")
    assert refused(contracts.add, house.store, house.key, worker, "b@1.0", {}).code == "denied"
    assert [one["contract"] for one in contracts.listed(house.store)] == ["a@1.0"]


def test_a_reference_that_leads_nowhere_counts_as_a_violation():
    assert contracts.violates('{"$ref": "#/$defs/gone"}', {})
    assert contracts.violates('{"$ref": "https://a.example/x"}', {})
