"""The counts of the store agree with what the rules say of each record."""

from collections import Counter

from memstore import admin
from memstore.config import open_house, open_store
from memstore.core.labels import Status
from memstore.core.statements import Role
from memstore.insight import stats

MICROS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_900_000_000 * MICROS

    def __call__(self) -> int:
        return self.now


def test_each_record_is_counted_under_the_status_that_the_rules_give_it(folder):
    clock = Clock()
    house = open_house(folder, clock=clock)
    with open_store(folder, agent="worker", clock=clock) as worker:
        worker.session_start("t")
        first = worker.write("decision", "a", rationale="r", alternatives=["none"])
        worker.write("decision", "b", rationale="r", alternatives=["none"], supersedes=first["id"])
        worker.write("hypothesis", "a guess", "g")
        worker.observe("tool:weather_now", "12 °C", ttl_seconds=60)
        worker.observe("https://x.example/", "words")
        gone = worker.write("finding", "to be erased", "b")
        worker.session_end("partial")
        worker.session_start("u")
        worker.write("hypothesis", "another guess", "g")
    admin.erase_content(house, gone["id"])
    with open_store(folder, agent="planner", clock=clock) as planner:
        stolen = planner.write("finding", "said by a thief", "b")
    admin.compromise(house, "planner", stolen["seq"])
    seen: set[str] = set()
    # Before the result expires, at its very end, and once the sessions' leases have run out.
    for wait in (0, 60 * MICROS, 13 * 3600 * MICROS):
        clock.now += wait
        with house.store.read() as unit:
            states = [state for state in unit.records.written_from(0) if not state.erased]
            told = Counter(str(state.status(unit.now)) for state in states)
        counted = stats(house.store)
        assert counted["records"]["by_status"] == dict(sorted(told.items()))
        assert counted["records"]["total"] == len(states)
        assert counted["erased"] == 1
        assert counted["open_sessions"] == (0 if wait > 3600 * MICROS else 1)
        seen |= set(told)
    assert seen == {Status.IN_FORCE, Status.SUPERSEDED, Status.EXPIRED, Status.REVOKED_AUTHOR}


def test_the_mark_of_a_person_is_no_tainted_context(folder):
    house = open_house(folder)
    with open_store(folder, agent="worker") as worker:
        worker.observe("https://x.example/", "words")
    assert stats(house.store)["tainted_contexts"] == 1
    admin.add_agent(house, "alice", role=Role.HUMAN)
    with open_store(folder, agent="alice") as alice:
        alice.observe("https://y.example/", "other words")
    assert stats(house.store)["tainted_contexts"] == 1
