"""Candidates of one tier, best first: the plan, full text, vectors, and the two made one (DESIGN 4.1, 5, T10).

Everything here reads one part of one tier: its full text, its vectors, its records. What it gives is proposed; whether
a record is served is judged again, one by one, in `memstore.query`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from memstore.core.labels import Label
from memstore.core.ranking import ranked
from memstore.embedding import Question
from memstore.ports import Filter, Near, Share, Unit, VectorIndex

# How many of the best matches are ranked together with the nearest. Further matches follow in the order of full text.
DEPTH = 100
NEAREST = 50
# A tier of more vectors is asked through an approximate index, in a process that keeps one.
BIG = 50_000
# Up to so many records that a filter leaves are compared one by one; for more, the index is asked first.
NARROW = 5000
# Below this cosine the model's nearest are no nearer than by chance.
LEAST_SIMILAR = 0.3


@dataclass(frozen=True, slots=True)
class Candidates:
    """Ids of one part of a tier, best first, how many there are in all, and the passage by which some were found."""

    ids: tuple[str, ...] = ()
    total: int = 0
    passages: dict[str, int] = field(default_factory=dict)


def candidates(
    unit: Unit, index: VectorIndex, question: Question, wanted: Filter, *, label: Label, share: Share, most: int
) -> Candidates:
    """Up to `most` of one part of a tier: by words and meaning for a question, newest first without one."""
    if not question.words:
        found = unit.retrieval.newest(wanted, label=label, share=share, most=most)
        return Candidates(found.ids, found.total)
    # 1. By words: the best matches, and how many there are.
    matches = unit.retrieval.matching(question.words, wanted, label=label, share=share, most=max(DEPTH, most))
    best, rest = matches.best[:DEPTH], matches.best[DEPTH:]
    ids = {match.record: match.id for match in matches.best}
    if question.vector is None:
        return Candidates(tuple(match.id for match in matches.best[:most]), matches.total)
    # 2. By meaning: the nearest that the filter allows, and how near the best matches are.
    asks = _Nearest(unit, index, question, wanted, label=label, share=share)
    near = asks.found()
    ids |= {record: name for record, (name, _) in near.items()}
    nearness = {record: one for record, (_, one) in near.items()}
    nearness |= asks.of([match.record for match in best if match.record not in near])
    # 3. One list of both; the matches beyond the best follow.
    cosines = {record: one.similarity for record, one in nearness.items()}
    order = ranked({match.record: match.score for match in best}, cosines, ids)
    order = list(dict.fromkeys([*order, *(match.record for match in rest)]))
    return Candidates(
        tuple(ids[record] for record in order[:most]),
        matches.total + _unmatched(unit, question, near, known=[match.record for match in matches.best], label=label),
        {ids[record]: one.passage for record, one in nearness.items()},
    )


def _unmatched(unit: Unit, question: Question, near: Iterable[int], *, known: Sequence[int], label: Label) -> int:
    """How many of the nearest hold none of the words, and so are not counted yet; `known` hold some."""
    unsure = sorted(set(near) - set(known))
    return len(unsure) - len(unit.retrieval.matched(question.words, unsure, label=label))


@dataclass(frozen=True, slots=True)
class _Nearest:
    """The nearest of one part of a tier, from an index that knows of neither parts nor filters."""

    unit: Unit
    index: VectorIndex
    question: Question
    wanted: Filter
    label: Label
    share: Share

    def found(self) -> dict[int, tuple[str, Near]]:
        """Position to (id, nearness) of the `NEAREST` nearest, best first; none that is only near by chance."""
        asked = self.wanted.narrows
        among = self._narrowed() if asked else None
        most = 2 * NEAREST
        while True:
            near = self._near(most, among)
            close = [one for one in near if one.similarity >= LEAST_SIMILAR]
            ids = self._allowed(close)
            # What has fallen is of interest only as far as it is among the nearest of the whole tier.
            if len(ids) >= NEAREST or len(close) < most or among is not None or self.share is Share.FALLEN:
                kept = [one for one in close if one.record in ids][:NEAREST]
                return {one.record: (ids[one.record], one) for one in kept}
            # The index gave what the filter refuses: a small part is compared whole, of a big one more is asked for.
            among, asked = (among if asked else self._narrowed()), True
            most *= 4

    def of(self, records: Sequence[int]) -> dict[int, Near]:
        """How near each of these is; nothing of what has no vector yet."""
        return {one.record: one for one in self._near(len(records), records)} if records else {}

    def _narrowed(self) -> list[int] | None:
        return self.unit.retrieval.narrowed(self.wanted, label=self.label, share=self.share, most=NARROW)

    def _near(self, most: int, among: Sequence[int] | None) -> list[Near]:
        assert self.question.vector is not None
        scope = self.wanted.scope
        return self.index.nearest(self.unit, scope, self.label, self.question.vector, most=most, among=among)

    def _allowed(self, near: Sequence[Near]) -> dict[int, str]:
        records = [one.record for one in near]
        return self.unit.retrieval.allowed(records, self.wanted, label=self.label, share=self.share)
