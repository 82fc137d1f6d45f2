"""What one transaction has read already, for as long as it stands.

A transaction sees one moment, so only its own writes change what it reads: any of them, and any that is taken back,
makes it read again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Answers of one transaction by what was asked: one act asks for the same few rows many times."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._changes = conn.total_changes
        self._known: dict[Hashable, Any] = {}
        self.hides = False  # whether something was taken away whose words have to leave the file

    def get(self, asked: Hashable, find: Callable[[], T]) -> T:
        if self._changes != self._conn.total_changes:
            self.forget()
        if asked not in self._known:
            self._known[asked] = find()
        found: T = self._known[asked]
        return found

    def put(self, asked: Hashable, answer: Any) -> None:
        """Keep an answer that was read together with others."""
        if self._changes != self._conn.total_changes:
            self.forget()
        self._known[asked] = answer

    def forget(self) -> None:
        """Read everything again: after a part of the transaction was undone, which counts as no change."""
        self._changes = self._conn.total_changes
        self._known.clear()
