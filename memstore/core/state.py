"""What the rules are judged against: a record, a session, a grant as they stand, and the store just before an entry.

Values only. Whatever a statement refers to that the view does not hold counts as the worst (T12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from memstore.core.contexts import ContextState
from memstore.core.labels import NEVER_FELL, Label, Source, Status
from memstore.core.policy import Principal, Tool
from memstore.core.statements import Kind, Origin, Verification


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
    """One fresh context given to a principal, and what bounds it; `revoked` by its own revocation."""

    id: str
    principal: str
    giver: str
    scopes: tuple[str, ...]
    ceiling: Label
    expires_at: int
    depth: int
    under: str = ""
    revoked: bool = False


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
