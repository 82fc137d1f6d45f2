"""Floors: the least that any program would do for the same thing, with plain SQLite and plain signatures."""

from __future__ import annotations

import multiprocessing
import re
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from memstore.core.labels import Label
from memstore.core.statements import pre_authentication_encoding
from memstore.ports import Store
from memstore.stores.retrieval import WEIGHTS, match_expression

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memstore.ports import Vector

TIERS = ("trusted", "attributed", "tainted", "untrusted")
MOST = 9
# How many of the nearest a search asks for, of each part of a tier.
NEAREST = 100
# Context, number, record, position and time as SQLite stores small integers, three flags, and the row's header.
DISCLOSURE_BYTES = 3 + 2 + 3 + 3 + 8 + 3 + 9
Piece = tuple[Ed25519PublicKey, bytes, bytes]


@dataclass
class Told:
    """How long each act took, in milliseconds, and what went wrong."""

    taken: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def percentile(values: list[float], share: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)] if ordered else float("nan")


class BareStore:
    """One table in a file of its own, committed as ours is: WAL, synchronous=FULL."""

    def __init__(self, path: Path) -> None:
        self._conn = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._conn.execute("PRAGMA journal_mode = WAL")
        self._conn.execute("PRAGMA synchronous = FULL")
        self._conn.execute("CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, content BLOB)")

    def commit(self, content: bytes) -> None:
        self._conn.execute("INSERT INTO records (content) VALUES (?)", (content,))

    def commit_all(self, contents: list[bytes]) -> None:
        """Several in one transaction."""
        self._conn.execute("BEGIN IMMEDIATE")
        self._conn.executemany("INSERT INTO records (content) VALUES (?)", [(content,) for content in contents])
        self._conn.execute("COMMIT")

    def close(self) -> None:
        self._conn.close()


def commit_together(path: Path, *, processes: int, each: int, size: int) -> Told:
    """Bare commits to one file by several processes at once."""
    BareStore(path).close()
    spawn = multiprocessing.get_context("spawn")
    ready, answers = spawn.Barrier(processes), spawn.Queue()
    for number in range(processes):
        spawn.Process(target=_commit, args=(path, each, bytes([number]) * size, ready, answers)).start()
    told = Told()
    for _ in range(processes):
        told.taken += answers.get()
    return told


def _commit(path: Path, each: int, content: bytes, ready: Barrier, answers: multiprocessing.Queue[list[float]]) -> None:
    bare = BareStore(path)
    times: list[float] = []
    ready.wait()
    for _ in range(each):
        start = time.perf_counter()
        bare.commit(content)
        times.append((time.perf_counter() - start) * 1000)
    answers.put(times)
    bare.close()


class BareSearch:
    """The full-text tables of a store, asked directly: what matches, best first, nothing checked."""

    def __init__(self, path: Path) -> None:
        self._conn = sqlite3.connect(path, isolation_level=None)

    def search(self, query: str) -> list[int]:
        return [row[0] for tier in TIERS for row in self._ranked(tier, match_expression(query))]

    def _ranked(self, tier: str, match: str) -> Iterable[tuple[int]]:
        words, weighted = f"words_{tier}", f"rank MATCH 'bm25({WEIGHTS})'"
        sql = f"SELECT rowid FROM {words} WHERE {words} MATCH ? AND {weighted} ORDER BY rank LIMIT {MOST}"
        return self._conn.execute(sql, (match,)).fetchall()

    def matches(self, query: str) -> int:
        """How many records match, in all tiers."""
        counts = (f"(SELECT count(*) FROM words_{tier} WHERE words_{tier} MATCH :match)" for tier in TIERS)
        found = self._conn.execute(f"SELECT {' + '.join(counts)}", {"match": match_expression(query)})
        return int(found.fetchone()[0])

    def mark(self) -> int:
        return int(self._conn.execute("SELECT mark FROM contexts WHERE launch = 'shown'").fetchone()[0])

    def close(self) -> None:
        self._conn.close()


class BareScan:
    """The vectors of a store as a matrix a tier: every cosine, and the best of them."""

    def __init__(self, store: Store, scope: str) -> None:
        import numpy as np

        self._tiers: list[Vector] = []
        with store.read() as unit:
            for label in Label:
                rows = [row.vector for row in unit.vectors.since(0, scope, label) if row.vector is not None]
                if rows:
                    stored = np.frombuffer(b"".join(rows), dtype=np.float16)
                    self._tiers.append(stored.reshape(len(rows), -1).astype(np.float32))

    @property
    def count(self) -> int:
        return sum(len(tier) for tier in self._tiers)

    def scan(self, vector: Vector) -> list[NDArray[np.intp]]:
        """Places of each tier's nearest, in no order."""
        import numpy as np

        # Not by `@`: BLAS spreads it over all cores, and on busy ones waits a hundred times as long for them.
        cosines = [np.einsum("ij,j->i", tier, vector) for tier in self._tiers]
        return [np.argpartition(-found, min(NEAREST, len(found) - 1))[:NEAREST] for found in cosines]


class PlainText:
    """Plain full text over titles and texts, as the published data's README has it: FTS5, porter, terms OR-ed."""

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        self._conn = sqlite3.connect(":memory:")
        self._conn.execute("CREATE VIRTUAL TABLE plain USING fts5(title, body, tokenize = 'porter unicode61')")
        lines = ((number, *row) for number, row in enumerate(rows))
        self._conn.executemany("INSERT INTO plain (rowid, title, body) VALUES (?, ?, ?)", lines)

    def ranked(self, query: str) -> list[int]:
        """Numbers of all rows that hold a word of the query, best first."""
        words = dict.fromkeys(word.lower() for word in re.findall(r"\w+", query))
        match = " OR ".join(f'"{word}"' for word in words)
        found = self._conn.execute("SELECT rowid FROM plain WHERE plain MATCH ? ORDER BY bm25(plain), rowid", (match,))
        return [row[0] for row in found]


class Signatures:
    """The signatures of a log by themselves: keys loaded, messages made, so that only verifying is left."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.read() as unit:
            found = [key for one in unit.registry.principals() for key in unit.registry.keys_of(one.name)]
        self._keys = {key.keyid: Ed25519PublicKey.from_public_bytes(key.public) for key in found}

    def pieces(self, start: int, count: int) -> list[Piece]:
        made: list[Piece] = []
        with self._store.read() as unit:
            for logged in unit.log.entries(start):
                if len(made) == count:
                    break
                entry = logged.entry
                message = pre_authentication_encoding(entry.payload_type, logged.payload)
                made.append((self._keys[entry.keyid], logged.signature, message))
        return made

    @staticmethod
    def verify(pieces: list[Piece]) -> None:
        for key, signature, message in pieces:
            key.verify(signature, message)
