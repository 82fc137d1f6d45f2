"""From an id to a record that may be shown: verified, judged, and put on record as shown (DESIGN T2, T4, T12, T13).

`look_up` verifies signature, digests and projection of what it returns, every time; what does not verify comes back as
broken, to be quarantined, never as good and never dropped. `disclose` stores what is about to be shown before it is,
and asks for another look where the store moved in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Protocol, TypeVar

from memstore.core.contexts import Disclosure, Extent
from memstore.core.entries import Entry, Logged, leaf_of
from memstore.core.fold import RecordState, expiry_of
from memstore.core.keys import verify_signature
from memstore.core.labels import Label, Mark, SignatureState, Source, Status
from memstore.core.policy import KeyState, Principal
from memstore.core.records import Content, content_digest
from memstore.core.statements import (
    Kind,
    Recorded,
    Role,
    parse_statement,
    pre_authentication_encoding,
    short_id,
)
from memstore.errors import Denied, IntegrityError, InternalError
from memstore.ports import Store, StoredContent, Unit
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
    """A record as it stands at one moment, verified; `content` counts only where `signature` is good."""

    state: RecordState
    status: Status
    role: str
    signature: SignatureState
    flags: tuple[str, ...]
    statement: Recorded | None
    content: Content
    digest: str

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
    def only_stale(self) -> bool:
        """True for what is quarantined only because it is out of date: its last value may be seen for what it is."""
        return bool(self.reasons) and set(self.reasons) <= {Reason.EXPIRED, Reason.SUPERSEDED}

    @property
    def source(self) -> Source:
        return Source(self.id, self.label, self.status)


def look_up(unit: Unit, record: str, scope: str, *, as_of: int | None = None) -> Served | None:
    """The record of this id in this scope, verified; None where there is none, it is erased, or it is another scope's.

    `as_of` is a log size to look back to: what replaced the record later does not count.
    """
    state = unit.view.record(record)
    if state is None or state.scope != scope or state.erased:
        return None
    if as_of is not None and state.superseded_by is not None and state.superseded_by >= as_of:
        state = replace(state, superseded_by=None)
    statement, content, signature = _verified(unit, state)
    author = unit.view.principal(state.author)
    return Served(
        state=state if statement else replace(state, label=Label.UNTRUSTED),
        status=state.status(unit.now),
        role=str(author.role) if author else "",
        signature=signature,
        flags=_flags(state, author),
        statement=statement,
        content=content,
        digest=hashlib.sha256(content.words()).hexdigest(),
    )


def _flags(state: RecordState, author: Principal | None) -> tuple[str, ...]:
    relayed = state.kind is Kind.INTENT and (author is None or author.role is not Role.HUMAN)
    named = (("needs_revisit", state.needs_revisit), ("stale_inputs", state.stale_inputs), ("relayed", relayed))
    return tuple(name for name, holds in named if holds)


_SIGNED = ("kind", "author", "scope", "task", "session", "launch", "verification", "origin")


def _verified(unit: Unit, state: RecordState) -> tuple[Recorded | None, Content, SignatureState]:
    """Statement and content of a record, and what is known of its signature; no statement where anything is off."""
    broken = (None, Content(), SignatureState.INVALID)
    logged, stored = unit.log.entry(state.seq), unit.contents.get(state.seq)
    if logged is None or stored is None:
        return broken
    # 1. What was signed and hashed is what lies here.
    key = unit.registry.key(logged.entry.keyid)
    statement = authentic(logged, stored, key.public if key else b"")
    if statement is None:
        return broken
    # 2. The signature is by a key of the author that stood at this position.
    if signing_key(unit, logged, statement.author) is None:
        return None, Content(), SignatureState.UNKNOWN_KEY
    # 3. It is of this store and of this record, and the projection says what the statement says.
    if key is None or statement.store != unit.log.head().store or short_id("m-", logged.entry.digest) != state.id:
        return broken
    if not _is_projected(unit, state, statement, logged.entry):
        return broken
    return statement, Content.parse_verified(stored.content), SignatureState.VALID


@lru_cache(maxsize=2048)
def authentic(logged: Logged, stored: StoredContent, public: bytes) -> Recorded | None:
    """The statement of a record if entry, leaf, signature and content are of one piece: a function of their bytes.

    So it is kept: what lies in the file is read each time, and where it is the same bytes, so is what they prove.
    With `public` empty the signature is not looked at: nobody's key is known that might have made it.
    """
    # 1. The entry hashes to the leaf that the tree holds.
    if leaf_of(logged.entry) != logged.leaf:
        return None
    try:
        # 2. The statement is well formed, and the key signed it.
        statement = parse_statement(logged.entry.payload_type, logged.payload)
        if public:
            verify_signature(public, logged.signature, _message(logged))
        # 3. The content is what the statement commits to.
        if not isinstance(statement, Recorded) or content_digest(stored.salt, stored.content) != statement.content:
            return None
        Content.parse(stored.content)
    except IntegrityError:
        return None
    return statement


def _is_projected(unit: Unit, state: RecordState, statement: Recorded, entry: Entry) -> bool:
    """Whether the projection says what the log says, as far as one entry and its key can tell."""
    key = unit.registry.key(entry.keyid)
    void = key is not None and not key.stands_at(entry.seq)
    return (
        all(getattr(state, name) == getattr(statement, name) for name in _SIGNED)
        and state.logged_at == entry.logged_at
        and state.expires_at == expiry_of(statement, entry.logged_at)
        and state.revoked == void
        # A label falls when the log says something about the past; nothing here raises one.
        and state.label <= entry.verdict.label
    )


def signing_key(unit: Unit, logged: Logged, author: str) -> KeyState | None:
    """The key that an entry names, if it was one of `author` at its position."""
    key = unit.registry.key(logged.entry.keyid)
    return key if key is not None and key.principal == author and key.in_use_at(logged.entry.seq) else None


def is_signed_by(key: KeyState, logged: Logged) -> bool:
    try:
        verify_signature(key.public, logged.signature, _message(logged))
    except IntegrityError:
        return False
    return True


def _message(logged: Logged) -> bytes:
    return pre_authentication_encoding(logged.entry.payload_type, logged.payload)


@dataclass(frozen=True, slots=True)
class Shown:
    """A record whose words are in an answer, and how much of them."""

    served: Served
    extent: Extent


def disclose(store: Store, caller: Caller, shown: Sequence[Shown]) -> Mark | None:
    """Put on record what is about to be shown; the caller's mark after it, or None if the store moved meanwhile.

    None means: what was looked up no longer stands as it did (erased, relabelled, superseded); look again.
    """
    with store.read() as unit:
        told = [_disclosure(unit, item) for item in shown]
        fresh = unit.disclosures.unseen(caller.launch, told) if told else []
        context = unit.view.context(caller.launch)
        if not fresh:
            return context.mark if context else Mark()
    with store.write() as unit:
        if any(_moved(unit, item.served) for item in shown):
            return None
        ensure_context(unit, caller)
        unit.disclosures.disclose(caller.launch, [_disclosure(unit, item) for item in shown])
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
        mark = disclose(store, caller, page.shown)
        if mark is not None:
            return found, mark
    raise InternalError("The store kept changing while it was read", code="busy", next_call="Try again.")


def resolve(unit: Unit, caller: Caller, asked: str) -> str:
    """The id meant: an id, or the caller's own `key:NAME` for a record; "" for a name that it does not have."""
    name = asked.removeprefix("key:")
    return asked if name == asked else unit.records.named(caller.name, caller.scope, name)


def _disclosure(unit: Unit, item: Shown) -> Disclosure:
    """As the record stands now, whatever moment the caller looked back to: that counts for what is written next."""
    state = unit.view.record(item.served.id)
    status = state.status(unit.now) if state else item.served.status
    source = Source(item.served.id, item.served.label, status)
    return Disclosure(item.served.state.seq, unit.log.head().size, unit.now, source, item.extent)


def _moved(unit: Unit, served: Served) -> bool:
    """Whether a record changed for the worse since it was looked up; what was broken then is shown as broken."""
    state = unit.view.record(served.id)
    if state is None or state.erased:
        return True
    before = served.state
    return served.statement is not None and (state.label, state.suspect, state.revoked) != (
        before.label,
        before.suspect,
        before.revoked,
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
