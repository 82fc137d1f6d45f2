"""What a statement changes: `judge_entry` gives its label, `fold` gives the changes it makes to what is projected.

Both are pure: they take the statement, where it stands in the log, and a view of the store as it was just before.
Replaying a log through them, with its disclosures, gives the same store again; that is what `rebuild` and `log verify`
rest on. Whatever a statement refers to that the view does not hold counts as the worst (T12).
"""

from __future__ import annotations

from dataclasses import dataclass

from memstore.core.entries import Entry
from memstore.core.handoffs import HandoffChange, handoff_changes
from memstore.core.keys import decode_key, thumbprint
from memstore.core.labels import (
    NEVER_FELL,
    STALE,
    Cause,
    CauseCode,
    Mark,
    SignatureState,
    Source,
    Verdict,
    as_text,
    judge,
)
from memstore.core.offers import (
    ContractAdded,
    ContractDeprecated,
    HandoffAnswered,
    HandoffDecided,
    HandoffOffered,
    HandoffReceived,
)
from memstore.core.policy import (
    Allowed,
    KeyState,
    Principal,
    Tool,
    author_bound,
    kind_bound,
    may_supersede,
    signature_bound,
)
from memstore.core.reviews import (
    PutGrant,
    PutRetraction,
    PutReview,
    RevokeGrant,
    above,
    grant_of,
    granted,
    retracted,
    reviewed,
)
from memstore.core.state import RecordState, SessionState, View
from memstore.core.statements import (
    OBSERVED,
    ContextReset,
    Erased,
    Granted,
    GrantRevoked,
    KeyAction,
    KeyChanged,
    Kind,
    PrincipalRegistered,
    QuotaSet,
    Recorded,
    Restored,
    Retracted,
    Reviewed,
    SessionEnded,
    SessionStarted,
    Statement,
    ToolRegistered,
    Withdrawal,
    short_id,
)
from memstore.core.trust import comes_from_outside, fell_with
from memstore.errors import InternalError

MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class PutPrincipal:
    principal: Principal
    key: KeyState


@dataclass(frozen=True, slots=True)
class PutKey:
    key: KeyState


@dataclass(frozen=True, slots=True)
class RetireKey:
    keyid: str
    seq: int


@dataclass(frozen=True, slots=True)
class CompromiseKey:
    """All acts under this key from `since` on are void; labels from there on have to be computed again (T5)."""

    keyid: str
    since: int
    at: int = NEVER_FELL


@dataclass(frozen=True, slots=True)
class PutTool:
    tool: Tool


@dataclass(frozen=True, slots=True)
class FreshContext:
    principal: str
    scope: str


@dataclass(frozen=True, slots=True)
class PutSession:
    session: SessionState
    seq: int


@dataclass(frozen=True, slots=True)
class EndSession:
    session: str
    seq: int
    at: int
    outcome: str


@dataclass(frozen=True, slots=True)
class PutRecord:
    state: RecordState
    statement: Recorded


@dataclass(frozen=True, slots=True)
class Supersede:
    record: str
    by: int


@dataclass(frozen=True, slots=True)
class NeedsRevisit:
    record: str


@dataclass(frozen=True, slots=True)
class Answer:
    question: str
    by: int


@dataclass(frozen=True, slots=True)
class EraseContent:
    record: str


@dataclass(frozen=True, slots=True)
class BeginEpoch:
    """What follows is of the epoch of this number, begun with the log as it was at `size`, with `root`."""

    seq: int
    epoch: int
    size: int
    root: str


@dataclass(frozen=True, slots=True)
class PutQuota:
    """How much a principal may store; 0 is without a bound."""

    principal: str
    records_per_day: int
    bytes_per_day: int
    open_sessions: int


@dataclass(frozen=True, slots=True)
class ExtendChain:
    """The author's chain in this launch goes on from here (replay, omission)."""

    author: str
    launch: str
    n: int
    digest: str


Change = (
    PutPrincipal
    | PutKey
    | RetireKey
    | CompromiseKey
    | PutTool
    | FreshContext
    | PutSession
    | EndSession
    | PutRecord
    | Supersede
    | NeedsRevisit
    | Answer
    | EraseContent
    | PutReview
    | PutRetraction
    | PutGrant
    | RevokeGrant
    | HandoffChange
    | BeginEpoch
    | PutQuota
    | ExtendChain
)


def mark_at(view: View, statement: Statement) -> Mark:
    """The mark that counts for what an author says: people and checkers have none (T2)."""
    author = view.principal(statement.author)
    context = view.context(statement.launch)
    return context.mark if context and author and author.has_mark else Mark()


def judge_entry(statement: Statement, signature: SignatureState, view: View) -> Verdict:
    """The label that the store gives a statement as it is logged (T1)."""
    bounds = [author_bound(view.principal(statement.author)), signature_bound(signature), _grant_bound(statement, view)]
    declared: list[Source | str] = []
    own_words = True
    if isinstance(statement, Recorded):
        bounds.insert(2, kind_bound(statement.kind, _tool(statement, view)))
        own_words = statement.kind not in OBSERVED
        declared = [view.source(i) or i for i in dict.fromkeys([*statement.derived_from, *statement.evidence])]
    return judge(
        bounds=[bound for bound in bounds if bound],
        declared=declared,
        mark=mark_at(view, statement),
        own_words=own_words,
    )


def _grant_bound(statement: Statement, view: View) -> Cause | None:
    grant = grant_of(statement.launch, view)
    return Cause(CauseCode.GRANT, grant.ceiling) if grant else None


def _tool(statement: Recorded, view: View) -> Tool | None:
    return view.tool(statement.tool) if statement.tool else None


def fold(entry: Entry, statement: Statement, view: View) -> list[Change]:
    """What `statement`, logged as `entry`, changes. Admission was judged before; nothing is refused here."""
    chain = ExtendChain(statement.author, statement.launch, statement.n, entry.digest.hex())
    return [*_effects(entry, statement, view), chain]


def _effects(entry: Entry, statement: Statement, view: View) -> list[Change]:
    match statement:
        case PrincipalRegistered():
            return [_registered(entry, statement)]
        case KeyChanged():
            return _key_changed(entry, statement)
        case Reviewed():
            return [reviewed(entry, statement, view)]
        case Retracted():
            return [retracted(entry, statement, view)]
        case Granted():
            return [granted(entry, statement)]
        case GrantRevoked():
            return [RevokeGrant(statement.grant, entry.seq)]
        case ToolRegistered():
            return [PutTool(Tool(statement.tool, statement.open_world, statement.max_ttl_seconds))]
        case ContextReset():
            return [FreshContext(statement.principal, statement.scope)]
        case SessionStarted():
            return [PutSession(_session(entry, statement), entry.seq)]
        case SessionEnded():
            return [EndSession(statement.session, entry.seq, entry.logged_at, statement.outcome)]
        case Recorded():
            return _recorded(entry, statement, view)
        case Erased():
            return [EraseContent(statement.record)]
        case Restored():
            return [BeginEpoch(entry.seq, statement.epoch, statement.size, statement.root)]
        case QuotaSet() as q:
            return [PutQuota(q.principal, q.records_per_day, q.bytes_per_day, q.open_sessions)]
        case HandoffOffered() | HandoffReceived() | HandoffAnswered() | HandoffDecided():
            return [*handoff_changes(entry, statement, view)]
        case ContractAdded() | ContractDeprecated():
            return [*handoff_changes(entry, statement, view)]
        case _:
            raise InternalError("A statement of a known type has no fold")


def _registered(entry: Entry, statement: PrincipalRegistered) -> PutPrincipal:
    public = decode_key(statement.public_key)
    principal = Principal(
        name=statement.name,
        role=statement.role,
        under=statement.under,
        open_world=statement.open_world,
        scopes=tuple(statement.scopes),
        team=statement.team,
        version=statement.version,
        capabilities=tuple(statement.capabilities),
        accepts=tuple(statement.accepts),
    )
    return PutPrincipal(principal, KeyState(thumbprint(public), statement.name, public, entry.seq))


def _key_changed(entry: Entry, statement: KeyChanged) -> list[Change]:
    match statement.action:
        case KeyAction.ROTATED | KeyAction.REKEYED:
            public = decode_key(statement.public_key)
            new = KeyState(thumbprint(public), statement.principal, public, entry.seq)
            return [RetireKey(statement.keyid, entry.seq), PutKey(new)]
        case KeyAction.RETIRED:
            return [RetireKey(statement.keyid, entry.seq)]
        case KeyAction.COMPROMISED:
            return [CompromiseKey(statement.keyid, statement.since, entry.seq)]


def _session(entry: Entry, statement: SessionStarted) -> SessionState:
    return SessionState(
        id=short_id("s-", entry.digest),
        principal=statement.author,
        launch=statement.launch,
        scope=statement.scope,
        task=statement.task,
        started_at=entry.logged_at,
        expires_at=entry.logged_at,
        ended=False,
        closed=False,
        seq=entry.seq,
    )


def expiry_of(statement: Recorded, logged_at: int) -> int | None:
    """The first microsecond at which a tool's result no longer counts; None for what does not expire by itself."""
    if statement.kind is not Kind.TOOL_RESULT:
        return None
    return (statement.fetched_at or logged_at) + statement.ttl_seconds * MICROS


def _recorded(entry: Entry, statement: Recorded, view: View) -> list[Change]:
    context, mark = view.context(statement.launch), mark_at(view, statement)
    author = view.principal(statement.author)
    has_mark = bool(author and author.has_mark)
    declared = [view.record(i) for i in dict.fromkeys([*statement.derived_from, *statement.evidence])]
    sources = [found.source(entry.logged_at) for found in declared if found is not None]
    hit = fell_with(sources, mark)
    suspect = mark.fallen or any(source.fallen for source in sources)
    state = RecordState(
        id=short_id("m-", entry.digest),
        seq=entry.seq,
        kind=statement.kind,
        author=statement.author,
        scope=statement.scope,
        task=statement.task,
        session=statement.session,
        launch=statement.launch,
        label=entry.verdict.label,
        logged_at=entry.logged_at,
        expires_at=expiry_of(statement, entry.logged_at),
        shown=context.shown if context else 0,
        verification=statement.verification,
        origin=statement.origin,
        stale_inputs=any(s.status in STALE for s in sources) or bool(has_mark and context and context.stale),
        needs_revisit=any(found is not None and found.retracted in REVISITED for found in declared),
        suspect=suspect,
        admitted=comes_from_outside(entry.verdict.label, sources, mark),
        fell_at=hit if suspect else NEVER_FELL,
        unregistered=statement.kind is Kind.TOOL_RESULT and not statement.tool,
        because=as_text(entry.verdict.because),
    )
    if state.suspect:
        # T5: what rests on what fell replaces and answers nothing.
        return [PutRecord(state, statement)]
    changes: list[Change] = [PutRecord(state, statement)]
    changes += _supersession(state, statement, view)
    if statement.answers:
        question = view.record(statement.answers)
        # T10: an answer from below closes nothing above it.
        if question and question.kind is Kind.QUESTION and state.label >= question.label:
            changes.append(Answer(statement.answers, entry.seq))
    return changes


# What declares a record that was withdrawn for this has to be looked at again (T5).
REVISITED = frozenset({Withdrawal.WRONG, Withdrawal.OUTDATED, Withdrawal.POISONED})


def _supersession(state: RecordState, statement: Recorded, view: View) -> list[Change]:
    """T8: replaces where entitled and not lower; an author's own lower successor only flags the old record."""
    old = view.record(statement.supersedes) if statement.supersedes else None
    author = view.principal(statement.author)
    if old is None or author is None or old.scope != statement.scope:
        return []

    decision = may_supersede(
        author=author,
        old_author=old.author,
        above=above(view, author.name, old.author),
        label=state.label,
        old_label=old.label,
    )
    if isinstance(decision, Allowed):
        return [Supersede(old.id, state.seq)]
    return [NeedsRevisit(old.id)] if old.author == author.name else []
