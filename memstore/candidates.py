"""Candidates of one tier, best first: the plan, full text, vectors, and the two made one (DESIGN 4.1, 5, T10).

Everything here reads one part of one tier: its full text, its vectors, its records. What it gives is proposed; whether
a record is served is judged again, one by one, in `memstore.query`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from memstore.core.labels import Label
from memstore.core.ranking import VECTORS_WEIGHT, WORDS_WEIGHT, fused
from memstore.embedding import Question
from memstore.ports import Filter, Near, Share, Unit, VectorIndex

# How many of each list are fused. Further matches follow in the order of full text.
DEPTH = 100
# A tier of more vectors is asked through an approximate index, in a process that keeps one.
BIG = 50_000
# Up to so many records that a filter leaves are compared one by one; for more, the index is asked first.
NARROW = 5000
# Below this cosine the model's nearest are no nearer than by chance.
LEAST_SIMILAR = 0.25


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
    ids = {match.record: match.id for match in matches.best}
    by_words = [match.record for match in matches.best]
    # 2. By meaning: the nearest that the filter allows.
    asks = _Nearest(unit, index, question, wanted, label=label, share=share)
    near = asks.found() if question.vector is not None else {}
    ids |= {record: name for record, (name, _) in near.items()}
    # 3. One list of both; matches beyond the depth follow.
    order = fused([(WORDS_WEIGHT, by_words[:DEPTH]), (VECTORS_WEIGHT, list(near))], ids)
    order += by_words[DEPTH:]
    order = list(dict.fromkeys(order))
    return Candidates(
        tuple(ids[record] for record in order[:most]),
        matches.total + _unmatched(unit, question, list(near), by_words, label),
        {name: one.passage for name, one in near.values()},
    )


def _unmatched(unit: Unit, question: Question, near: Sequence[int], by_words: Sequence[int], label: Label) -> int:
    """How many of the nearest hold none of the words, and so are not counted yet."""
    unsure = list(set(near) - set(by_words))
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
        """Position to (id, nearness) of the `DEPTH` nearest, best first; none that is only near by chance."""
        among = self._narrowed() if self.wanted.narrows else None
        most = 2 * DEPTH
        while True:
            near = self._near(most, among)
            close = [one for one in near if one.similarity >= LEAST_SIMILAR]
            ids = self._allowed(close)
            # What has fallen is of interest only as far as it is among the nearest of the whole tier.
            if len(ids) >= DEPTH or len(close) < most or among is not None or self.share is Share.FALLEN:
                kept = [one for one in close if one.record in ids][:DEPTH]
                return {one.record: (ids[one.record], one) for one in kept}
            # The index gave what the filter refuses: a small part is compared whole, of a big one more is asked for.
            among = self._narrowed()
            most *= 4

    def _narrowed(self) -> list[int] | None:
        return self.unit.retrieval.narrowed(self.wanted, label=self.label, share=self.share, most=NARROW)

    def _near(self, most: int, among: Sequence[int] | None) -> list[Near]:
        assert self.question.vector is not None
        scope = self.wanted.scope
        return self.index.nearest(self.unit, scope, self.label, self.question.vector, most=most, among=among)

    def _allowed(self, near: Sequence[Near]) -> dict[int, str]:
        records = [one.record for one in near]
        return self.unit.retrieval.allowed(records, self.wanted, label=self.label, share=self.share)
