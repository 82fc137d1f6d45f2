"""A record or a handoff as evidence that stands by itself, verified without a store, a clock or a network (DESIGN 3.5).

A bundle holds statements with their signatures, the registrations of the keys, inclusion proofs, a checkpoint, and a
manifest: which entries of the log are about its subject, all of them up to the checkpoint's size, said under the
checkpoint key. So an act that is left out is missed. What came after that size no bundle can say.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memstore.core.canonical import canonical_bytes, parse_canonical
from memstore.core.forms import OPERATOR_NAME, Statement
from memstore.core.keys import decode_key, thumbprint, verify_signature, vet_public_key
from memstore.core.labels import SignatureState
from memstore.core.merkle import leaf_hash, verify_inclusion
from memstore.core.notes import verify_checkpoint
from memstore.core.offers import HandoffAnswered, HandoffDecided, HandoffOffered, HandoffReceived
from memstore.core.policy import KeyState
from memstore.core.records import Content, content_digest
from memstore.core.statements import (
    KeyAction,
    KeyChanged,
    PrincipalRegistered,
    Recorded,
    Retracted,
    Reviewed,
    Role,
    digest_of,
    parse_statement,
    possession_message,
    pre_authentication_encoding,
    short_id,
)
from memstore.core.strict_json import object_in
from memstore.envelopes import Envelope, from_base64, verify_envelope
from memstore.errors import IntegrityError, InvalidInput, MemStoreError
from memstore.render import timestamp
from memstore.signing import origin_of_store, store_id

MANIFEST = "application/vnd.memstore.manifest.v1+json"
MOST_ENTRIES = 10_000
NOTE = (
    "It speaks of the log's first {} entries, and of nothing after them: ask for a newer bundle to know of later acts."
)

Digits = Annotated[int, Field(ge=0)]
Kept = Literal["included", "withheld", "none"]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Item(_Form):
    """An entry of the log, the statement that it is about, its signature, and the path to the root."""

    entry: dict[str, Any]
    payload: str
    signature: str
    proof: Annotated[list[str], Field(max_length=64)]


class Words(_Form):
    """A record's content, and the salt under which its statement commits to it."""

    salt: str
    content: str


class Bundle(_Form):
    """A bundle as it stands in a file: of a record or of a handoff, nothing in it verified yet."""

    store: str
    public_key: str
    checkpoint: str
    manifest: Envelope
    record: str = ""
    handoff: str = ""
    content: Words | None = None
    entries: Annotated[list[Item], Field(min_length=1, max_length=MOST_ENTRIES)]

    @property
    def subject(self) -> str:
        return self.record or self.handoff


class Manifest(_Form):
    """What the store says of a bundle: all entries about its subject among the first `size` of the log.

    `label` and `status` are those at `at` (microseconds since 1970 UTC); `content` says whether the words are in it.
    """

    v: Annotated[int, Field(ge=1, le=1)] = 1
    store: str
    subject: str
    size: Annotated[int, Field(ge=1)]
    at: Digits
    entries: list[Digits]
    label: str
    status: str
    content: Kept

    def to_bytes(self) -> bytes:
        return canonical_bytes(self.model_dump(mode="json"))


@dataclass(slots=True)
class _Known:
    """What the entries said so far: whose keys stand from where to where, and what each principal is."""

    keys: dict[tuple[str, str], KeyState] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Act:
    """One act about the subject, and the key that it was signed with."""

    seq: int
    told: dict[str, Any]
    statement: Statement
    entry: dict[str, Any]
    key: tuple[str, str]


def read_bundle(raw: bytes) -> dict[str, Any]:
    """The object that a file holds; `IntegrityError` for what is no JSON, or says something twice."""
    try:
        return object_in(raw.decode())
    except ValueError as error:
        raise _bad("it is no JSON object, or says something twice") from error


def store_of_key(text: str) -> str:
    """The id of the store whose checkpoint key this is, base64url without padding; `InvalidInput` for no such key."""
    return store_id(vet_public_key(decode_key(text)))


def verify_bundle(bundle: dict[str, Any], *, store: str) -> dict[str, Any]:
    """What a bundle proves, {kind, id, store, size, at, label, status, acts[], …}; raises `IntegrityError` else.

    `store` is the id of the store that the reader trusts: a bundle says of itself which store it is from, and anybody
    can make a store. No word of the record is in the answer.
    """
    try:
        return _verified(Bundle.model_validate(bundle), store)
    except (ValidationError, InvalidInput) as error:
        raise _bad("it is not well formed") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _bad("it is not well formed") from error


def _verified(bundle: Bundle, store: str) -> dict[str, Any]:
    # 1. The store is named by the key that signed the checkpoint.
    public = decode_key(bundle.public_key)
    if store != bundle.store or store_id(public) != store:
        raise IntegrityError("The bundle is not from the store that was named", code="wrong_store")
    checkpoint = verify_checkpoint(bundle.checkpoint, origin_of_store(store), public)
    # 2. The same key says which entries are about the subject, up to the size of that checkpoint.
    manifest = _manifest(verify_envelope(bundle.manifest, MANIFEST, public))
    if (manifest.store, manifest.subject, manifest.size) != (store, bundle.subject, checkpoint.size):
        raise _bad("its manifest is of something else")
    if bool(bundle.record) == bool(bundle.handoff):
        raise _bad("it is of one record or of one handoff")
    if [item.entry["seq"] for item in bundle.entries] != manifest.entries:
        raise _bad("an act that its manifest names is left out, or one is added")
    if sorted(set(manifest.entries)) != manifest.entries:
        raise _bad("its entries are not in order")
    # 3. Each entry is in the log, its statement signed by a key that was registered before it.
    known, acts = _Known(), []
    for item in bundle.entries:
        verify_inclusion(
            leaf_hash=leaf_hash(canonical_bytes(item.entry)),
            index=item.entry["seq"],
            size=checkpoint.size,
            proof=[from_base64(node) for node in item.proof],
            root=checkpoint.root,
        )
        act = _act(bundle, item, known, public)
        acts += [act] if act else []
    # 4. The subject is there, its content is what was signed, and no key that it stands on was compromised.
    subject = _subject(bundle, acts)
    kept = _kept(bundle, subject.statement)
    if kept != manifest.content:
        raise _bad("its content was taken out or put in")
    void = [act for act in acts if _is_void(act, known)]
    if subject in void or (bundle.handoff and void):
        raise IntegrityError(
            "A key that it was signed with was compromised before",
            code="key_compromised",
            state="The log holds it, and it counts for nothing.",
            next_call="Ask for what replaced it.",
        )
    told = [act.told | ({"void": True} if act in void else {}) for act in acts]
    return _proven(bundle, manifest, known, subject, told)


def _proven(
    bundle: Bundle, manifest: Manifest, known: _Known, subject: _Act, acts: list[dict[str, Any]]
) -> dict[str, Any]:
    kind = "record" if bundle.record else "handoff"
    author = subject.statement.author
    return {
        "ok": True,
        "kind": kind,
        "id": bundle.subject,
        "store": manifest.store,
        "size": manifest.size,
        "at": timestamp(manifest.at),
        "author": author,
        "role": str(known.roles.get(author, "")),
        "label_when_logged": subject.entry["label"],
        "label": manifest.label,
        "status": manifest.status,
        "content": manifest.content,
        "acts": acts,
        "note": NOTE.format(manifest.size),
    }


def _manifest(payload: bytes) -> Manifest:
    found = Manifest.model_validate(parse_canonical(payload))
    if found.to_bytes() != payload:
        raise _bad("its manifest is not well formed")
    return found


def _act(bundle: Bundle, item: Item, known: _Known, store_key: bytes) -> _Act | None:
    """An entry's act on the subject, its signature verified; None for one about a key, from which `known` learns."""
    entry, payload = item.entry, from_base64(item.payload)
    # 1. The statement is the one that the entry is about, and made for this store.
    digest = digest_of(entry["payload_type"], payload)
    if digest.hex() != entry["payload_digest"]:
        raise _bad("a statement is not the one that was logged")
    statement = parse_statement(entry["payload_type"], payload)
    if statement.store != bundle.store:
        raise _bad("a statement was made for another store")
    # 2. A key of its author that was in use signed it; the first statement registers its own.
    seq, place = entry["seq"], (statement.author, entry["keyid"])
    if seq == 0:
        _learn(statement, known, seq, bundle.store)
    key = known.keys.get(place)
    if key is None or not key.in_use_at(seq):
        raise _bad("a statement is signed by a key that nobody registered for its author")
    message = pre_authentication_encoding(entry["payload_type"], payload)
    signature = _signed(message, from_base64(item.signature), key, store_key, known.roles.get(statement.author))
    if seq != 0:
        _learn(statement, known, seq, bundle.store)
    # 3. It is about the subject, or about a key.
    told = _told(statement, bundle.subject, digest)
    if told is None:
        return None
    role = str(known.roles.get(statement.author, ""))
    head = {"seq": seq, "act": told.pop("act"), "author": statement.author, "role": role, "signature": str(signature)}
    told = {**head, **told}
    return _Act(seq, told, statement, entry, place)


def _signed(message: bytes, signature: bytes, key: KeyState, store_key: bytes, role: Role | None) -> SignatureState:
    """By its author's own key, or attested by the store's; people and the operator sign for themselves (T3)."""
    try:
        verify_signature(key.public, signature, message)
    except IntegrityError:
        if role in (Role.HUMAN, Role.OPERATOR):
            raise
        verify_signature(store_key, signature, message)
        return SignatureState.ATTESTED
    return SignatureState.VALID


def _learn(statement: Statement, known: _Known, seq: int, store: str) -> None:
    """What a registration, or a change of key signed as it must be, says of the keys of a principal (T9)."""
    match statement:
        case PrincipalRegistered(author=author, name=name, role=role) if author == OPERATOR_NAME:
            known.roles.setdefault(name, role)
            _add(known, name, _possessed(store, name, statement.public_key, statement.proof), seq)
        case KeyChanged(action=KeyAction.ROTATED, author=author, principal=name) if author == name:
            _retire(known, (name, statement.keyid), seq)
            _add(known, name, _possessed(store, name, statement.public_key, statement.proof), seq)
        case KeyChanged(action=KeyAction.REKEYED, author=author, principal=name) if author == OPERATOR_NAME:
            _retire(known, (name, statement.keyid), seq)
            _add(known, name, _possessed(store, name, statement.public_key, statement.proof), seq)
        case KeyChanged(action=KeyAction.RETIRED, author=author, principal=name) if author == OPERATOR_NAME:
            _retire(known, (name, statement.keyid), seq)
        case KeyChanged(action=KeyAction.COMPROMISED, author=author, principal=name) if author == OPERATOR_NAME:
            place = (name, statement.keyid)
            before = known.keys[place].compromised
            since = statement.since if before is None else min(before, statement.since)
            known.keys[place] = replace(known.keys[place], compromised=since)


def _add(known: _Known, name: str, public: bytes, seq: int) -> None:
    known.keys[name, thumbprint(public)] = KeyState(thumbprint(public), name, public, seq)


def _retire(known: _Known, place: tuple[str, str], seq: int) -> None:
    if known.keys[place].retired is None:
        known.keys[place] = replace(known.keys[place], retired=seq)


@lru_cache(maxsize=256)
def _possessed(store: str, name: str, key: str, proof: str) -> bytes:
    """A key that may be registered and whose owner showed that it holds it, for this store and name."""
    public = vet_public_key(decode_key(key))
    signature = from_base64(proof.replace("-", "+").replace("_", "/") + "==")
    verify_signature(public, signature, possession_message(store=store, name=name, public_key=key))
    return public


def _told(statement: Statement, subject: str, digest: bytes) -> dict[str, Any] | None:
    """What a statement does to the subject, in closed values; None for one about a key. All else is refused."""
    match statement:
        case Recorded(kind=kind) if short_id("m-", digest) == subject:
            return {"act": "recorded", "kind": str(kind)}
        case Reviewed(record=named, verdict=verdict, method=method) if named == subject:
            return {"act": "reviewed", "verdict": str(verdict), "method": str(method)}
        case Retracted(record=named, reason=reason) if named == subject:
            return {"act": "retracted", "reason": str(reason)}
        case HandoffOffered() if short_id("h-", digest) == subject:
            return {"act": "offered"}
        case HandoffReceived(handoff=named) if named == subject:
            return {"act": "received"}
        case HandoffAnswered(handoff=named, action=action) if named == subject:
            return {"act": str(action)}
        case HandoffDecided(handoff=named, approved=approved) if named == subject:
            return {"act": "approve" if approved else "deny"}
        case PrincipalRegistered() | KeyChanged():
            return None
        case _:
            raise _bad("it holds what is not about its subject")


def _subject(bundle: Bundle, acts: list[_Act]) -> _Act:
    """The act that made the subject: a bundle of reviews of nothing proves nothing."""
    made = "recorded" if bundle.record else "offered"
    if not acts or acts[0].told["act"] != made:
        raise _bad(f"the act by which it was {made} is not in it")
    return acts[0]


def _kept(bundle: Bundle, statement: Statement) -> Kept:
    """Whether the content is there; what is there is what the author committed to."""
    if not isinstance(statement, Recorded):
        if bundle.content is not None:
            raise _bad("a handoff has no content of its own")
        return "none"
    if bundle.content is None:
        return "withheld"
    salt, content = from_base64(bundle.content.salt), from_base64(bundle.content.content)
    if content_digest(salt, content) != statement.content:
        raise _bad("its content is not what was signed")
    Content.parse(content)
    return "included"


def _is_void(act: _Act, known: _Known) -> bool:
    return not known.keys[act.key].stands_at(act.seq)


def _bad(what: str) -> MemStoreError:
    return IntegrityError(f"The bundle proves nothing: {what}", code="bad_bundle", next_call="Ask for it again.")
