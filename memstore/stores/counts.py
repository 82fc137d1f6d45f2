"""How much is in the tables, and whether they agree with one another (ports.Counts). It reads, and reads only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from memstore.core.labels import Label, Status
from memstore.ports import RecordCount, Sizes, WordGap
from memstore.stores.projection import WORDS
from memstore.stores.sql import QUERIES, member


class CountTables:
    """Counts inside one transaction, judged at its `now`."""

    def __init__(self, conn: sqlite3.Connection, now: int) -> None:
        self.conn = conn
        self.now = now

    def records(self) -> list[RecordCount]:
        rows = self.conn.execute(QUERIES["count_records"], {"now": self.now})
        return [
            RecordCount(
                str(row["kind"]), member(Label, row["label"], Label.UNTRUSTED), Status(row["status"]), row["records"]
            )
            for row in rows
        ]

    def rows(self) -> dict[str, int]:
        """Rows by what they are: erased, principals, contexts, tainted_contexts, disclosures, open_sessions,
        unembedded (records that wait for vectors)."""
        return dict(self.conn.execute(QUERIES["count_rows"], {"now": self.now, "tainted": Label.TAINTED}).fetchone())

    def words(self) -> Iterator[tuple[Label, WordGap]]:
        """Each tier with the difference between its records and its full-text table."""
        for label, table in WORDS.items():
            missing = f"SELECT seq FROM records WHERE label = :label AND erased = 0 EXCEPT SELECT rowid FROM {table}"
            surplus = f"SELECT rowid FROM {table} EXCEPT SELECT seq FROM records WHERE label = :label AND erased = 0"
            sql = f"SELECT (SELECT count(*) FROM ({missing})), (SELECT count(*) FROM ({surplus}))"
            yield label, WordGap(*self.conn.execute(sql, {"label": label}).fetchone())

    def sizes(self) -> Sizes:
        file = self.conn.execute("PRAGMA database_list").fetchone()["file"]
        found = [path.stat().st_size if path.is_file() else 0 for path in (Path(file), Path(f"{file}-wal"))]
        return Sizes(database=found[0], write_ahead_log=found[1])

    def clock_floor(self) -> int:
        return int(self.conn.execute(QUERIES["head"]).fetchone()["clock_floor"])

    def schema_version(self) -> int:
        return int(self.conn.execute("PRAGMA user_version").fetchone()[0])

    def damage(self) -> int:
        """How many faults SQLite finds in the file, a hundred at most; 0 for a sound one."""
        found = [row[0] for row in self.conn.execute("PRAGMA quick_check(100)")]
        return 0 if found == ["ok"] else len(found)
