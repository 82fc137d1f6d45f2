"""Whose turn it is: handoffs by box, as closed values and ids, so that looking lowers nothing (DESIGN 7)."""

from __future__ import annotations

from typing import Any

from memstore.core.epochs import epoch_of
from memstore.core.handoffs import is_within, may_take
from memstore.core.labels import Label
from memstore.core.policy import Allowed
from memstore.core.state import HandoffState, HandoffStatus
from memstore.core.statements import Role
from memstore.cursors import decode_cursor, encode_cursor
from memstore.errors import InternalError, InvalidInput
from memstore.ports import Store, Unit
from memstore.render import Answer, timestamp
from memstore.requests import HandoffInboxRequest
from memstore.serving import Caller, readable
from memstore.verifying import worth_beside

# What is shown where no states are asked for.
TURN = frozenset({HandoffStatus.OFFERED, HandoffStatus.CLARIFICATION_REQUESTED, HandoffStatus.ACCEPTED})
GATES = frozenset({HandoffStatus.AWAITING_APPROVAL})
UNDONE = TURN | GATES | {HandoffStatus.DEAD_LETTER}


def inbox(store: Store, caller: Caller, request: HandoffInboxRequest) -> Answer:
    """Handoffs of one box, oldest first: {items[], next_cursor}; without states, those that are not over."""
    told = {"box": request.box, "states": list(request.states), "epoch": epoch_of(caller.launch)}
    with store.read() as unit:
        after = _position(request.cursor, told)
        found = [one for one in _of_box(unit, caller, request) if one.seq > after]
        least = readable(unit, caller)
        items = [item_of(unit, one, least=least) for one in found[: request.limit]]
    more = len(found) > request.limit
    last = found[request.limit - 1].seq if more else 0
    return Answer({"items": items, "next_cursor": encode_cursor(told, "inbox", [last.to_bytes(5)]) if more else ""})


def _position(text: str, told: object) -> int:
    if not text:
        return -1
    cursor = decode_cursor(text, told, ["inbox"])
    if len(cursor.served) != 1:
        raise InvalidInput("The cursor is not of this query", code="bad_cursor", next_call="Leave cursor out.")
    return int.from_bytes(next(iter(cursor.served)))


def _of_box(unit: Unit, caller: Caller, request: HandoffInboxRequest) -> list[HandoffState]:
    wanted = frozenset(HandoffStatus(state) for state in request.states)
    found = unit.handoffs.of_box(caller.scope, caller.name, request.box, done=bool(wanted))
    match request.box:
        case "in":
            across = unit.handoffs.across(caller.scope, caller.name, done=bool(wanted))
            mine = [one for one in across if is_within(one, caller.name, caller.scope, unit.view, unit.now)]
            found = sorted([*found, *mine], key=lambda one: one.seq)
            wanted = wanted or TURN
            found = [one for one in found if _is_to_do(unit, caller, one)]
            if caller.principal.role is Role.HUMAN:
                # A gate is anybody's who is a person: whoever looks has to find it.
                wanted |= frozenset() if request.states else {HandoffStatus.AWAITING_APPROVAL}
                gates = [one for one in unit.handoffs.open_in(caller.scope) if one.stage in GATES]
                found = sorted({one.seq: one for one in [*found, *gates]}.values(), key=lambda one: one.seq)
        case "out":
            wanted = wanted or UNDONE
        case "dead_letter":
            wanted = wanted or frozenset({HandoffStatus.DEAD_LETTER, HandoffStatus.EXPIRED})
            found = [one for one in found if _owns_dead(unit, caller, one)]
    return [one for one in found if one.status(unit.now) in wanted]


def _is_to_do(unit: Unit, caller: Caller, handoff: HandoffState) -> bool:
    if handoff.status(unit.now) in (HandoffStatus.OFFERED, HandoffStatus.CLARIFICATION_REQUESTED):
        return isinstance(may_take(handoff, caller.principal, unit.now), Allowed)
    return caller.name in (handoff.holder or handoff.receiver, handoff.receiver)


def _owns_dead(unit: Unit, caller: Caller, handoff: HandoffState) -> bool:
    """A dead letter is its fallback owner's; where there is none, or none any more, its sender learns of it."""
    return caller.name == (handoff.fallback if can_act(unit, handoff.fallback) else handoff.sender)


def can_act(unit: Unit, name: str) -> bool:
    """Whether there is such a principal, and its newest key stands."""
    keys = unit.registry.keys_of(name)
    return bool(keys) and keys[-1].retired is None and keys[-1].compromised is None


def worth_of(unit: Unit, handoff: HandoffState) -> Label:
    """What a handoff's own words, the name of its task, are worth now."""
    logged = unit.log.entry(handoff.seq)
    if logged is None:
        raise InternalError("The log has a gap", code="damaged", next_call="Run log verify.")
    return worth_beside(unit, logged, author=handoff.sender, launch=handoff.launch)


def item_of(unit: Unit, handoff: HandoffState, *, least: Label) -> dict[str, Any]:
    """A handoff in closed values: nothing in it was phrased by anybody, save a task that may be read (T11).

    `least` is the lowest label whose words lower nothing for who asks.
    """
    now = unit.now
    status = handoff.status(now)
    told: dict[str, Any] = {
        "handoff": handoff.id,
        "type": str(handoff.type),
        "from": handoff.sender,
        "to": handoff.to,
        "receiver": handoff.receiver,
        "state": str(status),
        "hop": handoff.hop,
        "attempts": handoff.attempts,
        "offered_at": timestamp(handoff.logged_at),
        "deadline": timestamp(handoff.deadline or None),
        "contract": handoff.contract,
        "fallback": handoff.fallback,
        "holder": handoff.holder if status is HandoffStatus.ACCEPTED else "",
        "expires_at": timestamp(handoff.until) if status is HandoffStatus.ACCEPTED else "",
        "why": handoff.why_dead(now),
        "question": handoff.question if status is HandoffStatus.CLARIFICATION_REQUESTED else "",
        "reason": handoff.reason,
        "task": handoff.task if handoff.task and worth_of(unit, handoff) >= least else "",
    }
    return {name: value for name, value in told.items() if value != ""}
