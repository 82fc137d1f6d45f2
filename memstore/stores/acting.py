"""Which act is being carried out, so that what it changes of a record is kept as it stood until then (ADR 0055)."""

from __future__ import annotations

import sqlite3
from typing import Any

from memstore.stores.sql import QUERIES


class Acting:
    """The position of the entry that is being carried out; -1 before the first."""

    def __init__(self) -> None:
        self.seq = -1

    def keep(self, conn: sqlite3.Connection, query: str, named: dict[str, Any]) -> None:
        """Keep the records that `query` names as they stand; what the act has kept before stays as it is."""
        conn.execute(QUERIES[query], {"act": self.seq, **named})
