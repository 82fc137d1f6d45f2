"""Decisions whose conditions fall, what a brief puts first, sessions that died, and hypotheses in the morning (3.6)."""

from __future__ import annotations

from typing import Any

import pytest
from simulator import Fleet, taken

from memstore import insight
from memstore.service import MemStore
from memstore.stores.sqlite import SqliteStore

NIGHT = 13 * 3600


def decided(member: MemStore, title: str, conditions: list[str]) -> str:
    written = member.write("decision", title, rationale="r", alternatives=["none"], conditions=conditions)
    return str(written["id"])


def found(member: MemStore, record: str) -> dict[str, Any]:
    return dict(member.get([record])["records"][0])


def _superseded(fleet: Fleet, ada: MemStore) -> str:
    old = ada.write("constraint", "Port 80 is open")["id"]
    decided(ada, "Use it", [old])
    ada.write("constraint", "Port 80 is closed", supersedes=old)
    return str(old)


def _retracted(fleet: Fleet, ada: MemStore) -> str:
    old = ada.write("constraint", "Port 80 is open")["id"]
    decided(ada, "Use it", [old])
    ada.retract(old, "wrong")
    return str(old)


def _expired(fleet: Fleet, ada: MemStore) -> str:
    old = ada.observe("tool:weather", "12 degrees", ttl_seconds=60)["id"]
    decided(ada, "Use it", [old])
    fleet.clock.advance(seconds=60)
    return str(old)


def _disputed(fleet: Fleet, ada: MemStore) -> str:
    old = ada.write("constraint", "Port 80 is open")["id"]
    decided(ada, "Use it", [old])
    ben = fleet.fresh("ben")
    ben.get([old])
    ben.review([old], "dispute")
    return str(old)


@pytest.mark.parametrize("how", [_superseded, _retracted, _expired, _disputed], ids=lambda how: how.__name__[1:])
def test_a_decision_is_flagged_wherever_it_shows_with_the_cause(fleet: Fleet, ada: MemStore, how: Any):
    condition, cause = how(fleet, ada), how.__name__[1:]
    expected = [{"id": condition, "cause": cause}]
    [hit] = ada.search("use", kinds=["decision"])["attributed"]["hits"]
    assert (hit["flags"], hit["revisit"], hit["posture"]) == (["needs_revisit"], expected, "evaluate")
    assert found(ada, hit["id"])["revisit"] == expected
    fleet.assert_sound()


def test_a_dispute_from_below_flags_nothing_above_it(fleet: Fleet, lead: MemStore, ada: MemStore):
    condition = lead.write("constraint", "Port 80 is open")["id"]
    decision = decided(lead, "Use it", [condition])
    ada.get([condition])
    ada.review([condition], "dispute")
    assert found(lead, decision)["flags"] == []


def test_a_brief_puts_what_is_to_be_revisited_first(fleet: Fleet, ada: MemStore):
    ada.session_start("port")
    condition = ada.observe("tool:weather", "12 degrees", ttl_seconds=60)["id"]
    old = decided(ada, "Old", [condition])
    new = decided(ada, "New", [])
    fleet.clock.advance(seconds=60)
    decisions = fleet.fresh("ben").session_start("port")["brief"]["decisions"]
    assert [item["id"] for item in decisions] == [old, new]
    assert decisions[0]["revisit"] == [{"id": condition, "cause": "expired"}]


def test_the_one_of_many_decisions_that_is_to_be_revisited_is_first_however_old(
    fleet: Fleet, ada: MemStore, monkeypatch: pytest.MonkeyPatch
):
    ada.session_start("port")
    ground = ada.write("finding", "The port is C", "x")["id"]
    shaky = ada.write("finding", "The port is fast", "x")["id"]
    oldest = decided(ada, "Decision 0", [shaky])
    for number in range(1, 210):
        decided(ada, f"Decision {number}", [ground])
    ada.retract(shaky, "wrong")
    asked: list[str] = []
    connect = SqliteStore._connect

    def watched(store: SqliteStore) -> Any:
        conn = connect(store)
        conn.set_trace_callback(asked.append)
        return conn

    monkeypatch.setattr(SqliteStore, "_connect", watched)
    brief = fleet.fresh("ben").session_start("port", max_tokens=1500)["brief"]
    first = brief["decisions"][0]
    assert (first["id"], first["revisit"]) == (oldest, [{"id": shaky, "cause": "retracted"}])
    # What is shown is looked up one by one, and what is not, not at all.
    assert 5 < len(brief["decisions"]) < 60
    assert sum(one.startswith("SELECT") for one in asked) < 150


def test_what_is_read_of_sessions_does_not_hang_on_how_many_there_are(fleet: Fleet, ada: MemStore, ben: MemStore):
    ada.session_start("port")
    guess = ada.write("hypothesis", "It is the lexer")["id"]
    ben.write_for("port", kind="finding", title="Seen since", body="x")
    fleet.clock.advance(seconds=13 * 3600)
    for number in range(250):
        ben.session_start(f"other {number}")
    brief = fleet.fresh("ada").session_start("port")["brief"]
    assert len(brief["changed"]) == 1
    with fleet.house.store.read() as unit:
        state = unit.view.record(guess)
        assert state is not None
        session = unit.view.session(state.session)
        assert session is not None
        assert session.closed
    fleet.assert_sound()


def test_a_brief_keeps_its_budget_and_says_what_it_left_out(fleet: Fleet, ada: MemStore):
    ada.session_start("port")
    for n in range(60):
        ada.write("constraint", f"Rule {n}", "x" * 200)
    answer = fleet.fresh("ben").session_start("port", max_tokens=1500)
    shown = len(answer["brief"]["constraints"])
    assert 5 < shown < 60
    assert answer["note"].startswith(f"{60 - shown} more did not fit")


def test_open_handoffs_are_in_the_brief_of_both_sides(fleet: Fleet, ada: MemStore, ben: MemStore):
    ada.session_start("port")
    output = ada.write("finding", "Found", "it", verification="verified", evidence=["log"])["id"]
    handoff = ada.handoff_offer("ben", "transfer", outputs=[output], questions=["none"])["handoff"]
    for name in ("ada", "ben"):
        items = fleet.fresh(name).session_start("port")["brief"]["handoffs"]
        assert [(item["handoff"], item["state"]) for item in items] == [(handoff, "offered")]
    assert fleet.fresh("ben").session_start("other")["brief"]["handoffs"] == []
    assert fleet.fresh("person").session_start("port")["brief"]["handoffs"] == []


def test_a_session_that_died_is_ended_at_the_next_start_and_its_hypotheses_are_gone(fleet: Fleet, ada: MemStore):
    died = ada.session_start("port")["session"]
    guess = ada.write("hypothesis", "Perhaps the lexer")["id"]
    fleet.clock.advance(seconds=NIGHT)
    morning = fleet.fresh("ada")
    morning.session_start("port")
    ended = [event for event in morning.history()["events"] if event["event"] == "session_ended"]
    assert [(event["id"], event["outcome"]) for event in ended] == [(died, "abandoned")]
    assert morning.search("lexer")["attributed"]["hits"] == []
    assert morning.get([guess])["quarantined"][0]["reasons"] == ["expired"]
    size = fleet.size()
    fleet.fresh("ada").session_start("port")
    assert fleet.size() == size + 1
    fleet.assert_sound()


def test_history_tells_of_handoffs_in_order(ada: MemStore, ben: MemStore):
    ada.session_start("port")
    output = ada.write("finding", "Found", "it", verification="verified", evidence=["log"])["id"]
    handoff = ada.handoff_offer("ben", "transfer", outputs=[output], questions=["none"])["handoff"]
    lease = taken(ben, handoff)
    ben.handoff_respond(handoff, "complete", lease=lease, outputs=[output])
    events = [event for event in ada.history(task="port")["events"] if event.get("id") == handoff]
    assert [(event["event"], event.get("action", "")) for event in events] == [
        ("handoff_offered", ""), ("handoff_received", ""), ("handoff_answered", "accept"),
        ("handoff_answered", "complete"),
    ]  # fmt: skip
    assert handoff in {event.get("id") for event in ada.history(output)["events"]}


def test_stats_tell_how_handing_over_goes(fleet: Fleet, ada: MemStore, ben: MemStore):
    ada.session_start("port")
    weather = ada.observe("tool:weather", "12 degrees", ttl_seconds=600)["id"]
    guess = ada.write("finding", "A guess", "x")["id"]
    question = ada.write("question", "Which port?")["id"]
    ada.write("finding", "Port 80", "x", answers=question)
    ben.session_start("port")
    ben.write("question", "Which Port?")
    fleet.clock.advance(seconds=100)
    told = {"questions": ["none"], "caveats": ["Old data"]}
    first = ada.handoff_offer("ben", "transfer", outputs=[weather, guess], **told)["handoff"]
    taken(ben, first)
    second = ben.handoff_offer("lead", "transfer", outputs=[guess], questions=["none"])["handoff"]
    fleet.fresh("lead").handoff_receive(second)
    fleet.clock.advance(seconds=900)
    ada.session_end("completed")
    assert insight.stats(fleet.house.store)["handoffs"] == {
        "total": 2,
        "per_finished_task": 2.0,
        "finished_tasks": 1,
        "handoffs_that_dropped": 1,
        "oldest_tool_result_seconds": 100,
        "mean_tool_result_seconds": 100.0,
        "questions_asked_again": 1,
        "accepted_with_unverified_outputs": 1,
        "most_hops": 2,
        "mean_hops": 1.5,
        "lapsed_leases": 1,
        "by_type": {"transfer": 2},
        "by_stage": {"accepted": 1, "offered": 1},
    }
