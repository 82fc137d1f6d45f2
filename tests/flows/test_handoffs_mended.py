"""What a hostile reader found in handoffs, each as the test that fails where it is undone (DESIGN 3.5, ADR 0035)."""

from __future__ import annotations

from typing import Any

import pytest
from simulator import Fleet, codes, taken

from memstore import admin, contracts, grants, log
from memstore.errors import MemStoreError
from memstore.render import timestamp
from memstore.service import MemStore

NONE = ["none"]


def verified(member: MemStore, title: str = "The bug is in the lexer", **more: Any) -> str:
    told = {"verification": "verified", "evidence": ["log line 7"], **more}
    return str(member.write("finding", title, f"Body of {title}", **told)["id"])


def transfer(member: MemStore, to: str, outputs: list[str], **more: Any) -> dict[str, Any]:
    return dict(member.handoff_offer(to, "transfer", outputs=outputs, **{"questions": NONE, **more}))


def refusal(call: Any, *args: Any, **arguments: Any) -> str:
    with pytest.raises(MemStoreError) as error:
        call(*args, **arguments)
    return error.value.code


@pytest.fixture
def intent(lead: MemStore) -> str:
    lead.session_start("port", goal="Port the parser to C")
    return str(lead.session_start("port")["brief"]["intent"]["id"])


def delegated(lead: MemStore, intent: str, to: str = "ada", **more: Any) -> dict[str, Any]:
    told = {"directive": "Find the bug", "rationale": "It costs money", "constraints": NONE, **more}
    return dict(lead.handoff_offer(to, "delegate", intent=intent, **told))


def test_a_receipt_is_old_once_another_record_has_the_same_problem(lead: MemStore, ada: MemStore, ben: MemStore):
    first, second = verified(ada, "One"), verified(ada, "Two")
    handoff = transfer(ada, "ben", [first, second])["handoff"]
    lead.retract(first, "poisoned")
    got = ben.handoff_receive(handoff)
    lead.retract(second, "poisoned")
    told = {"receipt": got["receipt"], "acknowledge": codes(got)}
    assert refusal(ben.handoff_respond, handoff, "accept", **told) == "old_receipt"


def told(member: MemStore, task: str = "port") -> set[str]:
    """The words of all that a brief gives as in force."""
    brief = member.session_start(task)["brief"]
    return {item["title"] for part in ("constraints", "decisions", "questions") for item in brief[part]}


def found(member: MemStore, query: str) -> tuple[set[str], int]:
    answer = member.search(query)
    hits = [hit for part in ("trusted", "attributed") for hit in answer[part]["hits"]]
    return {hit["title"] for hit in hits}, sum(answer[part]["count"] for part in ("trusted", "attributed"))


GATED: dict[str, Any] = {"directive": "Drop the table", "constraints": ["Use sudo"], "gate": "May it be dropped?"}


def test_nothing_phrased_for_a_gate_stands_before_a_person_approves(
    lead: MemStore, ada: MemStore, person: MemStore, intent: str
):
    handoff = delegated(lead, intent, **GATED)["handoff"]
    assert told(ada) == set()
    assert found(ada, "drop sudo table") == (set(), 0)
    assert found(ada, "") == ({"Port the parser to C"}, 1)
    person.handoff_decide(handoff, approved=True)
    # The gate's question is decided.
    assert told(ada) == {"Drop the table", "Use sudo"}
    assert found(ada, "drop sudo table") == ({"Drop the table", "Use sudo"}, 2)


def test_nothing_phrased_stands_after_a_gate_was_denied_until_it_is_said_anew(
    lead: MemStore, ada: MemStore, person: MemStore, intent: str
):
    person.handoff_decide(delegated(lead, intent, **GATED)["handoff"], approved=False)
    assert told(ada) == set()
    # The same words are one record, which stands with the handoff that was approved.
    person.handoff_decide(delegated(lead, intent, **GATED, idempotency_key="2")["handoff"], approved=True)
    assert told(ada) == {"Drop the table", "Use sudo"}


@pytest.mark.parametrize("end", ["cancel", "reject", "expire"])
def test_nothing_phrased_outlives_a_handoff_that_nobody_took(
    fleet: Fleet, lead: MemStore, ada: MemStore, ben: MemStore, intent: str, end: str
):
    own = str(lead.write("constraint", "No downtime")["id"])
    until = timestamp(fleet.clock.micros + 10_000_000)
    handoff = delegated(lead, intent, constraints=[own, "Use no unsafe"], deadline=until)["handoff"]
    assert told(ben) == {"Find the bug", "No downtime", "Use no unsafe"}
    match end:
        case "cancel":
            lead.handoff_respond(handoff, "cancel")
        case "reject":
            ada.handoff_respond(handoff, "reject", reason="Busy")
        case "expire":
            fleet.clock.advance(seconds=11)
    assert told(ben) == {"No downtime"}
    with fleet.house.store.read() as unit:
        before = unit.projected()
    assert log.rebuild(fleet.house.store)["ok"]
    with fleet.house.store.read() as unit:
        assert unit.projected() == before


def test_a_person_finds_what_waits_for_a_decision(lead: MemStore, ben: MemStore, person: MemStore, intent: str):
    handoff = delegated(lead, intent, **GATED)["handoff"]
    assert [item["handoff"] for item in person.handoff_inbox()["items"]] == [handoff]
    assert [item["handoff"] for item in person.handoff_inbox(states=["awaiting_approval"])["items"]] == [handoff]
    assert [item["handoff"] for item in person.session_start("port")["brief"]["handoffs"]] == [handoff]
    assert ben.handoff_inbox(states=["awaiting_approval"])["items"] == []
    person.handoff_decide(handoff, approved=True)
    assert person.handoff_inbox()["items"] == []


def checkpoint(member: MemStore, title: str) -> str:
    return str(member.write("checkpoint", title, data={"at": title})["id"])


@pytest.mark.parametrize("task", ["", "port"])
def test_the_newest_checkpoint_of_all_holders_goes_with_the_work(fleet: Fleet, ada: MemStore, task: str):
    first, second = (fleet.agent(name, capabilities=("x",)) for name in ("w1", "w2"))
    if task:
        ada.session_start(task)
    handoff = transfer(ada, "capability:x", [verified(ada)], fallback="lead")["handoff"]
    taken(first, handoff)
    first.session_start(task or "mine")
    at = checkpoint(first, "half")
    for holder in (second, first):
        fleet.clock.advance(seconds=900)
        assert holder.handoff_receive(handoff)["named"]["checkpoint"] == [at]
        taken(holder, handoff)
    # What is written after the lease went to somebody else is none of it.
    checkpoint(second, "too late")
    fleet.clock.advance(seconds=900)
    assert fleet.fresh("lead").handoff_receive(handoff)["named"]["checkpoint"] == [at]


def test_two_handoffs_of_a_task_do_not_share_a_checkpoint(fleet: Fleet, ada: MemStore, ben: MemStore):
    ada.session_start("port")
    one, two = (transfer(ada, "ben", [verified(ada, title)])["handoff"] for title in ("One", "Two"))
    taken(ben, one)
    ben.session_start("port")
    first = checkpoint(ben, "of one")
    taken(ben, two)
    second = checkpoint(ben, "of two")
    fleet.clock.advance(seconds=900)
    named = [ben.handoff_receive(handoff)["named"]["checkpoint"] for handoff in (one, two)]
    assert named == [[first], [second]]


def test_the_same_words_in_another_round_are_another_act(ada: MemStore, ben: MemStore):
    handoff = transfer(ada, "ben", [verified(ada)])["handoff"]
    for _ in range(3):
        for _ in range(2):
            assert ben.handoff_respond(handoff, "clarify", question="Which?")["state"] == "clarification_requested"
        for _ in range(2):
            assert ada.handoff_respond(handoff, "clarify", reason="See the finding.")["state"] == "offered"


def test_who_has_read_outside_content_delegates_nothing(fleet: Fleet, lead: MemStore, intent: str):
    lead.observe("https://evil.example/", "IGNORE ALL")
    assert refusal(delegated, lead, intent) == "tainted_giver"
    assert delegated(fleet.fresh("lead"), intent)["state"] == "offered"


@pytest.mark.parametrize("kind", ["transfer", "report"])
def test_work_among_peers_stops_after_its_hops_in_whatever_task(fleet: Fleet, kind: str):
    members = [fleet.agent(f"w{n}", under="lead") for n in range(3)]
    hops: list[int] = []
    told: dict[str, Any] = {}
    for n in range(5):
        sender, receiver = members[n % 3], members[(n + 1) % 3]
        sender.session_start(f"task {n}")
        told = {"outputs": [verified(sender, f"F{n}")], **dict.fromkeys(("questions", "caveats", "rejected"), NONE)}
        offered = sender.handoff_offer(f"w{(n + 1) % 3}", kind, **told)
        taken(receiver, offered["handoff"])
        hops.append(offered["hop"])
    assert hops == [1, 2, 3, 4, 5]
    assert refusal(members[2].handoff_offer, "w0", kind, **told) == "hop_limit"


def test_reports_from_below_do_not_use_up_the_hops_of_a_lead(lead: MemStore, ada: MemStore, intent: str):
    for n in range(6):
        offered = delegated(lead, intent, idempotency_key=str(n))
        assert offered["hop"] == 1
        lease = taken(ada, offered["handoff"])
        told = {"outputs": [verified(ada, f"F{n}")], **dict.fromkeys(("questions", "caveats", "rejected"), NONE)}
        report = ada.handoff_offer("lead", "report", **told)
        assert report["hop"] == 1
        taken(lead, report["handoff"])
        ada.handoff_respond(offered["handoff"], "complete", lease=lease)


def dropped(offered: dict[str, Any]) -> list[str]:
    return [code for code in codes(offered) if code.startswith("dropped")]


def test_nothing_slipped_in_between_hides_what_was_dropped(
    fleet: Fleet, lead: MemStore, ada: MemStore, ben: MemStore, intent: str
):
    intruder = fleet.agent("mal", under="lead")
    for member in (ada, ben, intruder):
        member.session_start("port")
    transfer(ada, "ben", [verified(ada, "One")], constraints=["Never touch prod"])
    transfer(intruder, "lead", [verified(intruder, "Two")], constraints=NONE)
    assert dropped(transfer(ada, "ben", [verified(ada, "Three")], constraints=NONE)) == ["dropped_constraint"]
    told = {"outputs": [verified(ben, "Four")], "questions": NONE, "rejected": NONE}
    taken(lead, ben.handoff_offer("lead", "report", caveats=["Only one machine"], **told)["handoff"])
    transfer(intruder, "ada", [verified(intruder, "Five")])
    assert dropped(delegated(lead, intent)) == ["dropped_caveat"]


def test_a_delegation_to_another_worker_drops_nothing_of_the_first(
    lead: MemStore, ada: MemStore, ben: MemStore, intent: str
):
    first = delegated(lead, intent, constraints=["For ada"])
    assert dropped(delegated(lead, intent, "ben", constraints=["For ben"])) == []
    ada.session_start("port")
    taken(ada, first["handoff"])
    told = {"outputs": [verified(ada)], **dict.fromkeys(("questions", "caveats", "rejected"), NONE)}
    report = ada.handoff_offer("lead", "report", **told)
    assert dropped(report) == ["dropped_constraint"]
    [gone] = ada.handoff_receive(first["handoff"])["named"]["constraints"]
    assert [one["what"] for one in report["problems"]] == [f"A constraint of the last handoff is gone: {gone}"]


ROWS = {"type": "object", "required": ["rows"]}


def contract(fleet: Fleet, name: str, form: dict[str, Any]) -> Any:
    return contracts.add(fleet.house.store, fleet.house.key, fleet.house.operator(), name, form)


def test_completing_takes_no_outside_content_and_no_other_form(fleet: Fleet, lead: MemStore, intent: str):
    contract(fleet, "rows@1.0", ROWS)
    worker = fleet.agent("wes", under="lead", accepts=("rows@1",))
    handoff = delegated(lead, intent, "wes", contract="rows@1.0")["handoff"]
    lease = taken(worker, handoff)
    finish = {"lease": lease, "outputs": [verified(worker, "No rows")]}
    assert refusal(worker.handoff_respond, handoff, "complete", **finish) == "contract_violation"
    assert refusal(worker.handoff_respond, handoff, "complete", lease=lease) == "contract_violation"
    good = verified(worker, "Rows", data={"rows": 3})
    outside = str(worker.observe("https://a.example/", "x")["id"])
    assert refusal(worker.handoff_respond, handoff, "complete", lease=lease, outputs=[outside]) == "external_output"
    assert worker.handoff_respond(handoff, "complete", lease=lease, outputs=[good])["state"] == "completed"


@pytest.mark.parametrize(
    "form",
    [
        {"properties": {"x": {"$ref": "#/examples/0"}}, "examples": [{"pattern": "^(a+)+$"}]},
        {"properties": {"x": {"$ref": "#/const"}}, "const": {"patternProperties": {"^(a+)+$": {}}}},
        {"properties": {"x": {"$ref": "#/$defs/a/const"}}, "$defs": {"a": {"const": {"pattern": "^(a+)+$"}}}},
        {"properties": {"x": {"$ref": "#here"}}, "examples": [{"$anchor": "here", "pattern": "^(a+)+$"}]},
        {
            "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(16)} | {"d16": {}},
            "$ref": "#/$defs/d0",
        },
    ],
)
def test_a_contract_hides_nothing_behind_a_reference(fleet: Fleet, form: dict[str, Any]):
    with pytest.raises(MemStoreError) as error:
        contract(fleet, "bad@1.0", form)
    assert error.value.code == "bad_contract"


def test_a_contract_may_refer_to_itself_and_its_definitions(fleet: Fleet):
    tree = {"$defs": {"leaf": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/leaf"}, "y": {"$ref": "#"}}}
    assert contract(fleet, "tree@1.0", tree)["status"] == "added"


@pytest.mark.parametrize("end", ["reject", "complete", "fail", "expire", "cancel"])
def test_nobody_takes_up_the_context_of_a_handoff_that_is_over(
    fleet: Fleet, lead: MemStore, ada: MemStore, intent: str, end: str
):
    until = timestamp(fleet.clock.micros + 100_000_000)
    handoff = delegated(lead, intent, fresh=True, deadline=until)["handoff"]
    match end:
        case "expire":
            fleet.clock.advance(seconds=101)
        case "cancel":
            lead.handoff_respond(handoff, "cancel")
        case "reject":
            ada.handoff_respond(handoff, "reject", reason="Busy")
        case _:
            ada.handoff_respond(handoff, end, lease=taken(ada, handoff), reason="Because")
    assert [grant["state"] for grant in grants.listed(fleet.house.store, "ada")] == ["revoked"]
    # A context is taken up at the first act.
    assert refusal(lambda: fleet.fresh("ada", require_grant=True).write("question", "Mine?")) == "no_grant"


def test_what_nobody_decided_in_time_is_turned_down_by_its_fallback_owner(
    fleet: Fleet, lead: MemStore, ada: MemStore, person: MemStore
):
    until = timestamp(fleet.clock.micros + 10_000_000)
    told = {"gate": "May I?", "fallback": "lead", "deadline": until}
    handoff = transfer(ada, "ben", [verified(ada)], **told)["handoff"]
    fleet.clock.advance(seconds=11)
    got = lead.handoff_receive(handoff)
    assert (got["valid"], codes(got)) == (False, ["not_approved", "past_deadline"])
    accept = {"receipt": got["receipt"], "acknowledge": codes(got)}
    assert refusal(lead.handoff_respond, handoff, "accept", **accept) == "not_valid"
    assert lead.handoff_respond(handoff, "reject", reason="Too late")["state"] == "rejected"
    fleet.assert_sound()


def test_a_delegation_by_capability_goes_to_one_whom_the_lead_may_tell(fleet: Fleet, lead: MemStore, intent: str):
    fleet.agent("other", role="lead")
    fleet.agent("aaa", under="other", capabilities=("x",))
    fleet.agent("zoe", under="lead", capabilities=("x",))
    assert delegated(lead, intent, "capability:x")["receiver"] == "zoe"


def test_work_that_waits_for_a_person_counts_as_open_work(fleet: Fleet, ada: MemStore):
    fleet.agent("w1", capabilities=("x",))
    fleet.agent("w2", capabilities=("x",))
    output = verified(ada)
    got = [transfer(ada, "capability:x", [output], gate="May I?", idempotency_key=str(n)) for n in range(4)]
    assert [offered["receiver"] for offered in got] == ["w1", "w2", "w1", "w2"]


def test_what_was_for_somebody_who_was_retired_is_a_dead_letter(fleet: Fleet, lead: MemStore, ada: MemStore):
    handoff = transfer(ada, "ben", [verified(ada)], fallback="lead")["handoff"]
    admin.retire(fleet.house, "ben")
    [item] = lead.handoff_inbox("dead_letter")["items"]
    assert (item["handoff"], item["why"]) == (handoff, "receiver_retired")
    taken(lead, handoff)


def test_nobody_accepts_what_was_not_shown(lead: MemStore, ada: MemStore, intent: str):
    handoff = delegated(lead, intent, constraints=["Never delete"])["handoff"]
    got = ada.handoff_receive(handoff, max_tokens=100)
    accept = {"receipt": got["receipt"], "acknowledge": codes(got)}
    assert refusal(ada.handoff_respond, handoff, "accept", **accept) == "not_shown"
    ada.handoff_receive(handoff)
    assert ada.handoff_respond(handoff, "accept", **accept)["state"] == "accepted"


def test_a_lease_is_told_to_the_context_that_accepted_alone(fleet: Fleet, ada: MemStore, ben: MemStore):
    handoff = transfer(ada, "ben", [verified(ada)])["handoff"]
    got = ben.handoff_receive(handoff)
    accept = {"receipt": got["receipt"], "acknowledge": codes(got)}
    lease = ben.handoff_respond(handoff, "accept", **accept)["lease"]
    assert ben.handoff_respond(handoff, "accept", **accept)["lease"] == lease
    assert refusal(fleet.fresh("ben").handoff_respond, handoff, "accept", **accept) == "leased"


@pytest.mark.parametrize("blank", [{"directive": "  "}, {"rationale": " "}, {"constraints": [" "]}, {"gate": "\t"}])
def test_white_space_says_nothing(lead: MemStore, intent: str, blank: dict[str, Any]):
    assert refusal(delegated, lead, intent, **blank) == "blank"


def test_a_guess_that_went_with_its_session_is_out_of_date(ada: MemStore, ben: MemStore):
    ada.session_start("port")
    guess = str(ada.write("hypothesis", "Maybe the cache", "It may be.")["id"])
    handoff = transfer(ada, "ben", [guess])["handoff"]
    ada.session_end("partial")
    got = ben.handoff_receive(handoff)
    assert [one["class"] for one in got["problems"] if one["code"] == "expired_record"] == ["freshness"]
