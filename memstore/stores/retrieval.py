"""Candidates for an answer: filters first, then rank, one tier at a time (T10).

Each call reads one tier's full-text table and that tier's records only, so nothing that stands lower can move a rank, a
count or a tie. The query's text is taken literally: every word is quoted before it reaches FTS5.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass, field

from memstore.core.labels import Label
from memstore.ports import Filter, Found, Share
from memstore.stores.projection import WORDS
from memstore.stores.sql import QUERIES

MAX_TERMS = 64
# A record is mostly looked for by what its title says: at 8, each of 98 decisions is in the first five for its title.
TITLE_WEIGHT = 8.0
_WORD = re.compile(r"\w+")


@dataclass(slots=True)
class _Where:
    """SQL conditions and their bound values, in step."""

    conditions: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, condition: str, *values: object) -> None:
        self.conditions.append(condition)
        self.values.extend(values)


def match_expression(query: str) -> str:
    """The words of a query as FTS5 strings joined by OR; "" if it has none."""
    words = dict.fromkeys(word.lower() for word in _WORD.findall(query))
    return " OR ".join(f'"{word}"' for word in list(words)[:MAX_TERMS])


_ALIVE = (
    "(r.expires_at IS NULL OR r.expires_at > ?) AND (r.kind <> 'hypothesis' OR EXISTS (SELECT 1 FROM sessions s"
    " JOIN leases l ON l.session = s.id WHERE s.id = r.session AND (s.ended_at IS NULL OR s.ended_at > ?)"
    " AND l.until > ?))"
)
_REPLACED = "(r.superseded_by IS NOT NULL AND r.superseded_by < ?)"


def _conditions(wanted: Filter, label: Label, share: Share) -> _Where:
    where = _Where()
    where.add("r.scope = ? AND r.label = ? AND r.erased = 0", wanted.scope, int(label))
    for condition, value in (
        ("r.task = ?", wanted.task),
        ("r.author = ?", wanted.author),
    ):
        if value:
            where.add(condition, value)
    for condition, bound in (
        ("r.seq < ?", wanted.before),
        ("r.seq > ?", wanted.since_seq),
        ("r.seq <= ?", wanted.until_seq),
        ("r.logged_at >= ?", wanted.since_at),
        ("r.logged_at <= ?", wanted.until_at),
    ):
        if bound is not None:
            where.add(condition, bound)
    if wanted.kinds:
        where.add(f"r.kind IN ({', '.join('?' * len(wanted.kinds))})", *wanted.kinds)
    for tag in wanted.tags:
        where.add("EXISTS (SELECT 1 FROM tags t WHERE t.tag = ? AND t.record = r.seq)", tag)
    _standing(where, wanted, share)
    return where


def _standing(where: _Where, wanted: Filter, share: Share) -> None:
    position = wanted.before if wanted.before is not None else 2**62
    alive = (wanted.now, wanted.now, wanted.now)
    if not wanted.include_superseded:
        where.add(f"NOT {_REPLACED}", position)
    match share:
        case Share.IN_FORCE:
            where.add(f"r.revoked = 0 AND r.suspect = 0 AND {_ALIVE}", *alive)
            if wanted.include_superseded:
                where.add(f"NOT {_REPLACED}", position)
        case Share.FALLEN:
            fallen = f"(r.revoked = 1 OR r.suspect = 1 OR {_REPLACED} OR NOT ({_ALIVE}))"
            where.add(fallen, position, *alive)
        case Share.ANY:
            pass


class RetrievalTables:
    """Candidates inside one transaction."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn

    def candidates(self, query: str, wanted: Filter, *, label: Label, share: Share, most: int) -> Found:
        """Up to `most` ids of one tier, by BM25 for a query, newest first without one; ties fall by id."""
        where = _conditions(wanted, label, share)
        if not query:
            source, order = "records r", "r.seq DESC"
        else:
            match = match_expression(query)
            if not match:
                return Found()
            words = WORDS[label]
            source = f"{words} JOIN records r ON r.seq = {words}.rowid"
            order = "score, r.id"
            where.conditions.insert(0, f"{words} MATCH ?")
            where.values.insert(0, match)
        score = f"bm25({WORDS[label]}, {TITLE_WEIGHT}, 1.0)" if query else "0"
        # The inner select ranks; count(*) OVER () counts what it ranked, in the same pass.
        sql = (
            f"SELECT id, count(*) OVER () AS total FROM (SELECT r.id, r.seq, {score} AS score FROM {source}"
            f" WHERE {' AND '.join(where.conditions)}) r ORDER BY {order} LIMIT ?"
        )
        rows = self.conn.execute(sql, (*where.values, most)).fetchall()
        return Found(tuple(row["id"] for row in rows), rows[0]["total"] if rows else 0)

    def timeline(
        self, scope: str, *, task: str, session: str, record: str, after: int, before: int, most: int
    ) -> list[int]:
        """Positions of what happened in a scope, in order: records, and starts and ends of sessions."""
        values = {"scope": scope, "task": task, "session": session, "record": record}
        bounds = {"after": after, "before": before, "most": most}
        return [row[0] for row in self.conn.execute(QUERIES["timeline"], {**values, **bounds})]
