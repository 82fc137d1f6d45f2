"""The exact index: a tier's vectors in memory, all of them compared (DESIGN 4.1).

Each process keeps its own copy of each tier that it was asked about, read from the store once and then followed by the
rows' numbers; nothing is shared between tiers or scopes. 100,000 vectors take 154 MB and a scan some milliseconds.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from statistics import mode
from typing import TYPE_CHECKING

from memstore.core.labels import Label
from memstore.ports import Near, Unit, VectorRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memstore.ports import Vector

    Whole = NDArray[np.int64]

GROWTH = 1.25
GONE = -1
# What a cosine is rounded to before it ranks: the same vectors may differ in the last bits by where they lie in memory.
DIGITS = 6
TOLERANCE = 10.0**-DIGITS
NOWHERE = -2.0  # below any cosine: of a row whose record is gone


class ExactIndex:
    """Copies of tiers as far as they were asked for; safe to use from several threads."""

    def __init__(self) -> None:
        self._tiers: dict[tuple[str, Label], _Tier] = {}
        self._lock = threading.Lock()

    def nearest(
        self, unit: Unit, scope: str, label: Label, vector: Vector, *, most: int, among: Sequence[int] | None = None
    ) -> list[Near]:
        tier = self._followed(unit, scope, label)
        with tier.lock:
            return tier.nearest(vector, most=most, among=among)

    def plan(self, unit: Unit, scope: str, label: Label) -> str:
        return "exact"

    def close(self) -> None:
        self._tiers.clear()

    def _followed(self, unit: Unit, scope: str, label: Label) -> _Tier:
        """The copy of a tier, at least as new as the moment of `unit`."""
        with self._lock:
            tier = self._tiers.setdefault((scope, label), _Tier())
        state = unit.vectors.state()
        with tier.lock:
            if state.generation > tier.generation:
                tier.empty(state.generation)
            # A unit may be older than the copy: what it does not know is for the store to leave out.
            if state.generation == tier.generation and state.last > tier.last:
                tier.follow(list(unit.vectors.since(tier.last, scope, label)), state.last)
        return tier


class _Tier:
    """One tier's vectors: row `i` is of record `records[i]`, passage `passages[i]`; a record that left is GONE."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.empty(0)

    def empty(self, generation: int) -> None:
        import numpy as np

        self.generation = generation
        self.last = 0
        self._count = 0
        self._gaps = 0
        self._order: Whole | None = None
        self._vectors = np.empty((0, 0), dtype=np.float32)
        self._records = np.empty(0, dtype=np.int64)
        self._passages = np.empty(0, dtype=np.int64)
        self._scanned: tuple[bytes, Vector] = (b"", self._vectors)

    def follow(self, rows: list[VectorRow], last: int) -> None:
        """Take in what became of the tier since `self.last`; rows come in the order of their numbers."""
        import numpy as np

        left = [row.record for row in rows if row.vector is None]
        if left:
            self._drop(np.isin(self._records[: self._count], left))
        # Of a record that left, what rows there are came after that.
        fresh = [row for row in rows if row.vector is not None]
        if fresh:
            self._append(fresh)
        self.last = last
        self._order = None
        self._scanned = (b"", self._vectors)

    def _drop(self, gone: NDArray[np.bool_]) -> None:
        """Forget rows, their numbers too; where most have gone, those that are left close up."""
        self._records[: self._count][gone] = GONE
        self._vectors[: self._count][gone] = 0
        self._gaps += int(gone.sum())
        if self._gaps * 2 <= self._count:
            return
        kept = self._records[: self._count] != GONE
        self._vectors, self._passages = self._vectors[: self._count][kept], self._passages[: self._count][kept]
        self._records = self._records[: self._count][kept]
        self._count, self._gaps = len(self._records), 0

    def _append(self, rows: list[VectorRow]) -> None:
        import numpy as np

        # A row of another length than its tier is damaged: it proposes nothing, and its record is found by words.
        size = self._vectors.shape[1] * 2 or mode(len(row.vector or b"") for row in rows)
        rows = [row for row in rows if row.vector is not None and len(row.vector) == size]
        data = np.frombuffer(b"".join(row.vector or b"" for row in rows), dtype=np.float16)
        self._make_room(len(rows), size // 2)
        added = slice(self._count, self._count + len(rows))
        self._vectors[added] = data.reshape(len(rows), -1)
        self._records[added] = [row.record for row in rows]
        self._passages[added] = [row.passage for row in rows]
        self._count += len(rows)

    def _make_room(self, more: int, dimension: int) -> None:
        import numpy as np

        if self._count + more <= len(self._records):
            return
        room = self._count + more if not self._count else int((self._count + more) * GROWTH)
        vectors = np.empty((room, dimension), dtype=np.float32)
        if self._count:
            vectors[: self._count] = self._vectors[: self._count]
        self._vectors = vectors
        self._records = np.resize(self._records, room)
        self._passages = np.resize(self._passages, room)

    def nearest(self, vector: Vector, *, most: int, among: Sequence[int] | None) -> list[Near]:
        import numpy as np

        if not self._count or not most:
            return []
        if among is None:
            return self._best(self._scan(vector), None, most)
        rows = self._rows_of(np.unique(np.array(among, dtype=np.int64)))
        return self._best(cosines(self._vectors[rows], vector), rows, most)

    def _rows_of(self, records: Whole) -> Whole:
        """The rows of these records, by halving in the order of all; what is not here has none."""
        import numpy as np

        if self._order is None:
            self._order = np.argsort(self._records[: self._count], kind="stable")
        ordered = self._records[self._order]
        first = np.searchsorted(ordered, records, side="left")
        found = np.searchsorted(ordered, records, side="right") - first
        # For each record a run of rows: the first of it repeated, and a count within the run added.
        within = np.arange(found.sum()) - np.repeat(np.cumsum(found) - found, found)
        rows: Whole = self._order[np.repeat(first, found) + within]
        return rows

    def _scan(self, vector: Vector) -> Vector:
        """The cosine of the question with every row; kept, since one search asks for both parts of a tier."""
        asked = vector.tobytes()
        if self._scanned[0] != asked:
            similar = cosines(self._vectors[: self._count], vector)
            if self._gaps:
                similar[self._records[: self._count] == GONE] = NOWHERE
            self._scanned = (asked, similar)
        return self._scanned[1]

    def _best(self, similar: Vector, rows: Whole | None, most: int) -> list[Near]:
        """The best passage of each of the `most` best records; ties by position, which is the order of the log.

        `rows` says which rows the cosines are of; all of them, in order, where it is None.
        """
        import numpy as np

        taken = 2 * most
        while True:
            if taken < len(similar):
                # All that may tie with the last one that is taken is taken too, or the cut would be by chance.
                least = np.partition(similar, -taken)[-taken] - TOLERANCE
                top = np.flatnonzero(similar >= least)
            else:
                top = np.flatnonzero(similar > NOWHERE)
            at = top if rows is None else rows[top]
            found = _each_once(self._records[at], self._passages[at], np.round(similar[top], DIGITS))
            if len(found) >= most or taken >= len(similar):
                return found[:most]
            taken *= 4


def cosines(vectors: Vector, vector: Vector) -> Vector:
    """The cosine of each row with `vector`, all being of length 1.

    Not by BLAS: it waits for a thread on every core, and on a busy machine that takes longer than all of the work.
    """
    import numpy as np

    found: Vector = np.einsum("ij,j->i", vectors, vector)
    return found


def _each_once(records: Whole, passages: Whole, similar: Vector) -> list[Near]:
    """Each record with its best passage, best first."""
    import numpy as np

    found: dict[int, Near] = {}
    for at in np.lexsort((passages, records, -similar)):
        record = int(records[at])
        if record not in found and record != GONE:
            found[record] = Near(record, int(passages[at]), float(similar[at]))
    return list(found.values())
