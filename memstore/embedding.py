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
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from memstore.core.passages import RECIPE, passages
from memstore.core.records import Content
from memstore.errors import MemStoreError
from memstore.ports import Embedder, Store, VectorState

if TYPE_CHECKING:
    from memstore.ports import Vector

PRECISION = "f16"
BATCH = 16
OFF = "off"
MOST_QUESTIONS = 256
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

    def passages(self, content: Content) -> list[bytes]:
        """The vectors of a record's passages, as they are stored: float16, in the order of the passages."""
        import numpy as np

        return [vector.astype(np.float16).tobytes() for vector in self._embedder.embed(passages(content))]


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
        if self._model is None or self.without or not words.strip():
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
        self, *, anew: bool = False, until: Callable[[], bool] = lambda: False, progress: Progress = lambda *_: None
    ) -> int:
        """Embed what waits, until nothing does or `until` says so; how many records got vectors.

        None are embedded where another process does so already. `anew` makes this process's model the store's: what has
        no vectors of it waits again. What was done stays done, so an interrupted call is gone on with by the next.
        """
        if self._model is None or self.without:
            return 0
        with self._held() as held:
            if not held:
                return 0
            return self._drained(self._model, anew=anew, until=until, progress=progress)

    def _drained(self, model: Model, *, anew: bool, until: Callable[[], bool], progress: Progress) -> int:
        if not self._adopted(model, anew=anew):
            return 0
        done = 0
        while not until():
            waiting = self._waiting()
            if not waiting:
                break
            vectors = self._embedded(model, waiting, until)
            if not vectors:
                break
            with self._store.write() as unit:
                done += sum(unit.vectors.put(record, model.name, found) for record, found in vectors)
            with self._store.read() as unit:
                progress(done, done + unit.counts.rows()["unembedded"])
        return done

    def _embedded(
        self, model: Model, waiting: list[tuple[int, Content]], until: Callable[[], bool]
    ) -> list[tuple[int, list[bytes]]]:
        """Each record with its vectors, as far as there is time; a model that fails is not asked again."""
        found = []
        for record, content in waiting:
            if until():
                break
            try:
                found.append((record, model.passages(content)))
            except MemStoreError as error:
                self._give_up(error)
                return []
        return found

    def _adopted(self, model: Model, *, anew: bool) -> bool:
        """Whether the store's vectors are of this model; the first model is taken on, another only if `anew`."""
        with self._store.read() as unit:
            state = unit.vectors.state()
            if state.model == model.name:
                return True
            if not anew and (state.model or not unit.vectors.waiting(1)):
                return False
        with self._store.write() as unit:
            unit.vectors.adopt(model.name, PRECISION)
        return True

    def _waiting(self) -> list[tuple[int, Content]]:
        """The next few records of the queue with what they say, the highest tier first."""
        with self._store.read() as unit:
            found = [(record, unit.contents.get(record)) for record in unit.vectors.waiting(BATCH)]
        return [(record, Content.parse(stored.content) if stored else Content()) for record, stored in found]

    @contextmanager
    def _held(self) -> Iterator[bool]:
        """Whether this process drains: by a lock that the system frees when its process ends, however that ends."""
        try:
            file = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # a folder that cannot be written: there is nothing to drain into either
            yield False
            return
        try:
            yield _taken(file)
        finally:
            os.close(file)


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
            if self._thread is None:
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
