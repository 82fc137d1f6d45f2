"""What a handoff holds, checked: signatures, digests, contract, minimum, freshness, what was dropped (DESIGN 3.5).

An `Inspection` is of one moment and one receiver. A receipt signs its digests and codes, and accepting makes it again:
what changed in between makes the receipt an old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from memstore.contracts import violates
from memstore.core.boundary import (
    DROPPED,
    NONE,
    RULES,
    Carried,
    Delta,
    Problem,
    Seen,
    delta_of,
    found_in,
    gathered,
    missing,
)
from memstore.core.canonical import canonical_bytes
from memstore.core.entries import leaf_of
from memstore.core.forms import MAX_HOPS
from memstore.core.handoffs import accepts_contract
from memstore.core.labels import Label, SignatureState, Status
from memstore.core.offers import HandoffAction, HandoffAnswered, HandoffDecided, HandoffOffered
from memstore.core.policy import Principal
from memstore.core.state import HandoffState, HandoffStatus
from memstore.core.statements import Granted, Kind, Role, Statement, parse_statement, short_id
from memstore.errors import IntegrityError
from memstore.ports import Unit
from memstore.serving import Served, look_up
from memstore.verifying import signature_state

# In this order a receiver is shown what a handoff names.
PARTS = (
    "directive", "intent", "rationale", "constraints", "outputs", "checkpoint", "caveats", "questions", "rejected",
    "answers",
)  # fmt: skip
_SOUND = (SignatureState.VALID, SignatureState.ATTESTED)


@dataclass(frozen=True, slots=True)
class Inspection:
    """A handoff as one receiver finds it. `named` are (part, record id), `served` those that are here, by id."""

    handoff: HandoffState
    statement: HandoffOffered
    named: tuple[tuple[str, str], ...]
    served: dict[str, Served]
    problems: tuple[Problem, ...]
    delta: Delta
    verified: tuple[str, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(problem.code for problem in self.problems)

    @property
    def digest(self) -> str:
        """Over each problem with the records that have it, and the delta: what a receipt is of, beside its digests."""
        problems = [[problem.code, sorted(problem.ids)] for problem in self.problems]
        told = [problems, [list(one) for one in self.delta.dropped], [list(one) for one in self.delta.added]]
        return hashlib.sha256(canonical_bytes(told, nfc=False)).hexdigest()

    @property
    def valid(self) -> bool:
        return not any(problem.bars for problem in self.problems)


def offered(unit: Unit, handoff: HandoffState) -> tuple[HandoffOffered, list[str]]:
    """The signed offer, and the codes of what is wrong with it as a statement."""
    statement, codes = _sound(unit, handoff.seq, handoff.sender)
    logged = unit.log.entry(handoff.seq)
    if not isinstance(statement, HandoffOffered) or logged is None:
        raise IntegrityError("The handoff is not what was logged", code="tampered", next_call="Run log verify.")
    said = (statement.receiver, statement.scope, statement.type, statement.grant)
    same = said == (handoff.receiver, handoff.scope, handoff.type, handoff.gives)
    if short_id("h-", logged.entry.digest) != handoff.id or not same:
        codes.append("bad_signature")
    return statement, codes


def _sound(unit: Unit, seq: int, author: str) -> tuple[Statement | None, list[str]]:
    """A statement of the log by this author, and what is wrong with its signature or key."""
    logged = unit.log.entry(seq)
    if logged is None or leaf_of(logged.entry) != logged.leaf:
        return None, ["bad_signature"]
    statement = parse_statement(logged.entry.payload_type, logged.payload)
    if statement.author != author or signature_state(unit, logged, author) not in _SOUND:
        return statement, ["bad_signature"]
    key = unit.registry.key(logged.entry.keyid)
    return statement, [] if key is not None and key.stands_at(seq) else ["sender_revoked"]


def is_granted(unit: Unit, handoff: HandoffState) -> bool:
    """Whether its sender signed the grant by which it crosses, by a key that stood: a row is no proof."""
    grant = unit.view.grant(handoff.gives)
    if grant is None:
        return False
    statement, wrong = _sound(unit, grant.seq, handoff.sender)
    same = isinstance(statement, Granted) and tuple(statement.scopes) == grant.scopes
    return same and not wrong and short_id("g-", bytes.fromhex(_digest(unit, grant.seq))) == handoff.gives


def inspect(unit: Unit, handoff: HandoffState, receiver: Principal, scope: str) -> Inspection:
    """Look at everything that a handoff names, as it stands now, with the eyes of this receiver in this scope."""
    statement, codes = offered(unit, handoff)
    named = named_in(statement)
    said, wrong = _answers(unit, handoff)
    named, codes = [*named, *(("answers", record) for record in said)], [*codes, *wrong]
    # Where those who held it had come to: what an attempt after the first goes on from.
    resumed = unit.receipts.checkpoint(handoff, scope) if handoff.holder else ""
    if resumed:
        named = [*((part, record) for part, record in named if part != "checkpoint"), ("checkpoint", resumed)]
    unit.foresee(record for _, record in named)
    looked = {record: look_up(unit, record, scope if record == resumed else handoff.scope) for _, record in named}
    served = {record: found for record, found in looked.items() if found is not None}
    found = [(code, "") for code in codes]
    found += [("missing_record", record) for record, one in looked.items() if one is None]
    for part, record in named:
        if record in served:
            found += [(code, record) for code in found_in(_seen(unit, part, served[record]), handoff.type)]
    delta = _delta(unit, handoff, statement)
    found += [(DROPPED[part], record) for part, record in delta.dropped]
    found += [(code, "") for code in _of_the_whole(unit, handoff, statement, receiver)]
    found += [("contract_violation", record) for record in _violations(unit, statement, served)]
    digests = [_digest(unit, handoff.seq), *(_digest(unit, one.state.seq) for one in served.values())]
    return Inspection(handoff, statement, tuple(named), served, gathered(found), delta, tuple(digests))


def named_in(statement: HandoffOffered) -> list[tuple[str, str]]:
    """(part, record) of all that an offer names for its receiver."""
    return [(part, record) for part in PARTS[:-1] for record in _ids(statement, part)]


def _ids(statement: HandoffOffered, part: str) -> list[str]:
    value = getattr(statement, part)
    return [value] * bool(value) if isinstance(value, str) else list(value)


def _digest(unit: Unit, seq: int) -> str:
    logged = unit.log.entry(seq)
    return logged.entry.digest.hex() if logged else "0" * 64


def _seen(unit: Unit, part: str, served: Served) -> Seen:
    state, statement = served.state, served.statement
    declared = [*statement.derived_from, *statement.evidence] if statement else []
    sources = (unit.view.record(record) for record in declared)
    return Seen(
        id=served.id,
        part=part,
        kind=state.kind,
        label=served.label,
        status=served.status,
        verification=state.verification,
        flags=served.flags,
        good=statement is not None,
        stale=any(
            one is not None and one.kind is Kind.TOOL_RESULT and one.status(unit.now) is Status.EXPIRED
            for one in sources
        ),
    )


def _of_the_whole(unit: Unit, handoff: HandoffState, statement: HandoffOffered, receiver: Principal) -> Iterator[str]:
    """What is wrong with the handoff itself rather than with a record."""
    said = {part: _ids(statement, part) or [NONE] * (part in statement.none) for part in PARTS[:-1]}
    if missing(handoff.type, said):
        yield "minimum_missing"
    if handoff.contract and not accepts_contract(receiver, handoff.contract):
        yield "contract_not_accepted"
    contract = unit.view.contract(handoff.contract)
    if contract is not None and contract.deprecated is not None:
        yield "contract_deprecated"
    if handoff.hop >= MAX_HOPS:
        yield "hop_limit"
    if handoff.label < Label.ATTRIBUTED:
        yield "tainted_sender"
    if handoff.deadline and unit.now >= handoff.deadline:
        yield "past_deadline"
    if _is_asked(unit, handoff):
        yield "question_open"
    if statement.gate and not _is_waiting(unit, handoff) and not _is_approved(unit, handoff):
        yield "not_approved"


def _answers(unit: Unit, handoff: HandoffState) -> tuple[list[str], list[str]]:
    """What its sender answered to what was asked about it, and the codes of what is wrong with that."""
    found: dict[str, None] = {}
    codes: list[str] = []
    for one in unit.receipts.answers(handoff.id):
        if one.action is HandoffAction.CLARIFY and one.author == handoff.sender:
            statement, wrong = _sound(unit, one.seq, one.author)
            codes += wrong
            if isinstance(statement, HandoffAnswered) and statement.handoff == handoff.id:
                found.update(dict.fromkeys([statement.reason] * bool(statement.reason) + list(statement.outputs)))
    return list(found), codes


def _is_asked(unit: Unit, handoff: HandoffState) -> bool:
    """Whether its receiver asked last, and nobody has answered: neither its sender nor a record that answers that."""
    asked = [one for one in unit.receipts.answers(handoff.id) if one.action is HandoffAction.CLARIFY]
    question = unit.view.record(handoff.question)
    return bool(asked) and asked[-1].author != handoff.sender and (question is None or question.answered_by is None)


def _is_waiting(unit: Unit, handoff: HandoffState) -> bool:
    """Whether a person may still decide: past its deadline nobody did, and nobody can."""
    return handoff.status(unit.now) is HandoffStatus.AWAITING_APPROVAL


def _is_approved(unit: Unit, handoff: HandoffState) -> bool:
    """Whether a person approved just this offer, by a key that stood: a row that says so is not enough."""
    by = next((one.author for one in unit.receipts.answers(handoff.id) if one.seq == handoff.decided), "")
    principal = unit.view.principal(by)
    if principal is None or principal.role is not Role.HUMAN:
        return False
    statement, wrong = _sound(unit, handoff.decided, by)
    if wrong or not isinstance(statement, HandoffDecided) or statement.handoff != handoff.id:
        return False
    return statement.approved and statement.shown == _digest(unit, handoff.seq)


def _violations(unit: Unit, statement: HandoffOffered, served: dict[str, Served]) -> list[str]:
    contract = unit.view.contract(statement.contract) if statement.contract else None
    if contract is None:
        return []
    here = (served[record] for record in statement.outputs if record in served)
    return [one.id for one in here if violates(contract.form, one.content.data)]


def _delta(unit: Unit, handoff: HandoffState, statement: HandoffOffered) -> Delta:
    """What this handoff does not carry on, and what it adds: beside all that its sender took on or sent on this way.

    All of it, so that a handoff slipped in between hides nothing; what went to others is a branch of its own.
    """
    earlier = unit.handoffs.carried_before(handoff)
    carried = {part: [record for named, record in earlier if named == part] for part in DROPPED}
    parts = {part: (tuple(carried[part]), tuple(_ids(statement, part))) for part in DROPPED}
    old = {record for were, _ in parts.values() for record in were}
    new = {record for _, now in parts.values() for record in now}
    settled = frozenset(record for record in old if _is_settled(unit, record))
    return delta_of(
        Carried(**{part: were for part, (were, _) in parts.items()}),
        Carried(**{part: now for part, (_, now) in parts.items()}),
        settled=settled,
        words={record: _words(unit, record) for record in old | new} if old != new else {},
    )


def _is_settled(unit: Unit, record: str) -> bool:
    """Whether nobody has to carry it on: answered, replaced, withdrawn, or of the outside (T10)."""
    state = unit.view.record(record)
    if state is None or state.erased or state.answered_by is not None:
        return True
    return state.status(unit.now) is not Status.IN_FORCE or state.label < Label.ATTRIBUTED


def _words(unit: Unit, record: str) -> str:
    """A digest of what a record says, in whatever scope: what crossed is said again in the words it had."""
    state = unit.view.record(record)
    served = look_up(unit, record, state.scope) if state else None
    if served is None:
        return record
    told = f"{served.state.kind}\0{served.content.title}\0{served.content.body}\0{served.content.rationale}"
    return hashlib.sha256(told.encode()).hexdigest()


def rules_of(problems: tuple[Problem, ...]) -> list[dict[str, object]]:
    """Problems as answers give them, in the order of the rules."""
    order = list(RULES)
    return [problem.as_dict() for problem in sorted(problems, key=lambda one: order.index(one.code))]
