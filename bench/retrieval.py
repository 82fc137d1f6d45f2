"""Rows of search by words and meaning at once, of its parts by themselves, and of the approximate index.

Vectors are made up around real ones (`Loaded.embed`); questions are real, and embedded by the real model.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench import floors
from bench.figures import Bench, Bound, Row, Skipped, taken
from bench.loads import SCOPE, Loaded
from bench.servers import clean_environment
from memstore.core.labels import Label
from memstore.index.chroma import ChromaIndex
from memstore.index.exact import ExactIndex
from memstore.ports import Embedder, Near, VectorIndex
from memstore.service import MemStore

if TYPE_CHECKING:
    from memstore.ports import Vector

WARMING = 10
# A tier of more than this part of all vectors is put into the approximate index, at the sizes that are measured here.
BIG_PART = 5
TEN = 10


@dataclass
class Times:
    """Milliseconds of each search and of what it cannot do without, query by query."""

    ours: list[float] = field(default_factory=list)
    scan: list[float] = field(default_factory=list)
    words: list[float] = field(default_factory=list)
    embedding: list[float] = field(default_factory=list)

    @property
    def floor(self) -> float:
        """Scan, full text and embedding, each query's added up; nothing for what was not measured."""
        parts = [times for times in (self.scan, self.words, self.embedding) if times]
        return statistics.median(map(sum, zip(*parts, strict=True)))

    @property
    def median(self) -> float:
        return statistics.median(self.ours)


class Parts:
    """The least that a search could do: one embedding, every cosine, the full-text queries; nothing checked."""

    def __init__(self, store: Loaded, embedder: Embedder) -> None:
        self._embedder = embedder
        self._words = floors.BareSearch(store.database)
        self._scan = floors.BareScan(store.house.store, SCOPE)
        self.vectors = self._scan.count

    def take(self, query: str, times: Times, *, embeds: bool) -> None:
        vectors: list[Vector] = []
        embedding = taken(lambda: vectors.extend(self._embedder.embed([query])))
        times.embedding += [embedding] * embeds
        times.scan.append(taken(lambda: self._scan.scan(vectors[0])))
        times.words.append(taken(lambda: self._words.search(query)))

    def close(self) -> None:
        self._words.close()


def retrieval(bench: Bench) -> Iterator[Row | Skipped]:
    """Six-term queries with default arguments beside one embedding, an exact scan and the full-text queries."""
    embedder = bench.model
    if isinstance(embedder, str):
        yield Skipped("search", embedder)
        return
    medians: dict[int, float] = {}
    for size in sorted({min(size, bench.records) for size in (10_000, 100_000, bench.records)}):
        new, known, vectors = _measured(bench, bench.embedded(size, embedder), embedder)
        medians[size] = new.median
        bound = Bound(times=2, value=40) if size == 100_000 else Bound()
        n = f"{len(new.ours)} queries, each asked once"
        floor_is = "scan + FTS5 + embedding"
        yield Row(f"search, {size:,} records", new.median, "ms", n, new.floor, floor_is, bound)
        name = f"search, {size:,} records, query embedded before"
        yield Row(name, known.median, "ms", f"{len(known.ours)} other queries", known.floor, "scan + FTS5")
        n = f"{len(new.ours)} queries"
        yield Row(f"floor: exact scan of {vectors:,} vectors", statistics.median(new.scan), "ms", n)
        yield Row(f"floor: FTS5 of four tiers, {size:,} records", statistics.median(new.words), "ms", n)
        yield Row("floor: embedding a query", statistics.median(new.embedding), "ms", n)
    yield _grown(medians)


def _grown(medians: dict[int, float]) -> Row | Skipped:
    name = "search, 1,000,000 records beside 100,000"
    if not {100_000, 1_000_000} <= set(medians):
        return Skipped(name, "only by --records 1000000: loading takes half an hour")
    return Row(name, medians[1_000_000], "ms", "", medians[100_000], "at 100,000", Bound(times=10))


def _measured(bench: Bench, store: Loaded, embedder: Embedder) -> tuple[Times, Times, int]:
    """Searches by turns with their parts: of queries that are new, of queries whose vectors are known; vectors held."""
    count = 10 * bench.repeats
    new, known, parts = Times(), Times(), Parts(store, embedder)
    queries = iter(store.queries(WARMING + 2 * count))
    with store.reader(model=embedder) as reader:
        for query in itertools.islice(queries, WARMING):
            reader.search(query)
            parts.take(query, Times(), embeds=True)
        for query in itertools.islice(queries, count):
            new.ours.append(taken(lambda: _asked(reader, query)))  # noqa: B023
            parts.take(query, new, embeds=True)
        for query in queries:
            reader.embedding.question(query)
            known.ours.append(taken(lambda: _asked(reader, query)))  # noqa: B023
            parts.take(query, known, embeds=False)
    parts.close()
    return new, known, parts.vectors


def _asked(reader: MemStore, query: str) -> None:
    note = reader.search(query)["note"]
    if "full text alone" in note:
        raise RuntimeError(f"the search did without vectors: {note}")


def embedder(bench: Bench) -> Iterator[Row | Skipped]:
    """The model in a process that has just begun, until its first vector; the imports it cannot do without."""
    name = "embedder, cold, to its first vector"
    if isinstance(bench.model, str):
        yield Skipped(name, bench.model)
        return
    told = [(_told(_COLD, bench.folder / "models"), _told(_IMPORTS)) for _ in range(1 + 2 * bench.repeats)][1:]
    ours, theirs = ([one.ms for one in side] for side in zip(*told, strict=True))
    heavy = sorted({module for cold, _ in told for module in cold.heavy})
    wrong = f"it imported {', '.join(heavy)}" if heavy else ""
    floor, n = statistics.median(theirs), f"{len(ours)} processes"
    bound = Bound(value=500)
    yield Row(name, statistics.median(ours), "ms", n, floor, "importing onnxruntime, tokenizers", bound, wrong)


_COLD = """
import json, sys, time
from pathlib import Path
from typing import TYPE_CHECKING
start = time.perf_counter()
from memstore.embed.onnx import OnnxEmbedder
OnnxEmbedder(Path(sys.argv[1])).embed(["how are retries spaced out"])
ms = (time.perf_counter() - start) * 1000
heavy = [name for name in ("torch", "sentence_transformers", "chromadb") if name in sys.modules]
print(json.dumps([ms, heavy]))
"""
_IMPORTS = """
import json, time
start = time.perf_counter()
import numpy, onnxruntime, tokenizers
print(json.dumps([(time.perf_counter() - start) * 1000, []]))
"""


@dataclass(frozen=True)
class Cold:
    """What a process that had just begun took, and the heavy modules that it had then."""

    ms: float
    heavy: list[str]


def _told(program: str, *arguments: Path) -> Cold:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=True, env=clean_environment())
    return Cold(*json.loads(done.stdout))


def chroma(bench: Bench) -> Iterator[Row | Skipped]:
    """The approximate index over the big tiers of the big store: adding, plans, times and recall beside the scan."""
    embedder = bench.model
    if isinstance(embedder, str):
        yield Skipped("chroma", embedder)
        return
    store = bench.embedded(bench.records, embedder)
    sizes = _sizes(store)
    index = ChromaIndex(bench.folder / "chroma", big=sum(sizes.values()) // BIG_PART)
    exact = ExactIndex()
    try:
        yield from _compared(bench, store, embedder, index, exact, sizes)
    finally:
        index.close()
        exact.close()


def _sizes(store: Loaded) -> dict[Label, int]:
    with store.house.store.read() as unit:
        return {one.label: one.vectors for one in unit.vectors.counted() if one.scope == SCOPE}


def _compared(
    bench: Bench,
    store: Loaded,
    embedder: Embedder,
    index: ChromaIndex,
    exact: ExactIndex,
    sizes: dict[Label, int],
) -> Iterator[Row | Skipped]:
    adding = taken(lambda: _built(bench, store, index, sizes)) / 1000
    with store.house.store.read() as unit:
        plans = {label: index.plan(unit, SCOPE, label) for label in sizes}
    by_chroma = [label for label, plan in plans.items() if plan == "chroma"]
    if not by_chroma:
        yield Skipped("chroma", f"no tier is answered by it: {index.problem or 'all are small'}")
        return
    plan = ", ".join(f"{label.name.lower()} {sizes[label]:,} {plan}" for label, plan in plans.items())
    yield Row("chroma: vectors added", sum(sizes[label] for label in by_chroma) / adding, "/s", plan)
    tier = max(by_chroma, key=lambda label: sizes[label])
    vectors = [embedder.embed([query])[0] for query in store.queries(WARMING + 20 * bench.repeats)]
    for most in (floors.NEAREST, TEN):
        ours, theirs = Answers(index, store, tier, most), Answers(exact, store, tier, most)
        for vector in vectors:
            ours.ask(vector)
            theirs.ask(vector)
        n = f"{len(vectors) - WARMING} questions"
        name, wrong = f"chroma: {most} of {sizes[tier]:,} vectors", index.problem
        yield Row(name, ours.median, "ms", n, theirs.median, "exact index", wrong=wrong)
        recall = statistics.fmean(len(a & b) / len(b) for a, b in zip(ours.found, theirs.found, strict=True))
        yield Row(f"chroma: recall@{TEN} when {most} are asked for", 100 * recall, "%", n, 100, "exact index")


def _built(bench: Bench, store: Loaded, index: ChromaIndex, sizes: dict[Label, int]) -> None:
    """Every big tier written; asking for the plan begins it."""
    for label in sizes:
        bench.tell(f"chroma: {label.name.lower()}, {sizes[label]:,} vectors")
        with store.house.store.read() as unit:
            index.plan(unit, SCOPE, label)
        index.settle()


class Answers:
    """What an index answers about one tier: the best ten of each question, and how long it took."""

    def __init__(self, index: VectorIndex, store: Loaded, tier: Label, most: int) -> None:
        self._index, self._store, self._tier, self._most = index, store, tier, most
        self.found: list[set[int]] = []
        self._times: list[float] = []

    def ask(self, vector: Vector) -> None:
        near: list[Near] = []
        with self._store.house.store.read() as unit:
            asked = (unit, SCOPE, self._tier, vector)
            self._times.append(taken(lambda: near.extend(self._index.nearest(*asked, most=self._most))))
        self.found.append({one.record for one in near[:TEN]})

    @property
    def median(self) -> float:
        return statistics.median(self._times[WARMING:])
