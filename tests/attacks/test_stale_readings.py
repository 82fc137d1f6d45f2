"""What was read out of date is flagged in what is written next, however it was read (T2, T4)."""

from typing import Any

import pytest
from simulator import Fleet

from memstore import admin
from memstore.errors import InvalidInput
from memstore.render import Answer
from memstore.service import MemStore


def observed(fleet: Fleet, ttl: int = 2, **more: Any) -> Answer:
    fleet.agent("lead", role="lead")
    fleet.tool("depth")
    return fleet.agent("ada", under="lead").observe("tool:depth", "queue depth 12", ttl_seconds=ttl, **more)


def flags_of(agent: MemStore, written: Answer) -> list[str]:
    (record,) = agent.get([written["id"]])["records"]
    return list(record["flags"])


def test_reading_a_result_again_once_it_has_expired_is_another_reading(fleet):
    observed(fleet)
    ben = fleet.agent("ben", under="lead")
    assert ben.search("depth")["attributed"]["count"] == 1
    fleet.clock.advance(seconds=100)
    assert "stale" in ben.search("depth")["quarantined"]["entries"][0]
    assert flags_of(ben, ben.write("finding", "The queue is long", "Twelve.")) == ["stale_inputs"]
    fleet.assert_sound()


def test_looking_back_does_not_make_a_result_fresh_for_what_is_written_now(fleet):
    seq = observed(fleet)["seq"]
    ben = fleet.agent("ben", under="lead")
    fleet.clock.advance(seconds=100)
    assert ben.search("depth", as_of=str(seq))["attributed"]["count"] == 1
    assert flags_of(ben, ben.write("finding", "The queue is long", "Twelve.")) == ["stale_inputs"]


def test_a_clock_that_was_ahead_and_came_back_keeps_no_result_alive(fleet):
    observed(fleet)
    ada = fleet.fresh("ada")
    fleet.clock.advance(seconds=365 * 86_400)
    ada.search("depth")
    fleet.clock.set_back(seconds=365 * 86_400)
    ada.observe("tool:depth", "queue depth 13", ttl_seconds=2)
    fleet.clock.advance(seconds=10)
    assert ada.search("depth")["attributed"]["count"] == 0


@pytest.mark.parametrize("when", ["1970-01-01T00:00:00Z", "1969-12-31", "0001-01-01"])
def test_a_time_before_there_were_clocks_is_not_taken_for_now(fleet, when):
    with pytest.raises(InvalidInput, match="fetched_at"):
        observed(fleet, ttl=60, fetched_at=when)


def test_a_tool_that_turned_out_to_be_open_world_does_not_get_its_old_label_back(fleet):
    observed(fleet, ttl=600)
    fleet.tool("depth", open_world=True)
    again = fleet.fresh("ada").observe("tool:depth", "queue depth 12", ttl_seconds=600)
    assert (again["status"], again["label"], again["mark"]) == ("stored", "untrusted", "tainted")


def test_a_decision_whose_condition_falls_with_its_author_is_to_be_revisited(fleet):
    lead, ada = fleet.agent("lead", role="lead"), fleet.agent("ada", under="lead")
    finding = ada.write("finding", "Queues drain", "In order.")
    words = {"rationale": "They drain.", "alternatives": ["none"], "conditions": [finding["id"]]}
    decision = lead.write("decision", "Use queues", **words)
    admin.compromise(fleet.house, "ada", finding["seq"])
    assert flags_of(lead, decision) == ["needs_revisit"]
    fleet.assert_sound()
