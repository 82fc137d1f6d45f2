"""A handoff as evidence that stands by itself: statements, signatures, proofs and the checkpoint (DESIGN 3.5).

`export` writes what both sides signed and the registrations of their keys; `verify_bundle` checks it without a store,
a clock or a network. What it proves is that this was said, by these keys, and stands in this log; whether a key was
compromised since is for the log itself to say.
"""

from __future__ import annotations

import base64
from typing import Any

from memstore.core.canonical import canonical_bytes
from memstore.core.forms import OPERATOR_NAME, Statement
from memstore.core.keys import decode_key, thumbprint, verify_signature
from memstore.core.merkle import inclusion_proof, leaf_hash, verify_inclusion
from memstore.core.notes import verify_checkpoint
from memstore.core.offers import HandoffAnswered, HandoffDecided, HandoffOffered, HandoffReceived
from memstore.core.statements import (
    Granted,
    KeyAction,
    KeyChanged,
    PrincipalRegistered,
    digest_of,
    parse_statement,
    pre_authentication_encoding,
    short_id,
)
from memstore.errors import IntegrityError, NotFound
from memstore.ports import Store, Unit
from memstore.signing import encode, origin_of_store, store_id


def export(store: Store, handoff: str) -> dict[str, Any]:
    """The bundle of a handoff: {store, public_key, checkpoint, handoff, entries[]}."""
    with store.read() as unit:
        found = unit.view.handoff(handoff)
        if found is None:
            raise NotFound("There is no such handoff", code="unknown_id", next_call="handoff_inbox lists yours.")
        acts = [found.seq, *(one.seq for one in unit.receipts.receipts(handoff))]
        acts += [one.seq for one in unit.receipts.answers(handoff)]
        grant = unit.view.grant(found.gives) if found.gives else None
        acts += [grant.seq] if grant is not None else []
        authors = {found.sender, OPERATOR_NAME}
        authors |= {one.author for one in unit.receipts.receipts(handoff)}
        authors |= {one.author for one in unit.receipts.answers(handoff)}
        keys = [key.added for name in authors for key in unit.registry.keys_of(name)]
        # A registration is signed by the operator, so the operator's own keys are among them.
        head = unit.log.head()
        leaves = unit.log.leaves(head.size)
        entries = [_entry(unit, leaves, seq) for seq in sorted({*keys, *acts})]
    return {
        "store": head.store,
        "public_key": encode(head.public_key),
        "checkpoint": head.checkpoint,
        "handoff": handoff,
        "entries": entries,
    }


def _entry(unit: Unit, leaves: list[bytes], seq: int) -> dict[str, Any]:
    logged = unit.log.entry(seq)
    if logged is None:
        raise IntegrityError("An entry of the log is missing", code="tampered", next_call="Run log verify.")
    return {
        "entry": logged.entry.as_leaf(),
        "payload": base64.b64encode(logged.payload).decode(),
        "signature": base64.b64encode(logged.signature).decode(),
        "proof": [base64.b64encode(node).decode() for node in inclusion_proof(leaves, seq)],
    }


def verify_bundle(bundle: dict[str, Any], *, store: str) -> dict[str, Any]:
    """What a bundle proves, {handoff, store, size, acts[{seq, act, author, attested}]}; raises `IntegrityError` else.

    `attested` are acts that the store signed for an author whom it had authenticated.

    `store` is the id of the store that the reader trusts: a bundle says of itself which store it is from, and anybody
    can make a store.
    """
    try:
        return _verified(bundle, store)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _bad("it is not well formed") from error


def _verified(bundle: dict[str, Any], store: str) -> dict[str, Any]:
    # 1. The store is named by the key that signed the checkpoint.
    public = decode_key(bundle["public_key"])
    if store != bundle["store"] or store_id(public) != store:
        raise _bad("it is not from the store that was named")
    checkpoint = verify_checkpoint(bundle["checkpoint"], origin_of_store(store), public)
    keys: dict[tuple[str, str], bytes] = {}
    acts: list[dict[str, Any]] = []
    given: dict[str, tuple[str, str]] = {}
    named: dict[str, tuple[str, str]] = {}
    last = -1
    for item in bundle["entries"]:
        entry, payload = item["entry"], base64.b64decode(item["payload"], validate=True)
        if entry["seq"] <= last:
            raise _bad("its entries are not in order")
        last = entry["seq"]
        # 2. The entry stands in the log that was signed, at its place.
        verify_inclusion(
            leaf_hash=leaf_hash(canonical_bytes(entry)),
            index=entry["seq"],
            size=checkpoint.size,
            proof=[base64.b64decode(node, validate=True) for node in item["proof"]],
            root=checkpoint.root,
        )
        # 3. The statement is the one that the entry is about.
        digest = digest_of(entry["payload_type"], payload)
        if digest.hex() != entry["payload_digest"]:
            raise _bad("a statement is not the one that was logged")
        statement = parse_statement(entry["payload_type"], payload)
        if statement.store != store:
            raise _bad("a statement was made for another store")
        # 4. A registered key of its author signed it; the first registers itself.
        genesis = entry["seq"] == 0
        if genesis:
            _learn(statement, keys)
        signer = keys.get((statement.author, entry["keyid"]))
        if signer is None:
            raise _bad("a statement is signed by a key that nobody registered for its author")
        message = pre_authentication_encoding(entry["payload_type"], payload)
        attested = _is_attested(item, signer, public, message)
        if not genesis:
            _learn(statement, keys)
        # 5. It is about this handoff.
        act = _act(statement, short_id("h-", digest), bundle["handoff"])
        said = {"seq": entry["seq"], "act": act, "author": statement.author, "attested": attested}
        acts += [said] if act else []
        if attested and not act:
            raise _bad("a key was registered by somebody who did not sign for it")
        if isinstance(statement, Granted):
            given[short_id("g-", digest)] = (statement.author, statement.principal)
        if isinstance(statement, HandoffOffered):
            named = {statement.grant: (statement.author, statement.receiver)} if statement.grant else {}
    told = [one["act"] for one in acts if one["act"] != "granted"]
    if not told or told[0] != "offered":
        raise _bad("the offer itself is not in it")
    # 6. The grant in it is the one that the offer carries, from its sender to its receiver.
    if given != named:
        raise _bad("it holds a grant that is not of the handoff, or lacks the one that is")
    return {"handoff": bundle["handoff"], "store": store, "size": checkpoint.size, "acts": acts}


def _is_attested(item: dict[str, Any], signer: bytes, store: bytes, message: bytes) -> bool:
    """Whether the store signed for an author that it had authenticated; raises where neither of them signed."""
    signature = base64.b64decode(item["signature"], validate=True)
    try:
        verify_signature(signer, signature, message)
    except IntegrityError:
        verify_signature(store, signature, message)
        return True
    return False


def _learn(statement: Statement, keys: dict[tuple[str, str], bytes]) -> None:
    """A key that a registration, or a change signed as it must be, gives to a principal."""
    match statement:
        case PrincipalRegistered(author=author, name=name) if author == OPERATOR_NAME:
            public = decode_key(statement.public_key)
        case KeyChanged(action=KeyAction.ROTATED, author=author, principal=name) if author == name:
            public = decode_key(statement.public_key)
        case KeyChanged(action=KeyAction.REKEYED, author=author, principal=name) if author == OPERATOR_NAME:
            public = decode_key(statement.public_key)
        case _:
            return
    keys[name, thumbprint(public)] = public


def _act(statement: Statement, own: str, handoff: str) -> str:
    """What a statement does to this handoff; "" for registrations; all else is refused."""
    match statement:
        case HandoffOffered() if own == handoff:
            return "offered"
        case HandoffReceived(handoff=named) if named == handoff:
            return "received"
        case HandoffAnswered(handoff=named, action=action) if named == handoff:
            return str(action)
        case HandoffDecided(handoff=named, approved=approved) if named == handoff:
            return "approve" if approved else "deny"
        case Granted():
            return "granted"
        case PrincipalRegistered() | KeyChanged():
            return ""
        case _:
            raise _bad("it holds what is not about the handoff")


def _bad(what: str) -> IntegrityError:
    return IntegrityError(f"The bundle proves nothing: {what}", code="bad_bundle", next_call="Ask for it again.")
