"""What an export is about: the acts of a task, or those around a record, as one caller may see them (T13).

What is not of the caller's scope looks like what is not there. An export that leaves something out says so; each tier
has room of its own, so that a flood from below pushes nothing out that stands higher (T10).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from memstore.core.entries import Logged
from memstore.core.labels import Label
from memstore.core.statements import Recorded, Statement, Task, parse_statement
from memstore.core.trust import END_OF_LOG
from memstore.errors import InternalError, InvalidInput, NotFound
from memstore.ports import Disclosed, Unit
from memstore.requests import IdOrKey, Request
from memstore.serving import Caller, Served, look_up, readable, resolve

MOST_ACTS = 10_000  # of a tier
MOST_LOOKED_AT = 200_000
MOST_RECORDS = 1000  # of a tier
DEEPEST = 16


class ExportRequest(Request):
    """What to take out: a task, or what is within `depth` steps of a record (an id, or `key:NAME`)."""

    verb = "export"
    task: Task = ""
    record: IdOrKey = ""
    depth: Annotated[int, Field(ge=0, le=DEEPEST)] = 0
    min_trust: Literal["auto", "trusted", "attributed"] = "auto"


@dataclass(frozen=True, slots=True)
class Selection:
    """Acts in the order of the log; `complete` False says that there are more than an export holds."""

    acts: list[tuple[Logged, Statement]]
    complete: bool = True


def select(unit: Unit, caller: Caller, request: ExportRequest) -> Selection:
    """The acts of a task, or those about the records around one; one of the two has to be named."""
    if bool(request.task) == bool(request.record):
        raise InvalidInput("A task or a record has to be named", code="missing_field", next_call="Pass one of them.")
    if request.record:
        return _around(unit, caller, resolve(unit, caller, request.record), request.depth)
    return acts_of_task(unit, caller, request.task, MOST_ACTS)


def acts_of_task(unit: Unit, caller: Caller, task: str, most: int) -> Selection:
    """What the log says of a task, in the caller's scope: the first `most` acts of each tier."""
    found = _acts(unit, caller, task=task, most=MOST_LOOKED_AT + 1) if task else []
    if not found:
        raise NotFound("There is nothing of this task", code="unknown_task", next_call="Copy its name from history.")
    return _by_tier(unit, found, most)


def _by_tier(unit: Unit, positions: list[int], most: int) -> Selection:
    labels = {state.seq: state.label for state in unit.records.at(positions)}
    kept: list[tuple[Logged, Statement]] = []
    counted: Counter[Label] = Counter()
    for logged, statement in _statements(unit, positions[:MOST_LOOKED_AT]):
        tier = labels.get(logged.entry.seq, logged.entry.verdict.label)
        counted[tier] += 1
        kept += [(logged, statement)] if counted[tier] <= most else []
    return Selection(kept, len(positions) <= MOST_LOOKED_AT and max(counted.values(), default=0) <= most)


def _acts(unit: Unit, caller: Caller, *, task: str = "", record: str = "", most: int) -> list[int]:
    span = {"after": -1, "before": END_OF_LOG, "most": most}
    return unit.retrieval.timeline(caller.scope, task=task, session="", record=record, **span)


def _statements(unit: Unit, positions: Iterable[int]) -> Iterator[tuple[Logged, Statement]]:
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
    near, frontier = {record}, [record]
    shown: dict[str, int] = {}
    counted: Counter[Label] = Counter()
    for _ in range(depth):
        found = dict.fromkeys(one for reached in frontier for one in _neighbours(unit, caller, reached, shown))
        frontier = []
        for one in found:
            served = look_up(unit, one, caller.scope) if one not in near else None
            if served is not None:
                counted[served.label] += 1
                frontier += [one] if counted[served.label] <= MOST_RECORDS else []
        near.update(frontier)
    chosen = _by_tier(
        unit, sorted({seq for one in near for seq in _acts(unit, caller, record=one, most=MOST_ACTS + 1)}), MOST_ACTS
    )
    return replace(chosen, complete=chosen.complete and max(counted.values(), default=0) <= MOST_RECORDS)


def _neighbours(unit: Unit, caller: Caller, record: str, shown: dict[str, int]) -> Iterator[str]:
    served = look_up(unit, record, caller.scope)
    if served is None or served.statement is None:
        return
    yield from (source for _, source in declared_by(served.statement))
    yield from (one.record for one in shown_before(unit, served, shown))
    after = [served.state.superseded_by, served.state.answered_by, *unit.trust.declared_by([served.state.seq])]
    yield from (unit.records.id_at(seq) for seq in after if seq is not None)


def declared_by(statement: Recorded) -> list[tuple[str, str]]:
    """What a record names, each with how."""
    named = [("derived_from", one) for one in statement.derived_from]
    named += [("evidence", one) for one in statement.evidence]
    named += [("conditions", one) for one in statement.conditions]
    named += [(how, one) for how in ("supersedes", "answers") if (one := getattr(statement, how))]
    return named


def shown_before(unit: Unit, served: Served, told: dict[str, int]) -> list[Disclosed]:
    """What its context had been shown before a record was written (T2), as far as `told` (by launch) did not come.

    A context that wrote a thousand records is gone through once, not a thousand times.
    """
    launch, before = served.state.launch, served.state.shown
    after = told.get(launch, 0)
    if before <= after:
        return []
    told[launch] = before
    return [one for one in unit.reviews.shown_in(launch)[after:before] if one.record]


def may_be_told(unit: Unit, caller: Caller, served: Served) -> bool:
    """Whether the caller reads its words and nothing is lowered by that: an export takes no one unawares."""
    return not served.reasons and served.label >= readable(unit, caller)
