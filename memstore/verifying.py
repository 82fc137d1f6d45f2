"""What every read checks before a record is served: that it is what was logged, signed and judged (DESIGN 3.1, T12).

Whatever is off makes the record broken: it has no statement then, and is quarantined. A label that stands higher than
in its entry has to be borne out by endorsements in the log, for the table that it stands in is only a projection.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from weakref import WeakKeyDictionary

from memstore.core.entries import Entry, Logged, leaf_of
from memstore.core.fold import expiry_of
from memstore.core.keys import verify_signature
from memstore.core.labels import RESTING, Cause, CauseCode, Label, SignatureState
from memstore.core.policy import BELOW_TRUSTED, Carry, KeyState
from memstore.core.records import Content, content_digest
from memstore.core.reviews import carry_in
from memstore.core.state import RecordState
from memstore.core.statements import (
    Recorded,
    Reviewed,
    Stance,
    parse_statement,
    pre_authentication_encoding,
    short_id,
)
from memstore.errors import IntegrityError
from memstore.ports import StoredContent, Unit

_GOOD = (SignatureState.VALID, SignatureState.ATTESTED)
_SIGNED = ("kind", "author", "scope", "task", "session", "launch", "verification", "origin")


def verified(unit: Unit, state: RecordState) -> tuple[Recorded | None, Content, SignatureState]:
    """Statement and content of a record, and what is known of its signature; no statement where anything is off."""
    broken = (None, Content(), SignatureState.INVALID)
    logged, stored = unit.log.entry(state.seq), unit.contents.get(state.seq)
    if logged is None or stored is None:
        return broken
    # 1. What was signed and hashed is what lies here.
    key = _key_of(unit, logged)
    statement = authentic(logged, stored, key.public if key else b"")
    if statement is None or logged.entry.signature not in _GOOD:
        return broken
    # 2. The signature is by a key of the author that stood at this position.
    if signing_key(unit, logged, statement.author) is None:
        return None, Content(), SignatureState.UNKNOWN_KEY
    # 3. It is of this store and of this record, and the projection says what the statement says.
    if statement.store != unit.log.head().store or short_id("m-", logged.entry.digest) != state.id:
        return broken
    if not _is_projected(unit, state, statement, logged.entry):
        return broken
    return statement, Content.of_store(stored.content), logged.entry.signature


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
        and (state.label <= entry.verdict.label or is_borne_out(unit, state, entry))
    )


def signature_state(unit: Unit, logged: Logged, author: str) -> SignatureState:
    """What is known of an entry's signature: over its payload, by a key of `author`, at its position.

    A compromised key's signature is still valid; that its acts are void is the record's status (T5).
    """
    key = signing_key(unit, logged, author)
    if key is None:
        return SignatureState.UNKNOWN_KEY
    return logged.entry.signature if is_signed_by(key, logged) else SignatureState.INVALID


def worth_beside(unit: Unit, logged: Logged, *, author: str, launch: str) -> Label:
    """What the words are worth that stand in an act itself, which are of no record: the name of a task (T11).

    That is the label that it was logged with; where its key was stolen, or something fell since that its context was
    shown, that says too much, and they are worth no more than `tainted`.
    """
    key = unit.registry.key(logged.entry.keyid)
    signed = signature_state(unit, logged, author) in _GOOD
    context = unit.view.context(launch)
    fell = context is not None and context.mark.fell_at > logged.entry.seq
    stands = signed and not fell and key is not None and key.stands_at(logged.entry.seq)
    return logged.entry.verdict.label if stands else min(logged.entry.verdict.label, Label.TAINTED)


def _key_of(unit: Unit, logged: Logged) -> KeyState | None:
    """The key that an entry names; for one that the store attested, with the public key that signed it: the store's."""
    key = unit.registry.key(logged.entry.keyid)
    if key is not None and logged.entry.signature is SignatureState.ATTESTED:
        return replace(key, public=unit.log.head().public_key)
    return key


def signing_key(unit: Unit, logged: Logged, author: str) -> KeyState | None:
    """The key that an entry names, if it was one of `author` at its position."""
    key = _key_of(unit, logged)
    return key if key is not None and key.principal == author and key.in_use_at(logged.entry.seq) else None


def is_signed_by(key: KeyState, logged: Logged) -> bool:
    if logged.entry.signature not in _GOOD:
        return False
    try:
        verify_signature(key.public, logged.signature, _message(logged))
    except IntegrityError:
        return False
    return True


def _message(logged: Logged) -> bytes:
    return pre_authentication_encoding(logged.entry.payload_type, logged.payload)


def is_borne_out(unit: Unit, state: RecordState, entry: Entry) -> bool:
    """Whether reviews in the log account for a label above the one in its entry (T6).

    Either an endorsement of its own does, or only what it rests on held it down, and all of that stands high enough now
    and is borne out itself. Each record is looked at once in a transaction: a long chain or a dense web takes as long
    as there are records in it.
    """
    known = _known_in(unit)
    walk = [(state, _grounds(unit, state, entry))]
    while walk:
        at, grounds = walk[-1]
        told = [known.get((one.id, one.label)) for one in grounds or ()]
        if grounds is None or False in told or None not in told:
            known[at.id, at.label] = grounds is not None and all(told)
            walk.pop()
        else:
            one = grounds[told.index(None)]
            walk.append((one, _grounds(unit, one, _sound_entry(unit, one))))
    return known[state.id, state.label]


# What is known in a transaction, as of so many changes: by record and label, whether reviews account for it.
_known: WeakKeyDictionary[Unit, tuple[int, dict[tuple[str, Label], bool]]] = WeakKeyDictionary()


def _known_in(unit: Unit) -> dict[tuple[str, Label], bool]:
    changes, known = _known.get(unit, (unit.changes, {}))
    if changes != unit.changes:
        changes, known = unit.changes, {}
    _known[unit] = changes, known
    return known


def _grounds(unit: Unit, state: RecordState, entry: Entry | None) -> list[RecordState] | None:
    """The records whose rise accounts for this label, none where nothing has to; None where nothing accounts for it."""
    if entry is None:
        return None
    if state.label <= entry.verdict.label or any(
        _endorses(unit, state, review.seq) for review in unit.reviews.standing(state.id)
    ):
        return []
    held = [cause for cause in entry.verdict.because if cause.label < state.label]
    grounds = [_risen(unit, state, cause) for cause in held]
    return [one for one in grounds if one] if held and all(grounds) else None


def _risen(unit: Unit, state: RecordState, cause: Cause) -> RecordState | None:
    """What a cause names, if that holds the record down no longer: it has risen, or counts as reviewed (T2)."""
    source = unit.view.record(cause.id) if cause.code in RESTING else None
    # What a record rests on is older, so that nothing accounts for itself.
    if source is None or source.seq >= state.seq:
        return None
    return source if source.label >= state.label or _counts_not(unit, state, cause, source) else None


def _counts_not(unit: Unit, state: RecordState, cause: Cause, source: RecordState) -> bool:
    """T2: what the context had itself reviewed does not lower its mark once it comes from outside no longer."""
    if cause.code is not CauseCode.SHOWN or not source.source(unit.now, reviewed=True).counts_not:
        return False
    reviews = unit.reviews.standing(source.id)
    return any(review.launch == state.launch and review.seq < state.seq for review in reviews)


def _sound_entry(unit: Unit, state: RecordState) -> Entry | None:
    logged = unit.log.entry(state.seq)
    return logged.entry if logged is not None and leaf_of(logged.entry) == logged.leaf else None


def _endorses(unit: Unit, state: RecordState, seq: int) -> bool:
    """Whether the entry at `seq` is a sound endorsement of this record by somebody who can carry it."""
    logged = unit.log.entry(seq)
    key = _key_of(unit, logged) if logged else None
    statement = signed_review(logged, key.public) if logged and key else None
    if statement is None or statement.record != state.id or statement.verdict is not Stance.ENDORSE:
        return False
    author = unit.view.principal(statement.author)
    if author is None or key is None or key.principal != author.name or not key.stands_at(seq):
        return False
    carry = carry_in(unit.view, statement, author, key.keyid)
    return carry is not Carry.NOTHING and (carry not in BELOW_TRUSTED or state.label <= Label.ATTRIBUTED)


@lru_cache(maxsize=2048)
def signed_review(logged: Logged, public: bytes) -> Reviewed | None:
    """The review that an entry holds, if entry, leaf and signature are of one piece: a function of their bytes."""
    if leaf_of(logged.entry) != logged.leaf:
        return None
    try:
        statement = parse_statement(logged.entry.payload_type, logged.payload)
        verify_signature(public, logged.signature, _message(logged))
    except IntegrityError:
        return None
    return statement if isinstance(statement, Reviewed) else None
