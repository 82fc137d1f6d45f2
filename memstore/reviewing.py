"""Reviewing and retracting: the only way up, and the ways down (DESIGN T5, T6, T7).

A review is closed values and ids, each one a statement of its own; what it carries follows from who made it and what
that context had been shown, never from what the caller says. A retraction by somebody who may not retract is logged as
the dispute that it amounts to. What either changes is judged in the same transaction and told in the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext, suppress
from typing import Any

from memstore.core.contexts import ContextState
from memstore.core.labels import Label
from memstore.core.policy import Allowed, Carry, Decision
from memstore.core.reviews import above, may_withdraw
from memstore.core.state import RecordState
from memstore.core.statements import Method, Retracted, Reviewed, Role, Stance, Withdrawal
from memstore.errors import NotFound
from memstore.ports import Store, Unit
from memstore.recording import known_records
from memstore.render import Answer
from memstore.requests import RetractRequest, ReviewRequest
from memstore.serving import Caller, ensure_context, mark_label, resolve, sayable
from memstore.signing import StoreKey
from memstore.write import append

# Why an id in a review came to nothing, and what to do about it.
REFUSED = {
    "unknown_id": "copy ids as answers give them.",
    "own_record": "nobody reviews what he wrote; memory_retract withdraws it.",
    "not_shown": "read it whole, in one call of this context: memory_get, or memory_open for what is quarantined.",
    "untrusted": "outside content is never raised: write a finding about it, and have that reviewed.",
    "withdrawn": "it was retracted, or its author's key is compromised: have it written again.",
    "not_entitled": "the review stands and carries nothing; needs says who must agree.",
    "poisoned_context": "this context was shown what has fallen since; review from a fresh one.",
}


def review(store: Store, key: StoreKey, caller: Caller, request: ReviewRequest) -> Answer:
    """Endorse or dispute records: one statement for each, all in one transaction."""
    with store.write() as unit:
        ensure_context(unit, caller)
        evidence = known_records(unit, caller, request.evidence, "evidence")
        stance = Stance(request.verdict)
        said = {"verdict": stance, "method": Method(request.method), "evidence": evidence}
        outcomes = [_reviewed(unit, key, caller, asked, said) for asked in dict.fromkeys(request.ids)]
        results = [_result(unit, *outcome) for outcome in outcomes]
        context = unit.view.context(caller.launch)
    codes = dict.fromkeys(result["refused"] for result in results if result["refused"])
    note = " ".join(f"{code}: {REFUSED[code]}" for code in codes)
    return Answer({"results": results, "mark": _mark(caller, context), "note": note})


def _mark(caller: Caller, context: ContextState | None) -> str:
    return mark_label(caller, context.mark) if context else str(Label.TRUSTED)


def _reviewed(
    unit: Unit, key: StoreKey, caller: Caller, asked: str, said: dict[str, Any]
) -> tuple[str, RecordState | None, str]:
    """Log a review of one record: (what was asked for, the record, why it came to nothing)."""
    state = unit.view.record(resolve(unit, caller, asked))
    if state is None or state.scope != caller.scope or state.erased:
        return asked, None, "unknown_id"
    refused = _refusal(unit, caller, state, said["verdict"])
    if refused:
        return asked, state, refused
    if not _stands_already(unit, caller, state, said["verdict"]):
        append(unit, key, caller.author, Reviewed, {"record": state.id, **said})
    return asked, state, _without_effect(unit, caller, state, said["verdict"])


def endorse_shown(unit: Unit, key: StoreKey, caller: Caller, ids: tuple[str, ...]) -> list[str]:
    """Endorse those of `ids` that this context was shown whole: what accepting a report amounts to (T6).

    The ids of which the endorsement came to something.
    """
    said = {"verdict": Stance.ENDORSE, "method": Method.INSPECTED, "evidence": []}
    return [asked for asked in ids if not _reviewed(unit, key, caller, asked, said)[2]]


def _refusal(unit: Unit, caller: Caller, state: RecordState, stance: Stance) -> str:
    """Why nothing is logged, or ""."""
    if state.author == caller.name:
        return "own_record"
    if state.revoked or state.retracted:
        return "withdrawn"
    if not unit.view.saw_whole(caller.launch, state.id):
        return "not_shown"
    return "untrusted" if stance is Stance.ENDORSE and state.label is Label.UNTRUSTED else ""


def _stands_already(unit: Unit, caller: Caller, state: RecordState, stance: Stance) -> bool:
    """Whether this context has said just that, and nothing has fallen since: the same call twice is once."""
    return any(
        one.author == caller.name and one.launch == caller.launch and one.stance is stance and one.seq > state.fell_at
        for one in unit.reviews.standing(state.id)
    )


def _without_effect(unit: Unit, caller: Caller, state: RecordState, stance: Stance) -> str:
    """Why an endorsement that was logged carries nothing, or ""."""
    if stance is Stance.DISPUTE:
        return ""
    mine = [one for one in unit.reviews.standing(state.id) if one.author == caller.name]
    if not mine or mine[0].carry is Carry.NOTHING:
        return "not_entitled"
    context = unit.view.context(caller.launch)
    fooled = mine[0].carry is Carry.LEAD and context is not None and context.mark.fooled
    return "poisoned_context" if fooled else ""


def _result(unit: Unit, asked: str, state: RecordState | None, refused: str) -> dict[str, Any]:
    found = unit.view.record(state.id) if state else None
    if found is None:
        return {"id": sayable(asked), "label": "", "needs": [], "refused": refused}
    return {"id": found.id, "label": str(found.label), "needs": needs(unit, found), "refused": refused}


def needs(unit: Unit, state: RecordState) -> list[str]:
    """Whose endorsement would raise it further, any one of them; empty where nobody's would (T6)."""
    if state.label is Label.UNTRUSTED or state.revoked or state.retracted:
        return []
    if state.label is Label.TRUSTED and not state.suspect:
        return []
    people = ["human", "checker"]
    if state.suspect or not state.admitted:
        has_lead = any(
            one.role is Role.LEAD and not one.open_world and above(unit.view, one.name, state.author)
            for one in unit.registry.principals()
        )
        return ["lead", *people] if has_lead else people
    return people


def retract(store: Store, key: StoreKey, caller: Caller, request: RetractRequest) -> Answer:
    """Withdraw a record for good, or dispute it where the caller may not: {id, status, affected[], note}.

    `dry_run` carries everything out and takes it back, so its list is the one that the act would give.
    """
    answer = Answer({})
    with store.write() as unit, suppress(_Undone), unit.attempt() if request.dry_run else nullcontext():
        answer.update(_retracted(unit, key, caller, request))
        if request.dry_run:
            raise _Undone
    return answer


class _Undone(Exception):
    """Ends a trial: everything in it is taken back."""


def _retracted(unit: Unit, key: StoreKey, caller: Caller, request: RetractRequest) -> dict[str, Any]:
    state = unit.view.record(resolve(unit, caller, request.id))
    hidden = state is not None and state.erased and not state.retracted
    if state is None or state.scope != caller.scope or hidden:
        raise NotFound(
            "`id` names a record that is not here", code="unknown_id", next_call="Copy the id as an answer gave it."
        )
    reason = Withdrawal(request.reason)
    if state.retracted and (reason is not Withdrawal.LEAKED or state.retracted == reason):
        note = f"It was retracted before, as {state.retracted}; a retraction is for good, and this changes nothing."
        return {"id": state.id, "status": "retracted", "affected": [], "note": note}
    replacement = known_records(unit, caller, [request.replacement] if request.replacement else [], "replacement")
    if caller.principal.role is not Role.OPERATOR:
        ensure_context(unit, caller)
    fields = {"record": state.id, "reason": reason, "replacement": "".join(replacement)}
    decision = _decided(unit, key, caller, fields)
    if isinstance(decision, Allowed):
        written = append(unit, key, caller.author, Retracted, fields)
        affected = _affected(unit, caller, written.affected)
        return _told(state, request, "retracted", affected, _retraction_note(reason))
    append(unit, key, caller.author, Reviewed, {"record": state.id, "verdict": Stance.DISPUTE})
    note = f"Logged as a dispute: {decision.reason}. The record stands, and shows as disputed to whom that counts."
    return _told(state, request, "disputed", [], note)


def _decided(unit: Unit, key: StoreKey, caller: Caller, fields: dict[str, Any]) -> Decision:
    """T7, from the view just before the entry: the same question that the replay will ask."""
    probe = Retracted.build(
        store=key.store, author=caller.name, launch=caller.launch, n=1, prev="", asserted_at=unit.now, **fields
    )
    return may_withdraw(probe, caller.principal, unit.view)


def _told(
    state: RecordState, request: RetractRequest, status: str, affected: list[dict[str, Any]], note: str
) -> dict[str, Any]:
    would = {"retracted": "would_retract", "disputed": "would_dispute"}
    if request.dry_run:
        status, note = would[status], f"Nothing was changed. {note}"
    return {"id": state.id, "status": status, "affected": affected, "note": note}


def _retraction_note(reason: Withdrawal) -> str:
    match reason:
        case Withdrawal.POISONED:
            return "What rests on it is suspect until reviewed anew; a worker's own word only flags what declares it."
        case Withdrawal.WRONG | Withdrawal.OUTDATED:
            return "What declares it is flagged needs_revisit."
        case Withdrawal.LEAKED:
            return (
                "It is hidden everywhere, for good. Its content stays in the store's file and in copies and backups "
                "until the operator runs memstore erase."
            )
        case Withdrawal.DUPLICATE:
            return "Nothing else changes."


def _affected(unit: Unit, caller: Caller, seqs: Iterable[int]) -> list[dict[str, Any]]:
    """A blast radius as the caller may know of it: of its own scope, save for the operator (T13)."""
    operator = caller.principal.role is Role.OPERATOR
    found = unit.records.at(seqs)
    return [affected_record(state, unit.now) for state in found if operator or state.scope == caller.scope]


def affected_record(state: RecordState, now: int) -> dict[str, Any]:
    """A record in a blast radius: how it stands now, in closed values."""
    effect = "suspect" if state.suspect else "needs_revisit" if state.needs_revisit else "relabelled"
    return {
        "id": state.id,
        "kind": str(state.kind),
        "author": state.author,
        "label": str(state.label),
        "status": str(state.status(now)),
        "effect": effect,
    }
