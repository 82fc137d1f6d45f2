"""How much each principal may store and has stored, and what is old enough to go (ports.Quotas)."""

from __future__ import annotations

import sqlite3

from memstore.quota_ports import Quota
from memstore.stores.sql import QUERIES


class QuotaTables:
    """Quotas and what they are measured by, inside one transaction."""

    def __init__(self, conn: sqlite3.Connection, now: int) -> None:
        self.conn = conn
        self.now = now

    def quotas(self, principal: str = "") -> list[Quota]:
        return [Quota(*row) for row in self.conn.execute(QUERIES["quotas"], {"principal": principal})]

    def records_since(self, principal: str, since: int) -> int:
        """How many records of a principal were logged after a time, in microseconds since 1970 UTC."""
        return self._since("records_since", principal, since)

    def bytes_since(self, principal: str, since: int) -> int:
        """The bytes of what of these records is not erased."""
        return self._since("bytes_since", principal, since)

    def _since(self, query: str, principal: str, since: int) -> int:
        return int(self.conn.execute(QUERIES[query], {"principal": principal, "since": since}).fetchone()[0])

    def sessions_running(self, principal: str) -> int:
        asked = {"principal": principal, "now": self.now}
        return int(self.conn.execute(QUERIES["quota_sessions"], asked).fetchone()[0])

    def droppable(self, before: int, *, cited: bool, most: int) -> list[tuple[str, str, int]]:
        """(id, kind, bytes) of what is old enough to go, oldest first; `cited` takes what standing records name too."""
        asked = {"before": before, "cited": cited, "most": most}
        rows = self.conn.execute(QUERIES["dropped_by_age"], asked)
        return [(row["id"], row["kind"], row["bytes"]) for row in rows]

    def count_old(self, before: int) -> int:
        """How many records are old enough to go, cited or not."""
        return int(self.conn.execute(QUERIES["old_enough"], {"before": before}).fetchone()[0])


class RestorationTables:
    """Restorations, inside one transaction."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn

    def restored_at(self) -> int:
        """When the store was restored last, in microseconds since 1970 UTC; 0 for one that never was."""
        return int(self.conn.execute(QUERIES["restored_at"]).fetchone()[0])

    def lapse_leases(self) -> None:
        """Let all leases run out: whoever held one may have gone on where this store does not know of."""
        self.conn.execute(QUERIES["lapse_leases"])
        self.conn.execute(QUERIES["lapse_handoff_leases"])
