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

    def stored_since(self, principal: str, start: int) -> tuple[int, int]:
        """Records of a principal from log position `start` on, and the bytes of what of them is not erased."""
        row = self.conn.execute(QUERIES["stored_since"], {"principal": principal, "start": start}).fetchone()
        return row["records"], row["bytes"]

    def sessions_running(self, principal: str) -> int:
        asked = {"principal": principal, "now": self.now}
        return int(self.conn.execute(QUERIES["sessions_running"], asked).fetchone()[0])

    def droppable(self, before: int, *, cited: bool, most: int) -> list[tuple[str, str, int]]:
        """(id, kind, bytes) of what is old enough to go, oldest first; `cited` takes what standing records name too."""
        asked = {"before": before, "cited": cited, "most": most}
        rows = self.conn.execute(QUERIES["dropped_by_age"], asked)
        return [(row["id"], row["kind"], row["bytes"]) for row in rows]

    def restored_at(self) -> int:
        """When the store was restored last, in microseconds since 1970 UTC; 0 for one that never was."""
        return int(self.conn.execute(QUERIES["restored_at"]).fetchone()[0])

    def lapse_leases(self) -> None:
        """Let all leases run out: whoever held one may have gone on where this store does not know of."""
        self.conn.execute(QUERIES["lapse_leases"])
        self.conn.execute(QUERIES["lapse_handoff_leases"])

    def old(self, before: int) -> int:
        """How many records are old enough to go, cited or not."""
        return int(self.conn.execute(QUERIES["kept_for_citations"], {"before": before}).fetchone()[0])
