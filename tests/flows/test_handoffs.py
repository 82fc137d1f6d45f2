"""Handoffs from offer to end: what each side is told, what is refused, and what both have signed (DESIGN 3.5)."""

from __future__ import annotations

from typing import Any

import pytest
from simulator import Fleet, codes, taken

from memstore import admin, log
from memstore.errors import MemStoreError
from memstore.service import MemStore

GONE = "m-" + "z" * 26
NONE = ["none"]
LEASE = 900


@pytest.fixture
def intent(lead: MemStore) -> str:
    lead.session_start("port", goal="Port the parser to C")
    brief = lead.session_start("port")["brief"]
    return str(brief["intent"]["id"])


def delegated(lead: MemStore, intent: str, to: str = "ada", **more: Any) -> str:
    """A complete delegation; its id."""
    told = {"directive": "Find the bug", "rationale": "It costs money", "constraints": ["No downtime"], **more}
    return str(lead.handoff_offer(to, "delegate", intent=intent, **told)["handoff"])


def verified(member: MemStore, title: str = "The bug is in the lexer") -> str:
    written = member.write("finding", title, "Seen in the log", verification="verified", evidence=["log line 7"])
    return str(written["id"])


def transfer(member: MemStore, to: str, outputs: list[str], **more: Any) -> dict[str, Any]:
    return dict(member.handoff_offer(to, "transfer", outputs=outputs, questions=NONE, **more))


def refused(call: Any, *args: Any, **arguments: Any) -> MemStoreError:
    with pytest.raises(MemStoreError) as error:
        call(*args, **arguments)
    return error.value


def test_work_goes_down_and_comes_back_and_the_report_is_endorsed(fleet: Fleet, lead: MemStore, ada: MemStore, intent):
    handoff = delegated(lead, intent)
    [item] = ada.handoff_inbox()["items"]
    assert (item["handoff"], item["state"], item["from"], item["hop"], item["task"]) == (
        handoff, "offered", "lead", 1, "port",
    )  # fmt: skip
    found = ada.handoff_receive(handoff)
    assert (found["valid"], found["problems"], found["posture"], found["mark"]) == (True, [], "accept", "trusted")
    words = {hit["title"] for hit in found["outputs"]["trusted"]["hits"]}
    assert words == {"Find the bug", "Port the parser to C", "No downtime"}
    assert found["named"]["intent"] == [intent]
    lease = taken(ada, handoff)
    ada.session_start("port")
    output = verified(ada)
    report = ada.handoff_offer(
        "lead", "report", outputs=[output], questions=["Is it in the grammar too?"], caveats=["Seen on one machine"],
        rejected=["A rewrite: too slow"], constraints=found["named"]["constraints"],
    )  # fmt: skip
    assert (report["hop"], report["problems"]) == (1, [])
    got = lead.handoff_receive(report["handoff"])
    assert (got["posture"], got["delta"]["dropped"]) == ("evaluate", [])
    assert {hit["kind"] for hit in got["outputs"]["attributed"]["hits"]} == {"finding", "question", "rejected"}
    answer = lead.handoff_respond(report["handoff"], "accept", receipt=got["receipt"])
    assert "Endorsed 1" in answer["note"]
    assert lead.get([output])["records"][0]["label"] == "trusted"
    assert ada.handoff_respond(handoff, "complete", lease=lease, outputs=[output])["state"] == "completed"
    fleet.assert_sound()


def test_a_rebuild_gives_the_same_handoffs(fleet: Fleet, lead: MemStore, ada: MemStore, intent):
    taken(ada, delegated(lead, intent))
    with fleet.house.store.read() as unit:
        before = unit.projected()
    assert log.rebuild(fleet.house.store)["ok"]
    with fleet.house.store.read() as unit:
        assert unit.projected() == before


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("report", ["outputs", "questions", "caveats", "rejected"]),
        ("delegate", ["directive", "intent", "rationale", "constraints"]),
        ("transfer", ["outputs", "questions"]),
        ("intake", ["outputs"]),
    ],
)
def test_what_is_missing_is_refused_with_the_list_and_nothing_is_stored(fleet: Fleet, lead, kind, missing):
    before = fleet.size()
    error = refused(lead.handoff_offer, "ada", kind)
    assert error.code == "missing_minimum"
    assert all(f"`{part}`" in str(error) for part in missing)
    assert fleet.size() == before


def test_what_a_receiver_must_know_is_told_before_it_acts(fleet: Fleet, ada: MemStore, ben: MemStore):
    ada.session_start("port")
    weather = ada.observe("tool:weather", "12 degrees", ttl_seconds=60)["id"]
    guess = ada.write("finding", "It rains", "As said", derived_from=[weather])["id"]
    wrong = ada.write("finding", "It snows", "x", verification="failed")["id"]
    old = ada.write("finding", "It is cold", "x", verification="verified", evidence=["felt"])["id"]
    ada.write("finding", "It is warm", "x", verification="verified", evidence=["felt"], supersedes=old)
    handoff = transfer(ada, "ben", [weather, guess, wrong, old])["handoff"]
    fleet.clock.advance(seconds=61)
    found = ben.handoff_receive(handoff)
    assert found["valid"]
    by_code = {problem["code"]: problem for problem in found["problems"]}
    assert {code: problem["class"] for code, problem in by_code.items()} == {
        "superseded_record": "referential_drift",
        "expired_result": "freshness",
        "stale_inputs": "freshness",
        "unverified_output": "data_gap",
        "failed_output": "data_gap",
    }
    assert weather in by_code["expired_result"]["what"]
    assert {entry["id"] for entry in found["outputs"]["quarantined"]["entries"]} == {weather, old}
    fleet.assert_sound()


def test_what_silently_disappeared_is_told(fleet: Fleet, lead: MemStore, ada: MemStore, ben: MemStore):
    ada.session_start("port")
    ben.session_start("port")
    output = verified(ada)
    first = transfer(ada, "ben", [output], constraints=["No downtime"], caveats=["Old data"])["handoff"]
    named = ben.handoff_receive(first)["named"]
    taken(ben, first)
    second = ben.handoff_offer("lead", "transfer", outputs=[output], questions=["Which port?"], caveats=["Old data"])
    assert codes(second) == ["dropped_constraint"]
    found = lead.handoff_receive(second["handoff"])
    assert found["delta"]["dropped"] == [{"part": "constraints", "id": named["constraints"][0]}]
    assert [one["part"] for one in found["delta"]["added"]] == ["questions"]
    fleet.assert_sound()


def test_what_was_answered_or_replaced_is_not_dropped(ada: MemStore, ben: MemStore):
    ada.session_start("port")
    ben.session_start("port")
    output = verified(ada)
    question = ada.write("question", "Which port?")["id"]
    rule = ada.write("constraint", "No downtime")["id"]
    ada.handoff_offer("ben", "transfer", outputs=[output], questions=[question], constraints=[rule])
    ada.write("finding", "Port 80", "x", answers=question)
    ada.write("constraint", "A minute of downtime", supersedes=rule)
    assert transfer(ada, "ben", [output])["problems"] == []


def test_acceptance_binds_a_receipt_and_every_problem_in_it(fleet: Fleet, ada: MemStore, ben: MemStore, lead: MemStore):
    guess = ada.write("finding", "A guess", "x")["id"]
    handoff = transfer(ada, "ben", [guess])["handoff"]
    assert refused(ben.handoff_respond, handoff, "accept").code == "missing_field"
    found = ben.handoff_receive(handoff)
    accept = {"handoff": handoff, "action": "accept", "receipt": found["receipt"]}
    error = refused(ben.handoff_respond, **accept)
    assert (error.code, "unverified_output" in error.next_call) == ("unacknowledged", True)
    strange = refused(ben.handoff_respond, **accept, acknowledge=["unverified_output", "hop_limit"])
    assert strange.code == "unknown_problem"
    assert refused(ben.handoff_respond, **{**accept, "receipt": handoff}).code == "unknown_receipt"
    assert refused(fleet.fresh("ben").handoff_respond, **accept).code == "unknown_receipt"
    answer = ben.handoff_respond(**accept, acknowledge=["unverified_output"])
    assert (answer["state"], answer["lease"]) == ("accepted", "1")
    fleet.assert_sound()


def test_a_receipt_is_old_once_things_have_changed(fleet: Fleet, ada: MemStore, ben: MemStore):
    weather = ada.observe("tool:weather", "12 degrees", ttl_seconds=60)["id"]
    handoff = transfer(ada, "ben", [weather])["handoff"]
    receipt = ben.handoff_receive(handoff)["receipt"]
    fleet.clock.advance(seconds=61)
    assert refused(ben.handoff_respond, handoff, "accept", receipt=receipt).code == "old_receipt"
    assert taken(ben, handoff) == "1"


def test_the_same_receipt_is_given_while_nothing_changes(fleet: Fleet, ada: MemStore, ben: MemStore):
    handoff = transfer(ada, "ben", [verified(ada)])["handoff"]
    first = ben.handoff_receive(handoff)["receipt"]
    before = fleet.size()
    assert ben.handoff_receive(handoff)["receipt"] == first
    assert fleet.size() == before


def test_the_same_call_twice_is_once(fleet: Fleet, ada: MemStore, ben: MemStore):
    output = verified(ada)
    first = transfer(ada, "ben", [output])
    size = fleet.size()
    again = transfer(fleet.fresh("ada"), "ben", [output])
    assert (again["handoff"], again["state"], fleet.size()) == (first["handoff"], "offered", size)
    handoff = first["handoff"]
    receipt = ben.handoff_receive(handoff)["receipt"]
    accepted = ben.handoff_respond(handoff, "accept", receipt=receipt)
    size = fleet.size()
    assert ben.handoff_respond(handoff, "accept", receipt=receipt)["lease"] == accepted["lease"]
    done = ben.handoff_respond(handoff, "complete", lease=accepted["lease"], outputs=[output])
    assert fleet.size() == size + 1
    assert ben.handoff_respond(handoff, "complete", lease=accepted["lease"], outputs=[output])["state"] == done["state"]
    assert fleet.size() == size + 1
    assert transfer(ada, "ben", [output])["state"] == "completed"


def test_a_key_names_one_call(ada: MemStore):
    output = verified(ada)
    first = transfer(ada, "ben", [output], idempotency_key="k1")
    assert transfer(ada, "ben", [output], idempotency_key="k1")["handoff"] == first["handoff"]
    assert transfer(ada, "ben", [output], idempotency_key="k2")["handoff"] != first["handoff"]
    assert refused(transfer, ada, "ben", [output], idempotency_key="k1", caveats=["x"]).code == "key_conflict"


def test_a_lapsed_lease_offers_the_work_again_from_its_checkpoint(fleet: Fleet, ada: MemStore, ben: MemStore):
    ada.session_start("port")
    handoff = transfer(ada, "ben", [verified(ada)])["handoff"]
    first = taken(ben, handoff)
    ben.session_start("port")
    point = ben.write("checkpoint", "Half-way", data={"row": 500})["id"]
    fleet.clock.advance(seconds=LEASE)
    again = fleet.fresh("ben")
    assert [item["attempts"] for item in again.handoff_inbox(states=["offered"])["items"]] == [1]
    found = again.handoff_receive(handoff)
    assert (found["named"]["checkpoint"], found["named"]["attempt"]) == ([point], 2)
    assert [hit["data"] for hit in found["outputs"]["attributed"]["hits"] if hit["id"] == point] == [{"row": 500}]
    second = taken(again, handoff)
    assert (first, second) == ("1", "2")
    assert refused(ben.handoff_respond, handoff, "complete", lease=first).code == "old_lease"
    assert again.handoff_respond(handoff, "complete", lease=second)["state"] == "completed"
    fleet.assert_sound()


def test_a_lease_that_lapsed_ends_nothing_even_where_nobody_took_the_work(fleet: Fleet, ada: MemStore, ben: MemStore):
    handoff = transfer(ada, "ben", [verified(ada)])["handoff"]
    lease = taken(ben, handoff)
    fleet.clock.advance(seconds=LEASE)
    assert refused(ben.handoff_respond, handoff, "complete", lease=lease).code == "lease_lapsed"
    assert refused(ben.handoff_respond, handoff, "heartbeat", lease=lease).code == "lease_lapsed"


def test_a_heartbeat_keeps_the_lease_and_is_not_logged(fleet: Fleet, ada: MemStore, ben: MemStore):
    handoff = transfer(ada, "ben", [verified(ada)])["handoff"]
    lease = taken(ben, handoff)
    size = fleet.size()
    for _ in range(3):
        fleet.clock.advance(seconds=LEASE - 1)
        assert ben.handoff_respond(handoff, "heartbeat", lease=lease)["state"] == "accepted"
    assert fleet.size() == size


def test_accepting_twice_with_a_lease_between_says_that_it_counts_no_longer(fleet: Fleet, ada, ben):
    handoff = transfer(ada, "ben", [verified(ada)])["handoff"]
    receipt = ben.handoff_receive(handoff)["receipt"]
    ben.handoff_respond(handoff, "accept", receipt=receipt)
    fleet.clock.advance(seconds=LEASE)
    late = ben.handoff_respond(handoff, "accept", receipt=receipt)
    assert (late["state"], late["lease"]) == ("offered", "")
    assert "handoff_receive" in late["note"]


def test_after_three_attempts_it_is_a_dead_letter_of_the_fallback_owner(fleet: Fleet, ada, ben, lead: MemStore):
    handoff = transfer(ada, "ben", [verified(ada)], fallback="lead")["handoff"]
    for _ in range(3):
        taken(ben, handoff)
        fleet.clock.advance(seconds=LEASE)
    assert ben.handoff_inbox()["items"] == []
    [item] = lead.handoff_inbox("dead_letter")["items"]
    assert (item["handoff"], item["state"], item["why"]) == (handoff, "dead_letter", "lease_lapsed")
    assert refused(ben.handoff_receive, handoff).code == "not_yours_now"
    lease = taken(lead, handoff)
    assert lead.handoff_respond(handoff, "complete", lease=lease)["state"] == "completed"
    fleet.assert_sound()


def test_past_its_deadline_nobody_takes_it(fleet: Fleet, ada: MemStore, ben: MemStore):
    handoff = transfer(ada, "ben", [verified(ada)], deadline="2025-06-15T16:00:00Z")["handoff"]
    fleet.clock.advance(seconds=3600)
    assert ben.handoff_inbox()["items"] == []
    assert refused(ben.handoff_receive, handoff).code == "handoff_over"
    [item] = ada.handoff_inbox("dead_letter")["items"]
    assert (item["handoff"], item["state"]) == (handoff, "expired")


def test_a_question_is_asked_back_and_answered(fleet: Fleet, ada: MemStore, ben: MemStore):
    handoff = transfer(ada, "ben", [verified(ada)])["handoff"]
    asked = ben.handoff_respond(handoff, "clarify", question="Which parser?")
    assert asked["state"] == "clarification_requested"
    assert codes(ben.handoff_receive(handoff)) == ["question_open"]
    [item] = ada.handoff_inbox("out")["items"]
    [record] = ada.get([item["question"]])["records"]
    assert record["title"] == "Which parser?"
    assert ada.handoff_respond(handoff, "clarify", reason="The one in C")["state"] == "offered"
    assert ben.handoff_receive(handoff)["problems"] == []
    assert taken(ben, handoff) == "1"
    fleet.assert_sound()


def test_it_is_rejected_failed_and_cancelled_with_reasons(fleet: Fleet, ada: MemStore, ben: MemStore):
    one, two, three = (transfer(ada, "ben", [verified(ada, f"Finding {n}")])["handoff"] for n in range(3))
    assert refused(ben.handoff_respond, one, "reject").code == "missing_field"
    assert ben.handoff_respond(one, "reject", reason="Not mine")["state"] == "rejected"
    lease = taken(ben, two)
    assert ben.handoff_respond(two, "fail", lease=lease, reason="It crashed")["state"] == "failed"
    assert refused(ben.handoff_respond, three, "cancel").code == "denied"
    assert ada.handoff_respond(three, "cancel")["state"] == "cancelled"
    assert refused(ben.handoff_receive, three).code == "handoff_over"
    reasons = [item.get("reason") for item in ada.handoff_inbox("out", states=["rejected", "failed"])["items"]]
    assert [record["body"] for record in ada.get(reasons)["records"]] == ["Not mine", "It crashed"]
    fleet.assert_sound()


def test_completion_says_what_is_not_verified(ada: MemStore, ben: MemStore):
    handoff = transfer(ada, "ben", [verified(ada)])["handoff"]
    guess = ben.write("finding", "A guess", "x")["id"]
    answer = ben.handoff_respond(handoff, "complete", lease=taken(ben, handoff), outputs=[guess])
    assert answer["state"] == "completed"
    assert f"not verified: {guess}" in answer["note"]


@pytest.mark.parametrize(
    ("to", "code"),
    [("nobody", "unknown_principal"), ("ada", "to_oneself"), ("operator", "unknown_principal"),
     ("capability:none", "no_receiver"), ("a b", "unknown_principal")],
)  # fmt: skip
def test_a_handoff_goes_to_somebody_else_who_is_here(fleet: Fleet, ada: MemStore, to, code):
    output = verified(ada)
    before = fleet.size()
    assert refused(transfer, ada, to, [output]).code == code
    assert fleet.size() == before


def test_a_retired_agent_is_handed_nothing(fleet: Fleet, ada: MemStore):
    admin.retire(fleet.house, "ben")
    assert refused(transfer, ada, "ben", [verified(ada)]).code == "retired"


def test_records_that_are_not_here_or_of_another_scope_look_alike(fleet: Fleet, ada: MemStore):
    fleet.agent("cy", scopes=("other",))
    elsewhere = verified(fleet.fresh("cy"))
    for record in (GONE, elsewhere):
        assert refused(transfer, ada, "ben", [record]).code == "unknown_id"
    assert refused(transfer, ada, "cy", [verified(ada)]).code == "unknown_principal"


def test_outside_content_is_no_output_save_of_an_intake(fleet: Fleet, ada: MemStore, ben: MemStore):
    page = ada.observe("https://a.example/", "SECRET-OUTSIDE-WORDS of a page")["id"]
    assert refused(transfer, ada, "ben", [page]).code == "external_output"
    finding = fleet.fresh("ada").write("finding", "Mine", "x")["id"]
    assert refused(ada.handoff_offer, "ben", "intake", outputs=[finding]).code == "not_external"
    offered = ada.handoff_offer("ben", "intake", outputs=[page])
    found = ben.handoff_receive(offered["handoff"])
    assert found["posture"] == "quarantine"
    assert "SECRET" not in str(found)
    [entry] = found["outputs"]["quarantined"]["entries"]
    assert entry["reasons"] == ["external"]
    assert "tainted_sender" in codes(found)
    assert found["mark"] == "trusted"
    fleet.assert_sound()


def test_a_hypothesis_is_no_report(lead, ada: MemStore):
    ada.session_start("port")
    guess = ada.write("hypothesis", "Perhaps the lexer")["id"]
    told = {"outputs": [guess], "questions": NONE, "caveats": NONE, "rejected": NONE}
    assert refused(ada.handoff_offer, "lead", "report", **told).code == "without_verification"


def test_only_who_stands_above_delegates(fleet: Fleet, lead: MemStore, ada: MemStore, intent):
    told = {"directive": "Do it", "rationale": "So", "constraints": NONE, "intent": intent}
    for to in ("ben", "lead"):
        assert refused(ada.handoff_offer, to, "delegate", **told).code == "denied"
    assert lead.handoff_offer("ada", "delegate", **told)["state"] == "offered"


def test_the_sixth_hop_is_refused(fleet: Fleet, lead: MemStore, ada: MemStore, ben: MemStore):
    pair = (ada, ben)
    for member in pair:
        member.session_start("port")
    output = verified(ada)
    for hop in range(1, 6):
        sender, receiver = pair[(hop - 1) % 2], pair[hop % 2]
        sent = transfer(sender, receiver.name, [output], idempotency_key=str(hop))
        assert (sent["hop"], "hop_limit" in codes(sent)) == (hop, hop == 5)
        taken(receiver, sent["handoff"])
    last = refused(transfer, ben, "ada", [output], idempotency_key="6")
    assert last.code == "hop_limit"
    fleet.assert_sound()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"deadline": "2020-01-01T00:00:00Z"}, "bad_deadline"),
        ({"deadline": "soon"}, "bad_time"),
        ({"fallback": "nobody"}, "unknown_principal"),
        ({"fallback": "ada"}, "to_oneself"),
        ({"contract": "sum"}, "bad_contract"),
        ({"contract": "sum@1.0"}, "unknown_contract"),
        ({"checkpoint": GONE}, "unknown_id"),
        ({"intent": GONE}, "unknown_id"),
        ({"caveats": ["m-" + "1" * 26]}, "invalid"),
        ({"grant_scopes": ["main"]}, "denied"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(fleet: Fleet, ada: MemStore, more, code):
    output = verified(ada)
    before = fleet.size()
    assert refused(transfer, ada, "ben", [output], **more).code == code
    assert fleet.size() == before


def test_a_handoff_of_others_looks_like_none(fleet: Fleet, ada: MemStore, ben: MemStore):
    handoff = transfer(ada, "ben", [verified(ada)])["handoff"]
    cy = fleet.agent("cy")
    calls = [cy.handoff_receive, cy.handoff_item, lambda h: cy.handoff_respond(h, "reject", reason="x")]
    calls += [lambda h: cy.handoff_respond(h, "cancel"), lambda h: cy.handoff_respond(h, "heartbeat", lease="1")]
    for call in calls:
        known, unknown = refused(call, handoff), refused(call, "h-" + "z" * 26)
        assert str(known) == str(unknown)
        assert known.code == "unknown_id"
    assert cy.handoff_inbox()["items"] == cy.handoff_inbox("out")["items"] == []


def test_a_capability_routes_to_who_has_the_least_open_work(fleet: Fleet, ada: MemStore):
    for name in ("cy", "di"):
        fleet.agent(name, capabilities=("sum",))
    output = verified(ada)
    sent = [transfer(ada, "capability:sum", [output], idempotency_key=str(n))["receiver"] for n in range(4)]
    assert sent == ["cy", "di", "cy", "di"]


def test_another_of_the_capability_takes_over_what_lapsed(fleet: Fleet, ada: MemStore):
    cy, di = (fleet.agent(name, capabilities=("sum",)) for name in ("cy", "di"))
    handoff = transfer(ada, "capability:sum", [verified(ada)])["handoff"]
    assert refused(di.handoff_receive, handoff).code == "unknown_id"
    taken(cy, handoff)
    assert di.handoff_inbox()["items"] == []
    fleet.clock.advance(seconds=LEASE)
    assert [item["handoff"] for item in di.handoff_inbox()["items"]] == [handoff]
    assert taken(di, handoff) == "2"
    fleet.assert_sound()


def test_a_delegation_may_give_a_fresh_context(fleet: Fleet, lead: MemStore, ada: MemStore, intent):
    handoff = delegated(lead, intent, fresh=True)
    found = ada.handoff_receive(handoff)
    assert found["named"]["grant"].startswith("g-")
    [grant] = [item for item in _grants(fleet) if item["grant"] == found["named"]["grant"]]
    assert (grant["principal"], grant["scopes"], grant["state"]) == ("ada", ["main"], "open")
    error = refused(delegated, lead, intent, grant_scopes=["other"])
    assert error.code == "denied"
    assert refused(delegated, lead, intent, fresh=True, gate="May it?").code == "gated_grant"
    lead.handoff_respond(handoff, "cancel")
    [grant] = [item for item in _grants(fleet) if item["grant"] == found["named"]["grant"]]
    assert grant["state"] == "revoked"
    fleet.assert_sound()


def _grants(fleet: Fleet) -> list[dict[str, Any]]:
    from memstore import grants

    return grants.listed(fleet.house.store)


def test_a_session_takes_up_its_own_lease_in_another_context(fleet: Fleet, ada: MemStore, ben: MemStore):
    ada.session_start("port")
    handoff = transfer(ada, "ben", [verified(ada)])["handoff"]
    old = taken(ben, handoff)
    again = fleet.fresh("ben")
    started = again.session_start("port", resume_handoff=handoff)
    assert "under lease 2" in started["note"]
    [item] = started["brief"]["handoffs"]
    assert (item["handoff"], item["state"], item["holder"]) == (handoff, "accepted", "ben")
    assert refused(ben.handoff_respond, handoff, "complete", lease=old).code == "old_lease"
    assert again.handoff_respond(handoff, "complete", lease="2")["state"] == "completed"
    assert refused(fleet.fresh("ben").session_start, "port", resume_handoff=handoff).code == "not_held"
    fleet.assert_sound()


def test_an_inbox_goes_on_page_by_page(ada: MemStore, ben: MemStore):
    output = verified(ada)
    sent = [transfer(ada, "ben", [output], idempotency_key=str(n))["handoff"] for n in range(5)]
    found, cursor = [], ""
    for _ in range(3):
        page = ben.handoff_inbox(limit=2, cursor=cursor)
        found += [item["handoff"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert (found, cursor) == (sent, "")
    assert refused(ben.handoff_inbox, "out", cursor=ben.handoff_inbox(limit=2)["next_cursor"]).code == "bad_cursor"
