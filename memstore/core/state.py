"""What the rules are judged against: a record, a session, a grant as they stand, and the store just before an entry.

Values only. Whatever a statement refers to that the view does not hold counts as the worst (T12).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from memstore.core.contexts import ContextState
from memstore.core.labels import NEVER_FELL, Label, Source, Status
from memstore.core.offers import HandoffType
from memstore.core.policy import Principal, Tool
from memstore.core.statements import Kind, Origin, Verification

MOST_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class RecordState:
    """A record as it is projected: its statement's closed fields, and what became of it since.

    Positions are log positions, times microseconds since 1970 UTC; `shown` is how many disclosures its context had had.
    `lapsed` is true of a hypothesis whose session is over; `fell_at` is the position of the act by which it fell;
    `retracted` the reason why it was withdrawn, "" if it was not; `because` what its label hangs on now, as text.
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
    admitted: bool = False
    fell_at: int = NEVER_FELL
    retracted: str = ""
    unregistered: bool = False
    because: str = "[]"

    def status(self, now: int) -> Status:
        """The one status that is shown; the gravest first. A record expires at the very microsecond it was given."""
        if self.revoked:
            return Status.REVOKED_AUTHOR
        if self.retracted:
            return Status.RETRACTED
        if self.suspect:
            return Status.SUSPECT
        if self.superseded_by is not None:
            return Status.SUPERSEDED
        if self.lapsed or (self.expires_at is not None and now >= self.expires_at):
            return Status.EXPIRED
        return Status.IN_FORCE

    def source(self, now: int, *, reviewed: bool = False) -> Source:
        return Source(
            self.id, self.label, self.status(now), fell_at=self.fell_at, admitted=self.admitted, reviewed=reviewed
        )


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


@dataclass(frozen=True, slots=True)
class GrantState:
    """One fresh context given to a principal, and what bounds it; `revoked` by its own revocation, `seq` its entry."""

    id: str
    principal: str
    giver: str
    scopes: tuple[str, ...]
    ceiling: Label
    expires_at: int
    depth: int
    under: str = ""
    revoked: bool = False
    seq: int = -1


class HandoffStatus(StrEnum):
    """Where a handoff stands (DESIGN 3.5)."""

    AWAITING_APPROVAL = "awaiting_approval"
    OFFERED = "offered"
    CLARIFICATION_REQUESTED = "clarification_requested"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    DENIED = "denied"
    EXPIRED = "expired"
    DEAD_LETTER = "dead_letter"


# What the log says of a handoff before time is looked at; the rest is derived from leases and deadlines.
WAITING = frozenset({HandoffStatus.AWAITING_APPROVAL, HandoffStatus.OFFERED, HandoffStatus.CLARIFICATION_REQUESTED})


@dataclass(frozen=True, slots=True)
class HandoffState:
    """A handoff as the log has it, and the lease on it, a row: `until` None where none was ever given.

    `stage` is the state but for time; `token` the lease given last, `attempts` how often it was accepted, `moved` the
    position of the act that moved it last, `decided` that of a person's decision (-1: none). `question` and `reason`
    are records; `digest` is over the call by which it was offered.
    """

    id: str
    seq: int
    logged_at: int
    scope: str
    task: str
    type: HandoffType
    sender: str
    launch: str
    to: str
    receiver: str
    fallback: str
    contract: str
    deadline: int
    parent: str
    correlation: str
    hop: int
    label: Label
    stage: HandoffStatus
    moved: int
    token: int = 0
    attempts: int = 0
    holder: str = ""
    holder_launch: str = ""
    question: str = ""
    reason: str = ""
    decided: int = -1
    digest: str = ""
    gated: bool = False
    gives: str = ""
    orphaned: bool = False
    until: int | None = None

    def lapsed(self, now: int) -> bool:
        """Whether it was accepted and its lease ran out."""
        return self.stage is HandoffStatus.ACCEPTED and (self.until is None or now >= self.until)

    def status(self, now: int) -> HandoffStatus:
        """The state at `now`: a lapsed lease offers it again, a few times; then, and past its deadline, nobody has it.

        What nobody has goes to the fallback owner as a dead letter, or back to its sender where there is none; then a
        deadline makes it expired.
        """
        waits = self.stage in WAITING or self.lapsed(now)
        if waits and self.deadline and now >= self.deadline:
            return HandoffStatus.DEAD_LETTER if self.fallback else HandoffStatus.EXPIRED
        if waits and self.orphaned and self.stage is not HandoffStatus.AWAITING_APPROVAL:
            return HandoffStatus.DEAD_LETTER
        if not self.lapsed(now):
            return self.stage
        return HandoffStatus.OFFERED if self.attempts < MOST_ATTEMPTS else HandoffStatus.DEAD_LETTER

    def why_dead(self, now: int) -> str:
        """Why nobody has it: `deadline`, `lease_lapsed`, `receiver_retired`, or "" for what is no dead letter."""
        if self.status(now) is not HandoffStatus.DEAD_LETTER:
            return ""
        if self.deadline and now >= self.deadline:
            return "deadline"
        return "lease_lapsed" if self.attempts >= MOST_ATTEMPTS else "receiver_retired"


@dataclass(frozen=True, slots=True)
class ReceiptState:
    """A receipt: who verified what of a handoff, in which context, of which attempt, and what problems there were."""

    id: str
    seq: int
    handoff: str
    author: str
    launch: str
    token: int
    verified: tuple[str, ...]
    problems: tuple[str, ...]
    found: str = ""


@dataclass(frozen=True, slots=True)
class ContractState:
    """A contract; `deprecated` since the position where that was said, None while it is in use."""

    name: str
    seq: int
    owner: str
    form: str
    deprecated: int | None = None
    successor: str = ""


class View(Protocol):
    """The store just before an entry."""

    def principal(self, name: str) -> Principal | None: ...
    def tool(self, pattern: str) -> Tool | None: ...
    def source(self, record: str) -> Source | None: ...
    def record(self, record: str) -> RecordState | None: ...
    def context(self, launch: str) -> ContextState | None: ...
    def session(self, session: str) -> SessionState | None: ...
    def signed_by(self, record: str) -> str: ...
    def saw_whole(self, launch: str, record: str) -> bool: ...
    def grant(self, grant: str) -> GrantState | None: ...
    def handoff(self, handoff: str) -> HandoffState | None: ...
    def receipt(self, receipt: str) -> ReceiptState | None: ...
    def contract(self, contract: str) -> ContractState | None: ...
