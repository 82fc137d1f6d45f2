"""Sessions: a context at work on a task, from a brief to an end that expires its hypotheses (DESIGN 3.6).

A brief is bounded and never lowers a mark: bodies that stand as high as the caller can be told are given, the rest as
ids. Ending a session says what is left unverified instead of calling it complete.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from memstore.core.contexts import Extent
from memstore.core.labels import Label, Mark, Status
from memstore.core.records import Content
from memstore.core.state import RecordState
from memstore.core.statements import Kind, Origin, Outcome, Recorded, Role, SessionEnded, SessionStarted, Verification
from memstore.errors import NotFound
from memstore.handoffs import resume
from memstore.inbox import GATES, UNDONE, item_of
from memstore.ports import Filter, Share, Store, Unit
from memstore.recording import current_session
from memstore.render import Answer, Budget, revisited, snippet, timestamp
from memstore.requests import SessionEndRequest, SessionStartRequest
from memstore.serving import (
    Caller,
    Served,
    Shown,
    disclosed,
    ensure_context,
    look_up,
    mark_label,
    readable,
    revisit_causes,
)
from memstore.signing import StoreKey
from memstore.write import append

MICROS = 1_000_000
LEASE_SECONDS = 12 * 3600
RENEW_AFTER_SECONDS = 600
MOST_OF_A_KIND = 200
MOST_ENDED = 20
MOST_MISSES = 5  # items that did not fit, after which a list of the brief is over
# What a brief tells of each tier, in this order.
_TOLD = (Kind.CONSTRAINT, Kind.DECISION, Kind.QUESTION)


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
    found = unit.records.sessions(caller.scope, most=MOST_OF_A_KIND)
    dead = [one for one in found if one.principal == caller.name and one.ended and not one.closed]
    for one in dead[:MOST_ENDED]:
        append(unit, key, caller.author, SessionEnded, {"session": one.id, "outcome": Outcome.ABANDONED})


def _store_goal(unit: Unit, key: StoreKey, caller: Caller, request: SessionStartRequest, session: str) -> str:
    if not request.goal.strip():
        return ""
    if caller.principal.role not in (Role.HUMAN, Role.LEAD):
        return "goal is not stored: a person or a lead writes the task's intent."
    content = Content(title=_title_of(request.goal), body=request.goal)
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
        problems = _problems(unit, session.id, request.outcome)
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
    unverified = [
        state.id
        for state in unit.records.of_session(session)
        if state.kind is Kind.FINDING
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


def brief_of(store: Store, caller: Caller, *, task: str, session: str, tokens: int) -> tuple[dict[str, Any], Mark, int]:
    """The brief of a task within its budget, the mark after it, and how many items did not fit.

    What goes first: the intent; then for each tier, the highest first, constraints, decisions (those to revisit before
    others) and questions; then work in flight, and what changed.
    """

    def look(unit: Unit) -> tuple[tuple[dict[str, Any], int], _Brief]:
        writer = _Brief(Budget(tokens - 100), caller)
        return (writer.written(unit, task, session), writer.left_out), writer

    (brief, left_out), mark = disclosed(store, caller, look)
    return brief, mark, left_out


class _Brief:
    """A brief as it is being filled."""

    def __init__(self, budget: Budget, caller: Caller) -> None:
        self.budget = budget
        self.caller = caller
        self.shown: list[Shown] = []
        self.left_out = 0

    def written(self, unit: Unit, task: str, session: str) -> dict[str, Any]:
        intent = self._intent(unit, task)
        told: dict[Kind, list[dict[str, Any]]] = {kind: [] for kind in _TOLD}
        # T10: all that is trusted goes in before anything that stands lower takes room.
        for label in (Label.TRUSTED, Label.ATTRIBUTED):
            for kind in _TOLD:
                told[kind] += self._told(unit, self._of_kind(unit, task, kind, label))
        return {
            "intent": intent,
            "constraints": told[Kind.CONSTRAINT],
            "decisions": told[Kind.DECISION],
            "questions": told[Kind.QUESTION],
            "in_flight": self._in_flight(unit, task, session),
            "handoffs": self._handoffs(unit, task),
            "changed": self._changed(unit, task, session),
        }

    def _of_kind(self, unit: Unit, task: str, kind: Kind, label: Label) -> list[RecordState]:
        """What stands of one kind and tier, what is to be revisited first, else newest first; no question answered."""
        wanted = Filter(scope=self.caller.scope, now=unit.now, task=task, kinds=(kind,))
        listed = unit.retrieval.newest(wanted, label=label, share=Share.IN_FORCE, most=MOST_OF_A_KIND)
        self.left_out += listed.total - len(listed.ids)
        states = [state for state in map(unit.view.record, listed.ids) if state is not None]
        waiting = [state for state in states if state.answered_by is None]
        hangs = unit.receipts.conditions([state.seq for state in waiting]) if kind is Kind.DECISION else {}
        changed: dict[tuple[str, Label], bool] = {}

        def to_revisit(state: RecordState) -> bool:
            """Many decisions hang on few things, so each of those is looked at once for a label."""
            for one in hangs.get(state.seq, ()):
                if (one, state.label) not in changed:
                    changed[one, state.label] = bool(revisit_causes(unit, state, (one,)))
            return state.needs_revisit or any(changed[one, state.label] for one in hangs.get(state.seq, ()))

        return sorted(waiting, key=lambda state: (not to_revisit(state), -state.seq))

    def _looked_up(self, unit: Unit, states: list[RecordState]) -> Iterator[tuple[int, Served]]:
        """(place, record), each verified when it is reached: a brief shows some twenty of what may be hundreds."""
        for place, state in enumerate(states):
            served = look_up(unit, state.id, self.caller.scope)
            if served is not None and not served.reasons:
                yield place, served

    def _told(self, unit: Unit, states: list[RecordState]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        misses = 0
        for place, served in self._looked_up(unit, states):
            if misses == MOST_MISSES:
                self.left_out += len(states) - place
                break
            item: dict[str, Any] = {"id": served.id, "label": str(served.label), "author": served.state.author}
            if served.flags:
                item["flags"] = list(served.flags)
            if served.revisit:
                item["revisit"] = revisited(served)
            telling = served.label >= readable(unit, self.caller)
            if telling:
                content = served.content
                words = {"title": content.title, "body": snippet(content.body), "rationale": snippet(content.rationale)}
                item |= {name: value for name, value in words.items() if value}
                item |= {"caveats": content.caveats} if content.caveats else {}
            if not self.budget.take(item):
                self.left_out += 1
                misses += 1
                continue
            if telling:
                self.shown.append(Shown(served, Extent.CONCISE))
            items.append(item)
        return items

    def _intent(self, unit: Unit, task: str) -> dict[str, Any]:
        """The newest intent of the highest tier, verbatim or not at all: a part of a request may say the opposite."""
        tiers = [self._of_kind(unit, task, Kind.INTENT, label) for label in (Label.TRUSTED, Label.ATTRIBUTED)]
        newest_first = [sorted(states, key=lambda state: -state.seq) for states in tiers]
        intents = [served for states in newest_first for _, served in islice(self._looked_up(unit, states), 1)]
        if not intents or intents[0].label < readable(unit, self.caller):
            return {"id": intents[0].id} if intents else {}
        newest = intents[0]
        item = {
            "id": newest.id,
            "text": newest.content.body,
            "author": newest.state.author,
            "label": str(newest.label),
            "flags": list(newest.flags),
        }
        if not self.budget.take(item):
            self.left_out += 1
            return {"id": newest.id}
        self.shown.append(Shown(newest, Extent.FULL if _is_all_told(newest.content) else Extent.CONCISE))
        return item

    def _in_flight(self, unit: Unit, task: str, session: str) -> list[dict[str, Any]]:
        items = []
        for other in unit.records.sessions(self.caller.scope, most=MOST_OF_A_KIND):
            if other.ended or other.task != task or other.id == session:
                continue
            item = {"session": other.id, "principal": other.principal, "started_at": timestamp(other.started_at)}
            if self.budget.take(item):
                items.append(item)
        return items

    def _handoffs(self, unit: Unit, task: str) -> list[dict[str, Any]]:
        """Handoffs of the task that are not over and that this caller has to do with, those it is to have first.

        A person has to do with every gate.
        """
        found, least = unit.handoffs.open_in(self.caller.scope, task=task), readable(unit, self.caller)
        name = self.caller.name
        person = self.caller.principal.role is Role.HUMAN
        mine = [
            one
            for one in found
            if name in (one.receiver, one.fallback, one.holder, one.sender) or (person and one.stage in GATES)
        ]
        mine.sort(key=lambda one: (name == one.sender, one.seq))
        told = [item_of(unit, one, least=least) for one in mine if one.status(unit.now) in UNDONE]
        return [item for item in told if self.budget.take(item)]

    def _changed(self, unit: Unit, task: str, session: str) -> list[dict[str, Any]]:
        """Records of the task that others wrote since this principal's last session in the scope began."""
        mine = [
            other
            for other in unit.records.sessions(self.caller.scope, most=MOST_OF_A_KIND)
            if other.principal == self.caller.name and other.id != session
        ]
        if not mine:
            return []
        wanted = Filter(scope=self.caller.scope, now=unit.now, task=task, since_at=mine[0].started_at)
        items = []
        for label in (Label.TRUSTED, Label.ATTRIBUTED):
            found = unit.retrieval.newest(wanted, label=label, share=Share.IN_FORCE, most=MOST_OF_A_KIND)
            for record in found.ids:
                state = unit.view.record(record)
                if state is None or state.author == self.caller.name:
                    continue
                item = {"id": state.id, "kind": str(state.kind), "author": state.author, "label": str(state.label)}
                if self.budget.take(item):
                    items.append(item)
        return items


def _is_all_told(content: Content) -> bool:
    """Whether an intent's text is all there is of it: who has read that has read it whole (T6)."""
    return content == Content(title=_title_of(content.body), body=content.body)


def _title_of(goal: str) -> str:
    """The title of an intent that came as a session's goal: the beginning of its first line."""
    return snippet(goal.strip().split("\n")[0])[:200]


def brief_label(brief: dict[str, Any]) -> Label:
    """The lowest label of any words in a brief."""
    told = [brief["intent"], *brief["constraints"], *brief["decisions"], *brief["questions"]]
    labels = [Label.named(item["label"]) for item in told if "title" in item or "text" in item]
    return min(labels, default=Label.TRUSTED)


def brief_again(store: Store, caller: Caller, session: str, tokens: int) -> Answer:
    """The brief of a session of this scope, given anew."""
    with store.read() as unit:
        found = unit.view.session(session)
    if found is None or found.scope != caller.scope:
        raise NotFound("There is no session of this id", code="unknown_id", next_call="Call session_start.")
    brief, mark, _ = brief_of(store, caller, task=found.task, session=session, tokens=tokens)
    return Answer({"session": session, "brief": brief, "mark": mark_label(caller, mark)}, brief_label(brief))
