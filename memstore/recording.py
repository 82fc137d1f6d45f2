"""Writing and observing: an agent's own words, and what tools and the outside said to it (DESIGN 3.2, 7).

Everything is checked before anything is stored: what the kind must have, that every id named is a record of this scope,
that a name is not used twice. The same words by the same author are stored once while they stand; what is observed from
the outside is a disclosure too, because whoever observes it has read it (T2).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from memstore.core.contexts import Disclosure, Extent
from memstore.core.fold import judge_entry
from memstore.core.labels import Label, Mark, Status, Verdict
from memstore.core.policy import Tool, is_outside, kind_bound
from memstore.core.records import MAX_DATA_BYTES, Content, check_kind, ids_among, origin_of
from memstore.core.state import RecordState, SessionState
from memstore.core.statements import Kind, Origin, Recorded, Verification
from memstore.errors import Conflict, InvalidInput, NotFound
from memstore.moments import Instant, Position, parse_moment
from memstore.ports import Store, Unit
from memstore.render import Answer, timestamp
from memstore.requests import ObserveRequest, WriteRequest
from memstore.serving import Caller, ensure_context, mark_label, resolve
from memstore.signing import StoreKey
from memstore.write import Written, admit, append

MOST_OPEN = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before it is signed: its content, and the fields of its statement."""

    content: Content
    fields: dict[str, Any]


def write(store: Store, key: StoreKey, caller: Caller, request: WriteRequest, *, task: str = "") -> Answer:
    """Store a record in the caller's own words; `task` stands in where no session says it."""
    with store.write() if not request.dry_run else store.read() as unit:
        return write_in(unit, key, caller, request, task=task)


def write_in(unit: Unit, key: StoreKey, caller: Caller, request: WriteRequest, *, task: str = "") -> Answer:
    """`write` inside a transaction of the caller's."""
    draft = _draft(unit, caller, request, task)
    duplicate = _duplicate(unit, key, caller, draft)
    if duplicate is not None:
        return _stored(unit, duplicate, "duplicate")
    _refuse_superseded(unit, draft)
    if request.dry_run:
        return _would_store(unit, key, caller, draft)
    ensure_context(unit, caller)
    written = append(unit, key, caller.author, Recorded, draft.fields, draft.content)
    homeless = not draft.fields["session"] and not draft.fields["task"]
    told = ["There is no session, so it belongs to no task; session_start gives one."] if homeless else []
    told.append(_supersession_note(unit, draft))
    return _answer(unit, written, "stored", " ".join(part for part in told if part))


def _draft(unit: Unit, caller: Caller, request: WriteRequest, task: str) -> Draft:
    kind = Kind(request.kind)
    verification = Verification(request.verification)
    content = _content(
        title=request.title,
        body=request.body,
        data=request.data,
        rationale=request.rationale,
        caveats=request.caveats,
        alternatives=request.alternatives,
        conditions=request.conditions,
        evidence=request.evidence,
        confidence=request.confidence,
        tags=request.tags,
        key=request.key,
    )
    check_kind(kind, content, verification=verification, role=caller.principal.role)
    session = current_session(unit, caller, request.session)
    if kind is Kind.HYPOTHESIS and session is None:
        raise InvalidInput(
            "A hypothesis lives as long as its session, and there is none",
            code="no_session",
            next_call="Call session_start first.",
        )
    fields: dict[str, Any] = {
        "kind": kind,
        "scope": caller.scope,
        "task": session.task if session else task,
        "session": session.id if session else "",
        "origin": Origin.AGENT,
        "verification": verification,
        "derived_from": known_records(unit, caller, request.derived_from, "derived_from"),
        "evidence": known_records(unit, caller, ids_among(request.evidence), "evidence"),
        "conditions": known_records(unit, caller, ids_among(request.conditions), "conditions"),
        "supersedes": _superseded(unit, caller, request.supersedes, kind),
        "answers": _answered(unit, caller, request.answers),
    }
    return Draft(content, fields)


def _content(**parts: Any) -> Content:
    content = Content(**parts)
    objects = [value for value in (content.data, content.args) if value]
    # Refuses what canonical JSON cannot say, before anything is signed; all else was parsed as text.
    if objects and len(Content(data=content.data, args=content.args).to_bytes()) > MAX_DATA_BYTES:
        raise InvalidInput("`data` is longer than 64 KiB", code="too_long", next_call="Split it, or store a pointer.")
    return content


def current_session(unit: Unit, caller: Caller, asked: str) -> SessionState | None:
    """The session a call belongs to: the one asked for, or this context's newest that runs; None where there is none.

    A handle is a name bound to its principal: another's session and none at all look alike (T3, T13).
    """
    if not asked:
        mine = unit.records.sessions(caller.scope, launch=caller.launch, most=MOST_OPEN)
        running = next((session for session in mine if not session.ended), None)
        if running is None and mine and not mine[0].closed:
            raise _session_over()
        return running
    found = unit.view.session(asked)
    if found is None or found.principal != caller.name or found.scope != caller.scope:
        raise NotFound("`session` names no session of yours", code="unknown_id", next_call="Call session_start.")
    if found.ended:
        raise _session_over()
    if found.launch != caller.launch and _is_lower(unit, caller, found.launch):
        # Its task is that context's free text, and would stand in what is written here (T11).
        raise Conflict(
            "The session is of a context that has read what stands lower than what this one has read",
            code="tainted_session",
            next_call="Call session_start for one of this context.",
        )
    return found


def _is_lower(unit: Unit, caller: Caller, launch: str) -> bool:
    """Whether what another context of the caller phrases would be worth less than what this one does."""
    there, here = unit.view.context(launch), unit.view.context(caller.launch)
    if there is None or not caller.principal.has_mark:
        return False
    mark = here.mark if here is not None else Mark()
    if there.mark.admitted and not mark.admitted:
        return True
    return there.mark.label < max(Label.ATTRIBUTED, min(mark.label, caller.principal.ceiling))


def _session_over() -> Conflict:
    return Conflict("The session is over", code="session_over", next_call="Call session_start for a new one.")


def known_records(unit: Unit, caller: Caller, ids: list[str], field: str) -> list[str]:
    """The ids as records of this scope; unknown and forbidden look alike (T13)."""
    unit.foresee(ids, whole=False)
    return [_record(unit, caller, asked, field).id for asked in dict.fromkeys(ids)]


def _record(unit: Unit, caller: Caller, asked: str, field: str) -> RecordState:
    state = unit.view.record(resolve(unit, caller, asked))
    if state is None or state.scope != caller.scope or state.erased:
        raise NotFound(
            f"`{field}` names a record that is not here",
            code="unknown_id",
            next_call="Copy ids as answers give them; memory_search finds records.",
        )
    return state


def _superseded(unit: Unit, caller: Caller, asked: str, kind: Kind) -> str:
    if not asked:
        return ""
    old = _record(unit, caller, asked, "supersedes")
    if kind is Kind.HYPOTHESIS and old.kind is not Kind.HYPOTHESIS:
        # T8: it would be gone with its session, and what it replaced with it.
        raise InvalidInput(
            "A hypothesis replaces nothing but a hypothesis", next_call="Leave supersedes out, or write a finding."
        )
    return old.id


def _refuse_superseded(unit: Unit, draft: Draft) -> None:
    """A record is replaced once; who comes second is told by what."""
    old = unit.view.record(draft.fields["supersedes"])
    if old is not None and old.superseded_by is not None:
        newer = unit.records.id_at(old.superseded_by)
        raise Conflict(
            f"That record is superseded already, by {newer}", code="superseded", next_call=f"Supersede {newer}."
        )


def _answered(unit: Unit, caller: Caller, asked: str) -> str:
    if not asked:
        return ""
    question = _record(unit, caller, asked, "answers")
    if question.kind is not Kind.QUESTION:
        raise InvalidInput("`answers` names a record that is no question", next_call="Use derived_from for sources.")
    return question.id


def _duplicate(unit: Unit, key: StoreKey, caller: Caller, draft: Draft) -> RecordState | None:
    """The record that says just this already and still stands; a name used for other words is a conflict (3.1)."""
    raw = draft.content.to_bytes()
    twins = key.fingerprint(author=caller.name, fields=draft.fields, content=raw)
    twin = unit.view.record(unit.contents.twin(twins))
    named = unit.records.named(caller.name, caller.scope, draft.content.key) if draft.content.key else ""
    if twin is not None and _is_said_again(unit, draft, twin, named):
        return twin
    holder = unit.view.record(named)
    if holder is None or holder.status(unit.now) is not Status.IN_FORCE or draft.fields.get("supersedes") == named:
        return None
    raise Conflict(
        f"Your key names {named} already, with other content",
        code="key_conflict",
        next_call=f"Pass supersedes={named} to replace it, or choose another key.",
    )


def _is_said_again(unit: Unit, draft: Draft, twin: RecordState, named: str) -> bool:
    """Whether a call repeats what `twin` says, rather than saying the same anew."""
    tool = unit.view.tool(draft.fields.get("tool", ""))
    bound = kind_bound(draft.fields["kind"], tool)
    if bound is not None and twin.label > bound.label:
        return False  # the tool has turned out to be worth less than when it was observed
    status = twin.status(unit.now)
    replaced = unit.view.record(draft.fields.get("supersedes", ""))
    if replaced is not None:
        return replaced.superseded_by == twin.seq
    # Under its own name it is repeated even when it was replaced since: an import that is run again.
    return status is Status.IN_FORCE or (status is Status.SUPERSEDED and twin.id == named)


def observe(store: Store, key: StoreKey, caller: Caller, request: ObserveRequest, *, task: str = "") -> Answer:
    """Store what a tool returned or what was fetched from outside; outside content is a disclosure as well."""
    with store.write() as unit:
        return observe_in(unit, key, caller, request, task=task)


def observe_in(unit: Unit, key: StoreKey, caller: Caller, request: ObserveRequest, *, task: str = "") -> Answer:
    """`observe` inside a transaction of the caller's."""
    name = request.source.removeprefix("tool:")
    tool = _registration(unit, name) if name != request.source else None
    draft = _observation(unit, caller, request, tool, task)
    duplicate = _duplicate(unit, key, caller, draft)
    if duplicate is not None:
        answer = _stored(unit, duplicate, "duplicate")
        state = duplicate
    else:
        ensure_context(unit, caller)
        written = append(unit, key, caller.author, Recorded, draft.fields, draft.content)
        answer = _answer(unit, written, "stored", "")
        state = _state(unit, written.id)
    if is_outside(state.kind, tool):
        _disclose_own(unit, caller, state)
    context = unit.view.context(caller.launch)
    answer |= {"kind": str(state.kind), "expires_at": timestamp(state.expires_at)}
    answer["mark"] = mark_label(caller, context.mark) if context else str(Label.TRUSTED)
    answer["note"] = _observation_note(state, tool, answer["note"], asked=request.ttl_seconds)
    return answer


def _registration(unit: Unit, name: str) -> Tool | None:
    """The registration a tool's name falls under: the exact one, else that of the longest matching beginning."""
    covering = [tool for tool in unit.registry.tools() if tool.covers(name)]
    return max(covering, key=lambda tool: (not tool.pattern.endswith("*"), len(tool.pattern)), default=None)


def _observation(unit: Unit, caller: Caller, request: ObserveRequest, tool: Tool | None, task: str) -> Draft:
    origin = origin_of(request.source)
    kind = Kind.TOOL_RESULT if origin is Origin.TOOL else Kind.EXTERNAL
    ttl = request.ttl_seconds
    if kind is Kind.TOOL_RESULT:
        if ttl < 1:
            raise InvalidInput(
                "`ttl_seconds` is missing: a tool's result goes out of date",
                code="missing_field",
                next_call="Pass ttl_seconds of at least 1: how long the result may be relied on.",
            )
        if tool is not None and tool.max_ttl_seconds:
            ttl = min(ttl, tool.max_ttl_seconds)
    elif ":" not in request.source:
        raise InvalidInput("`source` is neither tool:NAME nor a URI", next_call='Pass "tool:NAME", or the URI fetched.')
    session = current_session(unit, caller, request.session)
    content = _content(
        title=request.title, body=request.content, args=request.args, key=request.key, source=request.source
    )
    fields: dict[str, Any] = {
        "kind": kind,
        "scope": caller.scope,
        "task": session.task if session else task,
        "session": session.id if session else "",
        "origin": origin,
        "tool": tool.pattern if tool else "",
        "ttl_seconds": ttl if kind is Kind.TOOL_RESULT else 0,
        "fetched_at": _fetched_at(unit, request.fetched_at),
    }
    return Draft(content, fields)


def _fetched_at(unit: Unit, text: str) -> int:
    match parse_moment(text, "fetched_at"):
        case None:
            # With a clock that stepped back, counting from the log's time would keep a result alive too long.
            return unit.wall if unit.wall < unit.now else 0
        case Instant(micros) if 0 < micros <= unit.now:
            return micros
        case Instant(micros) if micros <= 0:
            raise InvalidInput("`fetched_at` is before there were clocks", code="bad_time", next_call="Leave it out.")
        case Instant():
            raise InvalidInput("`fetched_at` is in the future", code="bad_time", next_call="Leave it out for now.")
        case Position():
            raise InvalidInput("`fetched_at` is no time", code="bad_time", next_call="Use RFC 3339, or leave it out.")


def _disclose_own(unit: Unit, caller: Caller, state: RecordState) -> None:
    source = state.source(unit.now)
    ensure_context(unit, caller)
    disclosure = Disclosure(state.seq, unit.log.head().size, unit.now, source, Extent.FULL)
    unit.disclosures.disclose(caller.launch, [disclosure])


def _state(unit: Unit, record: str) -> RecordState:
    state = unit.view.record(record)
    if state is None:
        raise NotFound("The record is not here", code="unknown_id")
    return state


def _answer(unit: Unit, written: Written, status: str, note: str) -> Answer:
    verdict = written.entry.verdict
    return Answer(
        {
            "id": written.id,
            "status": status,
            "label": str(verdict.label),
            "because": [cause.as_dict() for cause in verdict.because],
            "seq": written.entry.seq,
            "note": " ".join(part for part in (_label_note(verdict), note) if part),
        }
    )


def _stored(unit: Unit, state: RecordState, status: str) -> Answer:
    """The answer for a record that was there already, with its label of today and why."""
    return Answer(
        {
            "id": state.id,
            "status": status,
            "label": str(state.label),
            "because": json.loads(state.because),
            "seq": state.seq,
            "note": "You wrote this already; nothing was stored twice.",
        }
    )


def _would_store(unit: Unit, key: StoreKey, caller: Caller, draft: Draft) -> Answer:
    """What storing would answer; nothing is signed."""
    statement = Recorded(
        store=key.store,
        author=caller.name,
        launch=caller.launch,
        n=1,
        prev="",
        asserted_at=unit.now,
        content="0" * 64,
        **draft.fields,
    )
    admit(unit, caller.author, statement, unit.log.head().size)
    verdict = judge_entry(statement, caller.author.signer.state, unit.view)
    return Answer(
        {
            "id": "",
            "status": "would_store",
            "label": str(verdict.label),
            "because": [cause.as_dict() for cause in verdict.because],
            "seq": -1,
            "note": _label_note(verdict),
        }
    )


def _label_note(verdict: Verdict) -> str:
    raised = verdict.what_would_raise_it()
    match verdict.label:
        case Label.TRUSTED:
            return ""
        case Label.ATTRIBUTED:
            return f"Readable by all, vouched for by nobody; raised by {raised}."
        case _:
            return f"Quarantined for readers; raised by {raised}."


def _supersession_note(unit: Unit, draft: Draft) -> str:
    asked = draft.fields["supersedes"]
    if not asked:
        return ""
    old = unit.view.record(asked)
    if old is not None and old.superseded_by is not None:
        return f"{asked} is superseded."
    return f"{asked} still stands beside it: it is another's, or of a higher label."


def _observation_note(state: RecordState, tool: Tool | None, note: str, *, asked: int) -> str:
    if state.kind is Kind.TOOL_RESULT and tool is None:
        return (
            "The tool is not registered, so its result is tainted; the operator registers tools: memstore tool add. "
            "Your mark stays as it is, whatever it said: if it brings text from outside, observe that by its URI."
        )
    if tool is not None and tool.max_ttl_seconds and asked > tool.max_ttl_seconds:
        note = f"ttl_seconds is cut to {tool.max_ttl_seconds}, the most for this tool. {note}".strip()
    if is_outside(state.kind, tool):
        return "Kept in quarantine. You have read outside content: what you write from now on here is tainted."
    return note
