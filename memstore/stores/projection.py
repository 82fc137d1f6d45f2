"""How each change of `core.fold` lands in the tables.

Every change is one small statement inside the transaction that appends the entry, so log and projection never part. The
full-text tables hold a record's words under its tier only; moving a record to another tier moves its words.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import suppress
from typing import assert_never

from memstore.core.fold import (
    Answer,
    BeginEpoch,
    Change,
    CompromiseKey,
    EndSession,
    EraseContent,
    ExtendChain,
    FreshContext,
    NeedsRevisit,
    PutKey,
    PutPrincipal,
    PutQuota,
    PutRecord,
    PutSession,
    PutTool,
    RetireKey,
    Supersede,
)
from memstore.core.handoffs import DeprecateContract, MoveHandoff, PutContract, PutHandoff, PutReceipt
from memstore.core.labels import Label
from memstore.core.policy import KeyState, Principal
from memstore.core.records import Content
from memstore.core.reviews import PutGrant, PutRetraction, PutReview, RevokeGrant
from memstore.core.state import RecordState
from memstore.core.statements import Withdrawal
from memstore.errors import IntegrityError
from memstore.stores.acting import Acting
from memstore.stores.handoffs import apply_handoff
from memstore.stores.sql import QUERIES

WORDS = {label: f"words_{label}" for label in Label}
PROJECTED = (
    "chains", "principals", "keys", "tools", "epochs", "sessions", "records", "links", "tags", "names",
    "reviews", "retractions", "affected", "grants", "handoffs", "carried", "phrased", "receipts",
    "answers", "contracts", "restorations", "quotas", "former",
)  # fmt: skip

UNFOLDED = "unfolded"  # a table that is there while a store that was upgraded waits to be folded anew


def apply(conn: sqlite3.Connection, change: Change, content: Content | None, acting: Acting) -> None:
    """Carry one change out. `content` is that of the record being written, None where it is erased or not a record."""
    match change:
        case PutPrincipal(principal, key):
            _put_principal(conn, principal, key)
        case PutKey(key):
            _put_key(conn, key)
        case RetireKey(keyid, seq):
            conn.execute(QUERIES["retire_key"], (seq, keyid))
            conn.execute(QUERIES["orphan_handoffs"], (keyid,))
        case CompromiseKey(keyid, since, at):
            span = {"since": since, "keyid": keyid, "at": at}
            acting.keep(conn, "keep_of_a_stolen_key", span)
            for query in _OF_A_STOLEN_KEY:
                conn.execute(QUERIES[query], span)
            conn.execute(QUERIES["unretract"])
            conn.execute(QUERIES["orphan_handoffs"], (keyid,))
        case PutTool(tool):
            conn.execute(QUERIES["put_tool"], (tool.pattern, tool.open_world, tool.max_ttl_seconds))
        case FreshContext(principal_name, scope):
            conn.execute(QUERIES["next_epoch"], (principal_name, scope))
        case PutSession(s, seq):
            values = (s.id, seq, s.principal, s.launch, s.scope, s.task, s.started_at)
            conn.execute(QUERIES["put_session"], values)
        case EndSession(session, seq, at, outcome):
            conn.execute(QUERIES["end_session"], (seq, at, outcome, session))
        case PutRecord():
            _put_record(conn, change, content)
        case Supersede(record, by):
            _supersede(conn, record, by, acting)
        case NeedsRevisit(record):
            acting.keep(conn, "keep_named", {"record": record})
            conn.execute(QUERIES["needs_revisit"], (record,))
        case Answer(question, by):
            acting.keep(conn, "keep_named", {"record": question, "act": by})
            conn.execute(QUERIES["answer"], (by, question))
        case PutReview() as r:
            told = (r.seq, r.record, r.author, r.launch, r.stance, r.carry, r.shown, r.label)
            conn.execute(QUERIES["put_review"], told)
        case PutRetraction():
            _put_retraction(conn, change, acting)
        case PutGrant(g, seq):
            scopes = json.dumps(g.scopes)
            bounds = (g.ceiling, g.expires_at, g.depth, g.under)
            conn.execute(QUERIES["put_grant"], (g.id, seq, g.principal, g.giver, scopes, *bounds))
        case RevokeGrant(grant, _):
            conn.execute(QUERIES["revoke_grant"], (grant,))
        case PutHandoff() | PutReceipt() | MoveHandoff() | PutContract() | DeprecateContract():
            apply_handoff(conn, change)
        case EraseContent(record):
            _erase(conn, record)
        case BeginEpoch(seq, epoch, size, root):
            conn.execute(QUERIES["put_restoration"], (seq, epoch, size, root))
        case PutQuota(name, records, stored, sessions):
            conn.execute(QUERIES["put_quota"], (name, records, stored, sessions))
        case ExtendChain(author, launch, n, digest):
            conn.execute(QUERIES["extend_chain"], (author, launch, n, digest))
        case _:
            assert_never(change)


_OF_A_STOLEN_KEY = ("compromise_key", "revoke_records", "void_reviews", "void_retractions", "void_grants")


def _supersede(conn: sqlite3.Connection, record: str, by: int, acting: Acting) -> None:
    acting.keep(conn, "keep_superseded", {"record": record, "act": by})
    conn.execute(QUERIES["supersede"], (by, record))
    old = conn.execute(QUERIES["record"], (record,)).fetchone()
    _revisit(conn, old["seq"] if old else -1, acting)


def _put_retraction(conn: sqlite3.Connection, change: PutRetraction, acting: Acting) -> None:
    acting.keep(conn, "keep_named", {"record": change.record})
    values = (change.seq, change.record, change.author, change.reason, change.replacement)
    conn.execute(QUERIES["put_retraction"], (*values, change.spreads, change.own, change.label))
    conn.execute(QUERIES["retract"], {"reason": change.reason, "record": change.record})
    if change.reason is Withdrawal.LEAKED:
        _hide(conn, change.record)


def _revisit(conn: sqlite3.Connection, seq: int, acting: Acting) -> None:
    """Flag what was decided on condition of this record."""
    # Row by row: an UPDATE of many opens a savepoint, and at each the full-text tables write out what they gathered.
    for (found,) in conn.execute(QUERIES["contingent_on"], (json.dumps([seq]),)).fetchall():
        acting.keep(conn, "keep_unflagged", {"seq": found})
        conn.execute(QUERIES["revisit"], (found,))


def _put_principal(conn: sqlite3.Connection, principal: Principal, key: KeyState) -> None:
    conn.execute(
        QUERIES["put_principal"],
        (
            principal.name,
            principal.role,
            principal.under,
            principal.open_world,
            json.dumps(principal.scopes),
            principal.team,
            principal.version,
            json.dumps(principal.capabilities),
            json.dumps(principal.accepts),
            key.added,
        ),
    )
    _put_key(conn, key)


def _put_key(conn: sqlite3.Connection, key: KeyState) -> None:
    conn.execute(QUERIES["put_key"], (key.keyid, key.principal, key.public, key.added))
    conn.execute(QUERIES["orphan_handoffs"], (key.keyid,))


def _put_record(conn: sqlite3.Connection, change: PutRecord, content: Content | None) -> None:
    state, statement = change.state, change.statement
    conn.execute(
        QUERIES["put_record"],
        (
            state.seq,
            state.id,
            state.kind,
            state.author,
            state.scope,
            state.task,
            state.session,
            state.launch,
            state.label,
            state.logged_at,
            state.expires_at,
            state.shown,
            statement.verification,
            statement.origin,
            len(content.words()) if content else 0,
            state.stale_inputs,
            state.suspect,
            state.needs_revisit,
            state.admitted,
            state.fell_at,
            state.unregistered,
            state.because,
        ),
    )
    links = [("derived_from", i) for i in statement.derived_from]
    links += [("evidence", i) for i in statement.evidence] + [("conditions", i) for i in statement.conditions]
    links += [(how, i) for how, i in (("supersedes", statement.supersedes), ("answers", statement.answers)) if i]
    conn.executemany(QUERIES["put_link"], [(state.seq, how, target) for how, target in links])
    if content is None:
        conn.execute(QUERIES["mark_erased"], (state.seq,))
        return
    conn.executemany(QUERIES["put_tag"], [(tag, state.seq) for tag in content.tags])
    if content.key:
        conn.execute(QUERIES["put_name"], (state.author, state.scope, content.key, state.seq))
    put_words(conn, state.label, state.seq, content)
    if conn.execute(QUERIES["has_vectors"], (state.seq,)).fetchone() is None:
        # One plain row: whatever opens a savepoint has the full-text tables write out what they gathered.
        conn.execute(QUERIES["enqueue"], (state.seq, state.label))


def put_words(conn: sqlite3.Connection, label: Label, seq: int, content: Content) -> None:
    sql = f"INSERT INTO {WORDS[label]} (rowid, title, lead, text) VALUES (?, ?, ?, ?)"
    conn.execute(sql, (seq, *content.index_text()))


def take_words(conn: sqlite3.Connection, label: Label, seq: int, content: Content) -> None:
    """A contentless table forgets a row only when told what it held."""
    table = WORDS[label]
    sql = f"INSERT INTO {table} ({table}, rowid, title, lead, text) VALUES ('delete', ?, ?, ?, ?)"
    conn.execute(sql, (seq, *content.index_text()))


def fill_words(conn: sqlite3.Connection) -> None:
    """The words of all records, into tables that hold none; what is damaged has none, and is quarantined when read."""
    for row in conn.execute(QUERIES["contents_of_records"]):
        with suppress(IntegrityError):
            put_words(conn, Label(row["label"]), row["seq"], Content.parse(row["content"]))


def _erase(conn: sqlite3.Connection, record: str) -> None:
    """Destroy content, words, tags and name."""
    seq = _hide(conn, record)
    if seq is not None:
        conn.execute(QUERIES["erase_content"], (seq,))


def _hide(conn: sqlite3.Connection, record: str) -> int | None:
    """Take words, tags and name of a record away; the segments hold the terms until `merge_words` rewrites them."""
    row = conn.execute(QUERIES["record"], (record,)).fetchone()
    if row is None:
        return None
    label = Label(row["label"])
    stored = conn.execute(QUERIES["content"], (row["seq"],)).fetchone()
    if stored is not None and not row["erased"]:
        take_words(conn, label, row["seq"], Content.parse(stored["content"]))
    _take_vectors(conn, row["seq"])
    for query in ("forget_tags", "forget_names", "forget_queued", "mark_erased"):
        conn.execute(QUERIES[query], (row["seq"],))
    return int(row["seq"])


def merge_words(conn: sqlite3.Connection) -> None:
    """Rewrite the segments of the full text, which still hold the terms of what was taken out of it.

    All tiers: a record that was relabelled has left its terms in the segments of the one it came from.
    """
    for table in WORDS.values():
        conn.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")


def hides(change: Change) -> bool:
    """Whether a change takes words away for good, so that they have to leave the file as well."""
    leaked = isinstance(change, PutRetraction) and change.reason is Withdrawal.LEAKED
    return leaked or isinstance(change, EraseContent)


def relabel_record(
    conn: sqlite3.Connection,
    acting: Acting,
    *,
    state: RecordState,
    label: Label,
    suspect: bool,
    content: Content | None,
) -> None:
    """Give a record its new label; its words move to the tier they now belong to."""
    acting.keep(conn, "keep", {"seq": state.seq})
    conn.execute(QUERIES["relabel"], (label, suspect, state.seq))
    if state.label is not label and content is not None:
        take_words(conn, state.label, state.seq, content)
        put_words(conn, label, state.seq, content)
        conn.execute(QUERIES["requeue_as"], (label, state.seq))
        conn.executemany(QUERIES["put_back_vector"], _take_vectors(conn, state.seq))


def _take_vectors(conn: sqlite3.Connection, seq: int) -> list[tuple[object, ...]]:
    """Take a record's vectors away, and tell whoever keeps copies; the rows as they were."""
    rows = [(seq, *row) for row in conn.execute(QUERIES["take_vectors"], (seq,)).fetchall()]
    if rows:
        conn.execute(QUERIES["forget_vectors"], (seq,))
        conn.execute(QUERIES["vectors_gone"], (seq,))
    return rows


def want_folding(conn: sqlite3.Connection) -> None:
    """Say in the file that what is projected is not what the log gives, until it is folded anew; a new store is."""
    if conn.execute("SELECT 1 FROM entries LIMIT 1").fetchone():
        conn.execute(f"CREATE TABLE IF NOT EXISTS {UNFOLDED} (since INTEGER)")


def is_unfolded(conn: sqlite3.Connection) -> bool:
    return conn.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (UNFOLDED,)).fetchone() is not None


def forget_projection(conn: sqlite3.Connection) -> None:
    """Empty all that `fold` fills; the log, contents, contexts, disclosures, leases and vectors stay.

    Each record that is put again waits for vectors only if it has none.
    """
    conn.execute(f"DROP TABLE IF EXISTS {UNFOLDED}")
    for table in PROJECTED:
        conn.execute(f"DELETE FROM {table}")
    for table in WORDS.values():
        conn.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")
    conn.execute("DELETE FROM unembedded")
    conn.execute("UPDATE embedding SET generation = generation + 1")
    conn.execute(
        "UPDATE contexts SET shown = 0, head = zeroblob(32), mark = 3, witness = '', fallen = 0, stale = 0,"
        " fell_at = -1, fooled = 0, admitted = 0"
    )


def digest_of_table(conn: sqlite3.Connection, table: str) -> str:
    """SHA-256 over a table's rows in the order of their values."""
    rows = sorted(repr(tuple(row)) for row in conn.execute(f"SELECT * FROM {table}"))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
