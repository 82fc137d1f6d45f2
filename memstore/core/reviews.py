"""Reviews, retractions and grants: what each of them is as projected, and whether it may be made at all (T3, T6, T7).

`permitted` is asked before such a statement is signed and again when the log is replayed; it answers from the view just
before the entry. What a review then carries is not decided here, for it changes with what its author was shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from memstore.core.entries import Entry
from memstore.core.epochs import launch_without_epoch
from memstore.core.labels import Label
from memstore.core.policy import (
    Allowed,
    Carry,
    Decision,
    Denied,
    Principal,
    carry_of,
    carry_under,
    may_retract,
    spreads,
    stands_above,
)
from memstore.core.state import GrantState, RecordState, View
from memstore.core.statements import (
    ContextReset,
    Granted,
    GrantRevoked,
    Method,
    Retracted,
    Reviewed,
    Role,
    Stance,
    Statement,
    Withdrawal,
    short_id,
)

GRANTED = "grant/"  # how the launch of a granted context begins; what follows is the grant's id


@dataclass(frozen=True, slots=True)
class PutReview:
    """A review as it was logged. `label` is how far its author's own words went then; `shown`, what it had seen."""

    seq: int
    record: str
    author: str
    launch: str
    stance: Stance
    carry: Carry
    shown: int
    label: Label


@dataclass(frozen=True, slots=True)
class PutRetraction:
    """A record is withdrawn; `spreads` says that what rests on it falls too, `own` that its author withdrew it."""

    seq: int
    record: str
    author: str
    reason: Withdrawal
    replacement: str
    spreads: bool
    own: bool
    label: Label


@dataclass(frozen=True, slots=True)
class PutGrant:
    grant: GrantState
    seq: int


@dataclass(frozen=True, slots=True)
class RevokeGrant:
    grant: str
    seq: int


def above(view: View, name: str, below: str) -> bool:
    """Whether `name` stands above `below` in the registry as the view has it."""

    def under(one: str) -> str:
        found = view.principal(one)
        return found.under if found else ""

    return stands_above(name, below, under)


def carry_in(view: View, statement: Reviewed, author: Principal, keyid: str) -> Carry:
    """What this endorsement can carry: decided by the registry, keys and what its context was shown, which all stay."""
    record = view.record(statement.record)
    if record is None:
        return Carry.NOTHING
    carry = carry_of(
        author,
        own=record.author == author.name or view.signed_by(record.id) == keyid,
        above=above(view, author.name, record.author),
        saw_whole=view.saw_whole(statement.launch, record.id),
    )
    if carry is Carry.TYPED and (statement.method is not Method.TESTED or record.task):
        # T6: by contract only, and a task is words that no contract closes.
        return Carry.NOTHING
    return carry_under(carry, ceiling_of(statement.launch, view))


def permitted(statement: Statement, view: View, now: int) -> Decision:
    """Whether such an act may be made by its author on what it names; `Allowed` for all others."""
    author = view.principal(statement.author)
    if author is None:
        return Denied("the author is not registered")
    if isinstance(bound := _within_grant(statement, view, now), Denied):
        return bound
    match statement:
        case Reviewed():
            return _may_review(statement, author, view)
        case Retracted():
            return may_withdraw(statement, author, view)
        case ContextReset():
            if grant_of(statement.launch, view) is not None:
                return Denied("a granted context gives grants, and nothing that no grant bounds")
            return _may_give_to(statement.principal, (statement.scope,), author, view, statement.launch)
        case Granted():
            return _may_grant(statement, author, view, now)
        case GrantRevoked():
            return _may_revoke(statement, author, view)
        case _:
            return Allowed()


def _reachable(record: RecordState | None, author: Principal, view: View, launch: str) -> bool:
    """T13: whether it is a record of the scope that this context works in."""
    if record is None:
        return False
    context = view.context(launch)
    return author.role is Role.OPERATOR or (context is not None and context.scope == record.scope)


def _may_review(statement: Reviewed, author: Principal, view: View) -> Decision:
    record = view.record(statement.record)
    if record is None or not _reachable(record, author, view, statement.launch):
        return Denied("there is no such record for this principal")
    if record.author == author.name and statement.verdict is Stance.ENDORSE:
        return Denied("nobody endorses what he wrote")
    return Allowed()


def may_withdraw(statement: Retracted, author: Principal, view: View) -> Decision:
    """T7, on the record that a retraction names."""
    record = view.record(statement.record)
    if record is None or not _reachable(record, author, view, statement.launch):
        return Denied("there is no such record for this principal")
    context = view.context(statement.launch)
    return may_retract(
        author,
        ceiling=ceiling_of(statement.launch, view),
        author=record.author,
        above=above(view, author.name, record.author),
        reason=statement.reason,
        mark=context.mark.label if context else Label.TRUSTED,
        label=record.label,
    )


def _may_give_to(name: str, scopes: tuple[str, ...], giver: Principal, view: View, launch: str) -> Decision:
    """T3: a person, the operator, or a lead above who is given it, whose own context has read nothing tainted."""
    taker = view.principal(name)
    # One of them is enough: in the others it opens nothing, and lets a handoff cross to where the taker works (T13).
    if taker is None or set(scopes).isdisjoint(taker.scopes):
        return Denied("there is no such principal in that scope")
    if giver.role is Role.OPERATOR:
        return Allowed()
    if not set(scopes) <= set(giver.scopes):
        return Denied("the giver has no such scope")
    if giver.role is Role.LEAD:
        if not above(view, giver.name, name):
            return Denied("only a lead above it gives a principal a context")
        context = view.context(launch)
        if context is not None and context.mark.label < Label.ATTRIBUTED:
            return Denied("this context has read outside content")
    return Allowed()


def _may_grant(statement: Granted, giver: Principal, view: View, now: int) -> Decision:
    """T3: a grant is no wider than its giver, nor than the grant that the giver itself acts by, in any field."""
    decision = _may_give_to(statement.principal, tuple(statement.scopes), giver, view, statement.launch)
    if isinstance(decision, Denied):
        return decision
    ceiling = Label.named(statement.ceiling)
    if ceiling > giver.ceiling or statement.expires_at <= now:
        return Denied("a grant goes no further than its giver, and ends later than now")
    own = grant_of(statement.launch, view)
    if statement.under != (own.id if own else ""):
        return Denied("a grant is given under the one that its giver acts by")
    if own is None:
        return Allowed()
    narrower = (
        set(statement.scopes) <= set(own.scopes)
        and ceiling <= own.ceiling
        and statement.expires_at <= own.expires_at
        and statement.depth < own.depth
    )
    return Allowed() if narrower else Denied("a grant is narrower than the one it is given under, in every field")


def _may_revoke(statement: GrantRevoked, author: Principal, view: View) -> Decision:
    grant = view.grant(statement.grant)
    if grant is None:
        return Denied("there is no such grant")
    entitled = author.role in (Role.OPERATOR, Role.HUMAN) or author.name == grant.giver
    return Allowed() if entitled or above(view, author.name, grant.giver) else Denied("there is no such grant")


def stands(grant: GrantState, view: View, now: int) -> bool:
    """Whether a grant counts now: neither it nor one that it was given under is revoked or has run out."""
    found: GrantState | None = grant
    for _ in range(32):
        if found is None or found.revoked or now >= found.expires_at:
            return False
        if not found.under:
            return True
        found = view.grant(found.under)
    return False


def _within_grant(statement: Statement, view: View, now: int) -> Decision:
    scope = getattr(statement, "scope", "")
    if acts_by_grant(statement.launch, statement.author, scope, view, now):
        return Allowed()
    return Denied("the grant of this context does not stand, or names no such scope")


def acts_by_grant(launch: str, name: str, scope: str, view: View, now: int) -> bool:
    """T3: a granted context acts and reads while its grant stands, for whom and in the scopes that the grant names.

    True of contexts that nobody granted; `scope` "" is that of the context.
    """
    if not launch.startswith(GRANTED):
        return True
    grant = grant_of(launch, view)
    named = grant is not None and grant.principal == name and (not scope or scope in grant.scopes)
    return grant is not None and named and stands(grant, view, now)


def grant_of(launch: str, view: View) -> GrantState | None:
    """The grant that a context was opened by; None for a context that nobody granted."""
    return view.grant(launch_without_epoch(launch).removeprefix(GRANTED)) if launch.startswith(GRANTED) else None


def ceiling_of(launch: str, view: View) -> Label:
    """T3: how far anything goes that is said in this context."""
    grant = grant_of(launch, view)
    return grant.ceiling if grant else Label.TRUSTED


def reviewed(entry: Entry, statement: Reviewed, view: View) -> PutReview:
    author, context = view.principal(statement.author), view.context(statement.launch)
    carry = carry_in(view, statement, author, entry.keyid) if author else Carry.NOTHING
    record = view.record(statement.record)
    own = record is not None and record.author == statement.author
    return PutReview(
        seq=entry.seq,
        record=statement.record,
        author=statement.author,
        launch=statement.launch,
        stance=statement.verdict,
        carry=carry,
        shown=context.shown if context else 0,
        # T10: an author's word counts on its own record, however high that stands; T3: as far as its grant goes.
        label=ceiling_of(statement.launch, view) if own else entry.verdict.label,
    )


def retracted(entry: Entry, statement: Retracted, view: View) -> PutRetraction:
    author, record = view.principal(statement.author), view.record(statement.record)
    return PutRetraction(
        seq=entry.seq,
        record=statement.record,
        author=statement.author,
        reason=statement.reason,
        replacement=statement.replacement,
        spreads=author is not None and spreads(author, statement.reason),
        own=record is not None and record.author == statement.author,
        label=entry.verdict.label,
    )


def granted(entry: Entry, statement: Granted) -> PutGrant:
    grant = GrantState(
        id=short_id("g-", entry.digest),
        principal=statement.principal,
        giver=statement.author,
        scopes=tuple(statement.scopes),
        ceiling=Label.named(statement.ceiling),
        expires_at=statement.expires_at,
        depth=statement.depth,
        under=statement.under,
        seq=entry.seq,
    )
    return PutGrant(grant, entry.seq)
