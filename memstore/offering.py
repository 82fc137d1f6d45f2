"""Offering work to somebody: `handoff_offer` (DESIGN 3.5, 7).

What an agent phrases becomes a record of its own in the same transaction, under its label (T11); the handoff itself
holds ids and closed values. What its type must say and does not is refused with the list, and never passed on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from memstore.contracts import in_use
from memstore.contracts import told as contract_told
from memstore.core.boundary import FITS, NONE, fits, missing
from memstore.core.canonical import canonical_bytes
from memstore.core.forms import MAX_HOPS
from memstore.core.handoffs import CAPABILITY, OPEN, accepts_contract, hop_of, is_capable, may_delegate
from memstore.core.labels import Label
from memstore.core.offers import HandoffOffered, HandoffType
from memstore.core.policy import Principal
from memstore.core.records import ids_among
from memstore.core.state import HandoffState, HandoffStatus, SessionState
from memstore.core.statements import Kind, Role
from memstore.errors import Conflict, Denied, InvalidInput, NotFound
from memstore.grants import give_in
from memstore.inbox import GATES, can_act
from memstore.inspecting import inspect, named_in, offered, rules_of
from memstore.moments import Instant, parse_moment
from memstore.ports import Store, Unit
from memstore.recording import current_session, known_records, write_in
from memstore.render import Answer, snippet
from memstore.requests import HandoffOfferRequest, WriteRequest
from memstore.serving import Caller, ensure_context, resolve
from memstore.signing import StoreKey
from memstore.write import append

GRANT_SECONDS = 24 * 3600
WORKERS = (Role.WORKER, Role.LEAD, Role.HUMAN)
# Each part that may be phrased, and the kind of record that its texts become.
PHRASED = {
    "questions": Kind.QUESTION,
    "rejected": Kind.REJECTED,
    "constraints": Kind.CONSTRAINT,
    "caveats": Kind.FINDING,
}

# Kinds that need no body where the title says it all.
_IN_A_LINE = frozenset({Kind.QUESTION, Kind.CONSTRAINT, Kind.DECISION})


def offer(store: Store, key: StoreKey, caller: Caller, request: HandoffOfferRequest) -> Answer:
    """Offer work: {handoff, state, problems[], hop, receiver, note}; the same call twice is one offer."""
    with store.write() as unit:
        session = current_session(unit, caller, request.session)
        task = session.task if session else ""
        told = request.model_dump(exclude={"session", "idempotency_key"})
        digest = _digest([caller.scope, task, told])
        keyed = _digest([caller.scope, request.idempotency_key]) if request.idempotency_key else ""
        twin = unit.handoffs.twin(caller.name, digest=digest, key=keyed)
        same = twin is not None and twin.digest == digest and _names_the_same(unit, caller, request, twin)
        if twin is not None and same:
            return _answer(unit, twin, _said_before(twin.status(unit.now)))
        if twin is not None and keyed:
            raise Conflict(
                "Your idempotency_key names another handoff",
                code="key_conflict",
                next_call="Repeat that call as it was, or choose another key.",
            )
        ensure_context(unit, caller)
        fields = _fields(unit, key, caller, request, session)
        written = append(unit, key, caller.author, HandoffOffered, {**fields, "digest": digest, "key": keyed})
        made = unit.view.handoff(written.id)
        if made is None:
            raise NotFound("The handoff is not here", code="unknown_id")
        return _answer(unit, made, _note(made, request), refuses=True)


def _names_the_same(unit: Unit, caller: Caller, request: HandoffOfferRequest, twin: HandoffState) -> bool:
    """Whether each `key:NAME` of the call stands for a record of that handoff: a name may have moved on since."""
    one = [request.intent, request.checkpoint, request.rationale, request.gate]
    asked = [*one, *(item for part in ("outputs", *PHRASED) for item in getattr(request, part))]
    meant = {resolve(unit, caller, item) for item in asked if item.startswith("key:")}
    if not meant:
        return True
    statement, _ = offered(unit, twin)
    return meant <= {statement.gate, *(record for _, record in named_in(statement))}


def _said_before(status: HandoffStatus) -> str:
    again = "" if status in OPEN else f" It is {status}: to offer the work anew, pass an idempotency_key of its own."
    return f"You offered this already; nothing was done twice.{again}"


def _digest(told: Any) -> str:
    return hashlib.sha256(canonical_bytes(told, nfc=False)).hexdigest()


def _answer(unit: Unit, handoff: HandoffState, note: str, *, refuses: bool = False) -> Answer:
    """How a handoff stands; `refuses` what its contract does not allow, which nobody could accept."""
    receiver, contract = unit.view.principal(handoff.receiver), unit.view.contract(handoff.contract)
    problems = inspect(unit, handoff, receiver, handoff.scope).problems if receiver else ()
    violated = [record for problem in problems if problem.code == "contract_violation" for record in problem.ids]
    if refuses and violated:
        raise Conflict(
            f"The data of these outputs is not of the contract: {', '.join(violated)}",
            code="contract_violation",
            next_call="Write them anew with data of its schema, or leave them out: memstore://agents shows it.",
        )
    return Answer(
        {
            "handoff": handoff.id,
            "state": str(handoff.status(unit.now)),
            "problems": rules_of(problems),
            "hop": handoff.hop,
            "receiver": handoff.receiver,
            "contract": contract_told(contract) if contract else {},
            "note": note,
        }
    )


def _note(handoff: HandoffState, request: HandoffOfferRequest) -> str:
    told = []
    if request.to.startswith(CAPABILITY):
        told.append(f"Routed to {handoff.receiver}, who has the least open work of those that can.")
    if handoff.stage is HandoffStatus.AWAITING_APPROVAL:
        told.append("It waits for a person: memstore handoff approve.")
    return " ".join(told)


def _fields(
    unit: Unit, key: StoreKey, caller: Caller, request: HandoffOfferRequest, session: SessionState | None
) -> dict[str, Any]:
    """The fields of the statement, all that is phrased written as records; refuses what may not be handed over."""
    kind = HandoffType(request.type)
    _refuse_incomplete(kind, request)
    if kind is HandoffType.DELEGATE:
        _refuse_tainted(unit, caller)
    contract = in_use(unit, request.contract).name if request.contract else ""
    receiver = _receiver(unit, caller, kind, request, contract)
    if request.fallback:
        _known(unit, caller, request.fallback, "fallback")
        if request.fallback == receiver.name:
            raise InvalidInput(
                "`fallback` names the receiver, and nobody would have it instead",
                code="fallback_is_receiver",
                next_call="Name somebody else, or leave it out: then it comes back to you.",
            )
    task = session.task if session else ""
    parent = unit.handoffs.held(caller.scope, task, caller.name, caller.launch)
    hop = hop_of(kind, receiver.name, parent)
    if hop > MAX_HOPS:
        raise Denied(
            f"This work has been handed on {MAX_HOPS} times",
            code="hop_limit",
            next_call="Finish it, or report back to who gave it to you.",
        )
    fields: dict[str, Any] = {
        "scope": caller.scope,
        "task": task,
        "session": session.id if session else "",
        "type": kind,
        "to": request.to,
        "receiver": receiver.name,
        "fallback": request.fallback,
        "outputs": outputs_of(unit, caller, kind, request.outputs),
        "contract": contract,
        "deadline": _deadline(unit, request.deadline),
        "parent": parent.id if parent else "",
        "correlation": (parent.correlation or parent.id) if parent else "",
        "hop": hop,
        "intent": _one(unit, caller, request.intent, Kind.INTENT, "intent"),
        "checkpoint": _one(unit, caller, request.checkpoint, Kind.CHECKPOINT, "checkpoint"),
        "none": [part for part in ("outputs", *PHRASED) if getattr(request, part) == [NONE]],
    }
    fields |= _grant(unit, key, caller, request, receiver)
    grant = unit.view.grant(fields.get("grant", ""))
    if grant is not None and caller.scope not in receiver.scopes:
        # Nobody reaches it any more once its grant has ended (ADR 0036): then it is over, and its sender is told.
        fields["deadline"] = earliest(fields["deadline"], grant.expires_at)
    return {**fields, **_phrased(unit, key, caller, request)}


def earliest(deadline: int, ends: int) -> int:
    """The deadline of what ends anyway; 0 is none."""
    return min(deadline or ends, ends)


def _refuse_incomplete(kind: HandoffType, request: HandoffOfferRequest) -> None:
    told = [request.directive, request.rationale, request.gate]
    told += [item for part in ("outputs", *PHRASED) for item in getattr(request, part)]
    if any(item and not item.strip() for item in told):
        raise InvalidInput(
            "A part of it says nothing", code="blank", next_call='Say it, leave it out, or pass ["none"] for a list.'
        )
    lacking = missing(kind, request.model_dump())
    if "outputs" in lacking and request.outputs == [NONE]:
        raise InvalidInput(
            f"A {kind} without outputs hands over nothing",
            code="missing_minimum",
            next_call="Name records in `outputs`; what came to nothing is a finding too, or fail the handoff you hold.",
        )
    if lacking:
        raise InvalidInput(
            f"A {kind} must say more: {', '.join(f'`{part}`' for part in lacking)} missing",
            code="missing_minimum",
            next_call='Pass them; a list in which there is nothing is ["none"].',
        )


def _refuse_tainted(unit: Unit, caller: Caller) -> None:
    """T3: a delegation is the giver's word alone; `may_offer` holds it again at a replay."""
    context = unit.view.context(caller.launch)
    if context is not None and caller.principal.has_mark and context.mark.label < Label.ATTRIBUTED:
        raise Denied(
            "This context has read outside content, and delegates nothing",
            code="tainted_giver",
            next_call="Delegate from a fresh context, or have a person do it.",
        )


def _receiver(unit: Unit, caller: Caller, kind: HandoffType, request: HandoffOfferRequest, contract: str) -> Principal:
    to, fallback = request.to, request.fallback
    if not to.startswith(CAPABILITY):
        found = _known(unit, caller, to, "to", across=request.grant_scopes)
        if contract and not accepts_contract(found, contract):
            raise InvalidInput(
                "The receiver does not accept this version of the contract",
                code="contract_not_accepted",
                next_call="memstore://agents shows who takes what; or ask for a version that it accepts.",
            )
        return found
    able = [
        one
        for one in unit.registry.principals()
        if one.name not in (caller.name, fallback)
        and is_capable(one, to, contract)
        and _can_work(unit, one, (caller.scope,))
        # Of those that the caller may delegate to: whom it may not is no receiver, however idle.
        if kind is not HandoffType.DELEGATE or may_delegate(caller.principal, one, unit.view)
    ]
    if not able:
        raise NotFound(
            "Nobody here has that capability and accepts the contract",
            code="no_receiver",
            next_call="Hand it to somebody by name.",
        )
    busy = _open_work(unit, caller.scope)
    return min(able, key=lambda one: (busy.get(one.name, 0), one.name))


def _open_work(unit: Unit, scope: str) -> dict[str, int]:
    """How many handoffs each principal holds or has waiting, so that a burst of offers is spread too."""
    busy: dict[str, int] = {}
    for one in unit.handoffs.open_in(scope):
        held = one.status(unit.now) is HandoffStatus.ACCEPTED
        waits = one.status(unit.now) in (*GATES, HandoffStatus.OFFERED, HandoffStatus.CLARIFICATION_REQUESTED)
        if held or waits:
            name = one.holder if held else one.receiver
            busy[name] = busy.get(name, 0) + 1
    return busy


def _known(unit: Unit, caller: Caller, name: str, field: str, *, across: Sequence[str] = ()) -> Principal:
    """The principal of this name that works in the caller's scope; unknown and out of reach look alike (T13).

    `across` are the scopes of a grant that goes with it: one that names both leads to who works in another.
    """
    found = unit.view.principal(name)
    leads = caller.scope in across and set(across) <= set(caller.principal.scopes)
    scopes = tuple(across) if leads else (caller.scope,)
    if found is None or set(scopes).isdisjoint(found.scopes) or found.role not in WORKERS:
        raise NotFound(
            f"`{field}` names nobody who works here", code="unknown_principal", next_call="See memstore://agents."
        )
    if found.name == caller.name:
        raise InvalidInput(f"`{field}` names yourself", code="to_oneself", next_call="Name somebody else, or go on.")
    if not _can_work(unit, found, scopes):
        raise Denied(f"`{field}` names a principal that was retired", code="retired", next_call="Name another.")
    return found


def _can_work(unit: Unit, principal: Principal, scopes: tuple[str, ...]) -> bool:
    return can_act(unit, principal.name) and not set(scopes).isdisjoint(principal.scopes) and principal.role in WORKERS


def outputs_of(unit: Unit, caller: Caller, kind: HandoffType, asked: list[str]) -> list[str]:
    """Records that may be handed over or back as outputs by a handoff of this type."""
    if asked == [NONE]:
        return []
    found = known_records(unit, caller, asked, "outputs")
    for record in found:
        state = unit.view.record(record)
        if state is None:
            continue
        outside = state.label is Label.UNTRUSTED or state.kind is Kind.EXTERNAL
        if outside and kind is not HandoffType.INTAKE:
            raise InvalidInput(
                "Outside content is no output",
                code="external_output",
                next_call='Write a finding about it, or hand it over as type="intake".',
            )
        if state.kind is not Kind.EXTERNAL and kind is HandoffType.INTAKE:
            raise InvalidInput("An intake names external records alone", code="not_external")
        if state.kind is Kind.HYPOTHESIS and kind is HandoffType.REPORT:
            raise InvalidInput(
                "A hypothesis says nothing of its verification, and goes with its session",
                code="without_verification",
                next_call="Write what you know as a finding, verified or not, and report that.",
            )
    return found


def _deadline(unit: Unit, text: str) -> int:
    match parse_moment(text, "deadline"):
        case None:
            return 0
        case Instant(micros) if micros > unit.now:
            return micros
        case Instant():
            raise InvalidInput("`deadline` is past", code="bad_deadline", next_call="Pass a time to come.")
        case _:
            raise InvalidInput("`deadline` is no time", code="bad_time", next_call="Use RFC 3339.")


def _one(unit: Unit, caller: Caller, asked: str, kind: Kind, field: str) -> str:
    if not asked:
        return ""
    record = known_records(unit, caller, [asked], field)[0]
    state = unit.view.record(record)
    if state is None or state.kind is not kind:
        raise InvalidInput(f"`{field}` names a record of another kind", next_call=f"It is the id of a {kind}.")
    return record


def _grant(
    unit: Unit, key: StoreKey, caller: Caller, request: HandoffOfferRequest, receiver: Principal
) -> dict[str, Any]:
    """A fresh context for the receiver, no wider than the giver's, where one was asked for (T3)."""
    if not (request.fresh or request.grant_scopes or request.grant_ttl_seconds):
        return {}
    if request.gate:
        # The context would be there before the person had said yes.
        raise InvalidInput(
            "A handoff with a gate gives no context",
            code="gated_grant",
            next_call="Have it approved first, then: memstore agent grant.",
        )
    given = give_in(
        unit,
        key,
        caller.author,
        receiver.name,
        scopes=tuple(request.grant_scopes) or (caller.scope,),
        ceiling="",
        ttl_seconds=request.grant_ttl_seconds or GRANT_SECONDS,
        depth=0,
    )
    return {"grant": given["grant"]}


def _phrased(unit: Unit, key: StoreKey, caller: Caller, request: HandoffOfferRequest) -> dict[str, Any]:
    """Ids for all that was phrased or named (T11), and which of them were phrased here."""
    found: dict[str, Any] = {}
    for part, kind in PHRASED.items():
        said = [item for item in getattr(request, part) if item != NONE]
        records = (_as_record(unit, key, caller, item, kind, part, session=request.session) for item in said)
        found[part] = list(dict.fromkeys(records))
    if request.directive:
        why = request.rationale or "Not said."
        found["directive"] = said_as(
            unit, key, caller, request.directive, Kind.DECISION, "directive",
            session=request.session, rationale=why, alternatives=[NONE],
        )  # fmt: skip
    if request.rationale:
        # A directive holds it already.
        found["rationale"] = found.get("directive") or _as_record(
            unit, key, caller, request.rationale, Kind.FINDING, "rationale", session=request.session
        )
    if request.gate:
        found["gate"] = _as_record(unit, key, caller, request.gate, Kind.QUESTION, "gate", session=request.session)
    named = [request.rationale, request.gate, *(item for part in PHRASED for item in getattr(request, part))]
    by_id = {known_records(unit, caller, [item], "outputs")[0] for item in named if is_id(item)}
    told = [one for value in found.values() for one in ([value] if isinstance(value, str) else value)]
    return {**found, "phrased": [one for one in dict.fromkeys(told) if one not in by_id]}


def is_id(item: str) -> bool:
    return item.startswith("key:") or bool(ids_among([item]))


def _as_record(
    unit: Unit, key: StoreKey, caller: Caller, item: str, kind: Kind, part: str, *, session: str = ""
) -> str:
    """The id that an item is, or that of the record that its text becomes."""
    if is_id(item):
        record = known_records(unit, caller, [item], part)[0]
        state = unit.view.record(record)
        if state is None or not fits(part, state.kind):
            kinds = " or ".join(sorted(FITS[part]))
            raise InvalidInput(
                f"`{part}` names a record of another kind",
                code="wrong_kind",
                next_call=f"Name a {kinds}, or pass it as text, which becomes one.",
            )
        return record
    more: dict[str, Any] = {"rationale": item} if kind is Kind.REJECTED else {}
    return said_as(unit, key, caller, item, kind, part, session=session, **more)


def said_as(
    unit: Unit, key: StoreKey, caller: Caller, text: str, kind: Kind, part: str, *, session: str = "", **more: Any
) -> str:
    """Write what somebody phrased in a handoff as a record of its author; its id (T11)."""
    answer = write_in(unit, key, caller, phrased_as(text, kind, part, session=session, **more))
    return str(answer["id"])


def phrased_as(text: str, kind: Kind, part: str, *, session: str = "", **more: Any) -> WriteRequest:
    """The record that a text in a handoff becomes, as the call that would write it."""
    title = snippet(text.strip().split("\n")[0])[:200] or part
    whole = title == text and kind in _IN_A_LINE
    told = {"kind": str(kind), "title": title, "body": "" if whole else text, "tags": [f"handoff-{part.rstrip('s')}"]}
    return WriteRequest.parse({**told, "session": session, **more})
