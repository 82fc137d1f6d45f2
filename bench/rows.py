"""The rows of the table, a function for each thing that is measured.

A thing and its floor are measured by turns, so that both meet the same noise; figures are medians. A floor is the least
that any program would have to do for it: the same bytes, the same queries, the same signatures, without us.
"""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import floors
from bench.loads import LEAD, READER, SCOPE, SCOUT, WORKER, Loaded
from bench.servers import BARE, Server, memstore_server
from bench.writers import write_together
from memstore import log
from memstore.config import open_store
from memstore.core.contexts import Disclosure, Extent
from memstore.core.labels import Label, Source, Status
from memstore.core.statements import Kind
from memstore.render import Answer
from memstore.service import MemStore
from memstore.serving import look_up

PROCESSES = 8
RECORD_BYTES = 1024
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Bound:
    """What a row has to keep: at most so many times its floor, at most this value; 0 is no bound."""

    times: float = 0
    value: float = 0

    def __str__(self) -> str:
        return ", ".join([f"{self.times:g} ×"] * bool(self.times) + [f"{self.value:g}"] * bool(self.value))


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
        over = self.bound.value and self.value > self.bound.value
        far = self.bound.times and self.ratio is not None and self.ratio > self.bound.times
        return not (over or far or self.wrong)


@dataclass(frozen=True)
class Skipped:
    """A row that was not measured, and why."""

    name: str
    why: str


@dataclass
class Bench:
    """What all rows share: how big, how often, where, and the big store, which is filled once and grows."""

    records: int
    repeats: int
    folder: Path
    tell: Tell
    _big: Loaded | None = None

    def store(self, name: str) -> Loaded:
        return Loaded(self.folder / name)

    def big(self, upto: int) -> Loaded:
        if self._big is None:
            self._big = self.store("big")
        if self._big.count < upto:
            self._big.fill(upto, lambda done: self.tell(f"loading: {done:,} of {upto:,} records"))
            self._big.settle()
        return self._big

    def close(self) -> None:
        if self._big is not None:
            self._big.close()


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


def write(bench: Bench) -> Iterator[Row]:
    """A durable signed write of one kilobyte by the facade, and a bare commit of as many bytes."""
    store = bench.store("write")
    store.fill(1000)
    texts = store.words.texts()
    bare = floors.BareStore(store.folder / "bare.db")
    ours: list[float] = []
    theirs: list[float] = []
    with store.reader(WORKER) as worker:
        for _ in range(100 * bench.repeats):
            text = next(texts)
            ours.append(taken(lambda: worker.write("finding", text.title, text.body)))  # noqa: B023
            theirs.append(taken(lambda: bare.commit((text.title + text.body).encode())))  # noqa: B023
    bare.close()
    store.close()
    floor = statistics.median(theirs)
    yield Row(
        "durable signed write", statistics.median(ours), "ms", f"{len(ours)}", floor, "bare FULL commit", Bound(times=3)
    )


def writers(bench: Bench) -> Iterator[Row]:
    """Eight processes that write to one store as fast as they can."""
    store = bench.store("writers")
    each = 25 * bench.repeats
    told = write_together(store, processes=PROCESSES, each=each)
    bare = floors.commit_together(store.folder / "bare.db", processes=PROCESSES, each=each, size=RECORD_BYTES)
    store.close()
    n = f"{PROCESSES} × {each}"
    wrong = f"{len(told.errors)} errors: {told.errors[0]}" if told.errors else ""
    for name, share, bound in (("p50", 50, Bound()), ("p99", 99, Bound(value=50))):
        value, floor = floors.percentile(told.taken, share), floors.percentile(bare.taken, share)
        yield Row(f"{PROCESSES} processes write, {name}", value, "ms", n, floor, "bare commits", bound, wrong)


def search(bench: Bench) -> Iterator[Row]:
    """Six-term queries with default arguments, and the full-text queries of the same four tiers alone."""
    for size in sorted({min(size, bench.records) for size in (1000, 10_000, 100_000)}):
        store = bench.big(size)
        bare = floors.BareSearch(store.database)
        ours: list[float] = []
        theirs: list[float] = []
        queries = store.queries(10 + 10 * bench.repeats)
        with store.reader() as reader:
            for query in queries[:10]:
                reader.search(query)
                bare.search(query)
            for query in queries[10:]:
                ours.append(taken(lambda: reader.search(query)))  # noqa: B023
                theirs.append(taken(lambda: bare.search(query)))  # noqa: B023
        matched = statistics.mean(bare.matches(query) for query in queries)
        bare.close()
        bound = Bound(times=2, value=40) if size == 100_000 else Bound()
        n = f"{len(ours)} queries, {matched:,.0f} match"
        yield Row(
            f"search, {size:,} records",
            statistics.median(ours),
            "ms",
            n,
            statistics.median(theirs),
            "FTS5 alone",
            bound,
        )


def looking_up(bench: Bench) -> Iterator[Row]:
    """Everything that is checked of ten hits before they are served, and their signatures alone."""
    store = bench.big(min(10_000, bench.records))
    keys = floors.Signatures(store.house.store)
    ours: list[float] = []
    theirs: list[float] = []
    for start in range(0, 100 * bench.repeats, 10):
        ids = store.ids[start : start + 10]
        with store.house.store.read() as unit:
            ours.append(taken(lambda: [look_up(unit, record, SCOPE) for record in ids]))  # noqa: B023
            pieces = keys.pieces(start + 10, 10)
            theirs.append(taken(lambda: keys.verify(pieces)))  # noqa: B023
    floor = statistics.median(theirs)
    value = statistics.median(ours)
    yield Row("checking ten hits", value, "ms", f"{len(ours)} × 10", floor, "signatures alone", Bound(value=2))


def start(bench: Bench) -> Iterator[Row | Skipped]:
    """From the start of the process to the answer to its first `tools/list`, and what it keeps in memory."""
    store = bench.store("start")
    store.fill(1000)
    store.settle()
    command = memstore_server(READER, store.folder)
    if command is None:
        yield Skipped("start to first tools/list", "there is no mcp_server package")
        store.close()
        return
    ours: list[float] = []
    theirs: list[float] = []
    memory: list[tuple[float, float]] = []
    bare_memory: list[float] = []
    for _ in range(2 * bench.repeats):
        with Server(BARE) as server:
            theirs.append(taken(server.list_tools))
            bare_memory.append(server.megabytes())
        with Server(command) as server:
            ours.append(taken(server.list_tools))
            before = server.megabytes()
            server.call("memory_search", {"query": "retry backoff queue"})
            memory.append((before, server.megabytes()))
    store.close()
    n, bare = f"{len(ours)} starts", statistics.median(bare_memory)
    yield Row(
        "start to first tools/list",
        statistics.median(ours),
        "ms",
        n,
        statistics.median(theirs),
        "bare fastmcp",
        Bound(1.3),
    )
    before, after = (statistics.median(values) for values in zip(*memory, strict=True))
    yield Row("stdio server before its first search", before, "MB", n, bare, "bare fastmcp", Bound(value=110))
    yield Row("stdio server after its first search", after, "MB", n, bare, "bare fastmcp", Bound(value=320))


def rebuild(bench: Bench) -> Iterator[Row]:
    """Every projected row anew from the log, signatures checked, and the signatures alone."""
    yield _whole_log(bench, "rebuild", log.rebuild, Bound(value=20) if bench.records >= 100_000 else Bound())


def verify(bench: Bench) -> Iterator[Row]:
    """The full audit of a log, and its signatures alone."""
    yield _whole_log(bench, "log verify", log.audit, Bound())


def _whole_log(bench: Bench, name: str, act: Callable[..., dict[str, object]], bound: Bound) -> Row:
    store = bench.big(bench.records)
    keys = floors.Signatures(store.house.store)
    pieces = keys.pieces(0, store.count + 100)
    floor = taken(lambda: keys.verify(pieces)) / 1000
    bench.tell(f"{name} of {len(pieces):,} statements")
    started = time.perf_counter()
    found = act(store.house.store)
    value = time.perf_counter() - started
    wrong = "" if found["ok"] else f"it found {found['problems']}"
    return Row(f"{name}, {len(pieces):,} statements", value, "s", "1", floor, "signatures alone", bound, wrong)


def disk(bench: Bench) -> Iterator[Row]:
    """Bytes that the database file grows by."""
    store = bench.big(min(10_000, bench.records))
    value, floor = store.bytes() / store.count, RECORD_BYTES
    yield Row("disk per 1 KB record, no vectors", value, "B", f"{store.count:,}", floor, "its text", Bound(value=6144))


def disclosures(bench: Bench) -> Iterator[Row]:
    """What ten thousand disclosures to one context cost on disk, and what its mark costs to read after them."""
    count = min(10_000, bench.records)
    store = bench.store("disclosures")
    store.fill(count)
    before = store.bytes()
    with store.house.store.write() as unit:
        unit.disclosures.open_context("shown", principal=READER, scope=SCOPE)
        told = [
            Disclosure(seq, count, unit.now, Source(record, Label.TAINTED, Status.IN_FORCE), Extent.CONCISE)
            for seq, record in enumerate(store.ids, start=unit.log.head().size - count)
        ]
        unit.disclosures.disclose("shown", told)
    value = (store.bytes() - before) / count
    n = f"{count:,}"
    yield Row("disk per disclosure", value, "B", n, floors.DISCLOSURE_BYTES, "its fields", Bound(value=80))
    bare = floors.BareSearch(store.database)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(50 * bench.repeats):
        ours.append(taken(lambda: _mark(store)))
        theirs.append(taken(bare.mark))
    bare.close()
    store.close()
    floor = statistics.median(theirs)
    name = f"mark of a context with {count:,} disclosures"
    yield Row(name, statistics.median(ours), "ms", f"{len(ours)}", floor, "one row by key", Bound(value=1))


def _mark(store: Loaded) -> Label:
    with store.house.store.read() as unit:
        context = unit.view.context("shown")
    return context.mark.label if context else Label.TRUSTED


def flood(bench: Bench) -> Iterator[Row]:
    """The trusted section in a store that was flooded with untrusted records, and in its copy from before."""
    store = bench.store("flood")
    store.add(2000, author=LEAD, kind=Kind.DECISION)
    store.settle()
    before = bench.folder / "before"
    shutil.copytree(store.folder, before)
    bench.tell(f"loading: {bench.records:,} untrusted records")
    store.add(bench.records, author=SCOUT, kind=Kind.EXTERNAL)
    store.settle()
    ours: list[float] = []
    theirs: list[float] = []
    changed = 0
    queries = store.queries(10 + 10 * bench.repeats)
    with store.reader(LEAD) as under, open_store(before, agent=LEAD, clock=store.clock) as without:
        for reader, query in itertools.product((under, without), queries):
            _trusted(reader, query)  # once, so that what is measured shows nothing for the first time
        for query in queries:
            found, taken_under = _trusted(under, query)
            wanted, taken_without = _trusted(without, query)
            ours.append(taken_under)
            theirs.append(taken_without)
            changed += found != wanted
    store.close()
    wrong = f"{changed} trusted answers changed" if changed else ""
    name = f"trusted answer under {bench.records:,} untrusted"
    n = f"{len(queries)} queries, byte-identical"
    yield Row(name, statistics.median(ours), "ms", n, statistics.median(theirs), "without them", Bound(1.2), wrong)


def _trusted(reader: MemStore, query: str) -> tuple[str, float]:
    """The trusted section of an answer that leaves the quarantined one out, and the milliseconds it took."""
    answers: list[Answer] = []
    time_taken = taken(lambda: answers.append(reader.search(query, quarantined="none")))
    return json.dumps(answers[0]["trusted"]), time_taken


ROWS: dict[str, Callable[[Bench], Iterator[Row | Skipped]]] = {
    "write": write,
    "writers": writers,
    "search": search,
    "hits": looking_up,
    "disk": disk,
    "disclosures": disclosures,
    "start": start,
    "rebuild": rebuild,
    "verify": verify,
    "flood": flood,
}
