"""Time travel as a property: as of position n everything stands as in a store whose log ended at n.

Three ways to know how things stood must agree: what the store said at that moment, in searches and in each view of a
history, what it says now as of it, and what a replay of the log's beginning gives. What was erased or leaked since is
shown nowhere, and is left out of account.
"""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from simulator import Fleet
from test_trust_property import History, acts
from test_trust_property import prepared as prepared

from memstore import log
from memstore.service import MemStore

SECTIONS = {"trusted": "hits", "attributed": "hits", "quarantined": "entries"}
Sections = dict[str, set[str]]


def standing(fleet: Fleet) -> dict[str, str]:
    """Label and status of every record that is not hidden, now."""
    with fleet.house.store.read() as unit:
        states = list(unit.records.written_from(0))
        return {one.id: f"{one.label} {one.status(unit.now)}" for one in states if not one.erased}


def standing_as_of(fleet: Fleet, position: int) -> dict[str, str]:
    found = {}
    with fleet.house.store.read() as unit:
        logged = unit.log.entry(position)
        assert logged is not None
        now = logged.entry.logged_at
        for state in unit.at(now).records.written_from(0):
            if state.seq <= position and not state.erased:
                then = unit.at(now).past.standing(state, position + 1)
                found[state.id] = f"{then.label} {then.status(now)}"
    return found


def sections(looking: MemStore, fleet: Fleet, **more: Any) -> Sections:
    """The ids in each section of a search, by words and without."""
    found: Sections = {}
    for query in ("", "words"):
        answer = looking.search(query, min_trust="attributed", limit=100, max_tokens=100_000, detail="ids", **more)
        for name, items in SECTIONS.items():
            assert answer[name]["next_cursor"] == ""
            assert answer[name]["count"] == len(answer[name][items])
            found[f"{name} {query}"] = {record_of(fleet, item) for item in answer[name][items]}
    return found


def record_of(fleet: Fleet, item: dict[str, Any]) -> str:
    """The id of a hit; of an entry by what its ref is sealed over."""
    if "id" in item:
        return str(item["id"])
    rows = fleet.sql("SELECT seq, id FROM records")
    caller = fleet.looking._caller()  # type: ignore[attr-defined]
    sealed = int.from_bytes(fleet.house.key.unseal(item["ref"], caller.binding)[:8], "big")
    return str(dict(rows)[sealed])


VIEWS = {"timeline": "events", "why": "events", "blame": "nodes", "impact": "nodes"}
CLOSED = ("seq", "at", "event", "id", "label", "status", "how", "distance", "told", "changed")


def views(looking: MemStore, record: str, **more: Any) -> dict[str, list[dict[str, Any]]]:
    """What each view of a history tells of a record in closed values; words of what fell since are told no more."""
    found: dict[str, list[dict[str, Any]]] = {}
    for view, part in VIEWS.items():
        answer = looking.history(id=record, view=view, limit=500, max_tokens=100_000, **more)
        items = [answer[name] for name in ("record", "of") if name in answer] + answer[part]
        found[view] = [{name: item[name] for name in CLOSED if name in item} for item in items]
    return found


def replayed_to(fleet: Fleet, position: int, clock_at: int, folder: Path) -> dict[str, str]:
    """What a replay of the log up to this position gives, on a copy that holds no more than that."""
    fleet.house.store.empty_write_ahead_log()
    shutil.copytree(fleet.folder, folder)
    cut = Fleet(folder)
    cut.clock.micros = clock_at
    try:
        cut.sql("DELETE FROM entries WHERE seq > ?", position)
        cut.sql("DELETE FROM contents WHERE seq > ?", position)
        cut.sql("DELETE FROM disclosures WHERE position > ?", position + 1)
        cut.sql(
            "UPDATE store SET size = ?, clock_floor = 0, frontier = zeroblob(32 * ?)",
            position + 1,
            (position + 1).bit_count(),
        )
        with cut.house.store.write() as unit:
            assert list(log.replay(unit)) == []
        return standing(cut)
    finally:
        cut.close()


Told = tuple[int, int, dict[str, str], Sections, dict[str, Any]]


def told_at(fleet: Fleet) -> Told:
    looking: MemStore = fleet.looking  # type: ignore[attr-defined]
    stood = standing(fleet)
    newest = {record: views(looking, record) for record in list(stood)[-2:]}
    return fleet.size() - 1, fleet.clock(), stood, sections(looking, fleet), newest


def travelled(prepared: Path, history: list[tuple[Any, ...]], replays: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(prepared, Path(folder) / "store")
        with Fleet(Path(folder) / "store") as fleet:
            fleet.looking = fleet.agent("looking", role="human")  # type: ignore[attr-defined]
            story, moments = History(fleet), []
            for act in history:
                size = fleet.size()
                story.carry_out(act)
                if fleet.size() > size:
                    moments.append(told_at(fleet))
            hidden = {record for record in story.model.records if record not in standing(fleet)}
            for position, _, stood, shown, newest in moments:
                told = standing_as_of(fleet, position)
                assert told == {name: how for name, how in stood.items() if name not in hidden}
                looked = sections(fleet.looking, fleet, as_of=str(position))  # type: ignore[attr-defined]
                assert looked == {name: found - hidden for name, found in shown.items()}
                for record, seen in newest.items():
                    if not hidden.intersection(re.findall(r"m-[a-z2-7]{26}", str(seen))):
                        assert views(fleet.looking, record, as_of=str(position)) == seen  # type: ignore[attr-defined]
            for number, (position, at, stood, _, _) in enumerate(moments[-replays:]):
                again = replayed_to(fleet, position, at, Path(folder) / f"cut{number}")
                assert {name: how for name, how in again.items() if name not in hidden} == {
                    name: how for name, how in stood.items() if name not in hidden
                }
            fleet.assert_sound()
            with fleet.house.store.read() as unit:
                before = unit.projected()
            assert log.rebuild(fleet.house.store)["ok"]
            with fleet.house.store.read() as unit:
                assert unit.projected() == before


quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
long = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@example(
    history=[("write", "worker", []), ("read", "worker", []), ("supersede", "worker", [0], 0), ("steal", "worker", 2)]
)
@given(history=st.lists(acts, min_size=4, max_size=16))
def test_as_of_a_position_all_stands_as_if_the_log_ended_there(prepared: Path, history: list[tuple[Any, ...]]):
    travelled(prepared, history, replays=1)


@pytest.mark.slow
@long
@given(history=st.lists(acts, min_size=10, max_size=40))
def test_as_of_a_position_all_stands_as_if_the_log_ended_there_over_long_histories(
    prepared: Path, history: list[tuple[Any, ...]]
):
    travelled(prepared, history, replays=3)
