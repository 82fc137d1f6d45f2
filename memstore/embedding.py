"""The store's model as a process uses it: questions to vectors, and the queue of records to vectors (DESIGN 4.1, 4.3).

The first process that embeds says which model the store's vectors are of; one with another model neither adds to them
nor asks them, until the operator has everything embedded anew. One process at a time drains the queue, by a file lock
that a crash frees; a text is embedded outside any transaction and stored only if its record still waits.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from memstore.core.passages import RECIPE, passages
from memstore.core.records import Content
from memstore.errors import IntegrityError, MemStoreError
from memstore.ports import Embedder, Store, VectorState

if TYPE_CHECKING:
    from memstore.ports import Vector

PRECISION = "f16"
BATCH = 16
OFF = "off"
MOST_QUESTIONS = 256
LONGEST_WAIT = 60.0  # seconds for another process to end its batch and let the queue go
LOOKS_FOR_LOCK = 0.05
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for: its words and, where there is a model, its vector; else why there is none, as a code."""

    words: str
    vector: Vector | None = None
    without: str = ""
    generation: int = 0

    def asked_of(self, state: VectorState) -> Question:
        """The question to vectors as they are: without its own where the store's are of another model by now."""
        if self.vector is None or self.generation == state.generation:
            return self
        return replace(self, vector=None, without="other_model")


class Model:
    """An embedder under the name that stands beside its vectors, with the questions it was asked lately."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, Vector] = OrderedDict()

    @property
    def name(self) -> str:
        """The model's id and what of a record it is given; of two names no vectors are compared."""
        return f"{self._embedder.model_id}/{RECIPE}"

    def question(self, text: str) -> Vector:
        with self._lock:
            if text in self._asked:
                self._asked.move_to_end(text)
                return self._asked[text]
        vector: Vector = self._embedder.embed([text])[0]
        with self._lock:
            self._asked[text] = vector
            if len(self._asked) > MOST_QUESTIONS:
                self._asked.popitem(last=False)
        return vector

    def passage(self, text: str) -> bytes:
        """The vector of a passage, as it is stored: float16."""
        import numpy as np

        vector: bytes = self._embedder.embed([text])[0].astype(np.float16).tobytes()
        return vector


class Embedding:
    """The model of one open store, its questions and its queue; without one, `without` says why, as a code."""

    def __init__(self, store: Store, model: Model | None, *, lock: Path, refusal: MemStoreError | None = None) -> None:
        """`model` None: turned off, or (`refusal`) not to be had."""
        self._store = store
        self._model = model
        self._lock_file = lock
        self._refusal = refusal
        self.without = "" if model else refusal.code if refusal else OFF

    def question(self, words: str) -> Question:
        """The question of a search. A model that fails costs the vectors, never the answer."""
        words = words.strip()
        if self._model is None or self.without or not words:
            return Question(words, without=self.without)
        with self._store.read() as unit:
            state = unit.vectors.state()
        if state.model != self._model.name:
            return Question(words, without="other_model" if state.model else "no_vectors")
        try:
            return Question(words, self._model.question(words), generation=state.generation)
        except MemStoreError as error:
            self._give_up(error)
            return Question(words, without=error.code)

    def _give_up(self, error: MemStoreError) -> None:
        """Do without the model from now on: it costs the vectors, and is tried again by the next process."""
        self.without, self._refusal = error.code, error

    @property
    def model(self) -> str:
        """The name of this process's model; "" where there is none."""
        return self._model.name if self._model else ""

    def refusal(self) -> MemStoreError | None:
        """What the model says when it is asked for a vector, if that is a refusal; for whoever looks for its cause."""
        try:
            if self._model is not None:
                self._model.question("a word")
        except MemStoreError as error:
            self._give_up(error)
        return self._refusal

    def drain(
        self, *, anew: bool = False, until: Callable[[], bool] = lambda: False, progress: Progress | None = None
    ) -> int:
        """Embed what waits, until nothing does or `until` says so; how many records got vectors.

        None are embedded where another process does so already. `anew` waits for that one to end, and makes this
        process's model the store's: what has no vectors of it waits again. What was done stays done, so an interrupted
        call is gone on with by the next.
        """
        if self._model is None or self.without:
            return 0
        with self._held(waits=anew) as held:
            if not held or not self._adopted(self._model, anew=anew):
                return 0
            return self._drained(self._model, until, progress)

    def _drained(self, model: Model, until: Callable[[], bool], progress: Progress | None) -> int:
        with self._store.read() as unit:
            total = unit.counts.rows()["unembedded"] if progress else 0
        done = 0
        # The queue is asked again after each batch, so that what stands higher waits for a few texts at most.
        while batch := self._embedded(model, until):
            with self._store.write() as unit:
                done += sum(unit.vectors.put(record, model.name, vectors) for record, vectors in batch)
            if progress:
                progress(done, max(done, total))
        return done

    def _embedded(self, model: Model, until: Callable[[], bool]) -> list[tuple[int, list[bytes]]]:
        """The next records of the queue with their vectors: as many as have `BATCH` passages, or the one that has more.

        None where there is no time; a record that is not embedded to its end goes on waiting. What is damaged gets no
        vectors and waits no longer: it is quarantined when it is read, and `log verify` names it.
        """
        found: list[tuple[int, list[bytes]]] = []
        size = 0
        for record, texts in self._waiting():
            if found and size + len(texts) > BATCH:
                break
            vectors: list[bytes] = []
            for text in texts:
                if until():
                    return found
                try:
                    vectors.append(model.passage(text))
                except MemStoreError as error:
                    self._give_up(error)
                    return []
            found.append((record, vectors))
            size += len(texts)
        return found

    def _waiting(self) -> Iterator[tuple[int, list[str]]]:
        """The next records of the queue with their passages, the highest tier first; no passages of what is damaged."""
        with self._store.read() as unit:
            waiting = [(record, unit.contents.get(record)) for record in unit.vectors.waiting(BATCH)]
        for record, stored in waiting:
            try:
                yield record, passages(Content.parse(stored.content)) if stored else []
            except IntegrityError:
                yield record, []

    def _adopted(self, model: Model, *, anew: bool) -> bool:
        """Whether the store's vectors are of this model; the first model is taken on, another only if `anew`."""
        with self._store.read() as unit:
            state, waits = unit.vectors.state(), bool(unit.vectors.waiting(1))
        if state.model == model.name and not anew:
            return True
        if not anew and (state.model or not waits):
            return False
        with self._store.write() as unit:
            unit.vectors.adopt(model.name, PRECISION)
        return True

    @contextmanager
    def _held(self, *, waits: bool) -> Iterator[bool]:
        """Whether this process drains: by a lock that the system frees when its process ends, however that ends."""
        try:
            file = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # a folder that cannot be written: there is nothing to drain into either
            yield False
            return
        try:
            yield _taken(file, seconds=LONGEST_WAIT if waits else 0.0)
        finally:
            # Said, and not left to closing: a child that was forked meanwhile has the file open too.
            fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)


def _taken(file: int, *, seconds: float) -> bool:
    late = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= late:
                return False
            time.sleep(LOOKS_FOR_LOCK)
        except OSError:  # a file system without locks: then nobody drains
            return False


class Drainer:
    """A thread that drains the queue behind whoever writes; it starts at the first `wake` and stops with `close`."""

    LOOKS_AGAIN = 5.0  # seconds: for what another process left when it ended

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding
        self._woken = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def wake(self) -> None:
        """There may be something to embed."""
        if self._embedding.without or self._closed.is_set():
            return
        self._woken.set()
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                # A daemon, so that a store nobody closed holds no process up; and closed before the interpreter goes.
                self._thread = threading.Thread(target=self._run, name="memstore-drainer", daemon=True)
                atexit.register(self.close)
                self._thread.start()

    def close(self) -> None:
        """Stop after the text that is being embedded."""
        self._closed.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join()
        atexit.unregister(self.close)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._woken.wait(self.LOOKS_AGAIN)
            self._woken.clear()
            # A store that is full or busy is looked at again; what waits is lost by none of it.
            with suppress(MemStoreError):
                self._embedding.drain(until=self._closed.is_set)
            if self._embedding.without:
                return
