"""Chroma as an index: kept over restarts and crashes, and never missed where it is damaged, gone, or another's."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromadb.api.models.Collection import Collection
from contracts.index_contract import ASKED, ATTRIBUTED, MODEL, TAINTED, add, asked, at, found, made_store, relabel
from contracts.values import PUBLIC, Clock, put

from memstore.core.fold import EraseContent
from memstore.index import chroma
from memstore.index.chroma import ChromaIndex
from memstore.index.exact import ExactIndex
from memstore.ports import Near, Unit, VectorCount, VectorRow
from memstore.stores.sqlite import SqliteStore
from memstore.stores.vectors import VectorTables

# More than Chroma holds back before it writes a graph, and more than is written before a question is answered.
KEPT = 1200
TESTS = Path(__file__).resolve().parent.parent


class Place:
    """A store and a folder for Chroma beside it; each `index` is as another process would have it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.chroma = folder / "chroma"
        self.opened: list[ChromaIndex] = []
        if not (folder / "store.db").exists():
            made_store(folder / "store.db").close()
        self.store = SqliteStore.open(folder / "store.db", Clock())

    def index(self, *, big: int = 0) -> ChromaIndex:
        self.opened.append(ChromaIndex(self.chroma, big=big))
        return self.opened[-1]

    def fill(self, records: int, *, start: int = 0, **fields: Any) -> None:
        with self.store.write() as unit:
            for seq in range(start, start + records):
                add(unit, seq, 5 + seq * 80 / 1500, **fields)

    def exact(self, **given: Any) -> list[Near]:
        with self.store.read() as unit:
            return asked(ExactIndex(), unit, **given)

    def ask(self, index: ChromaIndex, **given: Any) -> list[Near]:
        with self.store.read() as unit:
            return asked(index, unit, **given)

    def plan(self, index: ChromaIndex, *, label: Any = ATTRIBUTED) -> str:
        with self.store.read() as unit:
            return index.plan(unit, "main", label)

    def close(self) -> None:
        for index in self.opened:
            index.close()
        self.store.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a folder of Chroma's that a process left behind in good order."""
    folder = tmp_path_factory.mktemp("kept")
    made = Place(folder)
    made.fill(KEPT)
    index = made.index()
    made.ask(index)
    index.settle()
    assert made.plan(index) == "chroma"
    made.store.empty_write_ahead_log()
    made.close()
    return folder


@pytest.fixture
def again(kept: Path, tmp_path: Path) -> Iterator[Place]:
    """A copy of `kept`."""
    shutil.copytree(kept, tmp_path / "kept")
    copied = Place(tmp_path / "kept")
    yield copied
    copied.close()


@pytest.fixture
def no_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is answered is answered by Chroma."""

    def refused(*_: Any, **__: Any) -> list[Near]:
        raise AssertionError("the tier was scanned")

    monkeypatch.setattr(ExactIndex, "nearest", refused)


@pytest.fixture
def read_from(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers from which the store's rows are read."""
    numbers: list[int] = []
    since = VectorTables.since

    def noted(self: VectorTables, no: int, scope: str, label: Any) -> Iterator[VectorRow]:
        numbers.append(no)
        return since(self, no, scope, label)

    monkeypatch.setattr(VectorTables, "since", noted)
    return numbers


def breaks(monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Collection, method, broken)


def nearly(given: list[Near], wanted: list[Near]) -> bool:
    """Whether an approximate answer is as long as the exact one and lacks little of it."""
    return len(given) == len(wanted) and len(set(given) & set(wanted)) >= 0.85 * len(wanted)


class Panic(BaseException):
    """As Rust's panics come: no `Exception`."""


# What it is used for.


def test_a_small_tier_is_scanned_and_a_big_one_is_not(place: Place):
    place.fill(10)
    place.fill(5, start=100, label=TAINTED)
    index = place.index(big=5)
    assert (place.plan(index), place.plan(index, label=TAINTED)) == ("chroma", "exact")
    assert place.ask(index) == place.exact()
    assert place.ask(index, label=TAINTED) == place.exact(label=TAINTED)


def test_a_tier_is_asked_of_chroma_from_the_moment_it_is_big(place: Place):
    index = place.index(big=5)
    plans = []
    for seq in range(8):
        place.fill(1, start=seq)
        plans.append(place.plan(index))
        assert [near.record for near in place.ask(index)] == list(range(seq + 1))
    assert plans == ["exact"] * 5 + ["chroma"] * 3


def test_neither_other_tiers_nor_other_scopes_make_a_tier_big(place: Place):
    place.fill(3)
    place.fill(9, start=20, label=TAINTED)
    place.fill(9, start=40, scope="other")
    assert place.plan(place.index(big=5)) == "exact"


def test_a_big_tier_is_not_counted_at_each_question(place: Place, monkeypatch: pytest.MonkeyPatch):
    counts: list[None] = []
    counted = VectorTables.counted

    def noted(self: VectorTables) -> list[VectorCount]:
        counts.append(None)
        return counted(self)

    monkeypatch.setattr(VectorTables, "counted", noted)
    place.fill(30)
    index = place.index(big=20)
    for seq in range(30, 36):
        place.fill(1, start=seq)
        assert len(place.ask(index, most=5)) == 5
    assert len(counts) == 1


@pytest.mark.usefixtures("no_scan")
def test_what_it_answers_is_what_a_scan_would(place: Place, monkeypatch: pytest.MonkeyPatch):
    with place.store.write() as unit:
        for seq in range(60):
            add(unit, seq, 3 * (seq % 20), 80, 85)
    monkeypatch.undo()
    expected = place.exact(most=30)
    breaks(monkeypatch, "count", AssertionError("count can end the process"))
    assert place.ask(place.index(), most=30) == expected


def test_what_ties_at_the_cut_falls_by_position(place: Place):
    with place.store.write() as unit:
        for seq in reversed(range(200)):
            add(unit, seq, 40)
    assert [near.record for near in place.ask(place.index(), most=10)] == list(range(10))


@pytest.mark.parametrize("given", [10, 15, 60])
def test_some_of_what_ties_is_no_answer_of_chromas(place: Place, monkeypatch: pytest.MonkeyPatch, given: int):
    query = Collection.query

    def parted(self: Collection, *, n_results: int, **asked: Any) -> Any:
        found: dict[str, Any] = dict(query(self, n_results=200, **asked))
        later = sorted(range(len(found["ids"][0])), key=lambda at: -int(found["ids"][0][at].split(".")[0]))
        kept = later[: min(given, n_results)]
        return {name: [[found[name][0][at] for at in kept]] for name in ("ids", "distances")}

    with place.store.write() as unit:
        for seq in range(200):
            add(unit, seq, 40)
    index = place.index()
    place.ask(index)
    monkeypatch.setattr(Collection, "query", parted)
    assert [near.record for near in place.ask(index, most=10)] == list(range(10))
    assert index.problem == ""


@pytest.mark.usefixtures("no_scan")
def test_of_many_records_the_nearest_are_found_by_chroma(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chroma, "FEW", 3)
    place.fill(100)
    among = list(range(0, 100, 5))
    assert [near.record for near in place.ask(place.index(), most=4, among=among)] == [0, 5, 10, 15]


def test_a_few_records_are_compared_without_chroma(place: Place, monkeypatch: pytest.MonkeyPatch):
    breaks(monkeypatch, "query", AssertionError("asked"))
    place.fill(50)
    index = place.index()
    assert place.ask(index, among=[3, 40, 9]) == place.exact(among=[3, 40, 9])
    assert index.problem == ""


def test_what_chroma_leaves_out_is_read_exactly(place: Place, monkeypatch: pytest.MonkeyPatch):
    query = Collection.query

    def short(self: Collection, *, n_results: int, **given: Any) -> Any:
        return query(self, n_results=min(n_results, 4), **given)

    monkeypatch.setattr(Collection, "query", short)
    place.fill(30)
    index = place.index()
    assert place.ask(index, most=20) == place.exact(most=20)
    assert (index.problem, place.plan(index)) == ("", "chroma")


def test_of_clustered_vectors_it_finds_nearly_all_that_are_nearest(place: Place):
    random = np.random.default_rng(7)
    centres = random.normal(size=(100, 8))
    vectors = centres[random.integers(0, 100, 5000)] + 0.5 * random.normal(size=(5000, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with place.store.write() as unit:
        for seq, vector in enumerate(vectors):
            put(unit, seq)
            unit.vectors.put(seq, MODEL, [vector.astype(np.float16).tobytes()])
    index, exact = place.index(), ExactIndex()
    place.ask(index)
    index.settle()
    assert place.plan(index) == "chroma"
    hits = 0
    with place.store.read() as unit:
        for vector in vectors[random.integers(0, 5000, 50)].astype(np.float32):
            wanted, given = (asked(one, unit, vector=vector, most=10) for one in (exact, index))
            hits += len({near.record for near in wanted} & {near.record for near in given})
    assert hits / 500 >= 0.95


# Written behind.


def test_a_tier_that_is_written_behind_is_scanned_until_then(place: Place, monkeypatch: pytest.MonkeyPatch):
    written, upsert = threading.Event(), Collection.upsert

    def slow(self: Collection, **given: Any) -> None:
        assert written.wait(30)
        upsert(self, **given)

    monkeypatch.setattr(Collection, "upsert", slow)
    monkeypatch.setattr(chroma, "LAG", 10)
    monkeypatch.setattr(chroma, "BATCH", 10)
    place.fill(45)
    index = place.index()
    assert place.ask(index) == place.exact()
    assert place.plan(index) == "exact"
    written.set()
    index.settle()
    assert (place.plan(index), index.problem) == ("chroma", "")
    assert place.ask(index) == place.exact()


def test_closing_does_not_wait_for_all_that_is_written_behind(place: Place, monkeypatch: pytest.MonkeyPatch):
    begun, upsert, batches = threading.Event(), Collection.upsert, []

    def slow(self: Collection, **given: Any) -> None:
        batches.append(len(given["ids"]))
        begun.set()
        assert index._stopped.wait(30)
        upsert(self, **given)

    monkeypatch.setattr(Collection, "upsert", slow)
    monkeypatch.setattr(chroma, "LAG", 10)
    monkeypatch.setattr(chroma, "BATCH", 10)
    place.fill(45)
    index = place.index()
    place.ask(index)
    assert begun.wait(30)
    index.close()
    assert batches == [10]
    monkeypatch.undo()
    assert place.ask(place.index()) == place.exact()


# Kept.


@pytest.mark.usefixtures("no_scan")
def test_another_process_goes_on_from_where_the_last_one_was(again: Place, read_from: list[int]):
    index = again.index()
    assert [near.record for near in again.ask(index, most=4)] == [0, 1, 2, 3]
    assert read_from == [0]  # to see that it is sound: had it been written anew, it would have been scanned
    again.fill(1, start=KEPT)
    with again.store.write() as unit:
        unit.apply(EraseContent(_id(unit, 1)), None)
    assert [near.record for near in again.ask(index, most=4)] == [0, 2, 3, 4]
    assert read_from == [0, KEPT]
    index.close()
    assert [near.record for near in again.ask(again.index(), most=4)] == [0, 2, 3, 4]
    assert read_from == [0, KEPT, 0]


def _id(unit: Unit, seq: int) -> str:
    return unit.records.id_at(seq)


@pytest.mark.usefixtures("no_scan")
def test_a_crash_before_the_position_was_kept_costs_a_repetition_alone(
    again: Place, read_from: list[int], monkeypatch: pytest.MonkeyPatch
):
    index = again.index()
    again.ask(index, most=4)
    with again.store.write() as unit:
        unit.apply(EraseContent(_id(unit, 0)), None)
        relabel(unit, _id(unit, 1), TAINTED)
        relabel(unit, _id(unit, 2), TAINTED)
        relabel(unit, _id(unit, 2), ATTRIBUTED)
    again.fill(1, start=KEPT)
    with monkeypatch.context() as patched:
        breaks(patched, "modify", Panic())
        patched.setattr(ExactIndex, "nearest", lambda *_, **__: [])
        again.ask(index, most=4)
    index.close()
    assert [near.record for near in again.ask(again.index(), most=4)] == [2, 3, 4, 5]
    assert read_from == [0, KEPT, KEPT, 0]


def test_a_crash_in_the_first_writing_leaves_nothing_behind(place: Place, monkeypatch: pytest.MonkeyPatch):
    place.fill(20)
    with monkeypatch.context() as patched:
        breaks(patched, "modify", Panic())
        index = place.index()
        place.ask(index)
    index.close()
    with place.store.write() as unit:
        unit.apply(EraseContent(_id(unit, 0)), None)
    index = place.index()
    assert place.ask(index) == place.exact()
    assert (place.plan(index), index.problem) == ("chroma", "")


@pytest.mark.parametrize("change", ["generation", "format", "store", "ahead"])
def test_a_collection_of_something_else_is_made_anew(
    again: Place, change: str, read_from: list[int], monkeypatch: pytest.MonkeyPatch
):
    match change:
        case "generation":
            with again.store.write() as unit:
                unit.vectors.adopt(MODEL, "f16")
        case "format":
            monkeypatch.setattr(chroma, "FORMAT", chroma.FORMAT + 1)
            monkeypatch.setattr(chroma._Mark.__init__, "__defaults__", (0, chroma.FORMAT))
        case "store":
            again.store.close()
            (again.path / "store.db").unlink()
            other = SqliteStore.create(again.path / "store.db", Clock(), store="b" * 26, public_key=PUBLIC)
            with other.write() as unit:
                unit.vectors.adopt(MODEL, "f16")
            again.store = other
            again.fill(KEPT + 5, start=7)
        case "ahead":
            again.store.close()
            (again.path / "store.db").unlink()
            again.store = made_store(again.path / "store.db")
            again.fill(9, start=300)
    index = again.index()
    again.ask(index)
    index.settle()
    assert read_from[0] == 0
    assert (again.plan(index), index.problem) == ("chroma", "")
    assert nearly(again.ask(index, most=9), again.exact(most=9))


def test_what_it_keeps_names_no_scope(place: Place):
    place.fill(5, scope="very-secret-scope")
    index = place.index()
    place.ask(index, scope="very-secret-scope")
    index.close()
    held = [path.read_bytes() for path in place.chroma.rglob("*") if path.is_file()]
    assert any(b"collections" in one for one in held)
    assert not any(b"secret" in one for one in held)
    assert place.chroma.stat().st_mode & 0o077 == 0


# Damaged, gone, another's.


def _garbage(place: Place) -> None:
    (place.chroma / "chroma.sqlite3").write_bytes(b"garbage" * 2000)


def _cut(place: Place) -> None:
    path = place.chroma / "chroma.sqlite3"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def _graph(place: Place) -> None:
    graphs = list(place.chroma.rglob("header.bin"))
    assert graphs
    for path in graphs:
        path.write_bytes(b"\xff" * path.stat().st_size)


def _no_graph(place: Place) -> None:
    for path in [path for path in place.chroma.iterdir() if path.is_dir()]:
        shutil.rmtree(path)


def _version(place: Place) -> None:
    with closing(sqlite3.connect(place.chroma / "chroma.sqlite3")) as conn, conn:
        assert conn.execute("UPDATE migrations SET hash = 'of another version'").rowcount


def _schema(place: Place) -> None:
    with closing(sqlite3.connect(place.chroma / "chroma.sqlite3")) as conn, conn:
        conn.execute("ALTER TABLE collections RENAME TO gatherings")


def _file(place: Place) -> None:
    shutil.rmtree(place.chroma)
    place.chroma.write_text("a file")


def _wrong_vectors(place: Place) -> None:
    import chromadb
    from chromadb.config import Settings

    client: Any = chromadb.PersistentClient(str(place.chroma), Settings(anonymized_telemetry=False))
    for collection in client.list_collections():
        collection.upsert(ids=[f"{record}.0" for record in range(700, 730)], embeddings=[ASKED] * 30)
    client.close()


DAMAGES = [_garbage, _cut, _graph, _no_graph, _version, _schema, _file, _wrong_vectors]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_a_damaged_folder_costs_no_answer_and_can_be_made_anew(again: Place, damage: Callable[[Place], None]):
    damage(again)
    expected = again.exact(most=20)
    index = again.index()
    assert again.ask(index, most=20) == expected
    assert again.plan(index) == "exact"
    assert index.problem in {"cannot_open", "cannot_read", "cannot_write", "wrong_answer"}
    if damage is _file:
        again.chroma.unlink()
    index.forget()
    assert index.problem == ""
    again.ask(index)
    index.settle()
    assert (again.plan(index), index.problem) == ("chroma", "")
    assert nearly(again.ask(index, most=20), expected)


def test_a_folder_that_is_deleted_while_open_costs_no_answer(again: Place):
    index = again.index()
    assert again.plan(index) == "chroma"
    shutil.rmtree(again.chroma)
    assert again.ask(index, most=20) == again.exact(most=20)
    assert (index.problem, again.plan(index)) == ("gone", "exact")
    index.forget()
    again.ask(index)
    index.settle()
    assert (index.problem, again.plan(index)) == ("", "chroma")
    assert nearly(again.ask(index, most=20), again.exact(most=20))


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), Panic("x"), MemoryError()], ids=repr)
@pytest.mark.parametrize(
    ("method", "code"), [("query", "cannot_read"), ("upsert", "cannot_write"), ("modify", "cannot_write")]
)
def test_whatever_chromadb_raises_costs_no_answer(
    place: Place, method: str, code: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
):
    place.fill(20)
    index = place.index()
    breaks(monkeypatch, method, error)
    assert place.ask(index, most=7) == place.exact(most=7)
    assert (index.problem, place.plan(index)) == (code, "exact")


def test_what_fails_behind_costs_no_answer(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chroma, "LAG", 10)
    monkeypatch.setattr(chroma, "BATCH", 10)
    breaks(monkeypatch, "upsert", Panic("x"))
    place.fill(25)
    index = place.index()
    place.ask(index)
    index.settle()
    assert place.ask(index) == place.exact()
    assert (index.problem, place.plan(index)) == ("cannot_write", "exact")


def test_who_interrupts_is_heard(place: Place, monkeypatch: pytest.MonkeyPatch):
    breaks(monkeypatch, "query", KeyboardInterrupt())
    place.fill(5)
    with pytest.raises(KeyboardInterrupt):
        place.ask(place.index())


def test_without_the_package_all_is_scanned(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "chromadb", None)
    place.fill(5)
    index = place.index()
    assert place.ask(index) == place.exact()
    assert (index.problem, place.plan(index)) == ("cannot_open", "exact")


def test_a_question_of_another_length_is_no_failure_of_chroma(place: Place):
    place.fill(5)
    index = place.index()
    place.ask(index)
    with pytest.raises(ValueError, match="broadcast"):
        place.ask(index, vector=at(0, dimension=4))
    assert (index.problem, place.plan(index)) == ("", "chroma")


def test_a_closed_one_answers_without_chroma_and_leaves_the_folder_to_the_next(again: Place):
    index = again.index()
    assert again.plan(index) == "chroma"
    index.close()
    index.close()
    assert (again.plan(index), again.ask(index, most=5)) == ("exact", again.exact(most=5))
    assert again.plan(again.index()) == "chroma"


def test_a_folder_may_be_deleted_and_made_anew_in_one_process(place: Place):
    place.fill(5)
    for _ in range(3):
        index = place.index()
        assert (place.plan(index), place.ask(index)) == ("chroma", place.exact())
        index.close()
        shutil.rmtree(place.chroma)


def test_what_was_forgotten_is_gone_from_the_disk(again: Place):
    index = again.index()
    assert again.plan(index) == "chroma"
    index.forget()
    assert [path.name for path in again.chroma.iterdir()] == ["lock"]


# Other processes.

HOLDER = """
import sys
from pathlib import Path
from engines.test_chroma import Place
place = Place(Path(sys.argv[1]))
index = place.index()
print(place.plan(index), flush=True)
sys.stdin.read()
"""

FIRST_USE = """
import socket, sys
from pathlib import Path
def refused(*_): raise AssertionError("a connection")
socket.socket.connect = socket.socket.connect_ex = refused
from contracts.index_contract import asked, add, made_store
from memstore.index.chroma import ChromaIndex
folder = Path(sys.argv[1])
store, index = made_store(folder / "s.db"), ChromaIndex(folder / "c", big=5)
for seq in range(8):
    with store.write() as unit:
        add(unit, seq, seq)
        assert len(asked(index, unit)) == seq + 1
    print("chromadb" in sys.modules, (folder / "c").exists())
assert index.problem == "", index.problem
index.close()
"""


def _python(script: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )


def test_one_process_at_a_time_has_the_folder(again: Place):
    with _python(HOLDER, again.path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "chroma\n"
        index = again.index()
        assert again.ask(index, most=20) == again.exact(most=20)
        assert (index.problem, again.plan(index)) == ("in_use", "exact")
        index.forget()
        assert index.problem == "in_use"
        holder.kill()
    index.forget()
    again.ask(index)
    index.settle()
    assert (index.problem, again.plan(index)) == ("", "chroma")


def test_chromadb_is_imported_for_a_big_tier_alone_and_connects_to_nothing(tmp_path: Path):
    with _python(FIRST_USE, tmp_path) as child:
        told, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert told.splitlines() == ["False False"] * 5 + ["True True"] * 3


@pytest.mark.usefixtures("no_scan")
def test_the_environment_sends_it_to_no_server(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CHROMA_API_IMPL", "chromadb.api.fastapi.FastAPI")
    monkeypatch.setenv("CHROMA_SERVER_HOST", "192.0.2.1")
    place.fill(5)
    index = place.index()
    with place.store.read() as unit:
        assert found(index, unit) == [0, 1, 2, 3, 4]
