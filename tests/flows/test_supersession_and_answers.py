"""What replaces and what closes: supersession by the author, conditions that fall, answers (DESIGN 3.2, T8, T10)."""

from __future__ import annotations

import pytest
from simulator import entries, ids

from memstore.errors import Conflict, InvalidInput, NotFound

DECISION = {"kind": "decision", "rationale": "r", "alternatives": ["none"]}


def test_the_default_search_no_longer_shows_what_was_superseded(ada):
    old = ada.write("constraint", "alpha one")
    new = ada.write("constraint", "alpha two", supersedes=old["id"])
    found = ada.search("alpha")
    assert ids(found, "attributed") == [new["id"]]
    assert found["attributed"]["count"] == 1
    assert found["quarantined"] == {"entries": [], "count": 0, "next_cursor": ""}


def test_include_superseded_gives_the_old_in_quarantine_with_its_last_value(ada):
    old = ada.write("constraint", "alpha one")
    new = ada.write("constraint", "alpha two", supersedes=old["id"])
    found = ada.search("alpha", include_superseded=True)
    assert ids(found, "attributed") == [new["id"]]
    (entry,) = entries(found)
    assert entry["reasons"] == ["superseded"]
    assert entry["stale"]["id"] == old["id"]
    assert entry["stale"]["title"] == "alpha one"
    assert entry["stale"]["posture"] == "quarantine"


def test_what_is_superseded_already_is_not_superseded_again_and_the_successor_is_named(fleet, ada):
    old = ada.write("constraint", "one")
    new = ada.write("constraint", "two", supersedes=old["id"])
    size = fleet.size()
    with pytest.raises(Conflict) as refused:
        ada.write("constraint", "three", supersedes=old["id"])
    assert refused.value.code == "superseded"
    assert new["id"] in refused.value.what
    assert fleet.size() == size


def test_a_chain_of_successors_shows_only_its_end(ada):
    first = ada.write("constraint", "alpha 0")["id"]
    last = first
    for n in range(1, 4):
        last = ada.write("constraint", f"alpha {n}", supersedes=last)["id"]
    assert ids(ada.search("alpha"), "attributed") == [last]
    assert ada.search("alpha", include_superseded=True)["quarantined"]["count"] == 3


def test_a_peer_does_not_supersede_and_both_stand(ada, ben):
    mine = ada.write("constraint", "alpha mine")
    yours = ben.write("constraint", "alpha yours", supersedes=mine["id"])
    assert "still stands beside it" in yours["note"]
    assert sorted(ids(ben.search("alpha"), "attributed")) == sorted([mine["id"], yours["id"]])


def test_a_lead_above_the_author_supersedes(ada, lead):
    mine = ada.write("constraint", "alpha mine")
    lead.write("constraint", "alpha the lead's", supersedes=mine["id"])
    assert ada.get([mine["id"]])["quarantined"][0]["reasons"] == ["superseded"]


def test_an_author_s_own_lower_successor_flags_the_old_and_leaves_it_standing(fleet, ada):
    old = ada.write("constraint", "alpha one")
    ada.observe("https://example.org/", "something")
    lower = ada.write("constraint", "alpha two", supersedes=old["id"])
    assert lower["label"] == "tainted"
    (record,) = fleet.fresh("ada").get([old["id"]])["records"]
    assert record["flags"] == ["needs_revisit"]


def test_a_decision_whose_condition_is_superseded_needs_revisiting(ada):
    condition = ada.write("finding", "The API is free", "so it says")
    decision = ada.write(**DECISION, title="Use the API", conditions=["traffic stays low", condition["id"]])
    unrelated = ada.write(**DECISION, title="Use HTTP")
    assert ada.get([decision["id"]])["records"][0]["flags"] == []
    ada.write("finding", "The API costs", "since today", supersedes=condition["id"])
    flags = {r["id"]: r["flags"] for r in ada.get([decision["id"], unrelated["id"]])["records"]}
    assert flags == {decision["id"]: ["needs_revisit"], unrelated["id"]: []}


def test_conditions_lower_no_label(ada):
    page = ada.observe("tool:unregistered", "x", ttl_seconds=60)
    assert ada.write(**DECISION, title="d", conditions=[page["id"]])["label"] == "attributed"


def test_an_answered_question_leaves_the_brief(ada):
    ada.session_start("t")
    question = ada.write("question", "Which port?")
    other = ada.write("question", "Which host?")
    ada.write("finding", "Port", "8080", answers=question["id"])
    assert [q["id"] for q in ada.session_start("t")["brief"]["questions"]] == [other["id"]]


def test_an_answer_from_below_closes_no_question(fleet, ada):
    question = fleet.fresh("person")
    question.session_start("t")
    asked = question.write("question", "Which port?")
    ada.session_start("t")
    ada.write("finding", "Port", "8080", answers=asked["id"])
    assert [q["id"] for q in ada.session_start("t")["brief"]["questions"]] == [asked["id"]]


def test_only_a_question_is_answered(ada):
    constraint = ada.write("constraint", "c")
    with pytest.raises(InvalidInput, match="no question"):
        ada.write("finding", "F", "b", answers=constraint["id"])


def test_what_rests_on_something_superseded_carries_stale_inputs(ada):
    old = ada.write("finding", "one", "b")
    ada.write("finding", "two", "b", supersedes=old["id"])
    late = ada.write("finding", "three", "b", derived_from=[old["id"]])
    assert ada.get([late["id"]])["records"][0]["flags"] == ["stale_inputs"]


def test_a_record_cannot_be_derived_from_or_supersede_one_that_does_not_exist_yet(ada):
    # An id is a hash of what names its sources, so a cycle would need a fixed point; a guess is unknown.
    first = ada.write("finding", "F", "b")["id"]
    guess = first[:-1] + ("a" if first[-1] != "a" else "b")
    for field, value in (("derived_from", [guess]), ("supersedes", guess)):
        with pytest.raises(NotFound):
            ada.write("finding", "G", "b", **{field: value})
