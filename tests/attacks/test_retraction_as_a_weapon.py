"""Withdrawing one's own widely read record to bring down what others made after reading it (T5, T7)."""

import pytest
from simulator import Fleet, ids

from memstore.service import MemStore


@pytest.fixture
def read_by_all(fleet: Fleet) -> tuple[MemStore, str, list[str]]:
    """A worker's record that a lead and two others have read and built on."""
    lead = fleet.agent("lead", role="lead")
    worker = fleet.agent("worker", under="lead")
    said = worker.write("finding", "Widely read", "x")["id"]
    lead.get([said])
    lead.review([said], "dispute")
    built = [lead.write("decision", "Built", rationale="r", alternatives=["none"])["id"]]
    for name in ("other", "third"):
        member = fleet.agent(name, under="lead")
        member.get([said])
        built.append(member.write("finding", f"Built by {name}", "x")["id"])
    return worker, said, built


@pytest.mark.parametrize("reason", ["poisoned", "wrong", "outdated", "leaked", "duplicate"])
def test_a_workers_word_brings_down_nothing_but_its_own_record(fleet: Fleet, read_by_all, reason: str):
    worker, said, built = read_by_all
    before = fleet.fresh("other").search("built")
    answer = worker.retract(said, reason)
    assert (answer["status"], answer["affected"]) == ("retracted", [])
    after = fleet.fresh("other").search("built")
    assert ids(after, "trusted") == ids(before, "trusted") == [built[0]]
    assert sorted(ids(after, "attributed")) == sorted(ids(before, "attributed")) == sorted(built[1:])
    assert [hit["flags"] for hit in after["trusted"]["hits"] + after["attributed"]["hits"]] == [[], [], []]
    assert fleet.fresh("other").session_start("work")["mark"] == "trusted"
    fleet.assert_sound()


def test_what_declares_it_is_flagged_and_keeps_its_label(fleet: Fleet, read_by_all):
    worker, said, _ = read_by_all
    rests = fleet.fresh("other").write("finding", "Declares", "x", derived_from=[said])["id"]
    assert [one["effect"] for one in worker.retract(said, "poisoned")["affected"]] == ["needs_revisit"]
    hit = fleet.fresh("third").search("declares")["attributed"]["hits"][0]
    assert (hit["id"], hit["flags"]) == (rests, ["needs_revisit"])


def test_once_it_stands_above_its_author_it_is_no_longer_the_authors_to_withdraw(fleet: Fleet, read_by_all):
    worker, said, built = read_by_all
    lead = fleet.fresh("lead")
    lead.get([said])
    lead.review([said], "endorse")
    assert worker.retract(said, "poisoned")["status"] == "disputed"
    assert ids(fleet.fresh("other").search("widely"), "trusted") == [said]
    assert ids(fleet.fresh("other").search("built"), "trusted") == [built[0]]


def test_somebody_else_only_disputes(fleet: Fleet, read_by_all):
    _, said, _ = read_by_all
    assert fleet.fresh("other").retract(said, "poisoned")["status"] == "disputed"
    assert ids(fleet.fresh("third").search("widely"), "attributed") == [said]
