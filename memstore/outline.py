"""The outline of a brief: what stands in a task, as counts and ids, without a word that was stored (ADR 0053).

A client's hook hands it to a model before that model has a context here, so nothing in it may need a disclosure: no
text and no name that an agent chose. The words come by `session_start`, which records to whom it showed them.
"""

from __future__ import annotations

from typing import Any

from memstore.core.handoffs import may_take
from memstore.core.labels import Label
from memstore.core.policy import Allowed, Principal
from memstore.core.state import HandoffStatus, SessionState
from memstore.core.statements import Kind
from memstore.ports import Filter, Share, Unit
from memstore.render import timestamp

MOST_IDS = 5
MOST_SESSIONS = 50
TOLD = {
    "intents": Kind.INTENT,
    "constraints": Kind.CONSTRAINT,
    "decisions": Kind.DECISION,
    "questions": Kind.QUESTION,
}
WAITING = frozenset({HandoffStatus.OFFERED, HandoffStatus.CLARIFICATION_REQUESTED})


def outline(unit: Unit, principal: Principal, *, scope: str, task: str) -> dict[str, Any]:
    """What stands in `task`, or in the whole scope where it is "": {intents, …, handoffs, session}.

    Each kind is {count, ids[]}, the newest trusted first; `session` is the caller's that is open, else {}.
    """
    told: dict[str, Any] = {name: _standing(unit, kind, scope, task) for name, kind in TOLD.items()}
    offered = [one for one in unit.handoffs.open_in(scope, task=task) if one.status(unit.now) in WAITING]
    mine = [one.id for one in offered if isinstance(may_take(one, principal, unit.now), Allowed)]
    told["handoffs"] = {"count": len(mine), "ids": mine[:MOST_IDS]}
    sessions = unit.records.sessions(scope, most=MOST_SESSIONS)
    own = [one for one in sessions if one.principal == principal.name and not one.ended and task in ("", one.task)]
    told["session"] = _open(unit, own[0]) if own else {}
    return told


def _standing(unit: Unit, kind: Kind, scope: str, task: str) -> dict[str, Any]:
    wanted = Filter(scope=scope, now=unit.now, task=task, kinds=(kind,))
    ids: list[str] = []
    count = 0
    for label in (Label.TRUSTED, Label.ATTRIBUTED):
        found = unit.retrieval.newest(wanted, label=label, share=Share.IN_FORCE, most=MOST_IDS)
        count += found.total
        ids += found.ids
    return {"count": count, "ids": ids[:MOST_IDS]}


def _open(unit: Unit, session: SessionState) -> dict[str, Any]:
    """A session that is going on: since when, how much was written in it, and when it was last made safe to leave."""
    written = unit.records.of_session(session.id)
    checkpoints = [one.logged_at for one in written if one.kind is Kind.CHECKPOINT]
    return {
        "id": session.id,
        "started_at": timestamp(session.started_at),
        "records": len(written),
        "checkpoint_at": timestamp(max(checkpoints)) if checkpoints else "",
    }
