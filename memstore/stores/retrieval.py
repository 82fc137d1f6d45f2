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
from memstore.stores.memo import Memo
from memstore.stores.projection import WORDS
from memstore.stores.sql import QUERIES

MAX_TERMS = 64
END_OF_LOG = 2**62
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
_BEST = (
    "SELECT * FROM (SELECT id, fallen, score, (SELECT count(*) FROM found WHERE fallen = {0}) AS total"
    " FROM found WHERE fallen = {0} ORDER BY score, id LIMIT ?)"
)


def _conditions(wanted: Filter, label: Label) -> _Where:
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
    if not wanted.include_superseded:
        where.add(f"NOT {_REPLACED}", _position(wanted))
    return where


def _position(wanted: Filter) -> int:
    return wanted.before if wanted.before is not None else END_OF_LOG


def _fallen(wanted: Filter, share: Share) -> tuple[str, tuple[object, ...]]:
    """The SQL for whether a record may not be served as it is, and its values; "0" where that makes no difference."""
    if share is Share.ANY:
        return "0", ()
    fallen = f"(r.revoked = 1 OR r.suspect = 1 OR r.retracted <> '' OR {_REPLACED} OR NOT ({_ALIVE}))"
    return fallen, (_position(wanted), wanted.now, wanted.now, wanted.now)


class RetrievalTables:
    """Candidates inside one transaction."""

    def __init__(self, conn: sqlite3.Connection, memo: Memo) -> None:
        self.conn = conn
        self._memo = memo

    def candidates(self, query: str, wanted: Filter, *, label: Label, share: Share, most: int) -> Found:
        """Up to `most` ids of one tier, by BM25 for a query, newest first without one; ties fall by id."""
        if not query:
            return self._newest(wanted, label=label, share=share, most=most)
        match = match_expression(query)
        if not match:
            return Found()
        # Ranking is what takes the time, and a search asks for both shares of a tier: one pass gives both.
        asked = ("ranking", match, wanted, label, most, share is Share.ANY)
        found = self._memo.get(asked, lambda: self._ranking(match, wanted, label=label, share=share, most=most))
        return found.get(share is Share.FALLEN, Found())

    def _newest(self, wanted: Filter, *, label: Label, share: Share, most: int) -> Found:
        where = _conditions(wanted, label)
        fallen, values = _fallen(wanted, share)
        where.add(fallen if share is Share.FALLEN else f"NOT {fallen}", *values)
        # The inner select finds; count(*) OVER () counts what it found, in the same pass.
        sql = (
            "SELECT id, count(*) OVER () AS total FROM (SELECT r.id, r.seq FROM records r"
            f" WHERE {' AND '.join(where.conditions)}) ORDER BY seq DESC LIMIT ?"
        )
        rows = self.conn.execute(sql, (*where.values, most)).fetchall()
        return Found(tuple(row["id"] for row in rows), rows[0]["total"] if rows else 0)

    def _ranking(self, match: str, wanted: Filter, *, label: Label, share: Share, most: int) -> dict[bool, Found]:
        """What matches, best first: what stands, and under True what has fallen."""
        where = _conditions(wanted, label)
        fallen, values = _fallen(wanted, share)
        words = WORDS[label]
        # CROSS JOIN: full text first. Left to itself, the planner goes through the records and matches each by itself.
        sql = (
            f"WITH found AS MATERIALIZED (SELECT r.id, {fallen} AS fallen, bm25({words}, {TITLE_WEIGHT}, 1.0) AS score"
            f" FROM {words} CROSS JOIN records r ON r.seq = {words}.rowid"
            f" WHERE {words} MATCH ? AND {' AND '.join(where.conditions)})"
            f" {_BEST.format(0)} UNION ALL {_BEST.format(1)} ORDER BY fallen, score, id"
        )
        rows = self.conn.execute(sql, (*values, match, *where.values, most, most)).fetchall()
        return {
            bool(part): Found(tuple(row["id"] for row in rows if row["fallen"] == part), total)
            for part, total in {row["fallen"]: row["total"] for row in rows}.items()
        }

    def timeline(
        self, scope: str, *, task: str, session: str, record: str, after: int, before: int, most: int
    ) -> list[int]:
        """Positions of what happened in a scope, in order: records, and starts and ends of sessions."""
        values = {"scope": scope, "task": task, "session": session, "record": record}
        bounds = {"after": after, "before": before, "most": most}
        return [row[0] for row in self.conn.execute(QUERIES["timeline"], {**values, **bounds})]
