"""Stores to measure: filled through the one writer, a thousand records to a transaction, never by SQL.

Authors of every tier take turns, some records replace others and some tool results run out, so that an answer has
something in each of its sections.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.texts import Text, Words, real_texts
from memstore import admin
from memstore.config import DATABASE, NO_MODEL, embedding_of, init_store, open_house, open_store
from memstore.core.records import Content
from memstore.core.statements import Kind, Origin, Recorded, Role, Verification
from memstore.embedding import PRECISION
from memstore.ports import Embedder, Unit
from memstore.service import MemStore
from memstore.write import Author, Written, append

SCOPE = "main"
BATCH = 1000
LEAD, WORKER, READER, SCOUT = "lead", "worker", "reader", "scout"
TOOL = "probe"
START = 1_750_000_000_000_000
SECOND = 1_000_000
# Who writes which kind, in turns of twenty: 30 % trusted, 45 % attributed, 10 % tainted, 15 % untrusted.
TURNS = (
    *[(LEAD, Kind.DECISION)] * 6,
    *[(WORKER, Kind.FINDING)] * 8,
    (WORKER, Kind.TOOL_RESULT),
    *[(SCOUT, Kind.FINDING)] * 2,
    *[(SCOUT, Kind.EXTERNAL)] * 3,
)
REPLACES_EVERY = 50
# Vectors lie around those of so many real texts, at this distance before they are made of length 1: a cosine of 0.86.
CLUSTERS = 256
SPREAD = 0.6
VECTORS_AT_ONCE = 4000
# What of a text a centre is the vector of.
CENTRE_CHARACTERS = 160


class Clock:
    """Microseconds since 1970, moved by hand, so that two answers differ by what is in them and not by their age."""

    def __init__(self) -> None:
        self.micros = START

    def __call__(self) -> int:
        return self.micros


class Loaded:
    """A store in `folder` that can be filled; its agents are a lead, a worker, a reader and an open-world scout."""

    def __init__(self, folder: Path, *, seed: int = 1) -> None:
        self.folder = folder
        self.clock = Clock()
        init_store(folder, clock=self.clock)
        self.house = open_house(folder, clock=self.clock)
        admin.add_agent(self.house, LEAD, role=Role.LEAD)
        for name in (WORKER, READER):
            admin.add_agent(self.house, name, under=LEAD)
        admin.add_agent(self.house, SCOUT, under=LEAD, open_world=True)
        admin.add_tool(self.house, TOOL)
        self._seed = seed
        self.words = Words(seed)
        self.count = 0
        self.ids: list[str] = []
        self._texts = itertools.chain(real_texts(), self.words.texts())
        self._authors = {name: self._author(name) for name in (LEAD, WORKER, SCOUT)}
        self._latest: dict[str, str] = {}

    @property
    def database(self) -> Path:
        return self.folder / DATABASE

    def _author(self, name: str) -> Author:
        with self.house.store.write() as unit:
            unit.disclosures.open_context(f"load-{name}", principal=name, scope=SCOPE)
        return Author(self.house.keyring.load(name), f"load-{name}")

    def reader(self, name: str = READER, *, model: str | Embedder = NO_MODEL) -> MemStore:
        """The store as an agent opens it, in a context of its own; without a model, unless one is named."""
        return open_store(self.folder, agent=name, clock=self.clock, model=model, embeds_behind=False)

    def fill(self, upto: int, tell: Callable[[int], None] = lambda done: None) -> None:
        """Records of all tiers, until there are `upto`."""
        while self.count < upto:
            with self.house.store.write() as unit:
                for _ in range(min(BATCH, upto - self.count)):
                    author, kind = TURNS[self.count % len(TURNS)]
                    self._append(unit, author, kind, next(self._texts))
            tell(self.count)

    def add(self, count: int, *, author: str, kind: Kind) -> None:
        """So many more records, all of one author and kind."""
        for done in range(0, count, BATCH):
            with self.house.store.write() as unit:
                for _ in range(min(BATCH, count - done)):
                    self._append(unit, author, kind, next(self._texts))

    def _append(self, unit: Unit, author: str, kind: Kind, text: Text) -> Written:
        content, fields = self._said(author, kind, text)
        written = append(unit, self.house.key, self._authors[author], Recorded, fields, content)
        self.count += 1
        self.ids.append(written.id)
        if kind is Kind.FINDING:
            self._latest[author] = written.id
        return written

    def _said(self, author: str, kind: Kind, text: Text) -> tuple[Content, dict[str, Any]]:
        fields: dict[str, Any] = {"kind": kind, "scope": SCOPE, "task": f"task-{self.count % 40}", "session": ""}
        match kind:
            case Kind.EXTERNAL:
                uri = f"https://example.org/{self.count}"
                return Content(title=text.title, body=text.body, source=uri), {**fields, "origin": Origin.WEB}
            case Kind.TOOL_RESULT:
                content = Content(title=text.title, body=text.body, source=f"tool:{TOOL}")
                return content, {**fields, "origin": Origin.TOOL, "tool": TOOL, "ttl_seconds": 1}
            case Kind.DECISION:
                content = Content(title=text.title, rationale=text.body, alternatives=["none"], tags=["bench"])
                return content, {**fields, "origin": Origin.AGENT}
            case _:
                fields |= {"origin": Origin.AGENT, "verification": Verification.UNVERIFIED}
                if self.count % REPLACES_EVERY == REPLACES_EVERY // 2 and author in self._latest:
                    fields["supersedes"] = self._latest[author]
                return Content(title=text.title, body=text.body), fields

    def embed(self, embedder: Embedder, tell: Callable[[int], None] = lambda done: None) -> None:
        """A vector for every record that waits for one, made up near real ones, under the name of the real model.

        The centres are real vectors of such texts, so that a real question is near some of them as it would be.
        """
        import numpy as np

        texts = itertools.islice(Words(self._seed).texts(), CLUSTERS)
        centres = embedder.embed([f"{text.title}\n{text.body}"[:CENTRE_CHARACTERS] for text in texts])
        random = np.random.default_rng(self._seed)
        name = embedding_of(self.house.store, self.folder, embedder).model
        with self.house.store.write() as unit:
            if unit.vectors.state().model != name:
                unit.vectors.adopt(name, PRECISION)
        done = 0
        while True:
            with self.house.store.write() as unit:
                waiting = unit.vectors.waiting(VECTORS_AT_ONCE)
                if not waiting:
                    return
                noise = random.standard_normal((len(waiting), embedder.dimension), dtype=np.float32)
                noise *= SPREAD / np.sqrt(embedder.dimension)
                vectors = centres[random.integers(CLUSTERS, size=len(waiting))] + noise
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                for record, vector in zip(waiting, vectors.astype(np.float16), strict=True):
                    unit.vectors.put(record, name, [vector.tobytes()])
            done += len(waiting)
            tell(done)

    def queries(self, count: int) -> list[str]:
        """Six-term queries for texts like those that are here."""
        texts: Iterator[Text] = Words(seed=2).texts()
        return [self.words.query(text) for text in itertools.islice(texts, count)]

    def settle(self) -> None:
        """Everything in the database file, and all tool results run out."""
        self.clock.micros += 10 * SECOND
        with self.reader() as reader:
            reader.search("settle", limit=1)
        self.house.store.empty_write_ahead_log()

    def bytes(self) -> int:
        """What the database holds on disk, pages that wait to be used again apart."""
        conn = sqlite3.connect(self.database)
        size, pages, free = (
            conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
        )
        conn.close()
        return int(size * (pages - free))

    def close(self) -> None:
        self.house.store.close()
