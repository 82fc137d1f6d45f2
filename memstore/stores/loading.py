"""Rows of a log that lives elsewhere, as an imported file brings them: put beside one another, and judged by others.

It writes entries as they are and believes nothing: whoever loads has to check the root and to replay the log before the
transaction is committed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from memstore.core.entries import Logged
from memstore.core.merkle import Frontier
from memstore.ports import StoredContent
from memstore.stores.sql import QUERIES
from memstore.stores.sqlite import SqliteUnit

Shown = tuple[int, int, int, int, int, int, int]  # n, record, position, at, label, extent, stale


class Loading:
    """A transaction of a store that is allowed to load; the line of each entry is remembered while it stands."""

    def __init__(self, unit: SqliteUnit) -> None:
        self._unit = unit
        self._conn: sqlite3.Connection = unit.conn
        self._conn.execute("CREATE TEMP TABLE IF NOT EXISTS lines (seq INTEGER PRIMARY KEY, line INTEGER)")
        self._conn.execute("DELETE FROM lines")

    def put_context(self, launch: str, principal: str, scope: str) -> bool:
        """Whether it is new, or is here already just so."""
        row = self._conn.execute(QUERIES["context"], (launch,)).fetchone()
        if row is not None:
            return (row["principal"], row["scope"]) == (principal, scope)
        self._conn.execute(QUERIES["open_context"], (launch, principal, scope, bytes(32)))
        return True

    def put_shown(self, launch: str, shown: Shown) -> bool:
        """Whether it follows what its context was shown before, or is here already just so."""
        context = self._conn.execute(QUERIES["context"], (launch,)).fetchone()
        if context is None:
            return False
        last = self._conn.execute(QUERIES["last_shown"], (context["no"],)).fetchone()[0]
        if shown[0] <= last:
            row = self._conn.execute(QUERIES["shown_as"], (context["no"], shown[0])).fetchone()
            return row is not None and tuple(row) == shown
        if shown[0] != last + 1:
            return False
        self._conn.execute(QUERIES["put_disclosure"], (context["no"], *shown))
        return True

    def put_entry(self, logged: Logged, content: StoredContent | None, *, line: int) -> None:
        self._unit.log.append_entry(logged)
        if content is not None:
            self._unit.contents.put(logged.entry.seq, content)
        self._conn.execute("INSERT INTO lines (seq, line) VALUES (?, ?)", (logged.entry.seq, line))

    def line_of(self, seq: int) -> int:
        """The line that an entry came from; 0 for one that was here before."""
        row = self._conn.execute("SELECT line FROM lines WHERE seq = ?", (seq,)).fetchone()
        return int(row[0]) if row else 0

    def finish(self, frontier: Frontier, checkpoint: str, logged_at: int) -> None:
        """Set the head, for the replay that comes next; from now on this is a copy, which is not written."""
        self._unit.log.move_head(frontier, checkpoint, logged_at)
        self._conn.execute(QUERIES["mark_copied"])

    def forget_leaked(self) -> None:
        """What leaked is hidden for good by the replay; a copy drops it as well."""
        self._conn.execute(QUERIES["forget_leaked"])


def contexts(unit: SqliteUnit) -> Iterator[tuple[str, str, str]]:
    """(launch, principal, scope) of all contexts, in the order in which they were opened."""
    for row in unit.conn.execute(QUERIES["contexts"]):
        yield row["launch"], row["principal"], row["scope"]


def shown_from(unit: SqliteUnit, position: int) -> Iterator[tuple[str, Shown]]:
    """(launch, what it was shown) from a log position on, in the order in which a replay applies them."""
    for row in unit.conn.execute(QUERIES["shown_from"], (position,)):
        names = ("n", "record", "position", "at", "label", "detail", "stale")
        yield row["launch"], tuple(int(row[name]) for name in names)  # type: ignore[misc]


def hidden(unit: SqliteUnit) -> set[int]:
    """Positions of the records whose content leaked."""
    return {row[0] for row in unit.conn.execute(QUERIES["leaked"])}
