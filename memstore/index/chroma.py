"""The approximate index: Chroma for tiers too big to scan, the exact index for all else (DESIGN 4.1, 5).

One process at a time keeps a folder of it, in step with the store and made anew from the store alone. It only proposes;
whatever befalls the folder or chromadb costs speed, never an answer, and `problem` says what it was, as a code. It
never filters in Chroma, asks it for no count (that can crash on damage), and clears the disk only by `forget`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from memstore.core.labels import Label
from memstore.index.exact import DIGITS, ExactIndex, cosines
from memstore.index.sizes import Sizes, Tier
from memstore.ports import Filter, Near, Share, Unit, VectorRow, VectorState

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

    from memstore.ports import Vector

LOCK = "lock"
# Raised whenever what a collection holds changes: one of another format is made anew.
FORMAT = 1
# The inner product, which is the very number that the exact index gives: all vectors are of length 1.
CONFIGURATION: Any = {"hnsw": {"space": "ip"}}
# Elements written at once: few, because chromadb lets no other thread of the process run meanwhile.
BATCH = 100
# Up to so many rows a question waits for; more are written behind it.
LAG = 1000
# Up to so many records are read from the store and compared one by one: what a filter leaves of a tier.
FEW = 5000
# Elements asked for beyond which a scan is the quicker answer.
MOST_ELEMENTS = 20_000
# By how much a cosine of Chroma's may differ from that of the store's own vector.
TOLERANCE = 1e-4
# How many of its own vectors a copy is tried with, and the part of them that it has to find: it is approximate.
PROBES, MUST_FIND = 32, 0.8

Answer = TypeVar("Answer")


class ChromaIndex:
    """Tiers of more than `big` vectors by Chroma in `folder`, all others exactly; safe to use from several threads.

    What a tier lacks is written before it is asked; much of it behind, and meanwhile the tier is scanned.
    """

    def __init__(self, folder: Path, *, big: int = 50_000) -> None:
        self.problem = ""
        self._exact = ExactIndex()
        self._sizes = Sizes(big)
        self._folder = _Folder(folder)
        self._copies: dict[Tier, _Copy] = {}
        self._lock = threading.Lock()
        self._filler: threading.Thread | None = None
        self._stopped = threading.Event()

    def nearest(
        self, unit: Unit, scope: str, label: Label, vector: Vector, *, most: int, among: Sequence[int] | None = None
    ) -> list[Near]:
        state, tier = unit.vectors.state(), (scope, label)
        if self._sizes.is_big(unit, state, tier):
            if among is not None and len(among) <= FEW:
                return _compared(unit, tier, vector, most=most, among=among)
            found = self._proposed(unit, state, tier, vector, most, among)
            if found is not None:
                return found
        return self._exact.nearest(unit, scope, label, vector, most=most, among=among)

    def plan(self, unit: Unit, scope: str, label: Label) -> str:
        """What a question to this tier would be answered by now, "chroma" or "exact"; a big one is opened to know."""
        state, tier = unit.vectors.state(), (scope, label)
        with self._lock:
            big = self._sizes.is_big(unit, state, tier)
            return "chroma" if big and self._in_step(unit, state, tier) else "exact"

    def settle(self) -> None:
        """Wait for what is being written behind."""
        with self._lock:
            filler = self._filler
        if filler is not None:
            filler.join()

    def forget(self) -> None:
        """Drop what the folder holds; it is made anew from the store by the questions that follow. Clears `problem`."""
        self._stopped.set()
        self.settle()
        with self._lock:
            self._copies.clear()
            self.problem = ""
            self._tried("cannot_write", self._folder.clear)
        self._stopped.clear()

    def close(self) -> None:
        """Free the folder for another process. A question that comes later is answered exactly."""
        self._stopped.set()
        self.settle()
        with self._lock:
            self.problem = self.problem or "closed"
            self._copies.clear()
            self._tried("cannot_close", self._folder.close)
        self._exact.close()

    def _proposed(
        self, unit: Unit, state: VectorState, tier: Tier, vector: Vector, most: int, among: Sequence[int] | None
    ) -> list[Near] | None:
        """What Chroma answers; None where it cannot, or not in full."""
        allowed = None if among is None else frozenset(among)
        with self._lock:
            copy = self._in_step(unit, state, tier)
            if copy is None or copy.mark.dimension not in (0, vector.size):
                return None
            whole = self._sizes.vectors
            found = self._tried(
                "cannot_read", lambda: copy.nearest(vector, most, allowed, lambda: whole(unit, state, tier))
            )
            if found is None or (found and not self._agrees(unit, state, copy, vector, found)):
                return None
        # A graph may hold elements that no path leads to: what is missing is read exactly.
        if len(found) < most and (among is not None or len(found) < self._sizes.records(unit, state, tier)):
            return None
        return found

    def _in_step(self, unit: Unit, state: VectorState, tier: Tier) -> _Copy | None:
        """The tier's copy, at least as new as `state`; None where there is none that can be asked."""
        if not self.problem and not self._folder.is_ours:
            self._fail("gone")
        # While one is written behind none is asked or written: Chroma does one thing at a time.
        if self.problem or (self._filler is not None and self._filler.is_alive()):
            return None
        copy = self._copies.get(tier)
        if copy is None or state.generation > copy.mark.generation:
            # The store's own name: another store in the same place has the same numbers for other things.
            wanted = _Mark(unit.log.head().store, state.model, state.generation, state.last)
            copy = self._tried("cannot_open", lambda: self._folder.copy(_name(tier), wanted))
            if copy is None:
                return None
            self._copies[tier] = copy
        # A unit of before a change of model is not for this copy; one that is merely older is: the store disposes.
        if state.generation != copy.mark.generation:
            return None
        if state.last > copy.mark.last:
            rows = list(unit.vectors.since(copy.mark.last, *tier))
            if not self._followed(copy, rows, state.last):
                return None
        return copy if copy.is_sound or self._is_sound(unit, copy, tier) else None

    def _followed(self, copy: _Copy, rows: list[VectorRow], last: int) -> bool:
        if len(rows) <= LAG:
            return bool(self._tried("cannot_write", lambda: copy.follow(rows, last, lambda _: False)))
        if not self._stopped.is_set():
            # Minutes for a tier of 100,000: nobody waits for it, and all others have half of the time.
            writing = ("cannot_write", lambda: copy.follow(rows, last, self._stopped.wait))
            self._filler = threading.Thread(target=self._tried, args=writing, name="memstore-chroma", daemon=True)
            self._filler.start()
        return False

    def _is_sound(self, unit: Unit, copy: _Copy, tier: Tier) -> bool:
        """Whether a copy that another process left finds some of the tier by their own vectors.

        Without its graph Chroma gives, and without an error, the nearest of the few that it has not put into one.
        """
        stored = [row.vector for row in unit.vectors.since(0, *tier) if row.vector is not None]
        some = [_vectors([one])[0] for one in stored[:: len(stored) // PROBES + 1]]
        found = self._tried("cannot_read", lambda: [copy.given(vector, 1) for vector in some]) or []
        least = [float(vector @ vector) - TOLERANCE for vector in some]
        hits = [near for near, one in zip(found, least, strict=False) if near and near[0].similarity >= one]
        copy.is_sound = len(hits) >= MUST_FIND * len(some)
        if not copy.is_sound:
            self._fail("wrong_answer")
        return copy.is_sound

    def _agrees(self, unit: Unit, state: VectorState, copy: _Copy, vector: Vector, found: list[Near]) -> bool:
        """Whether the store's own vectors of the first and the last say the same; a damaged file may say anything."""
        for near in (found[0], found[-1]):
            own = [data for _, passage, data in unit.vectors.of([near.record]) if passage == near.passage]
            # A unit that is older than the copy does not know all of it.
            known = own or state.last == copy.mark.last
            if known and not (own and abs(float(_cosines(own, vector)[0]) - near.similarity) <= TOLERANCE):
                self._fail("wrong_answer")
                return False
        return True

    def _tried(self, code: str, act: Callable[[], Answer]) -> Answer | None:
        """What `act` gives; None if anything goes wrong in it, and Chroma is asked no more."""
        try:
            return act()
        except (KeyboardInterrupt, SystemExit):
            raise
        except _InUse:
            self._fail("in_use")
        # What chromadb raises is nowhere closed: its own errors, those of pydantic, SQLite and the system, and panics
        # of Rust, which are no `Exception`. None of it may cost an answer.
        except BaseException:  # noqa: BLE001
            self._fail(code)
        return None

    def _fail(self, code: str) -> None:
        self.problem = self.problem or code


class _InUse(Exception):
    """Another process has the folder."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """What a collection holds: vectors of this store and model, up to row `last`. It stands beside it, durably."""

    store: str
    model: str
    generation: int
    last: int
    dimension: int = 0
    format: int = FORMAT

    def continued(self, held: dict[str, Any]) -> _Mark | None:
        """The mark that stands beside a collection, if from there it can be followed to here."""
        found = replace(self, last=held.get("last", 0), dimension=held.get("dimension", 0))
        # One that is ahead of the store when it is opened was made from a store that has since been put back.
        return found if asdict(found) == held and found.last <= self.last else None


class _Copy:
    """A tier's collection: an element for each passage. Every method but the first may fail as chromadb does."""

    def __init__(self, collection: Collection, mark: _Mark) -> None:
        self.mark = mark
        self.is_sound = not mark.last
        self._collection = collection

    def follow(self, rows: list[VectorRow], last: int, rest: Callable[[float], bool]) -> bool:
        """Take in what became of the tier since `mark.last`; False, and nothing counts as done, if `rest` says to stop.

        It is given the seconds that each batch took. The position comes after the elements: a crash between the two
        repeats them, and they are then the same.
        """
        left = {row.record: row.no for row in rows if row.vector is None}
        for at in range(0, len(left), LAG):
            where: Any = {"record": {"$in": list(left)[at : at + LAG]}}
            self._collection.delete(where=where)
        # A record that left and came back has rows after the one that says it left.
        fresh = [row for row in rows if row.vector is not None and row.no > left.get(row.record, 0)]
        for at in range(0, len(fresh), BATCH):
            began = time.monotonic()
            self._put(fresh[at : at + BATCH])
            if rest(time.monotonic() - began):
                return False
        mark = replace(self.mark, last=last)
        # What was nothing of this tier's is read again by the next process; a little of it costs less than a write.
        if rows or last - self.mark.last >= LAG:
            self._collection.modify(metadata=asdict(mark))
        self.mark = mark
        return True

    def _put(self, rows: list[VectorRow]) -> None:
        vectors = _vectors([row.vector or b"" for row in rows])
        self.mark = replace(self.mark, dimension=vectors.shape[1])
        self._collection.upsert(
            ids=[f"{row.record}.{row.passage}" for row in rows],
            embeddings=vectors,
            metadatas=[{"record": row.record} for row in rows],
        )

    def nearest(
        self, vector: Vector, most: int, allowed: frozenset[int] | None, whole: Callable[[], int]
    ) -> list[Near] | None:
        """The nearest records; fewer than `most` if it gives no more, None if more would have to be seen.

        `whole` counts the elements of the tier: it is asked only where Chroma gave less than it was asked for.
        """
        elements = 2 * most
        while self.mark.dimension and most:
            given = self.given(vector, elements)
            found = _best((near for near in given if allowed is None or near.record in allowed), most)
            # What ties with the last one has to be there too, or the cut would be by chance.
            if len(found) == most and found[-1].similarity > given[-1].similarity:
                return found
            # Among many that are alike the graph falls apart, and gives some of them only.
            if len(given) < elements:
                return found if len(found) < most or len(given) >= whole() else None
            elements *= 4
            if elements > MOST_ELEMENTS:
                return None
        return []

    def given(self, vector: Vector, elements: int) -> list[Near]:
        """Its nearest elements, best first."""
        import numpy as np

        asked = vector.reshape(1, -1)
        answer = self._collection.query(query_embeddings=asked, n_results=elements, include=["distances"])
        similar = np.round(1 - np.array((answer["distances"] or [[]])[0], dtype=np.float32), DIGITS)
        named = [name.split(".") for name in answer["ids"][0]]
        return [Near(int(one[0]), int(one[1]), float(cosine)) for one, cosine in zip(named, similar, strict=True)]


class _Folder:
    """Chroma's folder while this process has it: the lock, the client, the collections."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = -1
        self._client: Client | None = None

    @property
    def is_ours(self) -> bool:
        """False once a folder that was opened has been taken away, or another put in its place."""
        try:
            return self._lock < 0 or os.path.samestat(os.fstat(self._lock), os.stat(self._path / LOCK))
        except OSError:
            return False

    def copy(self, name: str, wanted: _Mark) -> _Copy:
        """A collection that can be followed to `wanted`: as it is if it can be gone on with, else an empty one."""
        if self._lock < 0:
            self._take()
        client = self._client = self._client or _client(str(self._path))
        collection = client.get_or_create_collection(name, configuration=CONFIGURATION, embedding_function=None)
        mark = wanted.continued(dict(collection.metadata or {}))
        if mark is not None:
            return _Copy(collection, mark)
        # Also one that was not written to its end: what has gone since would stay in it.
        client.delete_collection(name)
        collection = client.create_collection(name, configuration=CONFIGURATION, embedding_function=None)
        return _Copy(collection, replace(wanted, last=0))

    def _take(self) -> None:
        """Have the folder alone: by a lock that the system frees when its process ends, however it ends."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise _InUse from None
        self._lock = file

    def clear(self) -> None:
        """Remove all but the lock, if the folder is to be had."""
        self.close()
        self._take()
        for path in {*self._path.iterdir()} - {self._path / LOCK}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def close(self) -> None:
        client, self._client = self._client, None
        try:
            if client is not None:
                client.close()
        finally:
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1


def _client(path: str) -> Client:
    """A client of this folder and of no server, whatever the environment says of Chroma."""
    import chromadb
    from chromadb.config import Settings

    settings = Settings(
        anonymized_telemetry=False,
        chroma_api_impl="chromadb.api.rust.RustBindingsAPI",
        chroma_otel_collection_endpoint="",
    )
    try:
        return cast("Client", chromadb.PersistentClient(path, settings))
    except BaseException:
        _uncached(path)
        raise


def _uncached(path: str) -> None:
    """Make chromadb forget a folder: what failed to open stays among its clients, and would be given out again."""
    from chromadb.api.shared_system_client import SharedSystemClient

    SharedSystemClient._identifier_to_system.pop(path, None)
    SharedSystemClient._identifier_to_refcount.pop(path, None)


def _name(tier: Tier) -> str:
    """A collection's name, which says nothing of the scope."""
    return "t-" + hashlib.sha256(f"{tier[0]}\0{int(tier[1])}".encode()).hexdigest()[:40]


def _compared(unit: Unit, tier: Tier, vector: Vector, *, most: int, among: Sequence[int]) -> list[Near]:
    """The nearest of a few records, by the store's own vectors; of those that are of this tier."""
    every = Filter(scope=tier[0], now=unit.now, include_superseded=True)
    inside = unit.retrieval.allowed(among, every, label=tier[1], share=Share.ANY)
    rows = list(unit.vectors.of(sorted(inside)))
    similar = _cosines([data for _, _, data in rows], vector)
    return _best((Near(row[0], row[1], float(one)) for row, one in zip(rows, similar, strict=True)), most)


def _best(given: Iterable[Near], most: int) -> list[Near]:
    """The best passage of each of the `most` best records; ties by position, which is the order of the log."""
    found: dict[int, Near] = {}
    for near in sorted(given, key=lambda near: (-near.similarity, near.record, near.passage)):
        found.setdefault(near.record, near)
    return list(found.values())[:most]


def _vectors(stored: Sequence[bytes]) -> Vector:
    import numpy as np

    return np.frombuffer(b"".join(stored), dtype=np.float16).reshape(len(stored), -1).astype(np.float32)


def _cosines(stored: Sequence[bytes], vector: Vector) -> Vector:
    import numpy as np

    return np.round(cosines(_vectors(stored), vector), DIGITS) if stored else np.empty(0, dtype=np.float32)
