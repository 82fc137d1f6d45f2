"""One event of a history, from the entry that logged it: closed values, and a title where reading it lowers nothing.

Whatever an agent phrased is withheld where it might lower who reads it, and whatever is told in words counts as shown.
"""

from __future__ import annotations

from typing import Any

from memstore.core.labels import Label
from memstore.core.offers import HandoffAnswered, HandoffDecided, HandoffOffered, HandoffReceived
from memstore.core.statements import (
    KeyChanged,
    Recorded,
    Retracted,
    Reviewed,
    SessionEnded,
    SessionStarted,
    Statement,
    parse_statement,
    short_id,
)
from memstore.errors import InternalError
from memstore.ports import Unit
from memstore.render import timestamp
from memstore.serving import Caller, Served, look_up, readable
from memstore.verifying import worth_beside


def event_at(
    unit: Unit, caller: Caller, seq: int, *, as_of: int | None = None
) -> tuple[dict[str, Any], Served | None, Label]:
    """One event, the record whose title it shows, if it shows one, and the label of what else is told in it."""
    logged = unit.log.entry(seq)
    if logged is None:
        raise InternalError("The log has a gap", code="damaged", next_call="Run log verify.")
    statement = parse_statement(logged.entry.payload_type, logged.payload)
    event: dict[str, Any] = {"seq": seq, "at": timestamp(logged.entry.logged_at), "author": statement.author}
    match statement:
        case SessionStarted():
            event["event"] = "session_started"
            worth = worth_beside(unit, logged, author=statement.author, launch=statement.launch)
            if worth < readable(unit, caller):
                return event, None, Label.TRUSTED
            return {**event, "task": statement.task}, None, worth
        case Recorded():
            return *_recorded(unit, caller, seq, event, as_of), Label.TRUSTED
        case KeyChanged(principal=name):
            # T13: of somebody who does not work here the name is not told.
            whose = unit.view.principal(name)
            told = {"principal": name} if whose is not None and caller.scope in whose.scopes else {}
            return {**event, "event": f"key_{statement.action}", **told}, None, Label.TRUSTED
        case _:
            return _act(event, statement, logged.entry.digest), None, Label.TRUSTED


def _act(event: dict[str, Any], statement: Statement, digest: bytes) -> dict[str, Any]:
    """The event of an act in closed values: nothing in it is of an agent's phrasing."""
    match statement:
        case SessionEnded():
            return {**event, "event": "session_ended", "id": statement.session, "outcome": str(statement.outcome)}
        case Reviewed():
            told = {"id": statement.record, "verdict": str(statement.verdict), "method": str(statement.method)}
            return {**event, "event": "reviewed", **told}
        case Retracted():
            told = {"id": statement.record, "reason": str(statement.reason), "replacement": statement.replacement}
            return {**event, "event": "retracted", **told}
        case HandoffOffered():
            told = {"id": short_id("h-", digest), "type": str(statement.type), "to": statement.receiver}
            return {**event, "event": "handoff_offered", **told, "hop": statement.hop}
        case HandoffReceived():
            return {**event, "event": "handoff_received", "id": statement.handoff, "problems": statement.problems}
        case HandoffAnswered():
            event |= {"event": "handoff_answered", "id": statement.handoff, "action": str(statement.action)}
            return {**event, "outputs": statement.outputs}
        case HandoffDecided():
            told = {"id": statement.handoff, "action": "approve" if statement.approved else "deny"}
            return {**event, "event": "handoff_answered", **told}
        case _:
            return {**event, "event": statement.noun}


def _recorded(
    unit: Unit, caller: Caller, seq: int, event: dict[str, Any], as_of: int | None
) -> tuple[dict[str, Any], Served | None]:
    served = look_up(unit, unit.records.id_at(seq), caller.scope, as_of=as_of)
    if served is None:
        return {**event, "event": "recorded", "erased": True}, None
    state = served.state
    event |= {
        "event": "recorded",
        "id": served.id,
        "kind": str(state.kind),
        "label": str(served.label),
        "status": str(served.status),
        "session": state.session,
        "flags": list(served.flags),
    }
    telling = not served.reasons and not served.fell_since and served.label >= readable(unit, caller)
    return ({**event, "task": served.task, "title": served.title}, served) if telling else (event, None)
