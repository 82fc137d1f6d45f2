"""Receiving work: `handoff_receive`, the verdict before anything is done (DESIGN 3.5, 7).

A receipt is signed of what was verified and what was wrong with it; acceptance names it and every problem in it, so
both sides have signed the same thing. What is shown is on record as shown before it leaves.
"""

from __future__ import annotations

from typing import Any

from memstore import contracts
from memstore.answers import Giver, Page
from memstore.core.boundary import POSTURE
from memstore.core.handoffs import OPEN, is_addressed, is_within, may_take
from memstore.core.labels import Label
from memstore.core.offers import HandoffReceived
from memstore.core.policy import Denied as NotAllowed
from memstore.core.state import HandoffState, HandoffStatus, ReceiptState
from memstore.errors import Conflict, InternalError, InvalidInput, NotFound
from memstore.inspecting import PARTS, Inspection, inspect, is_granted, rules_of
from memstore.ports import Store, Unit
from memstore.render import Answer, Budget, timestamp, tokens
from memstore.requests import HandoffReceiveRequest
from memstore.serving import RETRIES, Caller, Served, disclosed, ensure_context, mark_label
from memstore.signing import StoreKey
from memstore.write import append

ENVELOPE_TOKENS = 400  # of an answer, for what stands around the records
REFERENCE_TOKENS = 80  # for one that has to be withheld: its id, its ref and why


def receive(store: Store, key: StoreKey, caller: Caller, request: HandoffReceiveRequest) -> Answer:
    """The verdict on a handoff before anything is done for it, and a signed receipt of it."""
    for _ in range(RETRIES):

        def look(unit: Unit) -> tuple[tuple[Inspection, Answer, int], Page]:
            handoff = for_me(unit, caller, request.handoff)
            found, page = (
                inspect(unit, handoff, caller.principal, caller.scope),
                Page(Budget(request.max_tokens - ENVELOPE_TOKENS)),
            )
            return (found, shown(Giver(unit, key, caller, page, unit.now), found), unit.log.head().size), page

        (found, answer, size), mark = disclosed(store, caller, look)
        receipt = _receipt(store, key, caller, found, size)
        if receipt:
            answer |= {"receipt": receipt, "mark": mark_label(caller, mark)}
            return answer
    raise InternalError("The store kept changing while it was read", code="busy", next_call="Try again.")


def for_me(unit: Unit, caller: Caller, asked: str) -> HandoffState:
    """The handoff, where this caller may take it now; who may not learns no more than that (T13)."""
    found = unit.view.handoff(asked)
    if found is None or not reaches(unit, caller, found) or not is_addressed(found, caller.principal):
        raise unknown()
    status = found.status(unit.now)
    if status is HandoffStatus.AWAITING_APPROVAL:
        raise Conflict("It waits for a person's approval", code="awaiting_approval", next_call="Wait: handoff_inbox.")
    mine = caller.name == found.holder and status is HandoffStatus.ACCEPTED
    decision = may_take(found, caller.principal, unit.now)
    if isinstance(decision, NotAllowed) and not mine:
        raise Conflict(decision.reason.capitalize(), code="not_yours_now", next_call="See handoff_inbox.")
    if status not in OPEN:
        raise Conflict(f"The handoff is {status}", code="handoff_over", next_call="See handoff_inbox for others.")
    return found


def reaches(unit: Unit, caller: Caller, handoff: HandoffState) -> bool:
    """T13: whether it is of the caller's scope, or comes to it across scopes by a grant that names both."""
    if not is_within(handoff, caller.name, caller.scope, unit.view, unit.now):
        return False
    return handoff.scope == caller.scope or is_granted(unit, handoff)


def unknown() -> NotFound:
    return NotFound("There is no such handoff", code="unknown_id", next_call="handoff_inbox lists yours.")


_HOW = ": give more, or memory_get those of your scope."


def shown(giver: Giver, found: Inspection) -> Answer:
    """A handoff as its receiver sees it: the sections of 3.4, each in the order of the parts."""
    ordered = [found.served[record] for _, record in found.named if record in found.served]
    good = list(dict.fromkeys(one.id for one in ordered))
    by_id = found.served
    withheld = [by_id[one] for one in good if by_id[one].reasons]
    delta = {
        "dropped": [{"part": part, "id": record} for part, record in found.delta.dropped],
        "added": [{"part": part, "id": record} for part, record in found.delta.added],
    }
    verdict = {"problems": rules_of(found.problems), "delta": delta, "named": _named(found)}
    _keep_room(giver, len(withheld), max(0, tokens(verdict) - ENVELOPE_TOKENS))
    sections: dict[str, Any] = {}
    for label in (Label.TRUSTED, Label.ATTRIBUTED):
        tier = [by_id[one] for one in good if not by_id[one].reasons and by_id[one].label is label]
        hits = [item for one in tier if (item := giver.hit(one, detail="full", first=True)) is not None]
        sections[str(label)] = {"hits": hits, "count": len(tier), "next_cursor": ""}
    giver.page.budget.left += REFERENCE_TOKENS * len(withheld)
    entries = []
    for place, one in enumerate(withheld, 1):
        entries.append(_entry(giver, one, rest=len(withheld) - place))
    quarantined = {"entries": entries, "count": len(withheld), "next_cursor": ""}
    outputs = {**sections, "quarantined": quarantined}
    left_out = len(good) - sum(len(part.get("hits", part.get("entries", ()))) for part in outputs.values())
    told = {
        "handoff": found.handoff.id,
        "state": str(found.handoff.status(giver.unit.now)),
        "valid": found.valid,
        **verdict,
        "outputs": outputs,
        "posture": "quarantine" if found.handoff.label < Label.ATTRIBUTED else POSTURE[found.handoff.type],
        "contract": _contract(giver, found),
        "note": f"{left_out} more records did not fit max_tokens{_HOW}" if left_out else "",
    }
    return Answer(told, giver.page.lowest)


def _keep_room(giver: Giver, references: int, verdict: int) -> None:
    """Nobody accepts what he was not told of: verdict and references have their place, whatever else has room.

    `verdict` are the tokens that it needs beyond the usual.
    """
    giver.page.budget.left -= verdict + REFERENCE_TOKENS * references
    if references and giver.page.budget.left < 0:
        raise InvalidInput(
            "`max_tokens` does not hold its references",
            code="out_of_range",
            next_call=f"Pass at least {ENVELOPE_TOKENS + verdict + REFERENCE_TOKENS * references}.",
        )


def _entry(giver: Giver, served: Served, *, rest: int) -> dict[str, Any]:
    """An entry, or where there is no room beside the `rest` that follow its bare reference, which always fits."""
    budget, kept = giver.page.budget, REFERENCE_TOKENS * rest
    budget.left -= kept
    entry = giver.entry(served, listed=False)
    if entry is None:
        entry = {"ref": giver.ref(served), "reasons": [str(reason) for reason in served.reasons]}
        budget.left -= REFERENCE_TOKENS
    budget.left += kept
    return {"id": served.id, **entry}


def _contract(giver: Giver, found: Inspection) -> dict[str, Any]:
    """The contract that it is under, its schema where there is room."""
    contract = giver.unit.view.contract(found.handoff.contract) if found.handoff.contract else None
    if contract is None:
        return {}
    told = contracts.told(contract)
    return told if giver.page.budget.take(told) else {**told, "schema": {}}


def _named(found: Inspection) -> dict[str, Any]:
    """Which record stands for what: closed values and ids."""
    handoff, statement = found.handoff, found.statement
    ids = {part: [record for named, record in found.named if named == part] for part in PARTS}
    told: dict[str, Any] = {"type": str(handoff.type), "from": handoff.sender, "hop": handoff.hop}
    told |= {"contract": handoff.contract, "attempt": handoff.attempts + 1, "none": list(statement.none)}
    told |= {"deadline": timestamp(handoff.deadline or None), "grant": statement.grant}
    return {name: value for name, value in {**told, **ids}.items() if value not in ("", [])}


def _receipt(store: Store, key: StoreKey, caller: Caller, found: Inspection, size: int) -> str:
    """A signed receipt of what was found when the log was of this size, or "" where things stand otherwise now.

    What time alone did in between makes the receipt an old one, which acceptance sees.
    """
    with store.write() as unit:
        handoff = for_me(unit, caller, found.handoff.id)
        same = unit.log.head().size == size and handoff.token == found.handoff.token
        again = found if same else inspect(unit, handoff, caller.principal, caller.scope)
        if (again.verified, again.digest, handoff.token) != (found.verified, found.digest, found.handoff.token):
            return ""
        for one in unit.receipts.receipts(handoff.id):
            if one.author == caller.name and one.launch == caller.launch and is_of(one, again):
                return one.id
        ensure_context(unit, caller)
        fields = {"handoff": handoff.id, "token": handoff.token}
        fields |= {"verified": list(again.verified), "problems": list(again.codes), "found": again.digest}
        return append(unit, key, caller.author, HandoffReceived, fields).id


def is_of(receipt: ReceiptState, found: Inspection) -> bool:
    """Whether a receipt says just what is found now, of this attempt."""
    same = (receipt.token, receipt.verified, receipt.found)
    return same == (found.handoff.token, found.verified, found.digest)
