"""Vectors beside the log, and the queue of records that have none yet, as tables (ports.Vectors).

A record leaves the queue in the transaction that stores its vectors, so a crash anywhere leaves it waiting. What was
erased or moved to another tier is written as a row without a vector: whoever keeps a copy follows `no` and drops it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence

from memstore.core.labels import Label
from memstore.ports import VectorCount, VectorRow, VectorState
from memstore.stores.sql import QUERIES, member


class VectorTables:
    """Vectors and their queue inside one transaction."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn

    def state(self) -> VectorState:
        row = self.conn.execute(QUERIES["embedding"]).fetchone()
        return VectorState(row["name"] or "", row["precision"] or "", row["generation"], row["last"])

    def adopt(self, model: str, precision: str) -> None:
        """Make this the store's model: what has no vectors of it yet waits, the rest is as it was."""
        self.conn.execute(QUERIES["put_model"], (model, precision))
        self.conn.execute(QUERIES["adopt_model"], {"name": model})
        self.conn.execute(QUERIES["empty_queue"])
        self.conn.execute(QUERIES["requeue"])

    def waiting(self, most: int) -> list[int]:
        """Positions of records that wait for vectors, higher tiers first, then the older."""
        return [row["record"] for row in self.conn.execute(QUERIES["queued"], (most,))]

    def put(self, record: int, model: str, passages: Sequence[bytes]) -> bool:
        """Store a record's vectors, one a passage; False where it waits no longer (erased, done by another)."""
        if not self.conn.execute(QUERIES["dequeue"], (record, model)).rowcount:
            return False
        self.conn.execute(QUERIES["forget_vectors"], (record,))
        rows = [(record, model, number, vector) for number, vector in enumerate(passages)]
        self.conn.executemany(QUERIES["put_vector"], rows)
        return True

    def since(self, no: int, scope: str, label: Label) -> Iterator[VectorRow]:
        """What became of a tier's vectors after row `no`, in order; a row without one: its record's have gone."""
        query = "vectors_since" if no else "vectors_of_tier"
        for row in self.conn.execute(QUERIES[query], {"no": no, "scope": scope, "label": label}):
            yield VectorRow(row["no"], row["record"], row["passage"], row["vector"])

    def of(self, records: Sequence[int]) -> Iterator[tuple[int, int, bytes]]:
        """(record, passage, vector) of these records, as far as they have any of the store's model."""
        yield from map(tuple, self.conn.execute(QUERIES["vectors_of"], (json.dumps(list(records)),)))

    def counted(self) -> list[VectorCount]:
        """Each scope and tier that has vectors of the store's model."""
        return [
            VectorCount(row["scope"], member(Label, row["label"], Label.UNTRUSTED), row["records"], row["vectors"])
            for row in self.conn.execute(QUERIES["count_vectors"])
        ]
