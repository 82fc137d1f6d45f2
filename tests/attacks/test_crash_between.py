"""A crash between a record and its leaf, between a retraction and what it reaches: all of an act, or nothing of it."""

from typing import Any

import pytest
from simulator import Fleet

from memstore.service import MemStore
from memstore.stores.log_tables import ContentTable, LogTables
from memstore.stores.trust import ReviewTables, TrustTables


class Crashed(Exception):
    """The process died here."""


POINTS: list[tuple[type, str]] = [
    (LogTables, "append_entry"),
    (LogTables, "move_head"),
    (ContentTable, "put"),
]
LATER: list[tuple[type, str]] = [
    (TrustTables, "put_standing"),
    (TrustTables, "remark"),
    (TrustTables, "claims"),
    (ReviewTables, "record_affected"),
]


def crashing(monkeypatch: pytest.MonkeyPatch, where: type, method: str, *, after: bool) -> None:
    original = getattr(where, method)

    def crash(*arguments: Any, **more: Any) -> Any:
        if after:
            original(*arguments, **more)
        raise Crashed

    monkeypatch.setattr(where, method, crash)


def as_it_lies(fleet: Fleet) -> object:
    with fleet.house.store.read() as unit:
        return unit.log.head(), unit.projected()


@pytest.fixture
def members(fleet: Fleet) -> tuple[MemStore, MemStore, str]:
    lead = fleet.agent("lead", role="lead")
    worker = fleet.agent("worker", under="lead")
    said = worker.write("finding", "Found", "x")["id"]
    fleet.fresh("worker").write("finding", "Rests", "x", derived_from=[said])
    lead.get([said])
    return lead, worker, said


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("where", "method"), POINTS, ids=lambda value: getattr(value, "__name__", value))
def test_a_record_is_there_with_its_leaf_or_not_at_all(fleet, members, monkeypatch, where, method, after):
    _, worker, _ = members
    before = as_it_lies(fleet)
    with monkeypatch.context() as patch:
        crashing(patch, where, method, after=after)
        with pytest.raises(Crashed):
            worker.write("finding", "Half", "x")
    assert as_it_lies(fleet) == before
    fleet.assert_sound()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("where", "method"), LATER, ids=lambda value: getattr(value, "__name__", value))
def test_a_retraction_reaches_all_of_it_or_nothing(fleet, members, monkeypatch, where, method, after):
    lead, _, said = members
    before = as_it_lies(fleet)
    with monkeypatch.context() as patch:
        crashing(patch, where, method, after=after)
        with pytest.raises(Crashed):
            lead.retract(said, "poisoned")
    assert as_it_lies(fleet) == before
    fleet.assert_sound()
