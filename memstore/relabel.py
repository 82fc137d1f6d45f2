"""Labels computed again, after the log said something about the past (DESIGN T1, T5).

A label is a pure function of the log and the disclosures, so recomputing is replaying the judgement over the records in
order; every source stands before what rests on it. What rests on a fallen record, declared or shown, is suspect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from memstore.core.fold import RecordState
from memstore.core.labels import FALLEN, NO_MARK, RESTING, Mark, Source, Verdict, judge
from memstore.core.records import Content
from memstore.core.statements import OBSERVED, Recorded, parse_statement
from memstore.errors import InternalError
from memstore.ports import Unit


@dataclass(slots=True)
class _Walk:
    """A context's disclosures as far as they have been walked, and what they amount to."""

    rest: Iterator[Source]
    shown: int = 0
    mark: Mark = NO_MARK

    def to(self, shown: int) -> None:
        """Take in the disclosures up to number `shown`; a context's records come in the order of theirs."""
        while self.shown < shown:
            source = next(self.rest)
            self.shown += 1
            self.mark = self.mark.after(source)


def relabel_from(unit: Unit, since: int) -> list[str]:
    """Judge every record from position `since` on again; the ids of those whose label or standing changed."""
    walks: dict[str, _Walk] = {}
    changed: dict[int, str] = {}
    touched: list[int] = []
    for state in unit.records.written_from(since):
        walk = walks.setdefault(state.launch, _Walk(unit.disclosures.shown_to(state.launch)))
        walk.to(state.shown)
        verdict, suspect = _judged_again(unit, state, walk)
        if state.revoked:
            touched.append(state.seq)
        if verdict.label is not state.label or suspect != state.suspect:
            stored = unit.contents.get(state.seq)
            content = Content.parse(stored.content) if stored else None
            unit.records.relabel(state, verdict.label, suspect=suspect, content=content)
            changed[state.seq] = state.id
    unit.disclosures.remark([*changed, *touched])
    return list(changed.values())


def _judged_again(unit: Unit, state: RecordState, walk: _Walk) -> tuple[Verdict, bool]:
    logged = unit.log.entry(state.seq)
    statement = parse_statement(logged.entry.payload_type, logged.payload) if logged else None
    if logged is None or not isinstance(statement, Recorded):
        raise InternalError("A record has no statement in the log", code="damaged", next_call="Run log verify.")
    declared: list[Source | str] = []
    for source_id in dict.fromkeys([*statement.derived_from, *statement.evidence]):
        declared.append(unit.view.source(source_id) or source_id)
    author = unit.view.principal(statement.author)
    has_mark = bool(author and author.has_mark)
    verdict = judge(
        bounds=[cause for cause in logged.entry.verdict.because if cause.code not in RESTING],
        declared=declared,
        mark=walk.mark if has_mark else NO_MARK,
        own_words=statement.kind not in OBSERVED,
    )
    fallen = any(isinstance(s, Source) and s.status in FALLEN for s in declared)
    return verdict, fallen or (has_mark and walk.mark.fallen)
