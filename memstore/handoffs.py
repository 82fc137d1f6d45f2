"""Answering for work that was received: `handoff_respond` (DESIGN 3.5, 7).

Acceptance names a receipt and every problem in it, and takes a lease; under that lease alone it ends. Each act is one
transaction, and the same call made twice is one act: it is found again by a digest of author, action, handoff and
arguments.
"""

from __future__ import annotations

import hashlib
from typing import Any

from memstore.contracts import violates
from memstore.core.canonical import canonical_bytes
from memstore.core.handoffs import HOLDERS, is_addressed, moved
from memstore.core.labels import Status
from memstore.core.offers import HandoffAction, HandoffAnswered, HandoffType
from memstore.core.policy import Denied as NotAllowed
from memstore.core.state import HandoffState, HandoffStatus
from memstore.core.statements import GrantRevoked, Kind, Verification
from memstore.errors import Conflict, Denied, InvalidInput, NotFound
from memstore.handoff_ports import Answered
from memstore.inspecting import Inspection, inspect
from memstore.offering import outputs_of, said_as
from memstore.ports import Store, Unit
from memstore.receiving import for_me, is_of, reaches, unknown
from memstore.recording import known_records
from memstore.render import Answer, timestamp
from memstore.requests import HandoffRespondRequest
from memstore.reviewing import endorse_shown
from memstore.serving import Caller, ensure_context, look_up
from memstore.signing import StoreKey
from memstore.write import append

MICROS = 1_000_000
_RESUME = "session_start with resume_handoff gives your lease; then complete it, or let it fail with a reason."
RECEIVE_AGAIN = "Call handoff_receive again, and answer to what it says now."


def respond(
    store: Store, key: StoreKey, caller: Caller, request: HandoffRespondRequest, *, lease_seconds: int
) -> Answer:
    """Accept, ask back, reject, complete, fail, cancel, or keep the lease: {handoff, state, lease, note}."""
    with store.write() as unit:
        handoff = _reachable(unit, caller, request.handoff)
        if request.action == "heartbeat":
            return _kept(unit, caller, handoff, request.lease, lease_seconds)
        action = HandoffAction(request.action)
        said: list[Any] = [caller.name, handoff.id, request.model_dump(exclude={"handoff"})]
        if action is HandoffAction.CLARIFY:
            said.append(_round(unit, caller, handoff))
        if action is HandoffAction.ACCEPT:
            # A lease is of the context that accepted: the same call from another one is another call.
            said.append(caller.launch)
        digest = hashlib.sha256(canonical_bytes(said, nfc=False)).hexdigest()
        before = unit.receipts.answered(handoff.id, digest)
        if before is not None:
            return _again(unit, handoff, before)
        ensure_context(unit, caller)
        _refuse_move(unit, caller, handoff, action)
        told = {"handoff": handoff.id, "action": action, "digest": digest}
        if action is HandoffAction.ACCEPT:
            found, fields = _acceptance(unit, caller, handoff, request)
            append(unit, key, caller.author, HandoffAnswered, {**told, **fields})
            return _answer(unit, handoff.id, _taken(unit, key, caller, found, lease_seconds))
        fields, note = _checked(unit, key, caller, handoff, request, action)
        append(unit, key, caller.author, HandoffAnswered, {**told, **fields})
        if action is HandoffAction.CANCEL and handoff.gives:
            append(unit, key, caller.author, GrantRevoked, {"grant": handoff.gives})
        return _answer(unit, handoff.id, note)


def _round(unit: Unit, caller: Caller, handoff: HandoffState) -> int:
    """How often the other side has asked or answered: the same words in another round are another act."""
    by_sender = caller.name == handoff.sender
    clarified = (one for one in unit.receipts.answers(handoff.id) if one.action is HandoffAction.CLARIFY)
    return sum((one.author == handoff.sender) is not by_sender for one in clarified)


def _reachable(unit: Unit, caller: Caller, asked: str) -> HandoffState:
    found = unit.view.handoff(asked)
    if found is None or not reaches(unit, caller, found):
        raise unknown()
    party = caller.name in (found.sender, found.holder) or is_addressed(found, caller.principal)
    if not party:
        raise unknown()
    return found


def _answer(unit: Unit, handoff: str, note: str) -> Answer:
    found = unit.view.handoff(handoff)
    if found is None:
        raise unknown()
    status = found.status(unit.now)
    lease = str(found.token) if status is HandoffStatus.ACCEPTED else ""
    until = timestamp(found.until) if lease else ""
    return Answer({"handoff": found.id, "state": str(status), "lease": lease, "expires_at": until, "note": note})


def _again(unit: Unit, handoff: HandoffState, before: Answered) -> Answer:
    """The answer to a call that was made before: how things stand now."""
    answer = _answer(unit, handoff.id, "You said this already; nothing was done twice.")
    stale = before.action is HandoffAction.ACCEPT and before.lease != handoff.token
    if before.action is HandoffAction.ACCEPT and (stale or answer["state"] != HandoffStatus.ACCEPTED):
        answer["note"] += f" That lease counts no longer. {RECEIVE_AGAIN}"
        answer["lease"] = ""
    return answer


def _refuse_move(unit: Unit, caller: Caller, handoff: HandoffState, action: HandoffAction) -> None:
    """Raise where the action is not the caller's to take, or not in this state, with time looked at."""
    status, by_sender = handoff.status(unit.now), caller.name == handoff.sender
    if action is HandoffAction.CANCEL and not by_sender:
        raise Denied("Only its sender cancels a handoff", next_call="Reject it, or let it fail, with a reason.")
    if action in HOLDERS:
        return  # judged with the lease
    takes = action in (HandoffAction.ACCEPT, HandoffAction.REJECT) or (
        action is HandoffAction.CLARIFY and not by_sender
    )
    if takes:
        for_me(unit, caller, handoff.id)
    after = moved(status, action, by_sender=by_sender)
    if isinstance(after, NotAllowed):
        held = status is HandoffStatus.ACCEPTED and takes
        mine = held and caller.name == handoff.holder
        raise Conflict(
            f"{'You hold' if mine else 'Somebody holds'} its lease" if held else after.reason.capitalize(),
            code="leased" if held else "wrong_state",
            next_call=_RESUME if mine else "handoff_inbox shows how it stands.",
        )


def _checked(
    unit: Unit,
    key: StoreKey,
    caller: Caller,
    handoff: HandoffState,
    request: HandoffRespondRequest,
    action: HandoffAction,
) -> tuple[dict[str, Any], str]:
    """The fields that an action other than acceptance adds to its statement, checked; and what to say of it."""
    match action:
        case HandoffAction.CLARIFY:
            return _clarification(unit, key, caller, handoff, request)
        case HandoffAction.COMPLETE | HandoffAction.FAIL:
            return _ending(unit, key, caller, handoff, request)
        case _:
            reason = _reason(unit, key, caller, request, needed=action is HandoffAction.REJECT)
            return {"reason": reason}, ""


def _acceptance(
    unit: Unit, caller: Caller, handoff: HandoffState, request: HandoffRespondRequest
) -> tuple[Inspection, dict[str, Any]]:
    """Acceptance binds a receipt of this context and attempt, and each problem in it: what was found, its fields."""
    if not request.receipt:
        raise InvalidInput(
            "`receipt` is missing: what is accepted was looked at before",
            code="missing_field",
            next_call="Call handoff_receive, and pass its receipt.",
        )
    receipt = unit.view.receipt(request.receipt)
    mine = receipt is not None and (receipt.author, receipt.launch) == (caller.name, caller.launch)
    if receipt is None or not mine or receipt.handoff != handoff.id:
        raise NotFound("`receipt` is none of yours, for this handoff", code="unknown_receipt", next_call=RECEIVE_AGAIN)
    found = inspect(unit, handoff, caller.principal, caller.scope)
    if not is_of(receipt, found):
        raise Conflict("The receipt is old: things have changed since", code="old_receipt", next_call=RECEIVE_AGAIN)
    _refuse_unseen(unit, caller, found)
    strange = [code for code in request.acknowledge if code not in found.codes]
    if strange:
        raise InvalidInput(
            "`acknowledge` names a problem that is not there", code="unknown_problem", next_call=RECEIVE_AGAIN
        )
    barred = [problem.code for problem in found.problems if problem.bars]
    if barred:
        raise Conflict(
            f"It is not valid: {', '.join(barred)}", code="not_valid", next_call="Reject it with a reason, or clarify."
        )
    left = [code for code in found.codes if code not in request.acknowledge]
    if left:
        raise Conflict(
            "It has problems that you do not take on",
            code="unacknowledged",
            next_call=f"Pass acknowledge={left}, or clarify or reject.",
        )
    return found, {"receipt": receipt.id, "acknowledged": list(found.codes), "lease": handoff.token + 1}


def _refuse_unseen(unit: Unit, caller: Caller, found: Inspection) -> None:
    """Nobody takes on what this context was not shown, save its own words and what is a reference to everybody."""
    good = [one.id for one in found.served.values() if not one.reasons and one.state.author != caller.name]
    shown_before = unit.receipts.shown(caller.launch, good)
    unseen = [record for record in good if record not in shown_before]
    if unseen:
        raise Conflict(
            f"{len(unseen)} of its records were not shown to you: {', '.join(unseen)}",
            code="not_shown",
            next_call="Call handoff_receive with more max_tokens, or memory_get those of your scope; then accept.",
        )


_NOT_RAISED = "were not shown whole, or are not yours to raise: memory_review says why"


# Who takes on an output with any other problem knows of it, and vouches for nothing (T6, ADR 0038): memory_review does.
HARMLESS = "unverified_output"


def _taken(unit: Unit, key: StoreKey, caller: Caller, found: Inspection, lease_seconds: int) -> str:
    """Give the lease; accepting a report endorses the outputs that it names, that were shown and are not doubtful."""
    handoff = found.handoff
    unit.handoffs.lease(handoff.id, token=handoff.token + 1, until=unit.now + lease_seconds * MICROS)
    if handoff.type is not HandoffType.REPORT:
        return ""
    doubted = {record for problem in found.problems if problem.code != HARMLESS for record in problem.ids}
    outputs = [record for record in found.statement.outputs if record not in doubted]
    doubtful = [record for record in found.statement.outputs if record in doubted]
    endorsed = endorse_shown(unit, key, caller, tuple(outputs))
    left = len(outputs) - len(endorsed)
    told = [f"Endorsed {len(endorsed)} outputs."]
    if doubtful:
        told.append(f"Not endorsed for the problems that you took on: {', '.join(doubtful)}.")
    if left:
        why = "are of another scope, and reviewed there" if handoff.scope != caller.scope else _NOT_RAISED
        told.append(f"{left} {why}.")
    context = unit.view.context(caller.launch)
    if context is not None and caller.principal.has_mark and context.mark.label < caller.principal.ceiling:
        told.append("Your mark is lowered by what else you were shown: memory_review what of it you checked.")
    return " ".join(told)


def _clarification(
    unit: Unit, key: StoreKey, caller: Caller, handoff: HandoffState, request: HandoffRespondRequest
) -> tuple[dict[str, Any], str]:
    """A receiver's question, or its sender's answer, as records."""
    if caller.name != handoff.sender:
        if not request.question.strip():
            raise InvalidInput("`question` is missing", code="missing_field", next_call="Pass what is unclear.")
        asked = said_as(unit, key, caller, request.question, Kind.QUESTION, "question")
        return {"question": asked}, "The sender answers with action=clarify and reason."
    answers = known_records(unit, caller, request.outputs, "outputs")
    if not request.reason.strip() and not answers:
        raise InvalidInput("`reason` is missing: it answers what was asked", code="missing_field")
    fields: dict[str, Any] = {"outputs": answers}
    if request.reason.strip():
        question = unit.view.record(handoff.question)
        # Asked across scopes, it is a question of the other one, and stays open there.
        more = {"answers": question.id} if question is not None and question.scope == caller.scope else {}
        fields["reason"] = said_as(unit, key, caller, request.reason, Kind.FINDING, "answer", **more)
    return fields, ""


def _ending(
    unit: Unit, key: StoreKey, caller: Caller, handoff: HandoffState, request: HandoffRespondRequest
) -> tuple[dict[str, Any], str]:
    """Completion and failure, under the newest lease alone; `completed` says what of it is not verified."""
    _refuse_lease(unit, caller, handoff, request.lease)
    outputs = outputs_of(unit, caller, HandoffType.TRANSFER, request.outputs)
    if request.action == "complete":
        _refuse_form(unit, caller, handoff, outputs)
    reason = _reason(unit, key, caller, request, needed=request.action == "fail")
    states = [state for state in (unit.view.record(record) for record in outputs) if state is not None]
    unverified = [
        state.id for state in states if state.kind is Kind.FINDING and state.verification is not Verification.VERIFIED
    ]
    fallen = [state.id for state in states if state.status(unit.now) not in (Status.IN_FORCE, Status.EXPIRED)]
    notes = [f"{len(unverified)} outputs are not verified: {', '.join(unverified)}."] if unverified else []
    notes += [f"{len(fallen)} outputs do not stand: {', '.join(fallen)}."] if fallen else []
    return {"outputs": outputs, "reason": reason, "lease": handoff.token}, " ".join(notes)


def _refuse_form(unit: Unit, caller: Caller, handoff: HandoffState, outputs: list[str]) -> None:
    """What is handed back for a delegation is of its contract; for others the contract was about what was offered."""
    if not handoff.contract or handoff.type is not HandoffType.DELEGATE:
        return
    form = unit.view.contract(handoff.contract)
    served = [look_up(unit, record, caller.scope) for record in outputs]
    if form is None or not outputs or any(one is None or violates(form.form, one.content.data) for one in served):
        raise Conflict(
            "What its contract asks for is not in the outputs",
            code="contract_violation",
            next_call="Pass outputs whose data is of the contract, or let it fail with a reason.",
        )


def _reason(unit: Unit, key: StoreKey, caller: Caller, request: HandoffRespondRequest, *, needed: bool) -> str:
    if not request.reason.strip():
        if needed:
            raise InvalidInput("`reason` is missing", code="missing_field", next_call="Say why: one sentence will do.")
        return ""
    return said_as(unit, key, caller, request.reason, Kind.REJECTED, "reason", rationale=request.reason[:2000])


def _refuse_lease(unit: Unit, caller: Caller, handoff: HandoffState, lease: str) -> None:
    """Raise where this is not the caller's lease, not the newest, or not running any more."""
    if not lease:
        raise InvalidInput("`lease` is missing", code="missing_field", next_call="Pass the lease that accept gave.")
    if caller.name != handoff.holder or lease != str(handoff.token):
        raise Conflict(
            "That lease counts no longer: the work was given out again",
            code="old_lease",
            next_call="Stop working on it; handoff_inbox shows how it stands.",
        )
    status = handoff.status(unit.now)
    if status is not HandoffStatus.ACCEPTED:
        raise Conflict(f"The handoff is {status}", code="lease_lapsed", next_call=RECEIVE_AGAIN)


def _kept(unit: Unit, caller: Caller, handoff: HandoffState, lease: str, lease_seconds: int) -> Answer:
    """A heartbeat: the lease runs on from now; nothing is logged."""
    _refuse_lease(unit, caller, handoff, lease)
    unit.handoffs.lease(handoff.id, token=handoff.token, until=unit.now + lease_seconds * MICROS)
    return _answer(unit, handoff.id, "")


def renew_held(store: Store, caller: Caller, *, lease_seconds: int) -> None:
    """Extend the leases on handoffs that this context holds; what lapsed stays lapsed."""
    with store.read() as unit:
        if not unit.handoffs.leased(caller.name, caller.launch):
            return
    with store.write() as unit:
        for one in unit.handoffs.leased(caller.name, caller.launch):
            unit.handoffs.lease(one.id, token=one.token, until=unit.now + lease_seconds * MICROS)


def resume(unit: Unit, key: StoreKey, caller: Caller, asked: str, *, lease_seconds: int) -> str:
    """Take up one's own lease in another context, where its first was lost; its new token, under which alone it ends.

    The lease of before counts no longer, so a process that was thought dead does nothing twice.
    """
    handoff = _reachable(unit, caller, asked)
    if handoff.holder != caller.name or handoff.status(unit.now) is not HandoffStatus.ACCEPTED:
        raise Conflict(
            "You hold no lease on it",
            code="not_held",
            next_call="Call handoff_receive and accept it; its checkpoint is shown there.",
        )
    if handoff.holder_launch == caller.launch:
        return str(handoff.token)
    told = [caller.name, handoff.id, caller.launch, "resume", handoff.token]
    digest = hashlib.sha256(canonical_bytes(told, nfc=False)).hexdigest()
    fields = {"handoff": handoff.id, "action": HandoffAction.RESUME, "lease": handoff.token + 1, "digest": digest}
    append(unit, key, caller.author, HandoffAnswered, fields)
    unit.handoffs.lease(handoff.id, token=handoff.token + 1, until=unit.now + lease_seconds * MICROS)
    return str(handoff.token + 1)
