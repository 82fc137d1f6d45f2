"""What a line of the table is, and what all that fill it share."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench.loads import Loaded
from memstore.embed.onnx import OnnxEmbedder
from memstore.errors import MemStoreError
from memstore.ports import Embedder

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Bound:
    """What a row has to keep: at most so many times its floor, at most this value, at least this one."""

    times: float | None = None
    value: float | None = None
    least: float | None = None

    def __str__(self) -> str:
        told = (("{:g} ×", self.times), ("{:g}", self.value), ("≥ {:g}", self.least))
        return ", ".join(form.format(bound) for form, bound in told if bound is not None)


@dataclass(frozen=True)
class Row:
    """One line of the table; `n` says what it was measured over. `wrong` is what makes it fail whatever its figure."""

    name: str
    value: float
    unit: str
    n: str
    floor: float | None = None
    floor_is: str = ""
    bound: Bound = Bound()
    wrong: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None

    @property
    def ok(self) -> bool:
        over = self.bound.value is not None and self.value > self.bound.value
        under = self.bound.least is not None and self.value < self.bound.least
        far = self.bound.times is not None and self.ratio is not None and self.ratio > self.bound.times
        return not (over or under or far or self.wrong)


@dataclass(frozen=True)
class Skipped:
    """A row that was not measured, and why."""

    name: str
    why: str


@dataclass
class Bench:
    """What all rows share: how big, how often, where, the model, and the stores, each of which is filled once."""

    records: int
    repeats: int
    folder: Path
    tell: Tell
    _big: Loaded | None = None
    _embedded: dict[int, Loaded] = field(default_factory=dict)

    def store(self, name: str) -> Loaded:
        return Loaded(self.folder / name)

    def big(self, upto: int) -> Loaded:
        """The big store, which grows."""
        if self._big is None:
            self._big = self.store("big")
        self._fill(self._big, upto)
        return self._big

    def embedded(self, size: int, embedder: Embedder) -> Loaded:
        """A store of so many records that all have vectors; the biggest is the big store."""
        if size not in self._embedded:
            store = self.big(size) if size == self.records else self.store(f"embedded-{size}")
            self._fill(store, size)
            store.embed(embedder, lambda done: self.tell(f"vectors: {done:,} of {size:,} records"))
            self._embedded[size] = store
        return self._embedded[size]

    def _fill(self, store: Loaded, upto: int) -> None:
        if store.count < upto:
            store.fill(upto, lambda done: self.tell(f"loading: {done:,} of {upto:,} records"))
            store.settle()

    @cached_property
    def model(self) -> Embedder | str:
        """The default model, loaded, whatever the environment names; where it is not to be had, why."""
        try:
            embedder = OnnxEmbedder(self.folder / "models")
            embedder.embed(["a word"])
        except MemStoreError as error:
            return error.what
        return embedder

    def close(self) -> None:
        for store in {id(store): store for store in (self._big, *self._embedded.values()) if store}.values():
            store.close()


@contextmanager
def bench_of(records: int, repeats: int, tell: Tell) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="memstore-bench-") as folder:
        bench = Bench(records, repeats, Path(folder), tell)
        try:
            yield bench
        finally:
            bench.close()


def taken(act: Callable[[], object]) -> float:
    """Milliseconds that one call takes."""
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000
