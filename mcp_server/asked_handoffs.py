"""What a bridge checks of handoffs before it signs, as `mcp_server.asked` does of all else (ADR 0045).

What an agent phrases in a handoff becomes records: each has to be one of those texts, and stand where the text stood.
A text that was stored before is named by the id of that record, whose words the server has to show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcp_server.asked import (
    CHECKS,
    Check,
    Ground,
    Item,
    Queue,
    Unasked,
    refuse_other,
    same_id,
    same_ids,
    session_of,
    session_started,
    written,
)
from memstore.core.boundary import NONE
from memstore.core.canonical import canonical_bytes
from memstore.core.handoffs import CAPABILITY
from memstore.core.offers import HandoffAction, HandoffAnswered, HandoffOffered, HandoffReceived, HandoffType
from memstore.core.reviews import GRANTED
from memstore.core.statements import Granted, GrantRevoked, Kind, Method, Recorded, Reviewed, Stance
from memstore.moments import Instant, parse_moment
from memstore.offering import GRANT_SECONDS, PHRASED, earliest, is_id, phrased_as
from memstore.recording import content_of
from memstore.requests import (
    HandoffOfferRequest,
    HandoffReceiveRequest,
    HandoffRespondRequest,
    SessionStartRequest,
)
from memstore.sessions import MICROS

MOST_ROUNDS = 64  # of question and answer on one handoff
_LISTS = ("outputs", *PHRASED)


def _digest(told: Any) -> str:
    return hashlib.sha256(canonical_bytes(told, nfc=False)).hexdigest()


@dataclass
class _Phrases:
    """The texts of a call, each as the record that it became just now or before."""

    ground: Ground
    queue: Queue
    session: str = ""

    def id_of(self, text: str, kind: Kind, part: str, got: str, **more: Any) -> str:
        """The id that stands for a text: of the next record that is to be signed, or of one that was."""
        expected = phrased_as(text, kind, part, session=self.session, **more)
        if self.queue.next_is(Recorded) and self.queue.peek().id == got:
            _, item = self.queue.take(Recorded)
            written(self.ground, item, expected)
            return item.id
        before, content = self.ground.own(got, Recorded)
        if before.kind is not kind or content != content_of(expected):
            raise Unasked
        return got

    def answered(self, one: str) -> str:
        """Which question the record of this id answers."""
        if self.queue.next_is(Recorded) and self.queue.peek().id == one:
            statement = self.queue.peek().statement
            return statement.answers if isinstance(statement, Recorded) else ""
        return self.ground.own(one, Recorded)[0].answers


def _offer(ground: Ground, request: HandoffOfferRequest, queue: Queue) -> None:
    granted: tuple[Granted, Item] | None = queue.take(Granted) if queue.next_is(Granted) else None
    offered = queue.last(HandoffOffered)
    phrases = _Phrases(ground, queue, request.session)
    parts = _parts(phrases, request, offered)
    got, item = queue.take(HandoffOffered)
    session, task = session_of(ground, request.session, got.session)
    by_name = not request.to.startswith(CAPABILITY)
    asked = parse_moment(request.deadline, "deadline")
    deadline = asked.micros if isinstance(asked, Instant) else 0
    ends = earliest(deadline, granted[0].expires_at) if granted else deadline
    told = request.model_dump(exclude={"session", "idempotency_key"})
    fields = {
        "scope": ground.scope,
        "task": task,
        "session": session,
        "type": HandoffType(request.type),
        "to": request.to,
        "receiver": request.to if by_name else got.receiver,
        "fallback": request.fallback,
        "outputs": same_ids([] if request.outputs == [NONE] else request.outputs, got.outputs),
        "none": [part for part in _LISTS if getattr(request, part) == [NONE]],
        "intent": same_id(request.intent, got.intent),
        "checkpoint": same_id(request.checkpoint, got.checkpoint),
        "contract": request.contract,
        # What crosses to another scope ends with the grant by which it does.
        "deadline": ends if got.deadline == ends else deadline,
        "grant": granted[1].id if granted else "",
        "parent": got.parent,
        "correlation": got.correlation,
        "hop": got.hop,
        "digest": _digest([ground.scope, task, told]),
        "key": _digest([ground.scope, request.idempotency_key]) if request.idempotency_key else "",
    }
    refuse_other(item, HandoffOffered, {**fields, **parts})
    if granted is not None:
        _refuse_grant(ground, request, *granted, receiver=got.receiver)


def _parts(phrases: _Phrases, request: HandoffOfferRequest, got: HandoffOffered) -> dict[str, Any]:
    """The fields that hold what was phrased or named, and which of it was phrased."""
    found: dict[str, Any] = {}
    named: set[str] = set()

    def stands_for(text: str, kind: Kind, part: str, one: str) -> str:
        if is_id(text):
            named.add(same_id(text, one))
            return one
        more: dict[str, Any] = {"rationale": text} if kind is Kind.REJECTED else {}
        return phrases.id_of(text, kind, part, one, **more)

    for part, kind in PHRASED.items():
        said = [item for item in getattr(request, part) if item != NONE]
        found[part] = _aligned(said, getattr(got, part), lambda text, one: stands_for(text, kind, part, one))  # noqa: B023
    if request.directive:
        why = request.rationale or "Not said."
        more: dict[str, Any] = {"rationale": why, "alternatives": [NONE]}
        found["directive"] = phrases.id_of(request.directive, Kind.DECISION, "directive", got.directive, **more)
    if request.rationale:
        directive = found.get("directive")
        found["rationale"] = directive or stands_for(request.rationale, Kind.FINDING, "rationale", got.rationale)
    if request.gate:
        found["gate"] = stands_for(request.gate, Kind.QUESTION, "gate", got.gate)
    told = [one for value in found.values() for one in ([value] if isinstance(value, str) else value)]
    return {**found, "phrased": [one for one in dict.fromkeys(told) if one not in named]}


def _aligned(said: list[str], got: list[str], stands_for: Callable[[str, str], str]) -> list[str]:
    """An id for each text; what was said twice has one, so the ids may be fewer than the texts."""
    left, ids = list(got), {}
    for text in said:
        if text not in ids:
            if not left:
                raise Unasked
            ids[text] = stands_for(text, left.pop(0))
    if left:
        raise Unasked
    return list(ids.values())


def _refuse_grant(ground: Ground, request: HandoffOfferRequest, got: Granted, item: Item, *, receiver: str) -> None:
    """A context for the receiver, within what was asked for; how far its words may go the store bounds by the giver."""
    if not (request.fresh or request.grant_scopes or request.grant_ttl_seconds):
        raise Unasked
    latest = ground.asserted_at + (request.grant_ttl_seconds or GRANT_SECONDS) * MICROS
    under = ground.launch.removeprefix(GRANTED).partition("@")[0] if ground.launch.startswith(GRANTED) else ""
    fields = {
        "principal": receiver,
        "scopes": request.grant_scopes or [ground.scope],
        "ceiling": got.ceiling,
        "expires_at": min(got.expires_at, latest),
        "depth": 0,
        "under": under,
    }
    refuse_other(item, Granted, fields)


def _receive(ground: Ground, request: HandoffReceiveRequest, queue: Queue) -> None:
    """A receipt says what the server found; only of which handoff is the agent's to say."""
    got, item = queue.take(HandoffReceived)
    found = {"token": got.token, "verified": got.verified, "problems": got.problems, "found": got.found}
    refuse_other(item, HandoffReceived, {"handoff": request.handoff, **found})


def _respond(ground: Ground, request: HandoffRespondRequest, queue: Queue) -> None:
    if request.action == "heartbeat":
        raise Unasked
    action, phrases = HandoffAction(request.action), _Phrases(ground, queue)
    answered = queue.last(HandoffAnswered)
    fields: dict[str, Any] = {"handoff": request.handoff, "action": action}
    said: list[Any] = [ground.name, request.handoff, request.model_dump(exclude={"handoff"})]
    digests = [_digest(said)]
    match action:
        case HandoffAction.ACCEPT:
            if sorted(answered.acknowledged) != sorted(set(request.acknowledge)):
                raise Unasked
            fields |= {"receipt": request.receipt, "acknowledged": answered.acknowledged, "lease": answered.lease}
            digests = [_digest([*said, ground.launch])]
        case HandoffAction.CLARIFY:
            fields |= _clarified(phrases, request, answered)
            digests = [_digest([*said, number]) for number in range(MOST_ROUNDS)]
        case HandoffAction.COMPLETE | HandoffAction.FAIL:
            outputs = [] if request.outputs == [NONE] else request.outputs
            fields |= {"outputs": same_ids(outputs, answered.outputs), "lease": int(request.lease or 0)}
            fields |= _reason(phrases, request, answered)
        case _:
            fields |= _reason(phrases, request, answered)
    if answered.digest not in digests:
        raise Unasked
    _, item = queue.take(HandoffAnswered)
    refuse_other(item, HandoffAnswered, {**fields, "digest": answered.digest})
    if action is HandoffAction.CANCEL and queue.next_is(GrantRevoked):
        _, item = queue.take(GrantRevoked)
        refuse_other(item, GrantRevoked, {"grant": ground.own(request.handoff, HandoffOffered)[0].grant})
    if action is HandoffAction.ACCEPT:
        _endorsed(ground, request, queue)


def _reason(phrases: _Phrases, request: HandoffRespondRequest, got: HandoffAnswered) -> dict[str, str]:
    if not request.reason.strip():
        return {}
    more = {"rationale": request.reason[:2000]}
    return {"reason": phrases.id_of(request.reason, Kind.REJECTED, "reason", got.reason, **more)}


def _clarified(phrases: _Phrases, request: HandoffRespondRequest, got: HandoffAnswered) -> dict[str, Any]:
    """A receiver's question, or its sender's answer."""
    if got.question:
        if not request.question.strip():
            raise Unasked
        return {"question": phrases.id_of(request.question, Kind.QUESTION, "question", got.question)}
    if not request.reason.strip() and not request.outputs:
        raise Unasked
    fields: dict[str, Any] = {"outputs": same_ids(request.outputs, got.outputs)}
    if request.reason.strip():
        answers = phrases.answered(got.reason)
        more = {"answers": answers} if answers else {}
        fields["reason"] = phrases.id_of(request.reason, Kind.FINDING, "answer", got.reason, **more)
    return fields


def _endorsed(ground: Ground, request: HandoffRespondRequest, queue: Queue) -> None:
    """Accepting a report endorses outputs that it names, and nothing else (T6)."""
    if not queue.next_is(Reviewed):
        return
    report, _ = ground.shown(request.handoff, HandoffOffered)
    left = list(dict.fromkeys(report.outputs)) if report.type is HandoffType.REPORT else []
    while queue.next_is(Reviewed):
        got, item = queue.take(Reviewed)
        if got.record not in left:
            raise Unasked
        left.remove(got.record)
        refuse_other(item, Reviewed, {"record": got.record, "verdict": Stance.ENDORSE, "method": Method.INSPECTED})


def _session_start(ground: Ground, request: SessionStartRequest, queue: Queue) -> None:
    if request.resume_handoff and queue.next_is(HandoffAnswered):
        got, item = queue.take(HandoffAnswered)
        told = [ground.name, request.resume_handoff, ground.launch, "resume", got.lease - 1]
        fields = {"handoff": request.resume_handoff, "action": HandoffAction.RESUME, "lease": got.lease}
        refuse_other(item, HandoffAnswered, {**fields, "digest": _digest(told)})
    session_started(ground, request, queue)


_CHECKS: dict[str, Check] = {
    **CHECKS,
    "session_start": _session_start,
    "handoff_offer": _offer,
    "handoff_receive": _receive,
    "handoff_respond": _respond,
}
SIGNING = frozenset(_CHECKS)


def refuse_unasked(verb: str, ground: Ground, request: Any, items: list[Item]) -> None:
    """Raise `Unasked` unless these statements are what this call of this agent comes to."""
    queue = Queue(items)
    check = _CHECKS.get(verb)
    if check is None or not items:
        raise Unasked
    if any(item.content and not isinstance(item.statement, Recorded) for item in items):
        raise Unasked
    check(ground, request, queue)
    queue.end()
