"""The schema's history, applied by sqlite-utils; each step is an `.sql` file and runs once, in a transaction."""

from __future__ import annotations

import sqlite3

import sqlite_utils
from sqlite_utils.migrations import Migrations

from memstore.stores.projection import fill_words, want_folding
from memstore.stores.sql import migration

STEPS = (
    "0001_initial",
    "0002_vectors",
    "0003_trust",
    "0004_handoffs",
    "0005_handed_words",
    "0006_tokens",
    "0007_sessions",
    "0008_operations",
    "0009_former",
)
FILLS_WORDS = ("0002_vectors",)  # steps that leave the full-text tables empty
# Steps whose columns only the log can tell: whoever opens the store next folds it anew.
NEEDS_FOLDING = ("0003_trust", "0005_handed_words", "0009_former")


def migrate(conn: sqlite3.Connection, *, application_id: int, version: int) -> None:
    """Bring the schema to `version`; a crash between steps leaves a store that the next open goes on with."""
    conn.execute("PRAGMA journal_mode = WAL")
    steps = Migrations("memstore")
    for name in STEPS:
        steps(name=name)(_runner(name))
    steps.apply(sqlite_utils.Database(conn, execute_plugins=False))
    conn.execute(f"PRAGMA application_id = {application_id}")
    conn.execute(f"PRAGMA user_version = {version}")


def _runner(name: str):  # type: ignore[no-untyped-def]
    def run(db: sqlite_utils.Database) -> None:
        for statement in split_statements(migration(name)):
            db.execute(statement)
        if name in FILLS_WORDS:
            fill_words(db.conn)
        if name in NEEDS_FOLDING:
            want_folding(db.conn)

    run.__name__ = name
    return run


def split_statements(script: str) -> list[str]:
    """The statements of a script; `executescript` would commit the transaction that a step runs in."""
    found, buffer = [], ""
    for line in script.splitlines(keepends=True):
        buffer += line
        if sqlite3.complete_statement(buffer):
            found.append(buffer.strip())
            buffer = ""
    return [statement for statement in found if statement]
