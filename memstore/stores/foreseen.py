"""What looking records up will ask for, read at once: one statement for each table instead of one for each record.

It only fills the transaction's memo, under the names by which each is asked for, so that nothing is ever read otherwise
than it would have been.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from memstore.stores.log_tables import content_from, logged_from
from memstore.stores.lookups import record_from
from memstore.stores.memo import Memo
from memstore.stores.sql import QUERIES

LEAST = 3  # below, one by one is as quick


def foresee(conn: sqlite3.Connection, memo: Memo, now: int, ids: Iterable[str], *, whole: bool) -> None:
    """Read the states of these records and, `whole`, their entries, contents, disputes and rivals."""
    wanted = list(dict.fromkeys(ids))
    if len(wanted) < LEAST:
        return
    asked = (json.dumps(wanted),)
    rows = conn.execute(QUERIES["records_among"], asked).fetchall()
    states = {row["id"]: record_from(row, now) for row in rows}
    for record in wanted:
        memo.put(("state", now, record), states.get(record))
    if not whole:
        return
    at = (json.dumps([state.seq for state in states.values()]),)
    for row in conn.execute(QUERIES["entries_at"], at).fetchall():
        memo.put(("entry", row["seq"]), logged_from(row))
    contents = {row["seq"]: content_from(row) for row in conn.execute(QUERIES["contents_at"], at)}
    disputed = {row["record"]: row["label"] for row in conn.execute(QUERIES["disputes_among"], asked)}
    rivals: dict[int, list[str]] = {}
    for row in conn.execute(QUERIES["rivals_among"], at):
        rivals.setdefault(row["seq"], []).append(row["rival"])
    for state in states.values():
        memo.put(("content", state.seq), contents.get(state.seq))
        memo.put(("disputed", state.id), disputed.get(state.id, -1))
        memo.put(("rivals", state.seq, state.id), rivals.get(state.seq, []))
