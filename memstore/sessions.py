"""Sessions: a context at work on a task, from a brief to an end that expires its hypotheses (DESIGN 3.6).

A brief is bounded and never lowers a mark: bodies that stand as high as the caller can be told are given, the rest as
ids. Ending a session says what is left unverified instead of calling it complete.
"""

from __future__ import annotations

from typing import Any

from memstore.briefs import brief_label, brief_of, title_of
from memstore.core.labels import Status
from memstore.core.records import Content
from memstore.core.statements import Kind, Origin, Outcome, Recorded, Role, SessionEnded, SessionStarted, Verification
from memstore.errors import NotFound
from memstore.handoffs import resume
from memstore.ports import Store, Unit
from memstore.recording import current_session
from memstore.render import Answer, timestamp
from memstore.requests import SessionEndRequest, SessionStartRequest
from memstore.serving import (
    Caller,
    ensure_context,
    look_up,
    mark_label,
)
from memstore.signing import StoreKey
from memstore.write import append

MICROS = 1_000_000
LEASE_SECONDS = 12 * 3600
RENEW_AFTER_SECONDS = 600
MOST_ENDED = 200  # at one start; what is left is ended at the next


def start(store: Store, key: StoreKey, caller: Caller, request: SessionStartRequest, *, lease_seconds: int) -> Answer:
    """Start a session on a task and give its brief; a person's or lead's `goal` is stored as the task's intent.

    `resume_handoff` takes up the caller's own lease on a handoff in this context; sessions of the caller that died are
    ended on record.
    """
    with store.write() as unit:
        ensure_context(unit, caller)
        lease = ""
        if request.resume_handoff:
            lease = resume(unit, key, caller, request.resume_handoff, lease_seconds=lease_seconds)
        _end_dead(unit, key, caller)
        written = append(unit, key, caller.author, SessionStarted, {"scope": caller.scope, "task": request.task})
        until = unit.now + LEASE_SECONDS * MICROS
        unit.records.lease(written.id, until)
        note = _store_goal(unit, key, caller, request, written.id)
        if lease:
            note = f"{note} You hold the handoff again, under lease {lease}.".strip()
    brief, mark, left_out = brief_of(store, caller, task=request.task, session=written.id, tokens=request.max_tokens)
    if left_out:
        note = f"{note} {left_out} more did not fit max_tokens; memory_search finds them.".strip()
    return Answer(
        {
            "session": written.id,
            "expires_at": timestamp(until),
            "mark": mark_label(caller, mark),
            "brief": brief,
            "note": note,
        },
        brief_label(brief),
    )


def _end_dead(unit: Unit, key: StoreKey, caller: Caller) -> None:
    """End the caller's sessions whose lease ran out: nobody else may say so, and their hypotheses are gone since."""
    for one in unit.records.dead(caller.scope, caller.name, most=MOST_ENDED):
        append(unit, key, caller.author, SessionEnded, {"session": one.id, "outcome": Outcome.ABANDONED})


def _store_goal(unit: Unit, key: StoreKey, caller: Caller, request: SessionStartRequest, session: str) -> str:
    if not request.goal.strip():
        return ""
    if caller.principal.role not in (Role.HUMAN, Role.LEAD):
        return "goal is not stored: a person or a lead writes the task's intent."
    content = Content(title=title_of(request.goal), body=request.goal)
    fields: dict[str, Any] = {"kind": Kind.INTENT, "scope": caller.scope, "task": request.task, "session": session}
    twin = unit.contents.twin(key.fingerprint(author=caller.name, fields=fields, content=content.to_bytes()))
    standing = unit.view.record(twin)
    if standing is not None and standing.status(unit.now) is Status.IN_FORCE:
        return ""
    append(unit, key, caller.author, Recorded, {**fields, "origin": Origin.AGENT}, content)
    return ""


def due(unit: Unit, caller: Caller) -> str:
    """The caller's session, once a part of its lease has run; "" before that, and for a lapsed one, which is over."""
    current = unit.records.sessions(caller.scope, launch=caller.launch, most=1)
    most = unit.now + (LEASE_SECONDS - RENEW_AFTER_SECONDS) * MICROS
    return current[0].id if current and not current[0].ended and current[0].expires_at <= most else ""


def renew(store: Store, session: str) -> None:
    """Extend the lease of a session that is not over."""
    with store.write() as unit:
        found = unit.view.session(session)
        if found is not None and not found.ended:
            unit.records.lease(found.id, unit.now + LEASE_SECONDS * MICROS)


def end(store: Store, key: StoreKey, caller: Caller, request: SessionEndRequest) -> Answer:
    """End a session: its hypotheses expire, those in `keep` go on as questions, the summary becomes a finding."""
    with store.write() as unit:
        session = current_session(unit, caller, request.session)
        if session is None:
            raise NotFound("There is no session to end", code="no_session", next_call="Call session_start first.")
        ensure_context(unit, caller)
        own = unit.records.of_session(session.id)
        guesses = [state.id for state in own if state.kind is Kind.HYPOTHESIS and not state.erased]
        if any(kept not in guesses for kept in request.keep):
            raise NotFound(
                "`keep` names something that is no hypothesis of this session",
                code="unknown_id",
                next_call="Name hypotheses of this session by id.",
            )
        fields = {"scope": caller.scope, "task": session.task, "session": session.id, "origin": Origin.AGENT}
        kept = [{"id": i, "question": _as_question(unit, key, caller, i, fields)} for i in dict.fromkeys(request.keep)]
        # Before the summary is written: it is a finding too, and nobody verifies it.
        problems = [*_problems(unit, session.id, request.outcome), *_held(unit, caller)]
        if request.summary.strip():
            title = f"Summary of the session: {request.outcome}"
            content = Content(title=title, body=request.summary, tags=["session-summary"])
            append(unit, key, caller.author, Recorded, {**fields, "kind": Kind.FINDING}, content)
        ended = {"session": session.id, "outcome": Outcome(request.outcome), "kept": [one["id"] for one in kept]}
        append(unit, key, caller.author, SessionEnded, ended)
    note = f"Ended as {request.outcome}." if not problems else f"Ended as {request.outcome}, with problems: see there."
    return Answer({"expired": guesses, "kept": kept, "problems": problems, "note": note})


def _as_question(unit: Unit, key: StoreKey, caller: Caller, hypothesis: str, fields: dict[str, Any]) -> str:
    served = look_up(unit, hypothesis, caller.scope)
    if served is None or served.statement is None:
        raise NotFound("`keep` names a record that cannot be read", code="unknown_id")
    content = Content(title=served.content.title, body=served.content.body, tags=served.content.tags)
    asked = {**fields, "kind": Kind.QUESTION, "derived_from": [hypothesis]}
    written = append(unit, key, caller.author, Recorded, asked, content)
    return written.id


def _problems(unit: Unit, session: str, outcome: str) -> list[dict[str, Any]]:
    """What a reader of the outcome should know: a session is not complete that rests on what nobody verified."""
    if outcome != Outcome.COMPLETED:
        return []
    own = unit.records.of_session(session)
    # What was phrased in a handoff, a caveat say, is no result of the work.
    phrased = unit.receipts.phrased([state.seq for state in own])
    unverified = [
        state.id
        for state in own
        if state.seq not in phrased
        and state.kind is Kind.FINDING
        and state.verification is not Verification.VERIFIED
        and not (state.erased or state.revoked or state.retracted or state.superseded_by)
    ]
    if not unverified:
        return []
    what = f"{len(unverified)} findings of this session are not verified"
    return [
        {
            "code": "unverified",
            "what": what,
            "ids": unverified,
            "next": "Verify them in a new session; end as partial where that is open.",
        }
    ]


def _held(unit: Unit, caller: Caller) -> list[dict[str, Any]]:
    """The handoffs that this context goes on holding: nobody else has them before their leases run out."""
    held = [one.id for one in unit.handoffs.leased(caller.name, caller.launch)]
    if not held:
        return []
    what = f"{len(held)} handoffs are still held by this context"
    return [{"code": "lease_held", "what": what, "ids": held, "next": "Complete them or let them fail, with a reason."}]
