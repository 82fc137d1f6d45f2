"""Ranking inside one tier: two lists made one (DESIGN 4.1, 5).

Reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): a record is worth the sum of weight / (K + rank) over the lists
that hold it. Only ranks count, so no scale of one list has to be made comparable with the other's; ties fall by id. The
numbers were chosen on one half of real questions and read on the other (ADR 0017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

K = 60
WORDS_WEIGHT = 1.0
VECTORS_WEIGHT = 0.5


def fused(lists: Sequence[tuple[float, Sequence[int]]], ids: Mapping[int, str]) -> list[int]:
    """The records of all lists, best first; each list is (weight, records best first), `ids` decides ties."""
    worth: dict[int, float] = {}
    for weight, records in lists:
        for rank, record in enumerate(records, 1):
            worth[record] = worth.get(record, 0.0) + weight / (K + rank)
    return sorted(worth, key=lambda record: (-worth[record], ids[record]))
