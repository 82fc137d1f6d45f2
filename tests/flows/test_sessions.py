"""Sessions: what a brief holds and leaves out, and what ends with them (DESIGN 3.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from simulator import entries, ids

from memstore.errors import Conflict, MemStoreError, NotFound

DECISION = {"rationale": "Because.", "alternatives": ["none"]}
BRIEF = ["intent", "constraints", "decisions", "questions", "in_flight", "handoffs", "changed"]


def told(brief: dict[str, Any], part: str) -> list[str]:
    return [item["id"] for item in brief[part]]


def test_a_brief_holds_the_task_s_intent_verbatim_and_what_is_in_force(fleet, ada, person, lead):
    goal = "Please  ship the\nreport, by Friday; “no excuses”."
    person.session_start("report", goal=goal)
    constraint = person.write("constraint", "No network")
    lead.session_start("report")
    decision = lead.write("decision", "Use SQLite", **DECISION, caveats=["one machine"])
    question = ada.write_for("report", kind="question", title="Which format?")
    fleet.fresh("person").write_for("another", kind="constraint", title="Not of this task")
    brief = fleet.fresh("ben").session_start("report")["brief"]
    assert list(brief) == BRIEF
    assert (brief["intent"]["text"], brief["intent"]["author"]) == (goal, "person")
    assert told(brief, "constraints") == [constraint["id"]]
    assert told(brief, "decisions") == [decision["id"]]
    assert told(brief, "questions") == [question["id"]]
    assert (brief["decisions"][0]["title"], brief["decisions"][0]["caveats"]) == ("Use SQLite", ["one machine"])


def test_a_goal_becomes_the_intent_once_and_of_a_worker_not_at_all(fleet, ada, lead):
    for _ in range(2):
        fleet.fresh("lead").session_start("t", goal="Ship it.")
    assert lead.search("", kinds=["intent"], task="t")["trusted"]["count"] == 1
    answer = ada.session_start("t2", goal="Ship something else.")
    assert "not stored" in answer["note"]
    assert ada.search("", kinds=["intent"], task="t2")["trusted"]["count"] == 0


def test_the_newest_intent_is_the_one_in_the_brief(fleet, person):
    person.session_start("t", goal="First.")
    person.session_start("t", goal="Second.")
    assert fleet.fresh("ben").session_start("t")["brief"]["intent"]["text"] == "Second."


def test_decisions_to_revisit_come_first(fleet, ada):
    ada.session_start("t")
    condition = ada.write("finding", "F", "b")
    shaken = ada.write("decision", "shaken", **DECISION, conditions=[condition["id"]])
    firm = ada.write("decision", "firm", **DECISION)
    ada.write("finding", "F2", "b", supersedes=condition["id"])
    brief = fleet.fresh("ben").session_start("t")["brief"]
    assert told(brief, "decisions") == [shaken["id"], firm["id"]]
    assert brief["decisions"][0]["flags"] == ["needs_revisit"]


def test_what_is_superseded_expired_or_tainted_is_not_in_a_brief(fleet, ada):
    ada.session_start("t")
    old = ada.write("constraint", "old")
    new = ada.write("constraint", "new", supersedes=old["id"])
    ada.observe("https://example.org/", "taint")
    ada.write("constraint", "tainted words")
    brief = fleet.fresh("ben").session_start("t")["brief"]
    assert told(brief, "constraints") == [new["id"]]
    assert "tainted words" not in str(brief)


def test_a_brief_never_lowers_the_mark_of_a_lead(fleet, ada, lead):
    ada.session_start("t")
    mine = ada.write("constraint", "the worker's words")
    brief = lead.session_start("t")
    assert brief["mark"] == "trusted"
    assert told(brief["brief"], "constraints") == [mine["id"]]
    assert "the worker's words" not in str(brief)
    assert lead.write("question", "mine")["label"] == "trusted"


def test_a_lead_that_has_read_workers_words_is_told_them_in_the_brief(fleet, ada, lead):
    ada.session_start("t")
    ada.write("constraint", "the worker's words")
    lead.search("words", min_trust="attributed")
    brief = lead.session_start("t")
    assert brief["brief"]["constraints"][0]["title"] == "the worker's words"
    assert brief["mark"] == "attributed"


def test_a_worker_s_words_after_a_brief_are_labelled_as_before_it(fleet, ada, ben):
    ada.session_start("t")
    ada.write("constraint", "c")
    ada.observe("https://example.org/", "taint")
    ada.write("constraint", "tainted")
    ben.session_start("t")
    assert ben.write("question", "q")["label"] == "attributed"


def test_a_person_is_told_attributed_words_and_has_no_mark(fleet, ada, person):
    ada.session_start("t")
    ada.write("constraint", "the worker's words")
    brief = person.session_start("t")
    assert brief["brief"]["constraints"][0]["title"] == "the worker's words"
    assert brief["mark"] == "trusted"
    assert person.write("question", "q")["label"] == "trusted"


def test_work_in_flight_names_who_is_at_it(fleet, ada, ben):
    session = ada.session_start("t")["session"]
    fleet.fresh("lead").session_start("another task")
    (other,) = ben.session_start("t")["brief"]["in_flight"]
    assert (other["session"], other["principal"]) == (session, "ada")
    ada.session_end("completed")
    assert [s["principal"] for s in fleet.fresh("lead").session_start("t")["brief"]["in_flight"]] == ["ben"]


def test_a_session_whose_lease_ran_out_is_not_in_flight(fleet, ada, ben):
    ada.session_start("t")
    fleet.clock.advance(seconds=12 * 3600)
    assert ben.session_start("t")["brief"]["in_flight"] == []


def test_changed_is_what_others_wrote_since_this_principal_s_last_session_began(fleet, ada, ben):
    ben.write_for("t", kind="finding", title="before", body="b")
    fleet.clock.advance(seconds=1)
    assert ada.session_start("t")["brief"]["changed"] == []
    fleet.clock.advance(seconds=1)
    ada.write("finding", "mine", "b")
    theirs = ben.write_for("t", kind="finding", title="theirs", body="b")
    ben.write_for("u", kind="finding", title="of another task", body="b")
    ada.session_end("partial")
    assert told(fleet.fresh("ada").session_start("t")["brief"], "changed") == [theirs["id"]]


def test_calls_renew_the_lease_and_without_calls_it_runs_out(fleet, ada):
    ada.session_start("t")
    for _ in range(3):
        fleet.clock.advance(seconds=8 * 3600)
        ada.search("anything")
    assert ada.write("hypothesis", "still here")["status"] == "stored"
    fleet.clock.advance(seconds=12 * 3600)
    with pytest.raises(Conflict) as refused:
        ada.write("question", "too late")
    assert refused.value.code == "session_over"
    ada.session_start("t")
    assert ada.write("question", "again")["status"] == "stored"


def test_a_hypothesis_lives_as_long_as_its_session(fleet, ada, ben):
    ada.session_start("t")
    guess = ada.write("hypothesis", "alpha guess")["id"]
    assert ids(ben.search("alpha"), "attributed") == [guess]
    answer = ada.session_end("completed")
    assert answer["expired"] == [guess]
    found = ben.search("alpha")
    assert ids(found, "attributed") == []
    assert entries(found)[0]["reasons"] == ["expired"]


def test_a_hypothesis_lapses_with_the_lease_of_a_session_that_died(fleet, ada, ben):
    ada.session_start("t")
    guess = ada.write("hypothesis", "alpha guess")["id"]
    fleet.clock.advance(seconds=12 * 3600, micros=-1)
    assert ids(ben.search("alpha"), "attributed") == [guess]
    fleet.clock.advance(micros=1)
    assert ids(ben.search("alpha"), "attributed") == []


def test_what_is_kept_goes_on_as_a_question_derived_from_it(ada, ben):
    ada.session_start("t")
    kept, dropped = (ada.write("hypothesis", f"alpha {n}", "why")["id"] for n in ("kept", "dropped"))
    answer = ada.session_end("partial", keep=[kept])
    assert sorted(answer["expired"]) == sorted([kept, dropped])
    ((pair),) = answer["kept"]
    assert pair["id"] == kept
    (question,) = ben.get([pair["question"]])["records"]
    assert (question["kind"], question["title"], question["body"]) == ("question", "alpha kept", "why")
    assert question["derived_from"] == [kept]


def test_only_hypotheses_of_the_session_are_kept(fleet, ada, ben):
    ben.session_start("t")
    other = ben.write("hypothesis", "theirs")["id"]
    ada.session_start("t")
    constraint = ada.write("constraint", "c")["id"]
    size = fleet.size()
    for wrong in (other, constraint, "m-" + "a" * 26, "nonsense"):
        with pytest.raises(NotFound):
            ada.session_end("completed", keep=[wrong])
    assert fleet.size() == size
    assert ada.session_end("completed")["problems"] == []


def test_an_end_does_not_call_complete_what_nobody_verified(ada):
    ada.session_start("t")
    loose = ada.write("finding", "F", "b")["id"]
    failed = ada.write("finding", "G", "b", verification="failed")["id"]
    first = ada.write("finding", "H", "b")["id"]
    ada.write("finding", "H", "b", verification="verified", evidence=["ran it"], supersedes=first)
    answer = ada.session_end("completed")
    (problem,) = answer["problems"]
    assert problem["code"] == "unverified"
    assert problem["ids"] == [loose, failed]
    assert "2 findings" in problem["what"]
    assert "with problems" in answer["note"]


def test_an_end_as_partial_has_no_problems(ada):
    ada.session_start("t")
    ada.write("finding", "F", "b")
    assert ada.session_end("partial")["problems"] == []


def test_a_summary_becomes_a_finding_labelled_like_any_other(fleet, ada, ben):
    ada.session_start("t")
    ada.session_end("completed", summary="alpha was done")
    (hit,) = ben.search("alpha")["attributed"]["hits"]
    assert (hit["kind"], hit["verification"], hit["task"]) == ("finding", "unverified", "t")
    again = fleet.fresh("ada")
    again.session_start("t")
    again.observe("https://example.org/", "taint")
    again.session_end("completed", summary="beta was done")
    assert ben.search("beta", kinds=["finding"])["attributed"]["count"] == 0


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("session_start", {"task": "t", "goal": "é" * 2049}),
        ("session_end", {"outcome": "completed", "summary": "é" * 40_000}),
    ],
)
def test_free_text_of_a_session_keeps_the_limits_of_a_record_in_bytes(fleet, lead, verb, arguments):
    lead.session_start("t")
    size = fleet.size()
    with pytest.raises(MemStoreError) as refused:
        getattr(lead, verb)(**arguments)
    assert refused.value.code == "too_long"
    assert fleet.size() == size


def test_a_session_is_over_once_and_nothing_is_written_in_it_after(ada):
    session = ada.session_start("t")["session"]
    ada.session_end("completed")
    with pytest.raises(MemStoreError) as refused:
        ada.session_end("completed")
    assert refused.value.code == "no_session"
    calls: list[Callable[[], object]] = [
        lambda: ada.write("question", "q", session=session),
        lambda: ada.session_end("failed", session=session),
    ]
    for call in calls:
        with pytest.raises(Conflict) as over:
            call()
        assert over.value.code == "session_over"


def test_a_session_of_another_principal_is_none_of_yours(fleet, ada, ben):
    session = ada.session_start("t")["session"]
    size = fleet.size()
    calls: list[Callable[[], object]] = [
        lambda: ben.write("question", "q", session=session),
        lambda: ben.session_end("completed", session=session),
    ]
    for call in calls:
        with pytest.raises(NotFound) as refused:
            call()
        assert refused.value.code == "unknown_id"
        assert session not in str(refused.value)
    assert fleet.size() == size


def test_what_is_written_stands_in_the_newest_session_or_the_one_named(ada):
    first = ada.session_start("one")["session"]
    second = ada.session_start("two")["session"]
    newest = ada.write("question", "q")["id"]
    named = ada.write("question", "q", session=first)["id"]
    found = {r["id"]: (r["session"], r["task"]) for r in ada.get([newest, named])["records"]}
    assert found == {newest: (second, "two"), named: (first, "one")}


def test_the_brief_can_be_given_anew(fleet, ada, ben):
    session = ada.session_start("t")["session"]
    ben.write_for("t", kind="constraint", title="since then")
    assert ada.brief(session)["brief"]["constraints"][0]["title"] == "since then"
    with pytest.raises(NotFound):
        ada.brief("s-" + "a" * 26)
    with pytest.raises(NotFound):
        fleet.agent("stranger", scopes=("elsewhere",)).brief(session)


def test_a_context_that_has_acted_in_one_scope_does_not_start_in_another(fleet):
    both = fleet.agent("both", scopes=("a", "b"))
    both.session_start("t", scope="b")
    assert both.scope == "b"
    with pytest.raises(Conflict) as refused:
        both.session_start("t", scope="a")
    assert refused.value.code == "scope_fixed"
    assert both.write("question", "q")["status"] == "stored"
    assert both.scope == "b"


def test_the_summary_of_a_session_is_not_held_against_it(ada):
    ada.session_start("queues")
    ada.write("finding", "Queues drain", "In order.", verification="verified", evidence=["a run"])
    assert ada.session_end("completed", summary="All of them drain.")["problems"] == []


def test_what_is_written_after_one_session_ended_belongs_to_the_one_still_open(ada):
    outer = ada.session_start("queues")["session"]
    ada.session_start("stacks")
    ada.session_end("completed")
    written = ada.write("constraint", "Be quick")
    assert ada.get([written["id"]])["records"][0]["session"] == outer


def test_trusted_items_of_a_brief_are_not_pushed_out_by_what_stands_lower(lead, ada, ben):
    lead.session_start("queues")
    for n in range(3):
        lead.write("decision", f"Decision {n}", rationale="Because.", alternatives=["none"])
    ada.session_start("queues")
    for n in range(40):
        ada.write("constraint", f"Constraint {n} " + "of many words " * 10)
    brief = ben.session_start("queues")
    assert sum(item["label"] == "trusted" for item in brief["brief"]["decisions"]) == 3
    assert "did not fit" in brief["note"]
