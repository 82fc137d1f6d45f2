"""The log and the content beside it, as tables (ports.Log, ports.Contents).

Rows are handed out as they lie; whether they verify is for `memstore.serving` and `memstore.log` to find out.
"""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache

from memstore.core.entries import Entry, Logged
from memstore.core.labels import Cause, CauseCode, Label, SignatureState, Verdict
from memstore.core.merkle import Frontier
from memstore.core.statements import digest_of
from memstore.ports import Head, StoredContent
from memstore.stores.memo import Memo
from memstore.stores.sql import QUERIES, member, readable

HASH_BYTES = 32


@lru_cache(maxsize=1024)
def _verdict(label: object, because: str) -> Verdict:
    """What the entry says of itself; what cannot be read says the worst, which is not what was hashed (T12)."""
    try:
        causes = [Cause(CauseCode(c["code"]), Label.named(c["label"]), c.get("id", "")) for c in json.loads(because)]
        return Verdict(Label(label), tuple(causes))  # type: ignore[arg-type]  # what is no label raises
    except (ValueError, KeyError, TypeError, AttributeError):
        return Verdict(Label.UNTRUSTED)


def logged_from(row: sqlite3.Row) -> Logged:
    payload_type, payload = readable(row["payload_type"], ""), readable(row["payload"], b"")
    entry = Entry(
        seq=row["seq"],
        logged_at=readable(row["logged_at"], 0),
        payload_type=payload_type,
        digest=digest_of(payload_type, payload),
        keyid=readable(row["keyid"], ""),
        signature=member(SignatureState, row["signature_state"], SignatureState.INVALID),
        verdict=_verdict(row["label"], row["because"]),
        disclosures=readable(row["disclosures"], b""),
    )
    return Logged(entry, payload, readable(row["signature"], b""), readable(row["leaf"], b""))


def content_from(row: sqlite3.Row) -> StoredContent:
    """What is of another type than was written is not what was committed to, and reads as nothing."""
    return StoredContent(*(readable(row[name], b"") for name in ("salt", "content", "fingerprint")))


class LogTables:
    """The log inside one transaction."""

    def __init__(self, conn: sqlite3.Connection, memo: Memo) -> None:
        self.conn = conn
        self._memo = memo

    def head(self) -> Head:
        return self._memo.get("head", self._head)

    def _head(self) -> Head:
        row = self.conn.execute(QUERIES["head"]).fetchone()
        roots = row["frontier"]
        hashes = tuple(roots[i : i + 32] for i in range(0, len(roots), 32))
        return Head(
            row["id"],
            row["public_key"],
            Frontier(row["size"], hashes),
            row["checkpoint"],
            row["epoch"],
            bool(row["copied"]),
        )

    def append_entry(self, logged: Logged) -> None:
        entry = logged.entry
        because = json.dumps([cause.as_dict() for cause in entry.verdict.because])
        self.conn.execute(
            QUERIES["append_entry"],
            (
                entry.seq,
                entry.logged_at,
                entry.payload_type,
                logged.payload,
                entry.keyid,
                logged.signature,
                entry.signature,
                entry.verdict.label,
                because,
                entry.disclosures,
                logged.leaf,
            ),
        )

    def move_head(self, frontier: Frontier, checkpoint: str, logged_at: int) -> None:
        values = (frontier.size, b"".join(frontier.roots), checkpoint, logged_at)
        self.conn.execute(QUERIES["move_head"], values)

    def entry(self, seq: int) -> Logged | None:
        return self._memo.get(("entry", seq), lambda: self._entry(seq))

    def _entry(self, seq: int) -> Logged | None:
        row = self.conn.execute(QUERIES["entry"], (seq,)).fetchone()
        return logged_from(row) if row else None

    def entries(self, start: int = 0) -> Iterator[Logged]:
        return map(logged_from, self.conn.execute(QUERIES["entries_from"], (start,)))

    def leaves(self, size: int, start: int = 0) -> list[bytes]:
        """The leaves from position `start` up to a size of the log."""
        leaves = [readable(row[0], b"") for row in self.conn.execute(QUERIES["leaves"], (start, size))]
        return [leaf if len(leaf) == HASH_BYTES else bytes(HASH_BYTES) for leaf in leaves]

    def size_at(self, micros: int) -> int:
        """How many entries there were at that time, those of that very microsecond included."""
        # Halving, for no entry is logged before the one before it.
        entries = self.conn.execute(QUERIES["count_entries"]).fetchone()[0]
        return bisect_right(range(entries), micros, key=self._logged_at)

    def _logged_at(self, seq: int) -> int:
        row = self.conn.execute(QUERIES["logged_at"], (seq,)).fetchone()
        return readable(row["logged_at"], 0) if row else 0


class ContentTable:
    """Contents inside one transaction; an erased one is not there."""

    def __init__(self, conn: sqlite3.Connection, memo: Memo) -> None:
        self.conn = conn
        self._memo = memo

    def put(self, seq: int, stored: StoredContent) -> None:
        self.conn.execute(QUERIES["put_content"], (seq, stored.salt, stored.content, stored.fingerprint))

    def get(self, seq: int) -> StoredContent | None:
        return self._memo.get(("content", seq), lambda: self._get(seq))

    def _get(self, seq: int) -> StoredContent | None:
        row = self.conn.execute(QUERIES["content"], (seq,)).fetchone()
        return content_from(row) if row else None

    def twin(self, fingerprint: bytes) -> str:
        """The id of the newest record with this fingerprint of author, scope, task and content, or ""."""
        row = self.conn.execute(QUERIES["twin"], (fingerprint,)).fetchone()
        return row["id"] if row else ""
