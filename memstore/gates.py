"""Gates: what a person must decide before a handoff goes on, shown for people and decided by one (DESIGN 3.5).

The decision is signed with the person's own key, which is unlocked on a terminal; no tool of an agent leads here. What
is shown says what each answer leads to, beside everything that the handoff holds.
"""

from __future__ import annotations

from typing import Any

from memstore.answers import Giver, Page
from memstore.core.contexts import Extent
from memstore.core.handoffs import is_addressed
from memstore.core.offers import HandoffDecided
from memstore.core.state import HandoffState, HandoffStatus
from memstore.core.statements import Role
from memstore.errors import Conflict, Denied, NotFound
from memstore.inbox import item_of
from memstore.inspecting import Inspection, inspect
from memstore.ports import Store, Unit
from memstore.receiving import reaches, shown
from memstore.render import Answer, Budget, hit, timestamp
from memstore.serving import Caller, disclosed, ensure_context, look_up, mark_label, readable
from memstore.signing import StoreKey
from memstore.write import append


def handoff_item(store: Store, caller: Caller, asked: str) -> Answer:
    """A handoff in closed values, and what was done about it: what the resource gives."""
    with store.read() as unit:
        handoff = _mine(unit, caller, asked)
        told = item_of(unit, handoff, least=readable(unit, caller))
        return Answer({**told, "acts": _acts(unit, handoff)})


def show(store: Store, key: StoreKey, caller: Caller, asked: str, *, max_tokens: int) -> Answer:
    """A handoff for a person: how it stands, what is proposed, what each answer leads to, and all that it holds."""

    def look(unit: Unit) -> tuple[Answer, Page]:
        handoff = _mine(unit, caller, asked)
        receiver = unit.view.principal(handoff.receiver) or caller.principal
        found, page = inspect(unit, handoff, receiver, caller.scope), Page(Budget(max_tokens))
        gate = _gate(unit, found, page)
        payload = shown(Giver(unit, key, caller, page, unit.now), found)
        told: dict[str, Any] = {"summary": _summary(handoff, unit.now), "decide": gate}
        told |= item_of(unit, handoff, least=readable(unit, caller))
        told |= {"acts": _acts(unit, handoff), "payload": dict(payload)}
        return Answer(told, page.lowest), page

    answer, mark = disclosed(store, caller, look)
    answer["mark"] = mark_label(caller, mark)
    return answer


def decide(store: Store, key: StoreKey, caller: Caller, asked: str, *, approved: bool) -> Answer:
    """Approve or deny at a gate, as a person; the same decision twice is one."""
    if caller.principal.role is not Role.HUMAN:
        raise Denied(
            "Only a person decides at a gate", code="not_a_person", next_call="A person runs: memstore handoff approve."
        )
    with store.write() as unit:
        handoff = _mine(unit, caller, asked)
        if handoff.decided >= 0 and _was_approved(unit, handoff) is approved:
            return _decided(unit, asked, "It was decided so before; nothing was done twice.")
        if handoff.status(unit.now) is not HandoffStatus.AWAITING_APPROVAL:
            status = handoff.status(unit.now)
            raise Conflict(f"The handoff is {status}, and waits for nobody", code="wrong_state")
        logged = unit.log.entry(handoff.seq)
        if logged is None:
            raise NotFound("The handoff is not here", code="unknown_id")
        ensure_context(unit, caller)
        fields = {"handoff": handoff.id, "approved": approved, "shown": logged.entry.digest.hex()}
        append(unit, key, caller.author, HandoffDecided, fields)
        return _decided(unit, asked, "")


def _was_approved(unit: Unit, handoff: HandoffState) -> bool:
    return any(one.seq == handoff.decided and one.action == "approve" for one in unit.receipts.answers(handoff.id))


def _decided(unit: Unit, asked: str, note: str) -> Answer:
    found = unit.view.handoff(asked)
    state = str(found.status(unit.now)) if found else ""
    return Answer({"handoff": asked, "state": state, "note": note})


def _mine(unit: Unit, caller: Caller, asked: str) -> HandoffState:
    """The handoff, for a person of its scope or somebody who has to do with it (T13)."""
    found = unit.view.handoff(asked)
    if found is not None and reaches(unit, caller, found):
        party = caller.name in (found.sender, found.holder) or is_addressed(found, caller.principal)
        if party or caller.principal.role is Role.HUMAN:
            return found
    raise NotFound("There is no such handoff", code="unknown_id", next_call="handoff_inbox lists yours.")


def _gate(unit: Unit, found: Inspection, page: Page) -> dict[str, Any]:
    """The question that a person is to decide, in its author's words, which are a record like any other."""
    served = look_up(unit, found.statement.gate, found.handoff.scope) if found.statement.gate else None
    if served is None:
        return {}
    if served.reasons:
        return {"id": served.id, "reasons": [str(reason) for reason in served.reasons]}
    page.show(served, Extent.FULL)
    return hit(served, "full", unit.now)


def _summary(handoff: HandoffState, now: int) -> list[str]:
    """What a person has to know, in words of ours."""
    status = handoff.status(now)
    told = [f"{handoff.sender} hands a {handoff.type} to {handoff.receiver}; it is {status}."]
    if status is HandoffStatus.AWAITING_APPROVAL:
        told.append(f"If you approve, {handoff.receiver} may take it and act on it.")
        told.append("If you deny, it ends here, and nothing is done.")
        instead = f"goes to {handoff.fallback}" if handoff.fallback else "expires"
        if handoff.deadline:
            told.append(f"If you decide nothing, it {instead} on {timestamp(handoff.deadline)}.")
    return told


def _acts(unit: Unit, handoff: HandoffState) -> list[dict[str, Any]]:
    """What was done about it, in order."""
    acts = [
        {"seq": one.seq, "act": "received", "author": one.author, "receipt": one.id, "problems": list(one.problems)}
        for one in unit.receipts.receipts(handoff.id)
    ]
    for one in unit.receipts.answers(handoff.id):
        told: dict[str, Any] = {"seq": one.seq, "act": str(one.action), "author": one.author, "lease": one.lease}
        told |= {"receipt": one.receipt, "outputs": list(one.outputs), "acknowledged": list(one.acknowledged)}
        acts.append({name: value for name, value in told.items() if value not in ("", [], 0)})
    return sorted(acts, key=lambda act: act["seq"])
