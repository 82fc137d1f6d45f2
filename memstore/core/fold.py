"""What a statement changes: `judge_entry` gives its label, `fold` gives the changes it makes to what is projected.

Both are pure: they take the statement, where it stands in the log, and a view of the store as it was just before.
Replaying a log through them, with its disclosures, gives the same store again; that is what `rebuild` and `log verify`
rest on. Whatever a statement refers to that the view does not hold counts as the worst (T12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from memstore.core.contexts import ContextState
from memstore.core.entries import Entry
from memstore.core.keys import decode_key, thumbprint
from memstore.core.labels import FALLEN, STALE, Label, Mark, SignatureState, Source, Status, Verdict, judge
from memstore.core.policy import (
    Allowed,
    KeyState,
    Principal,
    Tool,
    author_bound,
    kind_bound,
    may_supersede,
    signature_bound,
    stands_above,
)
from memstore.core.statements import (
    OBSERVED,
    ContextReset,
    Erased,
    KeyAction,
    KeyChanged,
    Kind,
    Origin,
    PrincipalRegistered,
    Recorded,
    SessionEnded,
    SessionStarted,
    Statement,
    ToolRegistered,
    Verification,
    short_id,
)
from memstore.errors import InternalError

MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class RecordState:
    """A record as it is projected: its statement's closed fields, and what became of it since.

    Positions are log positions, times microseconds since 1970 UTC; `shown` is how many disclosures its context had had.
    `lapsed` is true of a hypothesis whose session is over.
    """

    id: str
    seq: int
    kind: Kind
    author: str
    scope: str
    task: str
    session: str
    launch: str
    label: Label
    logged_at: int
    expires_at: int | None
    shown: int
    verification: Verification
    origin: Origin
    stale_inputs: bool = False
    needs_revisit: bool = False
    superseded_by: int | None = None
    answered_by: int | None = None
    revoked: bool = False
    suspect: bool = False
    erased: bool = False
    lapsed: bool = False

    def status(self, now: int) -> Status:
        """The one status that is shown; the gravest first. A record expires at the very microsecond it was given."""
        if self.revoked:
            return Status.REVOKED_AUTHOR
        if self.suspect:
            return Status.SUSPECT
        if self.superseded_by is not None:
            return Status.SUPERSEDED
        if self.lapsed or (self.expires_at is not None and now >= self.expires_at):
            return Status.EXPIRED
        return Status.IN_FORCE

    def source(self, now: int) -> Source:
        return Source(self.id, self.label, self.status(now))


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session; `closed` by its `session_end`, `ended` by that or because its lease ran out at `expires_at`."""

    id: str
    principal: str
    launch: str
    scope: str
    task: str
    started_at: int
    expires_at: int
    ended: bool
    closed: bool


class View(Protocol):
    """The store just before an entry."""

    def principal(self, name: str) -> Principal | None: ...
    def tool(self, pattern: str) -> Tool | None: ...
    def source(self, record: str) -> Source | None: ...
    def record(self, record: str) -> RecordState | None: ...
    def context(self, launch: str) -> ContextState | None: ...
    def session(self, session: str) -> SessionState | None: ...


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
    | ExtendChain
)


def mark_at(view: View, statement: Statement) -> Mark:
    """The mark that counts for what an author says: people and checkers have none (T2)."""
    author = view.principal(statement.author)
    context = view.context(statement.launch)
    return context.mark if context and author and author.has_mark else Mark()


def judge_entry(statement: Statement, signature: SignatureState, view: View) -> Verdict:
    """The label that the store gives a statement as it is logged (T1)."""
    bounds = [author_bound(view.principal(statement.author)), signature_bound(signature)]
    declared: list[Source | str] = []
    own_words = True
    if isinstance(statement, Recorded):
        bounds.append(kind_bound(statement.kind, _tool(statement, view)))
        own_words = statement.kind not in OBSERVED
        declared = [view.source(i) or i for i in dict.fromkeys([*statement.derived_from, *statement.evidence])]
    return judge(
        bounds=[bound for bound in bounds if bound],
        declared=declared,
        mark=mark_at(view, statement),
        own_words=own_words,
    )


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
            return [CompromiseKey(statement.keyid, statement.since)]


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
    )


def expiry_of(statement: Recorded, logged_at: int) -> int | None:
    """The first microsecond at which a tool's result no longer counts; None for what does not expire by itself."""
    if statement.kind is not Kind.TOOL_RESULT:
        return None
    return (statement.fetched_at or logged_at) + statement.ttl_seconds * MICROS


def _recorded(entry: Entry, statement: Recorded, view: View) -> list[Change]:
    context = view.context(statement.launch)
    author = view.principal(statement.author)
    has_mark = bool(author and author.has_mark)
    declared = [view.source(i) for i in (*statement.derived_from, *statement.evidence)]
    stale = any(s is not None and s.status in STALE for s in declared)
    fallen = any(s is not None and s.status in FALLEN for s in declared)
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
        stale_inputs=stale or bool(has_mark and context and context.stale),
        suspect=fallen or bool(has_mark and context and context.mark.fallen),
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


def _supersession(state: RecordState, statement: Recorded, view: View) -> list[Change]:
    """T8: replaces where entitled and not lower; an author's own lower successor only flags the old record."""
    old = view.record(statement.supersedes) if statement.supersedes else None
    author = view.principal(statement.author)
    if old is None or author is None or old.scope != statement.scope:
        return []

    def under(name: str) -> str:
        found = view.principal(name)
        return found.under if found else ""

    decision = may_supersede(
        author=author,
        old_author=old.author,
        above=stands_above(author.name, old.author, under),
        label=state.label,
        old_label=old.label,
    )
    if isinstance(decision, Allowed):
        return [Supersede(old.id, state.seq)]
    return [NeedsRevisit(old.id)] if old.author == author.name else []
