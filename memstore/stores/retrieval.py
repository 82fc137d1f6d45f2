"""Candidates for an answer: filters first, then rank, one tier at a time (T10).

Each call reads one tier's full-text table and that tier's records only, so nothing that stands lower can move a rank, a
count or a tie. The query's text is taken literally: every word is quoted before it reaches FTS5.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from memstore.core.labels import Label
from memstore.core.trust import END_OF_LOG
from memstore.ports import Filter, Found, Match, Matches, Share
from memstore.stores.memo import Memo
from memstore.stores.projection import WORDS
from memstore.stores.sql import QUERIES

MAX_TERMS = 64
# How much a word in the title, in the beginning of the text, and in the text counts (ADR 0017).
WEIGHTS = "8.0, 4.0, 1.0"
_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+(?:\.\w+)*")
_CAMEL = re.compile(r"[a-z][A-Z]|[A-Z]{2}")
# Ties are read on to their end; beyond this many matches it is quicker to rank all that pass the filter.
DEEPEST = 4000


_BEST = (
    "SELECT * FROM (SELECT seq, id, fallen, score, (SELECT count(*) FROM found WHERE fallen = {0}) AS total"
    " FROM found WHERE fallen = {0} ORDER BY score, id LIMIT ?)"
)


@dataclass(slots=True)
class _Where:
    """SQL conditions and their bound values, in step."""

    conditions: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, condition: str, *values: object) -> None:
        self.conditions.append(condition)
        self.values.extend(values)


@lru_cache(maxsize=64)
def match_expression(query: str) -> str:
    """The words of a query as FTS5 strings joined by OR; "" if it has none.

    What looks like an identifier stands twice, which counts it twice: who names one wants it, among all other words.
    """
    words = list(dict.fromkeys(word.lower() for word in _WORD.findall(query)))[:MAX_TERMS]
    named = list(dict.fromkeys(token.lower() for token in _TOKEN.findall(query) if _is_identifier(token)))[:MAX_TERMS]
    return " OR ".join(f'"{word}"' for word in [*words, *named])


def _is_identifier(token: str) -> bool:
    """Whether it looks like a name that somebody gave: foo.bar, foo_bar, fooBar, HTTPError, x86, 484."""
    digits = sum(character.isdigit() for character in token)
    mixed = 0 < digits < len(token)
    return "." in token or "_" in token or mixed or digits > 2 or _CAMEL.search(token) is not None


_ALIVE = (
    "(r.expires_at IS NULL OR r.expires_at > ?) AND (r.kind <> 'hypothesis' OR EXISTS (SELECT 1 FROM sessions s"
    " JOIN leases l ON l.session = s.id WHERE s.id = r.session AND (s.ended_at IS NULL OR s.ended_at > ?"
    " OR s.ended_seq >= ?) AND l.until > ?))"
)
_REPLACED = "r.superseded_by IS NOT NULL"
# ADR 0055: records as they stood at a size of the log; what no act has changed since stands as it does now.
_STOOD = (
    "(SELECT {columns} FROM records n WHERE n.seq NOT IN (SELECT record FROM former WHERE act >= {before})"
    " UNION ALL SELECT {then} FROM former f JOIN records n ON n.seq = f.record WHERE f.act >= {before}"
    " AND f.act = (SELECT min(g.act) FROM former g WHERE g.record = f.record AND g.act >= {before}))"
)
# The same for records that are come to by their position, one at a time.
_STOOD_AT = (
    "records r ON r.seq = {seq} LEFT JOIN former f ON f.record = r.seq"
    " AND f.act = (SELECT min(g.act) FROM former g WHERE g.record = r.seq AND g.act >= {before})"
)
_LASTING = ("seq", "id", "kind", "author", "scope", "task", "session", "logged_at", "expires_at", "erased")
_CHANGING = ("label", "superseded_by", "revoked", "suspect", "retracted")
_CHANGED = re.compile(rf"\br\.({'|'.join(_CHANGING)})\b")
# What may have fallen, or may fall by itself: all others stand. As the partial index `records_odd` has it.
_ODD = (
    "(r.revoked = 1 OR r.suspect = 1 OR r.retracted <> '' OR r.superseded_by IS NOT NULL OR r.expires_at IS NOT NULL"
    " OR r.kind = 'hypothesis')"
)


# ADR 0035: what was phrased in a handoff stands outside it while somebody may act, or has acted, on that.
_SAYABLE = (
    "(r.seq NOT IN (SELECT p.record FROM phrased p) OR EXISTS (SELECT 1 FROM phrased p JOIN handoffs h"
    " ON h.seq = p.handoff WHERE p.record = r.seq AND p.gate = 0 AND h.seq < ? AND NOT (h.gated = 1 AND h.decided >= ?)"
    " AND (h.stage IN ('accepted', 'completed', 'failed')"
    " OR (h.stage IN ('offered', 'clarification_requested') AND (h.deadline = 0 OR h.deadline > ? OR h.fallback <> '')"
    "))))"
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
    where.add(_SAYABLE, _position(wanted), _position(wanted), wanted.now)
    if wanted.unanswered:
        where.add("r.answered_by IS NULL")
    if wanted.kinds:
        where.add(f"r.kind IN ({', '.join('?' * len(wanted.kinds))})", *wanted.kinds)
    for tag in wanted.tags:
        where.add("EXISTS (SELECT 1 FROM tags t WHERE t.tag = ? AND t.record = r.seq)", tag)
    if not wanted.include_superseded:
        where.add(f"NOT ({_REPLACED})")
    return where


def _records(wanted: Filter) -> str:
    """The records to choose from: as they are, or as they stood at the moment looked back to."""
    if wanted.before is None:
        return "records"
    columns = ", ".join(f"n.{name}" for name in (*_LASTING, *_CHANGING))
    then = ", ".join([*(f"n.{name}" for name in _LASTING), *(f"f.{name}" for name in _CHANGING)])
    return _STOOD.format(columns=columns, then=then, before=int(wanted.before))


def _at(wanted: Filter, seq: str) -> str:
    """The record at a position that another table gives, to be joined; see `_then`."""
    if wanted.before is None:
        return f"records r ON r.seq = {seq}"
    return _STOOD_AT.format(seq=seq, before=int(wanted.before))


def _then(wanted: Filter, sql: str) -> str:
    """Conditions on a record that was joined by `_at`, of how it stood at the moment looked back to."""
    return sql if wanted.before is None else _CHANGED.sub(r"iif(f.act IS NULL, r.\1, f.\1)", sql)


def _hits_then(label: Label, before: int) -> str:
    """What matches in a tier, and in the others of what has moved since, which comes last: no score is of two tiers."""
    moved = f"+rowid IN (SELECT record FROM former WHERE act >= {before})"
    own = WORDS[label]
    parts = [f"SELECT rowid AS seq, bm25({own}, {WEIGHTS}) AS score FROM {own} WHERE {own} MATCH ?"]
    parts += [
        f"SELECT rowid, 0.0 FROM {words} WHERE {words} MATCH ? AND {moved}"
        for other, words in WORDS.items()
        if other is not label
    ]
    return " UNION ALL ".join(parts)


def _position(wanted: Filter) -> int:
    return wanted.before if wanted.before is not None else END_OF_LOG


def _fallen(wanted: Filter, share: Share) -> tuple[str, tuple[object, ...]]:
    """The SQL for whether a record may not be served as it is, and its values; "0" where that makes no difference."""
    if share is Share.ANY:
        return "0", ()
    fallen = f"(r.revoked = 1 OR r.suspect = 1 OR r.retracted <> '' OR {_REPLACED} OR NOT ({_ALIVE}))"
    return fallen, (wanted.now, wanted.now, _position(wanted), wanted.now)


# What `serving.revisit_causes` finds of a record, as one condition: what it hangs on is gone, fallen or disputed (T10).
_TO_REVISIT = (
    "(r.needs_revisit = 1 OR EXISTS (SELECT 1 FROM links k LEFT JOIN records c ON c.id = k.target"
    " WHERE k.record = r.seq AND k.how = 'conditions' AND (c.id IS NULL OR c.erased = 1 OR c.revoked = 1"
    " OR c.retracted <> '' OR c.suspect = 1 OR c.superseded_by IS NOT NULL OR (c.expires_at IS NOT NULL"
    " AND c.expires_at <= ?) OR (c.kind = 'hypothesis' AND NOT EXISTS (SELECT 1 FROM sessions s"
    " JOIN leases l ON l.session = s.id WHERE s.id = c.session AND (s.ended_at IS NULL OR s.ended_at > ?)"
    " AND l.until > ?)) OR EXISTS (SELECT 1 FROM reviews v WHERE v.record = c.id AND v.void = 0"
    " AND v.stance = 'dispute' AND v.label >= r.label AND NOT EXISTS (SELECT 1 FROM reviews w"
    " WHERE w.record = v.record AND w.author = v.author AND w.void = 0 AND w.seq > v.seq)))))"
)


@dataclass(frozen=True, slots=True)
class _Odd:
    """How many records of a tier match, how many of those are left out, and those that have fallen."""

    every: int
    replaced: int
    fallen: Matches


def _best_first(match: Match) -> tuple[float, str]:
    return -match.score, match.id


_ASKED = re.compile(r"\(:(task|session|record) = '' OR ([^()]+)\)")


@lru_cache(maxsize=8)
def _told_of(task: bool, session: bool, record: bool) -> str:
    """The query of a timeline with no more conditions than were asked for: an OR in it keeps indexes out of use."""
    asked = {"task": task, "session": session, "record": record}
    sql = _ASKED.sub(lambda found: found[2] if asked[found[1]] else "1", QUERIES["timeline"])
    # All of a scope is read in the order of the log, and no further than to the end of the page.
    return sql if any(asked.values()) else sql.replace("r.scope = :scope", "+r.scope = :scope")


class RetrievalTables:
    """Candidates inside one transaction."""

    def __init__(self, conn: sqlite3.Connection, memo: Memo) -> None:
        self.conn = conn
        self._memo = memo

    def newest(self, wanted: Filter, *, label: Label, share: Share, most: int, revisit: bool = False) -> Found:
        """Up to `most` ids of one part of a tier, newest first, or those to revisit before all others."""
        where = _conditions(wanted, label)
        fallen, values = _fallen(wanted, share)
        where.add(fallen if share is Share.FALLEN else f"NOT {fallen}", *values)
        # The inner select finds; count(*) OVER () counts what it found, in the same pass.
        first, times = (_TO_REVISIT, (wanted.now,) * 3) if revisit else ("0", ())
        sql = (
            f"SELECT id, count(*) OVER () AS total FROM (SELECT r.id, r.seq, {first} AS first FROM {_records(wanted)} r"
            f" WHERE {' AND '.join(where.conditions)}) ORDER BY first DESC, seq DESC LIMIT ?"
        )
        rows = self.conn.execute(sql, (*times, *where.values, most)).fetchall()
        return Found(tuple(row["id"] for row in rows), rows[0]["total"] if rows else 0)

    def matching(self, query: str, wanted: Filter, *, label: Label, share: Share, most: int) -> Matches:
        """Up to `most` records of one part of a tier by BM25, ties by id; none for a query without words."""
        match = match_expression(query)
        if not match:
            return Matches()
        if not wanted.narrows and self._is_only_scope(wanted.scope):
            return self._best_of_all(match, wanted, label=label, share=share, most=most)
        # Ranking is what takes the time, and a search asks for both shares of a tier: one pass gives both.
        asked = ("ranking", match, wanted, label, most, share is Share.ANY)
        found = self._memo.get(asked, lambda: self._best_of_some(match, wanted, label=label, share=share, most=most))
        return found[share is Share.FALLEN]

    def _is_only_scope(self, scope: str) -> bool:
        row = self._memo.get("scopes", lambda: self.conn.execute(QUERIES["scopes"]).fetchone())
        return row["least"] in (None, scope) and row["most"] in (None, scope)

    def _best_of_all(self, match: str, wanted: Filter, *, label: Label, share: Share, most: int) -> Matches:
        """Full text by itself, best first, then what of it is allowed: the tier as a whole is never joined."""
        odd = self._memo.get(("odd", match, wanted, label, most), lambda: self._odd(match, wanted, label, most))
        if share is Share.FALLEN:
            return odd.fallen
        depth = most + most // 2
        while depth <= DEEPEST:
            ranked = self._ranked(match, label, depth)
            ids = self.allowed([record for record, _ in ranked], wanted, label=label, share=share)
            found = sorted((Match(r, ids[r], score) for r, score in ranked if r in ids), key=_best_first)
            # What ties with the last one that is wanted has to be there too: ties fall by id, and not by chance.
            if len(ranked) < depth or (len(found) >= most and ranked[-1][1] < found[most - 1].score):
                total = odd.every - odd.replaced - (odd.fallen.total if share is Share.IN_FORCE else 0)
                return Matches(tuple(found[:most]), total)
            depth *= 4
        return self._best_of_some(match, wanted, label=label, share=share, most=most)[False]

    def _ranked(self, match: str, label: Label, depth: int) -> list[tuple[int, float]]:
        """(position, score) of a tier's best matches, whatever became of them."""
        words = WORDS[label]
        sql = (
            f"SELECT rowid, -rank FROM {words} WHERE {words} MATCH ? AND rank MATCH 'bm25({WEIGHTS})'"
            " ORDER BY rank LIMIT ?"
        )
        found = self._memo.get(
            ("ranked", match, label, depth), lambda: self.conn.execute(sql, (match, depth)).fetchall()
        )
        return [(row[0], row[1]) for row in found]

    def _odd(self, match: str, wanted: Filter, label: Label, most: int) -> _Odd:
        """What matches among the few that may have fallen; each match is looked up among them, not the other way."""
        words = WORDS[label]
        fallen, values = _fallen(wanted, Share.FALLEN)
        replaced, left_out = f"NOT {_SAYABLE}", (_position(wanted), _position(wanted), wanted.now)
        if not wanted.include_superseded:
            replaced = f"({replaced} OR {_REPLACED})"
        sql = (
            f"WITH odd AS MATERIALIZED (SELECT rowid AS seq, bm25({words}, {WEIGHTS}) AS score FROM {words}"
            f" WHERE {words} MATCH ? AND +rowid IN (SELECT r.seq FROM records r INDEXED BY records_odd"
            f" WHERE r.label = ? AND {_ODD} UNION SELECT record FROM phrased)),"
            f" found AS MATERIALIZED (SELECT r.seq, r.id, odd.score, {replaced} AS replaced, {fallen} AS fallen"
            " FROM odd CROSS JOIN records r ON r.seq = odd.seq),"
            " counted AS (SELECT sum(replaced) AS gone, sum(fallen AND NOT replaced) AS down FROM found)"
            f" SELECT (SELECT count(*) FROM {words} WHERE {words} MATCH ?) AS every, gone, down, seq, id, score"
            " FROM counted LEFT JOIN (SELECT * FROM found WHERE fallen AND NOT replaced ORDER BY score, id LIMIT ?)"
        )
        rows = self.conn.execute(sql, (match, int(label), *left_out, *values, match, most)).fetchall()
        best = tuple(Match(row["seq"], row["id"], -row["score"]) for row in rows if row["id"] is not None)
        return _Odd(rows[0]["every"], rows[0]["gone"] or 0, Matches(best, rows[0]["down"] or 0))

    def _best_of_some(
        self, match: str, wanted: Filter, *, label: Label, share: Share, most: int
    ) -> dict[bool, Matches]:
        """What matches and passes the filter, best first: what stands, and under True what has fallen."""
        where = _conditions(wanted, label)
        fallen, values = _fallen(wanted, share)
        words, tables = WORDS[label], 1
        # CROSS JOIN: full text first. Left to itself, the planner goes through the records and matches each by itself.
        found = (
            f"SELECT r.seq, r.id, {fallen} AS fallen, bm25({words}, {WEIGHTS}) AS score FROM {words}"
            f" CROSS JOIN records r ON r.seq = {words}.rowid WHERE {words} MATCH ? AND {' AND '.join(where.conditions)}"
        )
        if wanted.before is not None:
            hits, tables = _hits_then(label, wanted.before), len(WORDS)
            found = (
                f"SELECT r.seq, r.id, {_then(wanted, fallen)} AS fallen, h.score FROM ({hits}) h"
                f" CROSS JOIN {_at(wanted, 'h.seq')} WHERE {_then(wanted, ' AND '.join(where.conditions))}"
            )
        sql = (
            f"WITH found AS MATERIALIZED ({found})"
            f" {_BEST.format(0)} UNION ALL {_BEST.format(1)} ORDER BY fallen, score, id"
        )
        rows = self.conn.execute(sql, (*values, *[match] * tables, *where.values, most, most)).fetchall()
        parts = {False: Matches(), True: Matches()}
        for part, total in {row["fallen"]: row["total"] for row in rows}.items():
            best = (Match(row["seq"], row["id"], -row["score"]) for row in rows if row["fallen"] == part)
            parts[bool(part)] = Matches(tuple(best), total)
        return parts

    def matched(self, query: str, records: Sequence[int], *, label: Label) -> set[int]:
        """Those of `records` that hold a word of the query."""
        match, words = match_expression(query), WORDS[label]
        if not match or not records:
            return set()
        # The plus keeps FTS5 from running the whole query once for each of them.
        sql = f"SELECT rowid FROM {words} WHERE {words} MATCH ? AND +rowid IN (SELECT value FROM json_each(?))"
        return {row[0] for row in self.conn.execute(sql, (match, json.dumps(list(records))))}

    def allowed(self, records: Sequence[int], wanted: Filter, *, label: Label, share: Share) -> dict[int, str]:
        """Those of `records` that are of this part of the tier and pass the filter: position to id."""
        if not records:
            return {}
        asked = ("allowed", tuple(records), wanted, label, share is Share.ANY)
        rows = self._memo.get(asked, lambda: self._judged(records, wanted, label=label, share=share))
        return {row["seq"]: row["id"] for row in rows if bool(row["fallen"]) == (share is Share.FALLEN)}

    def _judged(self, records: Sequence[int], wanted: Filter, *, label: Label, share: Share) -> list[sqlite3.Row]:
        where = _conditions(wanted, label)
        fallen, values = _fallen(wanted, share)
        sql = (
            f"SELECT r.seq, r.id, {_then(wanted, fallen)} AS fallen FROM json_each(?) j"
            f" CROSS JOIN {_at(wanted, 'j.value')} WHERE {_then(wanted, ' AND '.join(where.conditions))}"
        )
        return self.conn.execute(sql, (*values, json.dumps(list(records)), *where.values)).fetchall()

    def narrowed(self, wanted: Filter, *, label: Label, share: Share, most: int) -> list[int] | None:
        """All positions of one part of a tier that pass the filter, if those are `most` or fewer; else None."""
        where = _conditions(wanted, label)
        fallen, values = _fallen(wanted, share)
        where.add(fallen if share is Share.FALLEN else f"NOT {fallen}", *values)
        few = ""
        if share is Share.FALLEN and wanted.before is None:
            few = "INDEXED BY records_odd"
            where.add(_ODD)
        sql = f"SELECT r.seq FROM {_records(wanted)} r {few} WHERE {' AND '.join(where.conditions)} LIMIT ?"
        rows = self.conn.execute(sql, (*where.values, most + 1)).fetchall()
        return [row["seq"] for row in rows] if len(rows) <= most else None

    def timeline(
        self, scope: str, *, task: str, session: str, record: str, after: int, before: int, most: int
    ) -> list[int]:
        """Positions of what happened in a scope, in order: records, and starts and ends of sessions."""
        values = {"scope": scope, "task": task, "session": session, "record": record}
        bounds = {"after": after, "before": before, "most": most}
        sql = _told_of(bool(task), bool(session), bool(record))
        return [row[0] for row in self.conn.execute(sql, {**values, **bounds})]
