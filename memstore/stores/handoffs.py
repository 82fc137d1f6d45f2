"""Handoffs, receipts, answers and contracts as tables (ports.Handoffs, ports.Receipts), and how changes land there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, assert_never

from memstore.core.handoffs import (
    DeprecateContract,
    HandoffChange,
    MoveHandoff,
    PutContract,
    PutHandoff,
    PutReceipt,
)
from memstore.core.labels import Label
from memstore.core.offers import HandoffAction, HandoffType
from memstore.core.state import ContractState, HandoffState, HandoffStatus, ReceiptState, RecordState
from memstore.core.statements import Kind
from memstore.handoff_ports import Answered
from memstore.stores.sql import QUERIES, member


def handoff_from(row: sqlite3.Row) -> HandoffState:
    """A row of the `handoff` queries, its lease beside it."""
    plain = (
        "id", "seq", "logged_at", "scope", "task", "sender", "launch", "receiver", "fallback", "contract", "deadline",
        "parent", "correlation", "hop", "moved", "token", "attempts", "holder", "holder_launch", "question", "reason",
        "decided", "digest", "gives", "until",
    )  # fmt: skip
    return HandoffState(
        type=member(HandoffType, row["type"], HandoffType.INTAKE),
        to=row["asked"],
        label=member(Label, row["label"], Label.UNTRUSTED),
        stage=member(HandoffStatus, row["stage"], HandoffStatus.CANCELLED),
        gated=bool(row["gated"]),
        orphaned=bool(row["orphaned"]),
        **{name: row[name] for name in plain},
    )


def receipt_from(row: sqlite3.Row) -> ReceiptState:
    place = (row["id"], row["seq"], row["handoff"], row["author"], row["launch"], row["token"])
    return ReceiptState(*place, tuple(json.loads(row["verified"])), tuple(json.loads(row["problems"])), row["found"])


def contract_from(row: sqlite3.Row) -> ContractState:
    return ContractState(row["name"], row["seq"], row["owner"], row["form"], row["deprecated"], row["successor"])


class HandoffTables:
    """Handoffs inside one transaction; what time makes of them is the caller's to judge."""

    def __init__(self, conn: sqlite3.Connection, now: int) -> None:
        self.conn = conn
        self.now = now

    def twin(self, sender: str, *, digest: str, key: str) -> HandoffState | None:
        """The handoff by which this sender made the same call before, or gave the same idempotency key."""
        query, value = ("handoff_keyed", key) if key else ("handoff_twin", digest)
        row = self.conn.execute(QUERIES[query], (sender, value)).fetchone()
        return handoff_from(row) if row else None

    def signals(self) -> dict[str, Any]:
        """How handing over goes, in all scopes: for the operator."""
        found = dict(self.conn.execute(QUERIES["handoff_signals"], {"now": self.now}).fetchone())
        for name in ("type", "stage"):
            rows = self.conn.execute(QUERIES[f"handoffs_by_{name}"]).fetchall()
            found[f"by_{name}"] = {row["name"]: row["many"] for row in rows}
        return found

    def of_box(self, scope: str, principal: str, box: str, *, done: bool) -> list[HandoffState]:
        """What one principal is to have (`in`), sent (`out`), or may have as a dead letter; oldest first.

        `done` has those as well that are over.
        """
        # A dead letter is not over. The queries differ, so that what is open is found by its own small index.
        query = f"handoffs_{box}_all" if done and box != "dead_letter" else f"handoffs_{box}"
        values = {"scope": scope, "principal": principal}
        return [handoff_from(row) for row in self.conn.execute(QUERIES[query], values)]

    def across(self, scope: str, principal: str, *, done: bool = False) -> list[HandoffState]:
        """What this principal is to have in this scope from others, oldest first, whether or not its grant stands."""
        values = {"scope": scope, "principal": principal, "done": done}
        return [handoff_from(row) for row in self.conn.execute(QUERIES["handoffs_across"], values)]

    def open_in(self, scope: str, *, task: str = "") -> list[HandoffState]:
        """What is neither done nor given up in a scope, or in one task of it, oldest first."""
        values = {"scope": scope, "task": task}
        return [handoff_from(row) for row in self.conn.execute(QUERIES["handoffs_open"], values)]

    def carried_before(self, handoff: HandoffState) -> list[tuple[str, str]]:
        """(part, record) of all that its sender took on in the task, sent to the same receiver, or works under.

        Attributed or of a label no lower: the outside hides nothing.
        """
        told = {name: getattr(handoff, name) for name in ("scope", "task", "seq", "sender", "receiver", "parent")}
        told["least"] = min(handoff.label, Label.ATTRIBUTED)
        return [(row["part"], row["record"]) for row in self.conn.execute(QUERIES["carried_before"], told)]

    def held(self, scope: str, task: str, principal: str, launch: str) -> HandoffState | None:
        """The handoff that this principal took on last, in the task or, in this context, in any task.

        Another context of another task knows nothing of it: one principal works on many things at once. No report of
        somebody below either, which ends work rather than hands it on.
        """
        values = {"scope": scope, "task": task, "principal": principal, "launch": launch}
        row = self.conn.execute(QUERIES["handoff_held"], values).fetchone()
        return handoff_from(row) if row else None

    def leased(self, principal: str, launch: str) -> list[HandoffState]:
        """The handoffs that this context holds a running lease on, oldest first."""
        values = {"principal": principal, "launch": launch, "now": self.now}
        return [handoff_from(row) for row in self.conn.execute(QUERIES["handoffs_leased"], values)]

    def lease(self, handoff: str, *, token: int, until: int) -> None:
        self.conn.execute(QUERIES["lease_handoff"], (handoff, token, until))


class ReceiptTables:
    """Receipts, answers and contracts inside one transaction."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn

    def receipts(self, handoff: str) -> list[ReceiptState]:
        """All receipts of a handoff, oldest first."""
        return [receipt_from(row) for row in self.conn.execute(QUERIES["receipts"], (handoff,))]

    def answers(self, handoff: str) -> list[Answered]:
        """All that was answered to a handoff, and decided of it, oldest first."""
        return [_answered_from(row) for row in self.conn.execute(QUERIES["answers"], (handoff,))]

    def answered(self, handoff: str, digest: str) -> Answered | None:
        """The answer that the same call gave before."""
        row = self.conn.execute(QUERIES["answered"], (handoff, digest)).fetchone()
        return _answered_from(row) if row else None

    def shown(self, launch: str, records: Sequence[str]) -> set[str]:
        """Those of these records of which this context was shown anything."""
        values = (launch, json.dumps(list(records)))
        return {row["id"] for row in self.conn.execute(QUERIES["shown_of"], values)}

    def worked_under(self, state: RecordState) -> dict[str, Any]:
        """What a record was written under, as the log tells: {handoff, intent[], constraints[]}, without what is empty.

        The handoff is the one that its context held, the others are what that had been shown before it wrote.
        """
        told = {name: getattr(state, name) for name in ("launch", "scope", "task", "seq", "shown")}
        row = self.conn.execute(QUERIES["worked_under"], told).fetchone()
        handoff = row["handoff"] if row else ""
        found: dict[str, Any] = {"handoff": handoff, "intent": [], "constraints": []}
        for row in self.conn.execute(QUERIES["told_before"], {**told, "handoff": handoff}):
            found["intent" if row["kind"] == Kind.INTENT else "constraints"].append(row["id"])
        return {name: value for name, value in found.items() if value}

    def phrased(self, seqs: Sequence[int]) -> set[int]:
        """Those of these positions at which something was phrased for a handoff."""
        return {row["record"] for row in self.conn.execute(QUERIES["phrased_of"], (json.dumps(list(seqs)),))}

    def contracts(self) -> list[ContractState]:
        return [contract_from(row) for row in self.conn.execute(QUERIES["contracts"])]

    def checkpoint(self, handoff: HandoffState, scope: str) -> str:
        """The newest that stands of those written by whoever held this handoff, in that context; "" without one.

        `scope` is that of who asks: what was written in another is not for it.
        """
        values = {"handoff": handoff.id, "seq": handoff.seq, "scope": scope}
        values["task"] = handoff.task if scope == handoff.scope else ""
        row = self.conn.execute(QUERIES["newest_checkpoint"], values).fetchone()
        return row["id"] if row else ""


def _answered_from(row: sqlite3.Row) -> Answered:
    return Answered(
        seq=row["seq"],
        author=row["author"],
        action=member(HandoffAction, row["action"], HandoffAction.CANCEL),
        lease=row["lease"],
        receipt=row["receipt"],
        outputs=tuple(json.loads(row["outputs"])),
        acknowledged=tuple(json.loads(row["acknowledged"])),
    )


def apply_handoff(conn: sqlite3.Connection, change: HandoffChange) -> None:
    """Carry one change of a handoff or contract out."""
    match change:
        case PutHandoff(h, key, carried, phrased):
            _put(conn, h, key)
            conn.executemany(QUERIES["put_phrased"], [(record, h.seq, gate) for record, gate in phrased])
            conn.executemany(QUERIES["put_carried"], [(h.seq, part, record) for part, record in carried])
        case PutReceipt(r):
            told = (json.dumps(r.verified), json.dumps(r.problems), r.found)
            conn.execute(QUERIES["put_receipt"], (r.seq, r.id, r.handoff, r.author, r.launch, r.token, *told))
        case MoveHandoff(h, author, action, digest, receipt, outputs, acknowledged, launch):
            moved: tuple[Any, ...] = (h.stage, h.moved, h.token, h.attempts, h.holder, h.holder_launch)
            conn.execute(QUERIES["move_handoff"], (*moved, h.question, h.reason, h.decided, h.id))
            told = (json.dumps(outputs), json.dumps(acknowledged), launch)
            conn.execute(QUERIES["put_answer"], (h.moved, h.id, author, action, h.token, digest, receipt, *told))
        case PutContract(c):
            conn.execute(QUERIES["put_contract"], (c.name, c.seq, c.owner, c.form))
        case DeprecateContract(contract, seq, successor):
            conn.execute(QUERIES["deprecate_contract"], (seq, successor, contract))
        case _:
            assert_never(change)


def _put(conn: sqlite3.Connection, h: HandoffState, key: str) -> None:
    place = (h.seq, h.id, h.logged_at, h.scope, h.task, h.type, h.sender, h.launch, h.to, h.receiver, h.fallback)
    bounds = (
        h.contract,
        h.deadline,
        h.parent,
        h.correlation,
        h.hop,
        h.label,
        h.digest,
        key,
        h.stage,
        h.moved,
        h.gated,
        h.gives,
    )
    conn.execute(QUERIES["put_handoff"], (*place, *bounds))
