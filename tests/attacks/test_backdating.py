"""Backdating: a stolen key writes what claims to be of before the theft. The log's order is the clock of record."""

import pytest
from simulator import START, Fleet, ids

from memstore import admin
from memstore.core.statements import Recorded
from memstore.errors import MemStoreError

DAY = 24 * 3600


def test_a_lie_about_the_time_does_not_get_a_record_before_the_compromise(fleet: Fleet):
    agent, reader = fleet.agent("agent"), fleet.agent("reader")
    honest = agent.write("finding", "Honest", "forged by nobody")
    fleet.clock.advance(seconds=DAY)
    since = fleet.size()
    fleet.forge(fleet.signed(fleet.house.keyring.load("agent"), Recorded, asserted_at=START - 365 * DAY))
    admin.compromise(fleet.house, "agent", since)
    answer = reader.search("forged")
    assert ids(answer, "attributed") == [honest["id"]]
    assert [entry["reasons"] for entry in answer["quarantined"]["entries"]] == [["revoked_author"]]
    fleet.assert_sound()


def test_the_time_that_is_shown_and_searched_by_is_the_logs(fleet: Fleet):
    fleet.agent("agent")
    fleet.clock.advance(seconds=DAY)
    fleet.forge(fleet.signed(fleet.house.keyring.load("agent"), Recorded, asserted_at=1))
    reader = fleet.agent("reader")
    hit = reader.search("forged")["attributed"]["hits"][0]
    assert hit["logged_at"] == reader.search("forged", since=hit["logged_at"])["attributed"]["hits"][0]["logged_at"]
    assert reader.search("forged", until="2001-01-01T00:00:00Z")["attributed"]["count"] == 0
    assert reader.search("forged", as_of="2001-01-01T00:00:00Z")["attributed"]["count"] == 0


def test_a_clock_that_was_set_back_logs_nothing_before_what_is_there(fleet: Fleet):
    agent = fleet.agent("agent")
    first = agent.write("finding", "First", "words")
    fleet.clock.set_back(seconds=DAY)
    agent.write("finding", "Second", "words")
    times = [row[0] for row in fleet.sql("SELECT logged_at FROM entries ORDER BY seq")]
    assert times == sorted(times)
    assert first["seq"] < fleet.size() - 1
    fleet.assert_sound()


def test_a_result_cannot_be_fetched_in_the_future_to_live_longer(fleet: Fleet):
    fleet.tool("db")
    agent = fleet.agent("agent")
    with pytest.raises(MemStoreError) as refused:
        agent.observe("tool:db", "rows", ttl_seconds=1, fetched_at="2099-01-01T00:00:00Z")
    assert refused.value.code == "bad_time"


def test_a_tools_longest_life_bounds_what_is_asked_for(fleet: Fleet):
    fleet.tool("db", max_ttl=60)
    agent = fleet.agent("agent")
    agent.observe("tool:db", "rows of data", ttl_seconds=DAY)
    fleet.clock.advance(seconds=60)
    assert ids(agent.search("rows"), "attributed") == []


def test_a_compromise_can_be_said_to_have_begun_earlier_but_not_later(fleet: Fleet):
    agent, reader = fleet.agent("agent"), fleet.agent("reader")
    first = agent.write("finding", "First", "words")
    second = agent.write("finding", "Second", "words")
    admin.compromise(fleet.house, "agent", second["seq"])
    assert ids(reader.search("words"), "attributed") == [first["id"]]
    admin.compromise(fleet.house, "agent", first["seq"])
    assert ids(reader.search("words"), "attributed") == []
    admin.compromise(fleet.house, "agent", second["seq"])
    assert ids(reader.search("words"), "attributed") == []
    fleet.assert_sound()
