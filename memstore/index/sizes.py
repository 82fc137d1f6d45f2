"""How many vectors and records each tier has, counted seldom: counting reads them all."""

from __future__ import annotations

import threading

from memstore.core.labels import Label
from memstore.ports import Unit, VectorState

Tier = tuple[str, Label]


class Sizes:
    """Which tiers are big. Counting reads all vectors, so it is done only where rows since may change the answer."""

    def __init__(self, big: int) -> None:
        self._big = big
        self._lock = threading.Lock()
        self._at = (0, 0)
        self._vectors: dict[Tier, int] = {}
        self._records: dict[Tier, int] = {}

    def is_big(self, unit: Unit, state: VectorState, tier: Tier) -> bool:
        with self._lock:
            generation, last = self._at
            # Each row since adds one vector at most; a tier that shrinks is still big until something is counted.
            held = self._vectors.get(tier, 0)
            if state.generation > generation or held <= self._big < held + state.last - last:
                self._count(unit, state)
            return self._vectors.get(tier, 0) > self._big

    def records(self, unit: Unit, state: VectorState, tier: Tier) -> int:
        """How many records of a tier have vectors at this moment."""
        return self._counted(unit, state)[1].get(tier, 0)

    def vectors(self, unit: Unit, state: VectorState, tier: Tier) -> int:
        """How many vectors a tier has at this moment."""
        return self._counted(unit, state)[0].get(tier, 0)

    def _counted(self, unit: Unit, state: VectorState) -> tuple[dict[Tier, int], dict[Tier, int]]:
        with self._lock:
            if (state.generation, state.last) != self._at:
                self._count(unit, state)
            return self._vectors, self._records

    def _count(self, unit: Unit, state: VectorState) -> None:
        counted = unit.vectors.counted()
        self._vectors = {(one.scope, one.label): one.vectors for one in counted}
        self._records = {(one.scope, one.label): one.records for one in counted}
        self._at = (state.generation, state.last)
