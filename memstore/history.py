"""What happened, in order: records, and starts and ends of sessions, across agents (DESIGN 7, `memory_history`).

Events are closed values; a title stands beside one only where reading it lowers nothing. As with every answer, what is
shown is put on record first.
"""

from __future__ import annotations

from typing import Any, assert_never

from memstore.answers import Page
from memstore.core.contexts import Extent
from memstore.core.entries import Logged
from memstore.core.labels import Label, SignatureState
from memstore.core.offers import HandoffAnswered, HandoffDecided, HandoffOffered, HandoffReceived
from memstore.core.statements import (
    Recorded,
    Retracted,
    Reviewed,
    SessionEnded,
    SessionStarted,
    Statement,
    parse_statement,
    short_id,
)
from memstore.cursors import decode_cursor, encode_cursor
from memstore.disclosing import disclosures
from memstore.errors import InternalError, InvalidInput
from memstore.moments import Instant, Position, parse_moment
from memstore.ports import Store, Unit
from memstore.render import Answer, Budget, timestamp
from memstore.requests import HistoryRequest
from memstore.serving import Caller, Served, disclosed, look_up, mark_label, readable, resolve
from memstore.verifying import signature_state

END_OF_LOG = 2**62


def history(store: Store, caller: Caller, request: HistoryRequest) -> Answer:
    """The timeline of a scope, a task, a session or a record, oldest first, in pages."""
    told = request.model_dump(exclude={"cursor", "max_tokens", "limit"})

    def look(unit: Unit) -> tuple[Answer, Page]:
        page = Page(Budget(request.max_tokens - 40))
        after, before = _bounds(unit, request)
        if request.cursor:
            after = max(after, _position(request.cursor, told))
        match request.view:
            case "timeline":
                events, last = _events(unit, caller, request, page, after, before)
            case "disclosures":
                events, last = disclosures(unit, caller, request, page, after)
            case _:
                assert_never(request.view)
        next_cursor = encode_cursor(told, "timeline", [last.to_bytes(5, "big")]) if last is not None else ""
        return Answer({"events": events, "next_cursor": next_cursor}, page.lowest), page

    answer, mark = disclosed(store, caller, look)
    answer["mark"] = mark_label(caller, mark)
    return answer


def _position(text: str, told: object) -> int:
    cursor = decode_cursor(text, told, ["timeline"])
    if len(cursor.served) != 1:
        raise InvalidInput("The cursor is not of this query", code="bad_cursor", next_call="Leave cursor out.")
    return int.from_bytes(next(iter(cursor.served)), "big")


def _bounds(unit: Unit, request: HistoryRequest) -> tuple[int, int]:
    """(exclusive, exclusive) log positions that the events lie between."""
    after, before = -1, END_OF_LOG
    match parse_moment(request.since, "since"):
        case Position(seq):
            after = seq
        case Instant(micros):
            after = unit.log.size_at(micros - 1) - 1
    for name in ("until", "as_of"):
        match parse_moment(getattr(request, name), name):
            case Position(seq):
                before = min(before, seq + 1)
            case Instant(micros):
                before = min(before, unit.log.size_at(micros))
    return after, before


def _events(
    unit: Unit, caller: Caller, request: HistoryRequest, page: Page, after: int, before: int
) -> tuple[list[dict[str, Any]], int | None]:
    record = resolve(unit, caller, request.id)
    if request.id and not record:
        return [], None
    positions = unit.retrieval.timeline(
        caller.scope,
        task=request.task,
        session=request.of_session,
        record=record,
        after=after,
        before=before,
        most=request.limit + 1,
    )
    events: list[dict[str, Any]] = []
    for seq in positions:
        event, served, told = _event(unit, caller, seq)
        if len(events) == request.limit or (events and not page.budget.take(event)):
            return events, int(events[-1]["seq"])
        if not events and not page.budget.take(event):
            # One event a page at least, or a walk would end here.
            event = {name: event[name] for name in ("seq", "event", "id") if name in event}
            served, told = None, Label.TRUSTED
        if served is not None:
            page.show(served, Extent.CONCISE)
        page.tell(told)
        events.append(event)
    return events, None


def _event(unit: Unit, caller: Caller, seq: int) -> tuple[dict[str, Any], Served | None, Label]:
    """One event, the record whose title it shows, if it shows one, and the label of what else is told in it."""
    logged = unit.log.entry(seq)
    if logged is None:
        raise InternalError("The log has a gap", code="damaged", next_call="Run log verify.")
    statement = parse_statement(logged.entry.payload_type, logged.payload)
    event: dict[str, Any] = {"seq": seq, "at": timestamp(logged.entry.logged_at), "author": statement.author}
    match statement:
        case SessionStarted():
            event["event"] = "session_started"
            if not _may_be_told(unit, caller, logged, statement):
                return event, None, Label.TRUSTED
            return {**event, "task": statement.task}, None, logged.entry.verdict.label
        case Recorded():
            return *_recorded(unit, caller, seq, event), Label.TRUSTED
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


def _may_be_told(unit: Unit, caller: Caller, logged: Logged, statement: SessionStarted) -> bool:
    """Whether reading a session's task lowers nothing: an agent phrased it, perhaps as the outside said (T11).

    Where something that its context was shown has fallen since, the label that it was logged with says too much.
    """
    key = unit.registry.key(logged.entry.keyid)
    signed = signature_state(unit, logged, statement.author) in (SignatureState.VALID, SignatureState.ATTESTED)
    context = unit.view.context(statement.launch)
    fell = context is not None and context.mark.fell_at > logged.entry.seq
    stands = signed and not fell and key is not None and key.stands_at(logged.entry.seq)
    return stands and logged.entry.verdict.label >= readable(unit, caller)


def _recorded(unit: Unit, caller: Caller, seq: int, event: dict[str, Any]) -> tuple[dict[str, Any], Served | None]:
    served = look_up(unit, unit.records.id_at(seq), caller.scope)
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
    telling = not served.reasons and served.label >= readable(unit, caller)
    return ({**event, "task": served.task, "title": served.title}, served) if telling else (event, None)
