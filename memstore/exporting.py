"""What an export is about: the acts of a task, or those around a record, as one caller may see them (T13).

What is not of the caller's scope looks like what is not there. An export that leaves something out says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from memstore.core.entries import Logged
from memstore.core.statements import Recorded, Statement, parse_statement
from memstore.errors import InternalError, InvalidInput, NotFound
from memstore.ports import Disclosed, Unit
from memstore.serving import Caller, Served, look_up, readable, resolve

MOST_ACTS = 10_000
MOST_RECORDS = 1000
DEEPEST = 16
END_OF_LOG = 2**62


@dataclass(frozen=True, slots=True)
class Selection:
    """Positions in the log, in order; `complete` False says that there are more than an export holds."""

    positions: tuple[int, ...]
    complete: bool = True


def select(unit: Unit, caller: Caller, *, task: str, record: str, depth: int) -> Selection:
    """The acts of a task, or those about the records within `depth` steps of one; one of the two has to be named."""
    if bool(task) == bool(record):
        raise InvalidInput("A task or a record has to be named", code="missing_field", next_call="Pass one of them.")
    if not 0 <= depth <= DEEPEST:
        raise InvalidInput("`depth` is out of range", code="out_of_range", next_call=f"Pass 0 to {DEEPEST}.")
    if record:
        return _around(unit, caller, resolve(unit, caller, record), depth)
    found = acts_of(unit, caller, task=task)
    if not found:
        raise NotFound("There is nothing of this task", code="unknown_task", next_call="Copy its name from history.")
    return Selection(tuple(found[:MOST_ACTS]), len(found) <= MOST_ACTS)


def acts_of(unit: Unit, caller: Caller, *, task: str = "", record: str = "") -> list[int]:
    """Where the log says something of a task or about a record, in the caller's scope; one more than may be used."""
    span = {"after": -1, "before": END_OF_LOG, "most": MOST_ACTS + 1}
    return unit.retrieval.timeline(caller.scope, task=task, session="", record=record, **span)


def statements(unit: Unit, positions: Iterable[int]) -> Iterator[tuple[Logged, Statement]]:
    """The entries at these positions, and what was said there."""
    for seq in positions:
        logged = unit.log.entry(seq)
        if logged is None:
            raise InternalError("The log has a gap", code="damaged", next_call="Run log verify.")
        yield logged, parse_statement(logged.entry.payload_type, logged.payload)


def _around(unit: Unit, caller: Caller, record: str, depth: int) -> Selection:
    """Both ways: what a record rests on, declared and shown, and what declares, replaces or answers it."""
    if not record or look_up(unit, record, caller.scope) is None:
        raise NotFound("There is no record of this id", code="unknown_id", next_call="memory_search finds records.")
    near, frontier, complete = {record: None}, [record], True
    for _ in range(depth):
        found = {one: None for reached in frontier for one in _neighbours(unit, caller, reached) if one not in near}
        frontier = [one for one in found if look_up(unit, one, caller.scope) is not None]
        complete = complete and len(near) + len(frontier) <= MOST_RECORDS
        frontier = frontier[: MOST_RECORDS - len(near)]
        near |= dict.fromkeys(frontier)
    acts = sorted({seq for one in near for seq in acts_of(unit, caller, record=one)})
    return Selection(tuple(acts[:MOST_ACTS]), complete and len(acts) <= MOST_ACTS)


def _neighbours(unit: Unit, caller: Caller, record: str) -> Iterator[str]:
    served = look_up(unit, record, caller.scope)
    if served is None or served.statement is None:
        return
    yield from (source for _, source in declared_by(served.statement))
    yield from (one.record for one in shown_before(unit, served) if one.record)
    after = [served.state.superseded_by, served.state.answered_by, *unit.trust.declared_by([served.state.seq])]
    yield from (unit.records.id_at(seq) for seq in after if seq is not None)


def declared_by(statement: Recorded) -> list[tuple[str, str]]:
    """What a record names, each with how."""
    named = [("derived_from", one) for one in statement.derived_from]
    named += [("evidence", one) for one in statement.evidence]
    named += [("conditions", one) for one in statement.conditions]
    named += [(how, one) for how in ("supersedes", "answers") if (one := getattr(statement, how))]
    return named


def shown_before(unit: Unit, served: Served) -> list[Disclosed]:
    """What its context had been shown before a record was written, each record once, the first time (T2)."""
    first: dict[str, Disclosed] = {}
    for one in unit.reviews.shown_in(served.state.launch)[: served.state.shown]:
        first.setdefault(one.record, one)
    return list(first.values())


def may_be_told(unit: Unit, caller: Caller, served: Served) -> bool:
    """Whether the caller reads its words and nothing is lowered by that: an export takes no one unawares."""
    return not served.reasons and served.label >= readable(unit, caller)
