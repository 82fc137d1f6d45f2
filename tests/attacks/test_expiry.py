"""Stale data: what has expired comes back as stale to the microsecond, and nothing brings it back to life."""

import pytest
from simulator import Fleet, entries, ids

from memstore.errors import MemStoreError
from memstore.service import MemStore
from memstore.sessions import LEASE_SECONDS


@pytest.fixture
def agent(fleet: Fleet) -> MemStore:
    fleet.tool("db")
    return fleet.agent("agent")


def served(fleet: Fleet, record: str) -> bool:
    """Whether the record is served as good, by search and by get alike."""
    reader = fleet.fresh("agent")
    found = ids(reader.search("rows guess", min_trust="attributed"), "attributed")
    got = [one["id"] for one in reader.get([record])["records"]]
    assert (record in found) == (record in got)
    return record in found


def test_a_result_expires_at_its_very_microsecond(fleet: Fleet, agent: MemStore):
    result = agent.observe("tool:db", "42 rows", ttl_seconds=10)["id"]
    fleet.clock.advance(seconds=10, micros=-1)
    assert served(fleet, result)
    fleet.clock.advance(micros=1)
    assert not served(fleet, result)


def test_a_result_lives_from_when_it_was_fetched(fleet: Fleet, agent: MemStore):
    fetched = "2025-06-15T15:06:30Z"  # ten seconds before the clock starts
    result = agent.observe("tool:db", "42 rows", ttl_seconds=20, fetched_at=fetched)["id"]
    fleet.clock.advance(seconds=10, micros=-1)
    assert served(fleet, result)
    fleet.clock.advance(micros=1)
    assert not served(fleet, result)


def test_the_last_known_value_is_given_for_what_it_is(fleet: Fleet, agent: MemStore):
    agent.observe("tool:db", "42 rows", ttl_seconds=10)
    fleet.clock.advance(seconds=10)
    entry = entries(fleet.agent("reader").search("rows"))[0]
    assert (entry["reasons"], entry["stale"]["body"], entry["stale"]["posture"]) == (
        ["expired"],
        "42 rows",
        "quarantine",
    )


def test_what_rests_on_an_expired_result_says_so(fleet: Fleet, agent: MemStore):
    result = agent.observe("tool:db", "42 rows", ttl_seconds=10)["id"]
    fleet.clock.advance(seconds=10)
    declared, reader = fleet.fresh("agent"), fleet.agent("reader")
    declared.write("finding", "Rows", "there are 42", derived_from=[result])
    shown = fleet.fresh("agent")
    shown.search("rows", kinds=["tool_result"])
    shown.write("finding", "Rows again", "still 42")
    hits = reader.search("rows", kinds=["finding"])["attributed"]["hits"]
    assert [hit["flags"] for hit in hits] == [["stale_inputs"]] * 2


def test_a_clock_that_steps_back_revives_nothing(fleet: Fleet, agent: MemStore):
    result = agent.observe("tool:db", "42 rows", ttl_seconds=10)["id"]
    fleet.clock.advance(seconds=10)
    assert not served(fleet, result)
    fleet.clock.set_back(seconds=3600)
    assert not served(fleet, result)
    with Fleet(fleet.folder, fleet.clock) as elsewhere:
        assert not served(elsewhere, result)


def test_an_expiry_that_only_a_write_came_after_is_past_too(fleet: Fleet, agent: MemStore):
    result = agent.observe("tool:db", "42 rows", ttl_seconds=10)["id"]
    fleet.clock.advance(seconds=10)
    agent.write("finding", "Later", "words")
    fleet.clock.set_back(seconds=10)
    assert not served(fleet, result)


def test_a_guess_lapses_when_its_session_ends(fleet: Fleet, agent: MemStore):
    agent.session_start("work")
    guess = agent.write("hypothesis", "A guess")["id"]
    assert served(fleet, guess)
    agent.session_end("completed")
    assert not served(fleet, guess)
    fleet.clock.set_back(seconds=3600)
    assert not served(fleet, guess)


def test_a_guess_lapses_when_its_session_dies(fleet: Fleet, agent: MemStore):
    fleet.agent("watcher")
    agent.session_start("work")
    guess = agent.write("hypothesis", "A guess")["id"]
    fleet.clock.advance(seconds=LEASE_SECONDS, micros=-1)
    assert served(fleet, guess)
    fleet.clock.advance(micros=1)
    assert not served(fleet, guess)
    fleet.clock.set_back(seconds=3600)
    assert not served(fleet, guess)
    with Fleet(fleet.folder, fleet.clock) as elsewhere:
        assert not served(elsewhere, guess)


def test_a_session_that_goes_on_keeps_its_guesses(fleet: Fleet, agent: MemStore):
    agent.session_start("work")
    guess = agent.write("hypothesis", "A guess")["id"]
    for _ in range(5):
        fleet.clock.advance(seconds=LEASE_SECONDS - 1)
        agent.search("anything")
    assert served(fleet, guess)


def test_a_lapsed_lease_is_not_renewed(fleet: Fleet, agent: MemStore):
    agent.session_start("work")
    guess = agent.write("hypothesis", "A guess")["id"]
    fleet.clock.advance(seconds=LEASE_SECONDS)
    agent.search("anything")
    assert not served(fleet, guess)


def test_a_kept_guess_goes_on_as_a_question_and_no_more(fleet: Fleet, agent: MemStore):
    agent.session_start("work")
    guess = agent.write("hypothesis", "A guess")["id"]
    kept = agent.session_end("completed", keep=[guess])["kept"][0]["question"]
    assert not served(fleet, guess)
    found = fleet.agent("reader").get([kept])["records"][0]
    assert (found["kind"], found["derived_from"], found["label"]) == ("question", [guess], "attributed")


def test_a_guess_replaces_nothing_that_outlives_it(fleet: Fleet, agent: MemStore):
    agent.session_start("work")
    chosen = agent.write("decision", "The rows", rationale="counted", alternatives=["none"])["id"]
    with pytest.raises(MemStoreError):
        agent.write("hypothesis", "A guess", supersedes=chosen)
    assert served(fleet, chosen)
    first = agent.write("hypothesis", "A guess")["id"]
    assert served(fleet, agent.write("hypothesis", "A better guess", supersedes=first)["id"])
    assert not served(fleet, first)


def test_another_time_is_looked_at_and_not_lived_in(fleet: Fleet, agent: MemStore):
    agent.observe("tool:db", "42 rows", ttl_seconds=10)
    at = fleet.size() - 1
    fleet.clock.advance(seconds=10)
    reader = fleet.agent("reader")
    assert reader.search("rows", as_of=str(at))["attributed"]["count"] == 1
    assert reader.search("rows")["attributed"]["count"] == 0
    fleet.assert_sound()
