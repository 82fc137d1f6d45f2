"""How records stood, and what led to what, as tables (ports.Past, ports.Causes).

What no act changed since then stands as it does now, so only the few rows of `former` are looked at besides. A walk
asks for one level at a time, in bulk, and never for more than it can take.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from memstore.core.causes import Fact, Link
from memstore.core.contexts import Extent
from memstore.core.labels import Label
from memstore.core.state import RecordState
from memstore.core.statements import Kind
from memstore.past_ports import Span, Step
from memstore.render import timestamp
from memstore.stores.sql import QUERIES, member


def _as_it_stood(state: RecordState, row: sqlite3.Row) -> RecordState:
    return replace(
        state,
        label=member(Label, row["label"], Label.UNTRUSTED),
        superseded_by=row["superseded_by"],
        answered_by=row["answered_by"],
        revoked=bool(row["revoked"]),
        suspect=bool(row["suspect"]),
        retracted=row["retracted"],
        needs_revisit=bool(row["needs_revisit"]),
        admitted=bool(row["admitted"]),
        fell_at=row["fell_at"],
        because=row["because"],
    )


class PastTables:
    """How records stood, inside one transaction."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn

    def standing(self, state: RecordState, before: int) -> RecordState:
        """The record as it stood when the log was so long; its time has to be looked at by whoever asks."""
        row = self.conn.execute(QUERIES["stood"], (state.seq, before)).fetchone()
        then = _as_it_stood(state, row) if row else state
        if state.kind is Kind.HYPOTHESIS and state.lapsed:
            ended = self.conn.execute(QUERIES["ended_after"], (state.session, before)).fetchone()
            then = replace(then, lapsed=ended is None)
        return then

    def story(self, state: RecordState) -> list[Step]:
        """The acts that changed how a record stands, the first one first."""
        rows = self.conn.execute(QUERIES["story"], (state.seq,)).fetchall()
        return [Step(row["act"], _as_it_stood(state, row)) for row in rows]

    def named(self, prefix: str, scope: str, most: int) -> list[str]:
        """The ids in a scope that begin like this."""
        rows = self.conn.execute(QUERIES["ids_like"], (prefix, prefix + "~", scope, most))
        return [row["id"] for row in rows]

    def changed(self, scope: str, *, after: int, before: int, since: int, until: int, most: int) -> list[int]:
        """Records that came, that an act changed, or that ran out, between two positions and their times.

        The higher tiers first, so that of too much it is the lowest that is left out (T10).
        """
        told = {"scope": scope, "after": after, "before": before, "since": since, "until": until, "most": most}
        return [row[0] for row in self.conn.execute(QUERIES["changed"], told)]

    def seen_by(self, seq: int, before: int, until: int, most: int) -> list[dict[str, Any]]:
        """Who was shown a record until then, the first one first: {author, times, first, last, detail}."""
        rows = self.conn.execute(QUERIES["seen_by"], (seq, before, until, most))
        return [
            {
                "author": row["principal"],
                "times": row["times"],
                "first": timestamp(row["first"]),
                "last": timestamp(row["last"]),
                "detail": "full" if row["detail"] == Extent.FULL else "concise",
            }
            for row in rows
        ]

    def lapsed(
        self, scope: str, *, task: str, session: str, since: int, until: int, most: int
    ) -> list[tuple[int, str, str]]:
        """(when, id, whose) of the leases that ran out between two times: of sessions, and of handoffs."""
        told = {"scope": scope, "task": task, "session": session, "since": since, "until": until, "most": most}
        return [tuple(row) for row in self.conn.execute(QUERIES["lapsed"], told)]


class CauseTables:
    """What led to what, inside one transaction."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn

    def facts(self, seqs: Collection[int], *, before: int) -> dict[int, Fact]:
        """What a walk has to know of these records, as they stood then."""
        rows = self.conn.execute(QUERIES["facts"], {"seqs": json.dumps(list(seqs)), "before": before})
        return {
            row[0]: Fact(row[0], row[1], row[2], row[3], member(Label, row[4], Label.UNTRUSTED), *row[5:])
            for row in map(tuple, rows)
        }

    def declared(self, seqs: Collection[int], scope: str, *, forward: bool, before: int, most: int) -> list[Link]:
        """What these records name, or what names them: as what it rests on, as evidence, as a condition."""
        query = "named_by" if forward else "named_in"
        return self._links(query, {"seqs": json.dumps(list(seqs))}, scope, before=before, most=most)

    def shown(self, spans: Collection[Span], scope: str, *, before: int, most: int) -> list[Link]:
        """What these parts of contexts were shown; of too much, what was shown last."""
        return self._links("shown_in_spans", {"spans": _json(spans)}, scope, before=before, most=most)

    def readers(self, seqs: Collection[int], *, before: int) -> list[Span]:
        """The contexts of agents that were shown one of these records: from its first number there on."""
        rows = self.conn.execute(QUERIES["first_shown"], {"seqs": json.dumps(list(seqs)), "before": before})
        return [Span(row["launch"], row["n"], 0, row["record"]) for row in rows]

    def written(self, spans: Collection[Span], scope: str, *, before: int, most: int) -> list[Link]:
        """What was written in these parts of contexts."""
        return self._links("written_in_spans", {"spans": _json(spans)}, scope, before=before, most=most)

    def said(self, spans: Collection[Span], scope: str, *, forward: bool, before: int, most: int) -> list[Link]:
        """What the same contexts wrote on the same task as the record at `end`, between the two positions."""
        query = "said_later" if forward else "said_before"
        return self._links(query, {"spans": _json(spans)}, scope, before=before, most=most)

    def _links(self, query: str, told: dict[str, object], scope: str, *, before: int, most: int) -> list[Link]:
        rows = self.conn.execute(QUERIES[query], {**told, "scope": scope, "before": before, "most": most})
        return [Link(*row) for row in rows]


def _json(spans: Iterable[Span]) -> str:
    return json.dumps([[span.launch, span.low, span.high, span.end] for span in spans])
