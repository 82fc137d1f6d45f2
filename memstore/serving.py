"""From an id to a record that may be shown: verified, judged, and put on record as shown (DESIGN T2, T4, T12, T13).

`look_up` verifies signature, digests and projection of what it returns, every time; what does not verify comes back as
broken, to be quarantined, never as good and never dropped. `disclose` stores what is about to be shown before it is,
and asks for another look where the store moved in between.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, TypeVar

from memstore.core.contexts import Disclosure, Extent
from memstore.core.labels import NEVER_FELL, Label, Mark, SignatureState, Source, Status
from memstore.core.policy import Principal
from memstore.core.records import Content
from memstore.core.state import RecordState, SessionState
from memstore.core.statements import (
    ID_PATTERN,
    OBSERVED,
    Kind,
    Recorded,
    Role,
)
from memstore.errors import Denied, InternalError, InvalidInput, NotFound
from memstore.ports import Store, Unit
from memstore.verifying import verified
from memstore.write import Author

RETRIES = 8


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the principal, the scope of its context, and the key and launch it acts with."""

    author: Author
    principal: Principal
    scope: str

    @property
    def name(self) -> str:
        return self.principal.name

    @property
    def launch(self) -> str:
        return self.author.launch

    @property
    def binding(self) -> bytes:
        """What a ref given to this caller is bound to (3.4)."""
        return f"{self.name}\0{self.launch}\0{self.scope}".encode()


class Reason(StrEnum):
    """Why something is quarantined. Closed, so that no text of the outside shows."""

    EXTERNAL = "external"
    TAINTED = "tainted"
    EXPIRED = "expired"
    RETRACTED = "retracted"
    SUSPECT = "suspect"
    SUPERSEDED = "superseded"
    REVOKED_AUTHOR = "revoked_author"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_KEY = "unknown_key"


_OF_STATUS = {
    Status.EXPIRED: Reason.EXPIRED,
    Status.SUPERSEDED: Reason.SUPERSEDED,
    Status.SUSPECT: Reason.SUSPECT,
    Status.RETRACTED: Reason.RETRACTED,
    Status.REVOKED_AUTHOR: Reason.REVOKED_AUTHOR,
}


@dataclass(frozen=True, slots=True)
class Served:
    """A record as it stands at one moment, verified; `content` counts only where `signature` is good.

    `revisit` holds what it hangs on that has changed: (record id, what became of that); `entered` is the label that it
    was logged with. `today` is how it stands now, which is another thing than `state` where somebody looks back.
    """

    state: RecordState
    today: RecordState
    status: Status
    role: str
    signature: SignatureState
    flags: tuple[str, ...]
    statement: Recorded | None
    content: Content
    digest: str
    revisit: tuple[tuple[str, str], ...] = ()
    entered: Label = Label.UNTRUSTED

    @property
    def id(self) -> str:
        return self.state.id

    @property
    def label(self) -> Label:
        return self.state.label

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why it may not be served as good; empty for what may."""
        found: list[Reason] = []
        if self.signature is SignatureState.INVALID:
            found.append(Reason.BAD_SIGNATURE)
        if self.signature is SignatureState.UNKNOWN_KEY:
            found.append(Reason.UNKNOWN_KEY)
        if self.label is Label.UNTRUSTED and not found:
            found.append(Reason.EXTERNAL)
        if self.label is Label.TAINTED:
            found.append(Reason.TAINTED)
        if self.status in _OF_STATUS:
            found.append(_OF_STATUS[self.status])
        return tuple(found)

    @property
    def fell_since(self) -> bool:
        """Whether it stood higher at the moment looked back to than it does now: then no word of it is shown."""
        now, then = self.today, self.state
        return now.revoked or now.suspect or bool(now.retracted) or now.label < then.label

    @property
    def only_stale(self) -> bool:
        """True for what is quarantined only because it is out of date: its last value may be seen for what it is."""
        return bool(self.reasons) and set(self.reasons) <= {Reason.EXPIRED, Reason.SUPERSEDED}

    @property
    def is_raised(self) -> bool:
        """Whether it stands by a review of its words alone: what its author said beside them was vouched for by nobody.

        That is its task and key, and the title, source and arguments of an observation: none of it shows then (T11).
        """
        return self.entered < Label.ATTRIBUTED or self.today.admitted or self.today.fell_at > NEVER_FELL

    @property
    def title(self) -> str:
        return "" if self.is_raised and self.state.kind in OBSERVED else self.content.title

    @property
    def task(self) -> str:
        return "" if self.is_raised else self.state.task

    @property
    def source(self) -> Source:
        return Source(self.id, self.label, self.status, fell_at=self.state.fell_at, admitted=self.state.admitted)


def look_up(unit: Unit, record: str, scope: str, *, as_of: int | None = None) -> Served | None:
    """The record of this id in this scope, verified; None where there is none, it is erased, or it is another scope's.

    `as_of` is a log size to look back to, at whose time `unit` judges: what acts did to it later does not count.
    """
    state = unit.view.record(record)
    if state is None or state.scope != scope or state.erased:
        return None
    statement, content, signature = verified(unit, state)
    # T12: what is broken now is served as broken, whatever it was.
    today = state if statement else replace(state, label=Label.UNTRUSTED)
    state = today if as_of is None or not statement else unit.past.standing(today, as_of)
    logged = unit.log.entry(state.seq)
    author = unit.view.principal(state.author)
    revisit = revisit_causes(unit, state, statement.conditions if statement else ())
    return Served(
        state=state,
        today=today,
        status=state.status(unit.now),
        role=str(author.role) if author else "",
        signature=signature,
        flags=_flags(unit, state, author, revisit=bool(revisit)),
        statement=statement,
        content=content,
        digest=hashlib.sha256(content.words()).hexdigest(),
        revisit=revisit,
        entered=logged.entry.verdict.label if logged else Label.UNTRUSTED,
    )


def revisit_causes(unit: Unit, state: RecordState, conditions: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """What of the conditions of a record holds no longer, and why; T10: a dispute from below counts for nothing."""
    found: list[tuple[str, str]] = []
    for condition in conditions:
        held = unit.view.record(condition)
        status = held.status(unit.now) if held is not None else None
        if held is None or held.erased:
            found.append((condition, "gone"))
        elif status is not Status.IN_FORCE:
            found.append((condition, str(status)))
        elif unit.reviews.disputed_up_to(condition) >= state.label:
            found.append((condition, "disputed"))
    return tuple(found)


def _flags(unit: Unit, state: RecordState, author: Principal | None, *, revisit: bool) -> tuple[str, ...]:
    relayed = state.kind is Kind.INTENT and (author is None or author.role is not Role.HUMAN)
    named = (
        ("needs_revisit", state.needs_revisit or revisit),
        # T10: a dispute or a rival from below says nothing above it.
        ("disputed", unit.reviews.disputed_up_to(state.id) >= state.label),
        ("conflicting", _is_conflicting(unit, state)),
        ("stale_inputs", state.stale_inputs),
        ("admitted", state.admitted),
        ("relayed", relayed),
        ("unregistered_tool", state.unregistered),
    )
    return tuple(name for name, holds in named if holds)


def _is_conflicting(unit: Unit, state: RecordState) -> bool:
    """T8: whether another that would replace it, or that it would replace, stands beside it at least as high."""
    # The query leaves out what stands lower: a flood from below must not be looked at one by one (T10).
    rivals = (unit.view.record(rival) for rival in unit.reviews.rivals(state.seq, state.id))
    return any(rival is not None and rival.status(unit.now) is Status.IN_FORCE for rival in rivals)


@dataclass(frozen=True, slots=True)
class Shown:
    """A record whose words are in an answer, and how much of them."""

    served: Served
    extent: Extent


def known_mark(unit: Unit, caller: Caller, shown: Sequence[Shown]) -> Mark | None:
    """The caller's mark if all of this is on record as shown already; else None: then it has to be put there."""
    if unit.log.head().copied:
        return Mark()  # read by people alone, who have no mark, and of whom a copy keeps no record
    unit.foresee([item.served.id for item in shown], whole=False)
    if shown and unit.disclosures.unseen(caller.launch, [_disclosure(unit, item) for item in shown]):
        return None
    context = unit.view.context(caller.launch)
    return context.mark if context else Mark()


def disclose(store: Store, caller: Caller, shown: Sequence[Shown]) -> Mark | None:
    """Put on record what is about to be shown; the caller's mark after it, or None if the store moved meanwhile.

    None means: what was looked up no longer stands as it did (erased, relabelled, superseded); look again.
    """
    records = [item.served.id for item in shown]
    with store.write() as unit:
        unit.foresee(records, whole=False)
        if any(_moved(unit, item.served) for item in shown):
            return None
        told = [_disclosure(unit, item) for item in shown]
        ensure_context(unit, caller)
        unit.disclosures.disclose(caller.launch, told)
        context = unit.view.context(caller.launch)
        return context.mark if context else Mark()


T = TypeVar("T")


class Showing(Protocol):
    """An answer in the making, as far as `disclosed` has to know it."""

    @property
    def shown(self) -> list[Shown]: ...


def disclosed(store: Store, caller: Caller, look: Callable[[Unit], tuple[T, Showing]]) -> tuple[T, Mark]:
    """What `look` finds, once all that it shows is on record as shown; looks again where the store moved meanwhile."""
    for _ in range(RETRIES):
        with store.read() as unit:
            found, page = look(unit)
            mark = known_mark(unit, caller, page.shown)
        if mark is None:
            mark = disclose(store, caller, page.shown)
        if mark is not None:
            return found, mark
    raise InternalError("The store kept changing while it was read", code="busy", next_call="Try again.")


MOST_CANDIDATES = 8
SHORTENED = 12  # characters of an id as a terminal shows it
_SHORT = re.compile(r"m-[a-z2-7]{1,25}")


def resolve(unit: Unit, caller: Caller, asked: str, *, least: int = SHORTENED) -> str:
    """The id meant: an id, the beginning of one in the caller's scope, or its own `key:NAME`; "" for none.

    Raises `InvalidInput` with the candidates where a beginning is of several. What is shorter than `least` characters
    is no beginning: an id that somebody made up must not happen to name a record that is then acted on.
    """
    name = asked.removeprefix("key:")
    if name != asked:
        return unit.records.named(caller.name, caller.scope, name)
    if len(asked) < least or not _SHORT.fullmatch(asked):
        return asked
    found = unit.past.named(asked, caller.scope, MOST_CANDIDATES + 1)
    if len(found) > 1:
        told = ", ".join(found[:MOST_CANDIDATES]) + (", and more" if len(found) > MOST_CANDIDATES else "")
        raise InvalidInput(f"Several ids begin like this: {told}", code="ambiguous_id", next_call="Give more of it.")
    return found[0] if found else ""


def named(unit: Unit, caller: Caller, asked: str, before: int) -> RecordState:
    """The record that is looked at, in the caller's scope: as `resolve` has it, but any beginning will do.

    `before` is a log's size: what came later is not there yet.

    Raises `NotFound` alike for what is unknown and for what is of another scope.
    """
    name = resolve(unit, caller, asked, least=3)
    state = unit.view.record(name) if name else None
    if state is None or state.scope != caller.scope or state.seq >= before:
        raise NotFound("There is no record of this id", code="unknown_id", next_call="memory_search finds records.")
    return state


def known_session(unit: Unit, caller: Caller, asked: str) -> SessionState:
    """The session of this id in the caller's scope; `NotFound` alike for what is unknown and for another scope's."""
    session = unit.view.session(asked)
    if session is None or session.scope != caller.scope:
        raise NotFound("There is no session of this id", code="unknown_id", next_call="Copy it from memory_history.")
    return session


_SAYABLE = re.compile(rf"{ID_PATTERN}|^{_SHORT.pattern}$|^key:[\w.:/-]{{1,200}}$")


def sayable(asked: str) -> str:
    """What was asked for, if it has the form of an id or a name: nothing else of a call is repeated."""
    return asked if _SAYABLE.match(asked) else "malformed"


def _disclosure(unit: Unit, item: Shown) -> Disclosure:
    """As the record stands now, whatever moment the caller looked back to: that counts for what is written next."""
    state = unit.view.record(item.served.id)
    status = state.status(unit.now) if state else item.served.status
    source = Source(item.served.id, item.served.today.label, status)
    if state is not None:
        source = replace(source, fell_at=state.fell_at, admitted=state.admitted)
    return Disclosure(item.served.state.seq, unit.log.head().size, unit.now, source, item.extent)


def _moved(unit: Unit, served: Served) -> bool:
    """Whether a record changed for the worse since it was looked up; what was broken then is shown as broken."""
    state = unit.view.record(served.id)
    if state is None or state.erased:
        return True
    before = served.today
    return served.statement is not None and (state.label, state.suspect, state.revoked, state.retracted) != (
        before.label,
        before.suspect,
        before.revoked,
        before.retracted,
    )


def ensure_context(unit: Unit, caller: Caller) -> None:
    """Open the caller's context at its first act; a launch belongs to one principal and one scope (T3, T13)."""
    context = unit.view.context(caller.launch)
    if context is None:
        unit.disclosures.open_context(caller.launch, principal=caller.name, scope=caller.scope)
    elif context.principal != caller.name or context.scope != caller.scope:
        raise Denied("This context belongs to another principal or scope", code="wrong_context")


def mark_label(caller: Caller, mark: Mark) -> str:
    """The mark as answers give it; people and checkers have none, which is as good as the highest (T2)."""
    return str(mark.label if caller.principal.has_mark else Label.TRUSTED)


def readable(unit: Unit, caller: Caller) -> Label:
    """The lowest label whose words lower nothing for this caller: its mark or ceiling, and never below attributed."""
    if not caller.principal.has_mark:
        return Label.ATTRIBUTED
    context = unit.view.context(caller.launch)
    mark = context.mark.label if context else Label.TRUSTED
    return max(min(mark, caller.principal.ceiling), Label.ATTRIBUTED)
