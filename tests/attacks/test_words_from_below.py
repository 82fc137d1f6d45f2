"""Disputes, answers, rivals and retractions from below: what stands above shows nothing of them (T8, T10)."""

import pytest
from simulator import Fleet, ids

from memstore.core.state import RecordState
from memstore.service import MemStore
from memstore.stores.lookups import Lookups


@pytest.fixture
def rule(fleet: Fleet) -> str:
    lead = fleet.agent("lead", role="lead")
    fleet.agent("worker", under="lead")
    fleet.agent("browser", under="lead", open_world=True)
    found: str = lead.write("constraint", "The rule", "holds")["id"]
    return found


def attack(member: MemStore, record: str, how: str) -> None:
    match how:
        case "dispute":
            member.get([record])
            member.review([record], "dispute")
        case "supersede":
            member.write("constraint", "No rule", "holds", supersedes=record)
        case _:
            member.retract(record, how)


@pytest.mark.parametrize("who", ["worker", "browser"])
@pytest.mark.parametrize("how", ["dispute", "supersede", "wrong", "outdated", "poisoned", "leaked", "duplicate"])
def test_what_is_trusted_is_served_as_before(fleet: Fleet, rule: str, who: str, how: str):
    before = fleet.fresh("lead").search("rule")["trusted"]
    attack(fleet.fresh(who), rule, how)
    after = fleet.fresh("lead").search("rule")["trusted"]
    assert after == before
    assert (ids({"trusted": after}, "trusted"), after["hits"][0]["flags"]) == ([rule], [])
    fleet.assert_sound()


@pytest.mark.parametrize("who", ["worker", "browser"])
def test_an_answer_from_below_closes_no_question(fleet: Fleet, rule: str, who: str):
    asked = fleet.fresh("lead").write_for("work", kind="question", title="Which?", derived_from=[rule])["id"]
    fleet.fresh(who).write("finding", "This", "x", answers=asked)
    brief = fleet.fresh("lead").session_start("work")["brief"]
    assert [question["id"] for question in brief["questions"]] == [asked]


def test_a_dispute_by_an_equal_shows(fleet: Fleet, rule: str):
    said = fleet.fresh("worker").write("finding", "A claim", "x")["id"]
    fleet.agent("peer", under="lead")
    attack(fleet.fresh("peer"), said, "dispute")
    assert fleet.fresh("worker").search("claim")["attributed"]["hits"][0]["flags"] == ["disputed"]
    attack(fleet.fresh("browser"), rule, "dispute")
    assert fleet.fresh("worker").search("rule")["trusted"]["hits"][0]["flags"] == []


def test_a_conflict_shows_on_the_lower_of_the_two_alone(fleet: Fleet, rule: str):
    rival = fleet.fresh("worker").write("constraint", "Another rule", "holds", supersedes=rule)["id"]
    answer = fleet.fresh("worker").search("rule")
    flags = {hit["id"]: hit["flags"] for hit in answer["trusted"]["hits"] + answer["attributed"]["hits"]}
    assert flags == {rule: [], rival: ["conflicting"]}


def test_a_flood_of_rivals_from_below_is_not_looked_at(fleet: Fleet, rule: str, monkeypatch: pytest.MonkeyPatch):
    lead, worker = fleet.fresh("lead"), fleet.fresh("worker")
    for number in range(30):
        worker.write("constraint", f"Rival {number}", "holds", supersedes=rule)
    looked_at: list[str] = []
    looking = Lookups.record

    def seen(self: Lookups, asked: str) -> RecordState | None:
        looked_at.append(asked)
        return looking(self, asked)

    monkeypatch.setattr(Lookups, "record", seen)
    (hit,) = lead.get([rule])["records"]
    assert (hit["flags"], set(looked_at)) == ([], {rule})
