"""The rows of the table, a function for each thing that is measured.

A thing and its floor are measured by turns, so that both meet the same noise; figures are medians. A floor is the least
that any program would have to do for it: the same bytes, the same queries, the same signatures, without us.
"""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench import floors
from bench.figures import Bench, Bound, Row, Skipped, taken
from bench.handing import brief, handoffs, inbox
from bench.loads import LEAD, READER, SCOPE, SCOUT, WORKER, Loaded
from bench.over_http import bridge, http, serve_memory
from bench.quality import quality
from bench.retrieval import chroma, embedder, retrieval
from bench.servers import BARE, Server, memstore_server
from bench.starting import together
from bench.tracing import looking_back
from bench.writers import write_together
from memstore import log
from memstore.config import NO_MODEL, open_store
from memstore.core.contexts import Disclosure, Extent
from memstore.core.labels import Label, Source, Status
from memstore.core.statements import Kind
from memstore.importing import BATCH, lines_of
from memstore.render import Answer
from memstore.service import MemStore
from memstore.serving import look_up

PROCESSES = 8
RECORD_BYTES = 1024
VECTOR_BYTES = 2 * 384


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
    """Six-term queries without a model, and the full-text queries of the same four tiers alone."""
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
            f"search by words, {size:,} records",
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
    command = memstore_server(READER, bench.folder / "start")
    if command is None:
        yield Skipped("start to first tools/list", "there is no mcp_server package")
        return
    store = bench.store("start")
    store.fill(1000)
    store.settle()
    if not isinstance(bench.model, str):
        store.embed(bench.model)
    store.close()
    started = [_started(command) for _ in range(2 * bench.repeats)]
    *columns, by_words = zip(*map(astuple, started), strict=True)
    ours, theirs, before, after, bare_memory = map(statistics.median, columns)
    n = f"{len(started)} starts"
    yield Row("start to first tools/list", ours, "ms", n, theirs, "bare fastmcp", Bound(1.3))
    floor_is = "bare fastmcp"
    yield Row("stdio server before its first search", before, "MB", n, bare_memory, floor_is, Bound(value=110))
    name = "stdio server after its first search"
    if isinstance(bench.model, str):
        yield Skipped(name, bench.model)
    else:
        wrong = "it searched without its model" if any(by_words) else ""
        yield Row(name, after, "MB", n, bare_memory, floor_is, Bound(value=320), wrong)


@dataclass(frozen=True)
class Started:
    """One start: milliseconds to the first tools/list, megabytes before and after the first search; a bare server's.

    `by_words`: the search did without a model.
    """

    ours: float
    theirs: float
    before: float
    after: float
    bare: float
    by_words: bool


def _started(command: list[str]) -> Started:
    with Server(BARE) as server:
        theirs, bare = taken(server.list_tools), server.megabytes()
    with Server(command) as server:
        ours, before = taken(server.list_tools), server.megabytes()
        answer = server.call("memory_search", {"query": "retry backoff queue"})
        by_words = "full text alone" in json.dumps(answer)
        return Started(ours, theirs, before, server.megabytes(), bare, by_words)


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


def disk(bench: Bench) -> Iterator[Row | Skipped]:
    """Bytes that the database file grows by."""
    store = bench.store("disk")
    store.fill(min(10_000, bench.records))
    store.settle()
    n, floor = f"{store.count:,}", RECORD_BYTES
    yield Row("disk per 1 KB record, no vectors", store.bytes() / store.count, "B", n, floor, "its text")
    name = "disk per 1 KB record with its vector"
    if isinstance(bench.model, str):
        yield Skipped(name, bench.model)
    else:
        store.embed(bench.model)
        value, with_vector = store.bytes() / store.count, RECORD_BYTES + VECTOR_BYTES
        yield Row(name, value, "B", n, with_vector, "its text and vector", Bound(value=6144))
    store.close()


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
    with store.reader(LEAD) as under, open_store(before, agent=LEAD, clock=store.clock, model=NO_MODEL) as without:
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


def importing(bench: Bench) -> Iterator[Row]:
    """A thousand findings of one kilobyte from a JSONL file, and as many signatures and commits of the same batches."""
    store = bench.store("import")
    store.fill(1000)
    bare = floors.BareStore(store.folder / "bare.db")
    key = Ed25519PrivateKey.generate()
    texts = store.words.texts()
    ours: list[float] = []
    theirs: list[float] = []
    with store.reader(WORKER) as worker:
        for number in range(1 + bench.repeats):
            said = [
                {"kind": "finding", "title": t.title, "body": t.body, "task": "import"} for t in islice(texts, 1000)
            ]
            path = store.folder / f"{number}.jsonl"
            path.write_text("".join(f"{json.dumps(one)}\n" for one in said), "utf-8")
            told: list[Answer] = []
            ours.append(taken(lambda: told.append(worker.import_lines(lines_of(path)))))  # noqa: B023
            theirs.append(taken(lambda: _signed(bare, key, path)))  # noqa: B023
            if told[0]["stored"] != len(said):
                raise RuntimeError(f"{told[0]['stored']} of {len(said)} stored, {told[0]['skipped'][:1]}")
    bare.close()
    store.close()
    floor = statistics.median(theirs)
    n = f"{len(ours)} × 1,000"
    yield Row(
        "import of 1,000 lines", statistics.median(ours), "ms", n, floor, "signing, bare commits", Bound(value=500)
    )


def _signed(bare: floors.BareStore, key: Ed25519PrivateKey, path: Path) -> None:
    lines = path.read_bytes().splitlines()
    for start in range(0, len(lines), BATCH):
        batch = lines[start : start + BATCH]
        bare.commit_all([key.sign(line) + line for line in batch])


ROWS: dict[str, Callable[[Bench], Iterator[Row | Skipped]]] = {
    "write": write,
    "writers": writers,
    "search": search,
    "hits": looking_up,
    "disk": disk,
    "disclosures": disclosures,
    "start": start,
    "together": together,
    "rebuild": rebuild,
    "verify": verify,
    "flood": flood,
    "import": importing,
    "handoffs": handoffs,
    "inbox": inbox,
    "history": looking_back,
    "brief": brief,
    "http": http,
    "bridge": bridge,
    "embedder": embedder,
    "serve": serve_memory,
    "retrieval": retrieval,
    "chroma": chroma,
    "quality": quality,
}
