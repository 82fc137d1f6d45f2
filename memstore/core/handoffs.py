"""Handoffs: who may do what to one in which state, and what each act changes (DESIGN 3.5).

Pure: a state and an action give the next state or a refusal. `permitted_handoff` is asked before such a statement is
signed and again at a replay, from the view just before the entry; leases are rows that a replay does not have, so
whether one has run out is judged by the verbs, in the transaction of the act.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from memstore.core.boundary import RULES, fits
from memstore.core.canonical import canonical_bytes
from memstore.core.entries import Entry
from memstore.core.forms import Statement
from memstore.core.labels import Label
from memstore.core.offers import (
    ContractAdded,
    ContractDeprecated,
    HandoffAction,
    HandoffAnswered,
    HandoffDecided,
    HandoffOffered,
    HandoffReceived,
    HandoffType,
)
from memstore.core.policy import Allowed, Decision, Denied, Principal, may_use_scope
from memstore.core.reviews import above, stands
from memstore.core.state import ContractState, GrantState, HandoffState, HandoffStatus, ReceiptState, View
from memstore.core.statements import Kind, Role, short_id

S, A = HandoffStatus, HandoffAction

# The whole machine: what is not here is refused.
MOVES: dict[tuple[HandoffStatus, HandoffAction], HandoffStatus] = {
    (S.AWAITING_APPROVAL, A.APPROVE): S.OFFERED,
    (S.AWAITING_APPROVAL, A.DENY): S.DENIED,
    (S.AWAITING_APPROVAL, A.CANCEL): S.CANCELLED,
    (S.OFFERED, A.ACCEPT): S.ACCEPTED,
    (S.OFFERED, A.CLARIFY): S.CLARIFICATION_REQUESTED,
    (S.OFFERED, A.REJECT): S.REJECTED,
    (S.OFFERED, A.CANCEL): S.CANCELLED,
    (S.CLARIFICATION_REQUESTED, A.ACCEPT): S.ACCEPTED,
    (S.CLARIFICATION_REQUESTED, A.CLARIFY): S.OFFERED,
    (S.CLARIFICATION_REQUESTED, A.REJECT): S.REJECTED,
    (S.CLARIFICATION_REQUESTED, A.CANCEL): S.CANCELLED,
    (S.ACCEPTED, A.RESUME): S.ACCEPTED,
    (S.ACCEPTED, A.COMPLETE): S.COMPLETED,
    (S.ACCEPTED, A.FAIL): S.FAILED,
    (S.ACCEPTED, A.CANCEL): S.CANCELLED,
    (S.DEAD_LETTER, A.ACCEPT): S.ACCEPTED,
    (S.DEAD_LETTER, A.REJECT): S.REJECTED,
    (S.DEAD_LETTER, A.CANCEL): S.CANCELLED,
}
OPEN = frozenset({S.AWAITING_APPROVAL, S.OFFERED, S.CLARIFICATION_REQUESTED, S.ACCEPTED, S.DEAD_LETTER})
SENDERS = frozenset({A.CANCEL})
HOLDERS = frozenset({A.RESUME, A.COMPLETE, A.FAIL})
CAPABILITY = "capability:"
CARRIED = ("outputs", "questions", "rejected", "constraints", "caveats")


@dataclass(frozen=True, slots=True)
class PutHandoff:
    """A handoff is offered; `carried` are (part, record id) of all that it hands over.

    `phrased` are (position, whether it is the gate) of the records that were written for it.
    """

    handoff: HandoffState
    key: str
    carried: tuple[tuple[str, str], ...]
    phrased: tuple[tuple[int, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class PutReceipt:
    receipt: ReceiptState


@dataclass(frozen=True, slots=True)
class MoveHandoff:
    """A handoff as it stands after an act, and the act as `answers` keep it: by whom, what, and of which call."""

    handoff: HandoffState
    author: str
    action: HandoffAction
    digest: str
    receipt: str = ""
    outputs: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    launch: str = ""


@dataclass(frozen=True, slots=True)
class PutContract:
    contract: ContractState


@dataclass(frozen=True, slots=True)
class DeprecateContract:
    contract: str
    seq: int
    successor: str


HandoffChange = PutHandoff | PutReceipt | MoveHandoff | PutContract | DeprecateContract


def moved(status: HandoffStatus, action: HandoffAction, *, by_sender: bool = False) -> HandoffStatus | Denied:
    """The state after an action; only its sender answers what was asked about a handoff, only its receiver asks."""
    if action is A.CLARIFY and by_sender != (status is S.CLARIFICATION_REQUESTED):
        return Denied("its receiver asks, and its sender answers what was asked")
    return MOVES.get((status, action)) or Denied(f"a handoff that is {status} is not to be {_DONE[action]}")


_DONE = {
    A.ACCEPT: "accepted",
    A.RESUME: "resumed",
    A.CLARIFY: "asked about",
    A.REJECT: "rejected",
    A.COMPLETE: "completed",
    A.FAIL: "failed",
    A.CANCEL: "cancelled",
    A.APPROVE: "approved",
    A.DENY: "denied",
}


def accepts_contract(principal: Principal, contract: str) -> bool:
    """Whether a principal takes this version: by its exact name, or all of one major version as `name@1`."""
    return contract in principal.accepts or contract.rpartition(".")[0] in principal.accepts


def is_capable(principal: Principal, to: str, contract: str) -> bool:
    """Whether a principal is one of those that `to` asks for, and takes the contract."""
    takes = not contract or accepts_contract(principal, contract)
    return to.startswith(CAPABILITY) and to.removeprefix(CAPABILITY) in principal.capabilities and takes


def is_addressed(handoff: HandoffState, principal: Principal) -> bool:
    """Whether it is for this principal: its receiver, its fallback owner, or, once tried, another who can do it."""
    if principal.name == handoff.sender:
        return False
    if principal.name in (handoff.receiver, handoff.fallback):
        return True
    return handoff.attempts > 0 and is_capable(principal, handoff.to, handoff.contract)


def may_take(handoff: HandoffState, principal: Principal, now: int) -> Decision:
    """Whether this principal may receive it and answer for it at `now`."""
    if not is_addressed(handoff, principal):
        return Denied("there is no such handoff for this principal")
    dead = handoff.status(now) is S.DEAD_LETTER
    if dead and principal.name != handoff.fallback:
        return Denied("it went to its fallback owner as a dead letter")
    others = principal.name == handoff.receiver or is_capable(principal, handoff.to, handoff.contract)
    return Allowed() if dead or others else Denied("its receiver still has it")


def is_within(handoff: HandoffState, name: str, scope: str, view: View, now: int) -> bool:
    """T13: whether it is of this scope, or its receiver works there and the grant that it carries names both."""
    if handoff.scope == scope:
        return True
    grant = _crossing(handoff.gives, giver=handoff.sender, receiver=handoff.receiver, view=view, now=now)
    return grant is not None and name == handoff.receiver and {handoff.scope, scope} <= set(grant.scopes)


def _crossing(grant: str, *, giver: str, receiver: str, view: View, now: int) -> GrantState | None:
    """The grant of this id, if its giver gave it to this receiver and it stands."""
    found = view.grant(grant) if grant else None
    if found is None or (found.giver, found.principal) != (giver, receiver):
        return None
    return found if stands(found, view, now) else None


def hop_of(kind: HandoffType, receiver: str, parent: HandoffState | None) -> int:
    """How far work has travelled: one further than the handoff worked under, save a report back to who gave that."""
    if parent is None:
        return 1
    returns = kind is HandoffType.REPORT and receiver == parent.sender
    return parent.hop if returns else parent.hop + 1


def permitted_handoff(statement: Statement, view: View, now: int) -> Decision:
    """Whether such an act may be made by its author on what it names; `Allowed` for all other statements."""
    author = view.principal(statement.author)
    if author is None:
        return Denied("the author is not registered")
    match statement:
        case HandoffOffered():
            return _may_offer(statement, author, view, now)
        case HandoffReceived():
            found = _reachable(statement.handoff, author, view, statement.launch, now)
            if found is None or not is_addressed(found, author):
                return Denied("there is no such handoff for this principal")
            same = statement.token == found.token
            return Allowed() if same else Denied("the handoff was taken up in between")
        case HandoffAnswered():
            return _may_answer(statement, author, view, now)
        case HandoffDecided():
            return _may_decide(statement, author, view)
        case ContractAdded():
            known = view.contract(statement.contract) is not None
            return Denied("a version of a contract is never changed") if known else Allowed()
        case ContractDeprecated():
            found_contract = view.contract(statement.contract)
            if found_contract is None:
                return Denied("there is no such contract")
            return Allowed() if found_contract.deprecated is None else Denied("the contract was deprecated before")
        case _:
            return Allowed()


def _reachable(handoff: str, author: Principal, view: View, launch: str, now: int) -> HandoffState | None:
    """T13: the handoff, if it is of the scope that this context works in, or crosses to it."""
    found, context = view.handoff(handoff), view.context(launch)
    if found is None or context is None or context.scope not in author.scopes:
        return None
    return found if is_within(found, author.name, context.scope, view, now) else None


def _may_offer(statement: HandoffOffered, author: Principal, view: View, now: int) -> Decision:
    context, receiver = view.context(statement.launch), view.principal(statement.receiver)
    if context is None or context.scope != statement.scope:
        return Denied("there is no such scope for this principal")
    if receiver is None or not _reaches(statement, receiver, view, now):
        return Denied("there is no such receiver in this scope")
    if receiver.name == author.name or statement.fallback == author.name:
        return Denied("nobody hands work to himself")
    if statement.fallback and not _works_in(view, statement.fallback, statement.scope):
        return Denied("there is no such fallback owner in this scope")
    if statement.type is HandoffType.DELEGATE and not may_delegate(author, receiver, view):
        return Denied("only a person, or a lead above the receiver, delegates")
    if statement.type is HandoffType.DELEGATE and author.has_mark and context.mark.label < Label.ATTRIBUTED:
        return Denied("who has read outside content delegates nothing")
    if statement.deadline and statement.deadline <= now:
        return Denied("the deadline is past")
    for decision in (_contract_holds(statement, receiver, view), _hop_holds(statement, view)):
        if isinstance(decision, Denied):
            return decision
    return _names_rightly(statement, view)


_SINGLE = ("intent", "directive", "rationale", "gate", "checkpoint")


def _names_rightly(statement: HandoffOffered, view: View) -> Decision:
    """Whether what it names is of its scope, and of a kind that can stand for its part."""
    named = [(part, record) for part in CARRIED for record in getattr(statement, part)]
    named += [(part, getattr(statement, part)) for part in _SINGLE if getattr(statement, part)]
    for part, record in named:
        state = view.record(record)
        if state is None or state.scope != statement.scope:
            return Denied("it names a record that is not here")
        if state.kind is Kind.EXTERNAL and not (statement.type is HandoffType.INTAKE and part == "outputs"):
            return Denied("outside content is handed over by an intake alone")
        if not fits(part, state.kind):
            return Denied("it names a record of a kind that cannot stand for that part")
    return Allowed()


def _reaches(statement: HandoffOffered, receiver: Principal, view: View, now: int) -> bool:
    """T13: whether the receiver works in the scope of the handoff, or where the grant that it carries leads from it."""
    if isinstance(may_use_scope(receiver, statement.scope), Allowed):
        return True
    grant = _crossing(statement.grant, giver=statement.author, receiver=receiver.name, view=view, now=now)
    return grant is not None and statement.scope in grant.scopes and not set(grant.scopes).isdisjoint(receiver.scopes)


def _works_in(view: View, name: str, scope: str) -> bool:
    found = view.principal(name)
    return found is not None and isinstance(may_use_scope(found, scope), Allowed)


def may_delegate(author: Principal, receiver: Principal, view: View) -> bool:
    """Whether one may tell the other what to do: a person, or a lead above it."""
    return author.role is Role.HUMAN or (author.role is Role.LEAD and above(view, author.name, receiver.name))


def _contract_holds(statement: HandoffOffered, receiver: Principal, view: View) -> Decision:
    if not statement.contract:
        return Allowed()
    found = view.contract(statement.contract)
    if found is None:
        return Denied("there is no such contract")
    if found.deprecated is not None:
        return Denied("the contract is deprecated")
    return Allowed() if accepts_contract(receiver, found.name) else Denied("the receiver does not accept the contract")


def _hop_holds(statement: HandoffOffered, view: View) -> Decision:
    parent = view.handoff(statement.parent) if statement.parent else None
    mine = parent is not None and statement.author == parent.holder
    # What crossed into this scope is worked under in the context that took it, and counts its hops on.
    near = parent is not None and (parent.scope == statement.scope or parent.holder_launch == statement.launch)
    if statement.parent and not (mine and near):
        return Denied("its author does not work under that handoff")
    right = statement.hop == hop_of(statement.type, statement.receiver, parent)
    chain = (parent.correlation or parent.id) if parent else ""
    return Allowed() if right and statement.correlation == chain else Denied("its hop or correlation is not right")


def _may_answer(statement: HandoffAnswered, author: Principal, view: View, now: int) -> Decision:
    found = _reachable(statement.handoff, author, view, statement.launch, now)
    if found is None:
        return Denied("there is no such handoff for this principal")
    action, by_sender = statement.action, author.name == found.sender
    if action in (A.APPROVE, A.DENY):
        return Denied("a gate is decided by a person, at the command line")
    if action in SENDERS or (action is A.CLARIFY and by_sender):
        if not by_sender:
            return Denied("only its sender does this")
    elif action in HOLDERS:
        if author.name != found.holder:
            return Denied("only who holds its lease does this")
    elif not is_addressed(found, author):
        return Denied("there is no such handoff for this principal")
    grants = action in (A.ACCEPT, A.RESUME)
    if statement.lease != (found.token + 1 if grants else found.token if action in HOLDERS else 0):
        return Denied("the lease is not the one that counts")
    after = moved(_before(found, action, now), action, by_sender=by_sender)
    if isinstance(after, Denied):
        return after
    return _receipt_holds(statement, found, view) if action is A.ACCEPT else Allowed()


def _receipt_holds(statement: HandoffAnswered, found: HandoffState, view: View) -> Decision:
    """Acceptance names a receipt of this author, context and attempt, and takes on just the problems in it."""
    receipt = view.receipt(statement.receipt) if statement.receipt else None
    if receipt is None:
        return Denied("nothing is accepted without a receipt")
    of = (receipt.handoff, receipt.author, receipt.launch, receipt.token)
    if of != (found.id, statement.author, statement.launch, found.token):
        return Denied("the receipt is of another handoff, context or attempt")
    if set(statement.acknowledged) != set(receipt.problems):
        return Denied("the problems that are taken on are not those of the receipt")
    barred = any(code not in RULES or RULES[code].bars for code in receipt.problems)
    return Denied("what is not valid is not accepted") if barred else Allowed()


def _before(found: HandoffState, action: HandoffAction, now: int) -> HandoffStatus:
    """The state that an act starts from: a lease may have lapsed, which the log does not say."""
    lapsed = found.stage is S.ACCEPTED and action in (A.ACCEPT, A.CLARIFY, A.REJECT)
    # What no person decided by its deadline is a dead letter, which its fallback owner turns down.
    dead = found.stage is S.AWAITING_APPROVAL and action is A.REJECT and found.status(now) is S.DEAD_LETTER
    return S.DEAD_LETTER if dead else S.OFFERED if lapsed else found.stage


def _may_decide(statement: HandoffDecided, author: Principal, view: View) -> Decision:
    found = view.handoff(statement.handoff)
    if author.role is not Role.HUMAN:
        return Denied("only a person decides at a gate")
    if found is None or found.scope not in author.scopes:
        return Denied("there is no such handoff for this principal")
    after = moved(found.stage, A.APPROVE if statement.approved else A.DENY)
    return after if isinstance(after, Denied) else Allowed()


def handoff_changes(entry: Entry, statement: Statement, view: View) -> list[HandoffChange]:
    """What an act on handoffs or contracts changes; none for what is not here any more."""
    match statement:
        case HandoffOffered():
            carried = tuple((part, record) for part in CARRIED for record in getattr(statement, part))
            return [PutHandoff(_offered(entry, statement), statement.key, carried, _phrased(statement, view))]
        case HandoffReceived():
            place = (short_id("h-", entry.digest), entry.seq, statement.handoff, statement.author, statement.launch)
            told = (statement.token, tuple(statement.verified), tuple(statement.problems), statement.found)
            return [PutReceipt(ReceiptState(*place, *told))]
        case HandoffAnswered():
            found = view.handoff(statement.handoff)
            return [_answered(entry, statement, found)] if found else []
        case HandoffDecided():
            found = view.handoff(statement.handoff)
            if found is None:
                return []
            action = A.APPROVE if statement.approved else A.DENY
            after = S.OFFERED if statement.approved else S.DENIED
            decided = replace(found, stage=after, moved=entry.seq, decided=entry.seq)
            return [MoveHandoff(decided, statement.author, action, "")]
        case ContractAdded():
            form = canonical_bytes(statement.form, nfc=False).decode()
            return [PutContract(ContractState(statement.contract, entry.seq, statement.owner, form))]
        case ContractDeprecated():
            return [DeprecateContract(statement.contract, entry.seq, statement.successor)]
        case _:
            return []


def _phrased(statement: HandoffOffered, view: View) -> tuple[tuple[int, bool], ...]:
    """The author's own alone: what others wrote stands by itself, whatever a handoff says of it."""
    found = ((record, view.record(record)) for record in statement.phrased)
    return tuple(
        (state.seq, record == statement.gate)
        for record, state in found
        if state is not None and state.author == statement.author
    )


def _offered(entry: Entry, statement: HandoffOffered) -> HandoffState:
    said = (
        "scope", "task", "type", "launch", "to", "receiver", "fallback", "contract", "deadline", "parent", "hop",
        "digest",
    )  # fmt: skip
    return HandoffState(
        id=short_id("h-", entry.digest),
        seq=entry.seq,
        logged_at=entry.logged_at,
        sender=statement.author,
        correlation=statement.correlation,
        label=entry.verdict.label,
        stage=S.AWAITING_APPROVAL if statement.gate else S.OFFERED,
        moved=entry.seq,
        gated=bool(statement.gate),
        gives=statement.grant,
        **{name: getattr(statement, name) for name in said},
    )


def _answered(entry: Entry, statement: HandoffAnswered, found: HandoffState) -> MoveHandoff:
    action, by_sender = statement.action, statement.author == found.sender
    after = moved(_before(found, action, entry.logged_at), action, by_sender=by_sender)
    stage = found.stage if isinstance(after, Denied) else after
    state = replace(found, stage=stage, moved=entry.seq, reason=statement.reason or found.reason)
    if action in (A.ACCEPT, A.RESUME):
        taken = found.attempts + (action is A.ACCEPT)
        state = replace(state, token=statement.lease, attempts=taken, holder=statement.author)
        state = replace(state, holder_launch=statement.launch)
    if action is A.CLARIFY and not by_sender:
        state = replace(state, question=statement.question)
    told = (statement.digest, statement.receipt, tuple(statement.outputs), tuple(statement.acknowledged))
    return MoveHandoff(state, statement.author, action, *told, launch=statement.launch)
