"""The projection as one transaction sees it: the view that rules are judged against, registry, records and sessions.

Everything is judged at the transaction's `now`, so that one answer never mixes two moments (core.fold.View,
ports.Registry, ports.Records).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from functools import lru_cache

from memstore.core.contexts import ContextState
from memstore.core.labels import Label, Mark, Source
from memstore.core.policy import KeyState, Principal, Tool
from memstore.core.records import Content
from memstore.core.state import ContractState, GrantState, HandoffState, ReceiptState, RecordState, SessionState
from memstore.core.statements import Kind, Origin, Role, Verification
from memstore.stores.acting import Acting
from memstore.stores.handoffs import contract_from, handoff_from, receipt_from
from memstore.stores.memo import Memo
from memstore.stores.projection import relabel_record
from memstore.stores.sql import QUERIES, member, readable


@lru_cache(maxsize=256)
def _principal_from(row: sqlite3.Row) -> Principal:
    return Principal(
        name=row["name"],
        role=Role(row["role"]),
        under=row["under"],
        open_world=bool(row["open_world"]),
        scopes=tuple(json.loads(row["scopes"])),
        team=row["team"],
        version=row["version"],
        capabilities=tuple(json.loads(row["capabilities"])),
        accepts=tuple(json.loads(row["accepts"])),
    )


def _key_from(row: sqlite3.Row) -> KeyState:
    return KeyState(row["keyid"], row["principal"], row["public"], row["added"], row["retired"], row["compromised"])


def _tool_from(row: sqlite3.Row) -> Tool:
    return Tool(row["pattern"], bool(row["open_world"]), row["max_ttl_seconds"])


def context_from(row: sqlite3.Row) -> ContextState:
    return ContextState(
        launch=row["launch"],
        principal=row["principal"],
        scope=row["scope"],
        shown=row["shown"],
        head=row["head"],
        mark=Mark(
            Label(row["mark"]),
            row["witness"],
            bool(row["fallen"]),
            row["fell_at"],
            bool(row["fooled"]),
            bool(row["admitted"]),
        ),
        stale=bool(row["stale"]),
    )


def record_from(row: sqlite3.Row, now: int) -> RecordState:
    """A row of the `record` queries; a hypothesis lapses with its session, whether that ended or died."""
    lapsed = False
    if row["kind"] == Kind.HYPOTHESIS:
        ended = row["ended_at"] is not None and now >= row["ended_at"]
        lapsed = ended or row["until"] is None or now >= row["until"]
    return RecordState(
        id=row["id"],
        seq=row["seq"],
        kind=member(Kind, row["kind"], Kind.EXTERNAL),
        author=row["author"],
        scope=row["scope"],
        task=row["task"],
        session=row["session"],
        launch=row["launch"],
        label=member(Label, row["label"], Label.UNTRUSTED),
        logged_at=readable(row["logged_at"], 0),
        expires_at=row["expires_at"],
        shown=row["shown"],
        verification=member(Verification, row["verification"], Verification.UNVERIFIED),
        origin=member(Origin, row["origin"], Origin.WEB),
        stale_inputs=bool(row["stale_inputs"]),
        needs_revisit=bool(row["needs_revisit"]),
        superseded_by=row["superseded_by"],
        answered_by=row["answered_by"],
        revoked=bool(row["revoked"]),
        suspect=bool(row["suspect"]),
        erased=bool(row["erased"]),
        lapsed=lapsed,
        admitted=bool(row["admitted"]),
        fell_at=row["fell_at"],
        retracted=row["retracted"],
        unregistered=bool(row["unregistered"]),
        because=row["because"],
    )


def _session_from(row: sqlite3.Row, now: int) -> SessionState:
    over = row["ended_seq"] is not None or row["until"] is None or now >= row["until"]
    return SessionState(
        id=row["id"],
        principal=row["principal"],
        launch=row["launch"],
        scope=row["scope"],
        task=row["task"],
        started_at=row["started_at"],
        expires_at=row["until"] or row["started_at"],
        ended=over,
        closed=row["ended_seq"] is not None,
    )


class Lookups:
    """`core.fold.View`: the store just before the next entry."""

    def __init__(self, conn: sqlite3.Connection, now: int, memo: Memo) -> None:
        self.conn = conn
        self.now = now
        self._memo = memo

    def _one(self, query: str, *arguments: object) -> sqlite3.Row | None:
        def find() -> sqlite3.Row | None:
            found: sqlite3.Row | None = self.conn.execute(QUERIES[query], arguments).fetchone()
            return found

        return self._memo.get((query, *arguments), find)

    def principal(self, name: str) -> Principal | None:
        """The principal of exactly this name; names that differ only in case are taken, but are not the same."""
        row = self._one("principal", name)
        return _principal_from(row) if row and row["name"] == name else None

    def tool(self, pattern: str) -> Tool | None:
        row = self._one("tool", pattern)
        return _tool_from(row) if row else None

    def record(self, record: str) -> RecordState | None:
        return self._memo.get(("state", self.now, record), lambda: self._record(record))

    def _record(self, record: str) -> RecordState | None:
        row = self.conn.execute(QUERIES["record"], (record,)).fetchone()
        return record_from(row, self.now) if row else None

    def source(self, record: str) -> Source | None:
        state = self.record(record)
        return state.source(self.now) if state else None

    def context(self, launch: str) -> ContextState | None:
        row = self._one("context", launch)
        return context_from(row) if row else None

    def session(self, session: str) -> SessionState | None:
        row = self._one("session", session)
        return _session_from(row, self.now) if row else None

    def signed_by(self, record: str) -> str:
        """The id of the key that a record was signed with, or ""."""
        row = self._one("signed_by", record)
        return row["keyid"] if row else ""

    def saw_whole(self, launch: str, record: str) -> bool:
        """Whether the whole of a record was shown to this context."""
        return self._one("saw_whole", launch, record) is not None

    def grant(self, grant: str) -> GrantState | None:
        row = self._one("grant", grant)
        return grant_from(row) if row else None

    def handoff(self, handoff: str) -> HandoffState | None:
        row = self._one("handoff", handoff)
        return handoff_from(row) if row else None

    def receipt(self, receipt: str) -> ReceiptState | None:
        row = self._one("receipt", receipt)
        return receipt_from(row) if row else None

    def contract(self, contract: str) -> ContractState | None:
        row = self._one("contract", contract)
        return contract_from(row) if row else None


def grant_from(row: sqlite3.Row) -> GrantState:
    return GrantState(
        id=row["id"],
        principal=row["principal"],
        giver=row["giver"],
        scopes=tuple(json.loads(row["scopes"])),
        ceiling=member(Label, row["ceiling"], Label.UNTRUSTED),
        expires_at=row["expires_at"],
        depth=row["depth"],
        under=row["under"],
        revoked=bool(row["revoked"]),
        seq=row["seq"],
    )


class RegistryTables:
    """Principals, keys and tools."""

    def __init__(self, conn: sqlite3.Connection, memo: Memo) -> None:
        self.conn = conn
        self._memo = memo

    def principals(self) -> list[Principal]:
        return [_principal_from(row) for row in self.conn.execute(QUERIES["principals"])]

    def name_taken(self, name: str) -> bool:
        return self.conn.execute(QUERIES["principal"], (name,)).fetchone() is not None

    def key(self, keyid: str) -> KeyState | None:
        return self._memo.get(("key", keyid), lambda: self._key(keyid))

    def _key(self, keyid: str) -> KeyState | None:
        row = self.conn.execute(QUERIES["key"], (keyid,)).fetchone()
        return _key_from(row) if row else None

    def keys_of(self, principal: str) -> list[KeyState]:
        return [_key_from(row) for row in self.conn.execute(QUERIES["keys_of"], (principal,))]

    def tools(self) -> list[Tool]:
        return [_tool_from(row) for row in self.conn.execute(QUERIES["tools"])]

    def chain(self, author: str, launch: str) -> tuple[int, str]:
        """(n, digest) of the author's last statement in this launch; (0, "") before the first."""
        row = self.conn.execute(QUERIES["chain"], (author, launch)).fetchone()
        return (row["n"], row["prev"]) if row else (0, "")

    def epoch(self, principal: str, scope: str) -> int:
        row = self.conn.execute(QUERIES["epoch"], (principal, scope)).fetchone()
        return row["epoch"] if row else 0


class RecordTables:
    """Records and sessions by what they have in common."""

    def __init__(self, conn: sqlite3.Connection, now: int, acting: Acting) -> None:
        self.conn = conn
        self.now = now
        self._acting = acting

    def id_at(self, seq: int) -> str:
        row = self.conn.execute(QUERIES["id_at"], (seq,)).fetchone()
        return row["id"] if row else ""

    def at(self, seqs: Iterable[int]) -> list[RecordState]:
        """The records at these positions, in order."""
        rows = self.conn.execute(QUERIES["records_at"], (json.dumps(list(seqs)),))
        return [record_from(row, self.now) for row in rows]

    def named(self, author: str, scope: str, name: str) -> str:
        """The id of the record that `author` calls `name` in `scope`, or ""."""
        row = self.conn.execute(QUERIES["named"], (author, scope, name)).fetchone()
        return row["id"] if row else ""

    def of_session(self, session: str) -> list[RecordState]:
        return [record_from(row, self.now) for row in self.conn.execute(QUERIES["records_of_session"], (session,))]

    def written_from(self, seq: int) -> Iterator[RecordState]:
        """Records from position `seq` on, in order, each as it stands when it is reached."""
        for (record_seq,) in self.conn.execute(QUERIES["record_seqs_from"], (seq,)).fetchall():
            yield record_from(self.conn.execute(QUERIES["record_at"], (record_seq,)).fetchone(), self.now)

    def relabel(self, state: RecordState, label: Label, *, suspect: bool, content: Content | None) -> None:
        relabel_record(self.conn, self._acting, state=state, label=label, suspect=suspect, content=content)

    def sessions(self, scope: str, *, launch: str = "", most: int) -> list[SessionState]:
        """Sessions of a scope, or of one launch in it, newest first."""
        query, values = "sessions_in_scope", {"scope": scope, "most": most}
        if launch:
            query, values = "sessions_of_launch", {**values, "launch": launch}
        return [_session_from(row, self.now) for row in self.conn.execute(QUERIES[query], values)]

    def running(self, scope: str, task: str, *, most: int) -> list[SessionState]:
        """Sessions of a task that are not over, newest first."""
        values = {"scope": scope, "task": task, "now": self.now, "most": most}
        return [_session_from(row, self.now) for row in self.conn.execute(QUERIES["sessions_at_work"], values)]

    def dead(self, scope: str, principal: str, *, most: int) -> list[SessionState]:
        """Sessions of a principal whose lease ran out and that nobody ended, oldest first."""
        values = {"scope": scope, "principal": principal, "now": self.now, "most": most}
        return [_session_from(row, self.now) for row in self.conn.execute(QUERIES["sessions_dead"], values)]

    def before(self, session: str, scope: str, principal: str) -> SessionState | None:
        """The last session that a principal began in a scope before this one."""
        values = {"session": session, "scope": scope, "principal": principal}
        row = self.conn.execute(QUERIES["session_before"], values).fetchone()
        return _session_from(row, self.now) if row else None

    def lease(self, session: str, until: int) -> None:
        self.conn.execute(QUERIES["lease"], (session, until))
