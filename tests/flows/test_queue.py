"""What waits for a reviewer: what comes first, what nobody can push out, and that nobody waits for it (T6, T10)."""

from time import perf_counter
from typing import Any

import pytest
from simulator import Fleet

from memstore import queue
from memstore.service import MemStore


@pytest.fixture
def ann(fleet: Fleet, lead: MemStore, ada: MemStore, ben: MemStore) -> MemStore:
    fleet.agent("evil", open_world=True)
    return fleet.agent("ann", role="human")


def waiting(member: MemStore) -> list[str]:
    return [one["id"] for one in member.queue()["waiting"]]


def test_a_flood_from_below_pushes_nothing_out(fleet: Fleet, ann: MemStore):
    said = fleet.fresh("ada").write("finding", "Important", "x")["id"]
    flooder = fleet.fresh("evil")
    for number in range(60):
        flooder.write("finding", f"Flood {number}", f"{number}")
    answer = ann.queue()
    assert said in [one["id"] for one in answer["waiting"]]
    assert answer["waiting"][0]["id"] == said
    assert (answer["count"], len(answer["waiting"])) == (61, 50)
    assert answer["note"].startswith("11 more wait")


def test_authors_of_one_tier_take_turns(fleet: Fleet, ann: MemStore):
    flooder = fleet.fresh("ada")
    for number in range(60):
        flooder.write("finding", f"Flood {number}", f"{number}")
    later = [fleet.fresh("ben").write("finding", f"Later {number}", "x")["id"] for number in range(3)]
    assert set(later) <= set(waiting(ann))


def test_what_an_endorsement_no_longer_carries_waits_again(fleet: Fleet, ann: MemStore):
    poison = fleet.fresh("ben").write("finding", "Poison", "p")["id"]
    said = fleet.fresh("ada").write("finding", "Good", "g")["id"]
    lead = fleet.fresh("lead")
    for record in (poison, said):
        lead.get([record])
        lead.review([record], "endorse")
    assert waiting(ann) == []
    ann.retract(poison, "poisoned")
    assert fleet.fresh("ann").get([said])["records"][0]["label"] == "attributed"
    assert waiting(ann) == [said]


def test_a_dispute_that_was_taken_back_settles_nothing(fleet: Fleet, ann: MemStore):
    said = fleet.fresh("ada").write("finding", "Good", "g")["id"]
    clean, tainted = fleet.fresh("lead"), fleet.fresh("lead")
    tainted.observe("https://e.example/", "outside")
    for member in (clean, tainted):
        member.get([said])
    tainted.review([said], "dispute")  # from below: it says nothing
    assert waiting(ann) == [said]
    clean.review([said], "dispute")
    assert waiting(ann) == []
    tainted.review([said], "endorse")  # from a tainted context: it carries no further than it stands
    assert waiting(ann) == [said]


def test_so_many_are_tried_and_no_more(fleet: Fleet, ann: MemStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(queue, "MOST_TRIED", 2)
    for number in range(3):
        fleet.fresh("ada").write("finding", f"Note {number}", "x")
    answer = ann.queue()
    assert [one["raises"] for one in answer["waiting"]] == [1, 1, -1]
    assert "raises is -1" in answer["note"]


def test_a_writer_does_not_wait_for_the_trials(fleet: Fleet, ann: MemStore, monkeypatch: pytest.MonkeyPatch):
    fleet.fresh("ada").write("finding", "Note", "x")
    writer, waited = fleet.fresh("ben"), []
    tried = queue._raised_by

    def slowly(*told: Any) -> int:
        began = perf_counter()
        writer.write("finding", "Meanwhile", "y")
        waited.append(perf_counter() - began)
        return tried(*told)

    monkeypatch.setattr(queue, "_raised_by", slowly)
    monkeypatch.setattr("memstore.stores.sqlite.BUSY_SECONDS", 0.2)
    size = fleet.size()
    assert [one["raises"] for one in ann.queue()["waiting"]] == [1]
    assert (len(waited), fleet.size()) == (1, size + 1)
    assert not [left for left in fleet.folder.iterdir() if left.is_dir() and (left / "copy.db").exists()]


def test_a_tainted_record_needs_a_lead_or_more(fleet: Fleet, ann: MemStore):
    worker = fleet.fresh("ada")
    worker.observe("https://e.example/", "outside")
    worker.write("finding", "Note", "x")
    assert [one["needs"] for one in ann.queue()["waiting"]] == [["lead", "human", "checker"]]
