"""Making bundles: what the log holds about one record or one handoff, to be verified elsewhere (`memstore.bundles`).

A bundle carries an author's words, in the statement itself too (the name of a task). So a record's is made like a
reading of it: disclosed first, readable for the caller, of its scope; what is quarantined only when asked for as such,
which lowers the mark like opening it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from memstore.answers import Page
from memstore.bundles import MANIFEST, MOST_ENTRIES, Kept, Manifest
from memstore.core.contexts import Extent
from memstore.core.labels import Label
from memstore.core.merkle import inclusion_proofs
from memstore.core.statements import (
    OPERATOR_NAME,
    KeyAction,
    KeyChanged,
    Recorded,
    Retracted,
    Reviewed,
    parse_statement,
    payload_type,
)
from memstore.core.trust import END_OF_LOG
from memstore.envelopes import sealed
from memstore.errors import Denied, IntegrityError, InvalidInput, NotFound
from memstore.inbox import worth_of
from memstore.ports import Store, Unit
from memstore.render import Answer, Budget
from memstore.serving import Caller, Served, disclosed, look_up, resolve
from memstore.signing import StoreKey, encode


def record_bundle(
    store: Store, key: StoreKey, caller: Caller, asked: str, *, content: bool, quarantined: bool
) -> Answer:
    """The bundle of a record; `content` False leaves the words out.

    `quarantined` takes what may not be served as good, for what it is: evidence.
    """

    def look(unit: Unit) -> tuple[Answer, Page]:
        served = look_up(unit, resolve(unit, caller, asked), caller.scope)
        if served is None:
            raise NotFound("There is no record of this id", code="unknown_id", next_call="memory_search finds records.")
        _refuse_unreadable(caller, served, quarantined=quarantined)
        page = Page(Budget(0))
        # T6: a file is not a reading of the whole body, so no endorsement can rest on it; the mark takes it as one.
        page.show(served, Extent.CONCISE)
        kept: Kept = "included" if content else "withheld"
        told = Manifest(
            store=key.store,
            subject=served.id,
            size=unit.log.head().size,
            at=unit.now,
            entries=sorted(_of_record(unit, served)),
            label=str(served.label),
            status=str(served.status),
            content=kept,
        )
        bundle = {"record": served.id, **_bundle(unit, key, told)}
        if content:
            bundle["content"] = _words(unit, served)
        return Answer(bundle, page.lowest), page

    return disclosed(store, caller, look)[0]


def _refuse_unreadable(caller: Caller, served: Served, *, quarantined: bool) -> None:
    if served.statement is None:
        raise IntegrityError("The record is not what was logged", code="tampered", next_call="Run log verify.")
    stale = served.only_stale and served.label >= Label.ATTRIBUTED
    if served.reasons and not stale and not quarantined:
        raise Denied(
            "The record is quarantined",
            code="quarantined",
            next_call="--quarantined takes it as evidence, which lowers the mark like opening it.",
        )
    # T11: a review vouched for the words, not for the task and the names beside them, which stand in the statement.
    if served.is_raised and served.source.worth > Label.TAINTED and caller.principal.has_mark:
        raise Denied(
            "What stands beside the record's words was vouched for by nobody",
            code="quarantined",
            next_call="A person can take it out.",
        )


def handoff_bundle(store: Store, key: StoreKey, caller: Caller, handoff: str) -> Answer:
    """The bundle of a handoff that is the caller's to see; of one by a tainted sender, only for who has no mark."""
    with store.read() as unit:
        found = unit.view.handoff(handoff)
        if found is None:
            raise NotFound("There is no such handoff", code="unknown_id", next_call="handoff_inbox lists yours.")
        label = worth_of(unit, found)
        if label < Label.ATTRIBUTED and caller.principal.has_mark:
            raise Denied("The handoff is quarantined", code="quarantined", next_call="A person can take it out.")
        receipts, answers = unit.receipts.receipts(handoff), unit.receipts.answers(handoff)
        acts = {found.seq, *(one.seq for one in receipts), *(one.seq for one in answers)}
        authors = {found.sender, *(one.author for one in receipts), *(one.author for one in answers)}
        told = Manifest(
            store=key.store,
            subject=handoff,
            size=unit.log.head().size,
            at=unit.now,
            entries=sorted(acts | _of_keys(unit, authors)),
            label=str(label),
            status=str(found.status(unit.now)),
            content="none",
        )
        return Answer({"handoff": handoff, **_bundle(unit, key, told)}, label)


def _of_record(unit: Unit, served: Served) -> set[int]:
    """Where the log says something about a record, or about a key of somebody who did."""
    span = {"after": -1, "before": END_OF_LOG, "most": MOST_ENTRIES + 1}
    found = unit.retrieval.timeline(served.state.scope, task="", session="", record=served.id, **span)
    acts: dict[int, str] = {}
    for seq in found:
        logged = unit.log.entry(seq)
        statement = parse_statement(logged.entry.payload_type, logged.payload) if logged else None
        if isinstance(statement, Recorded | Reviewed | Retracted):
            acts[seq] = statement.author
    if len(found) > MOST_ENTRIES:
        raise InvalidInput("There are too many acts about it for one bundle", code="too_many")
    return {*acts, *_of_keys(unit, acts.values())}


def _of_keys(unit: Unit, authors: Iterable[str]) -> set[int]:
    """Where the log says something about the keys of these and of the operator, who registered them."""
    found: set[int] = set()
    for name in {OPERATOR_NAME, *authors}:
        for key in unit.registry.keys_of(name):
            found.add(key.added)
            found |= {key.retired} if key.retired is not None else set()
            if key.compromised is not None:
                found |= _compromises(unit, key.keyid, key.added)
    return found


def _compromises(unit: Unit, keyid: str, added: int) -> set[int]:
    """Where a key was said to be compromised; rare, so that it has no table."""
    found, kind = set(), payload_type(KeyChanged)
    for logged in unit.log.entries(added):
        if logged.entry.payload_type != kind:
            continue
        statement = parse_statement(kind, logged.payload)
        if isinstance(statement, KeyChanged) and statement.keyid == keyid:
            found |= {logged.entry.seq} if statement.action is KeyAction.COMPROMISED else set()
    return found


def _bundle(unit: Unit, key: StoreKey, told: Manifest) -> dict[str, Any]:
    head = unit.log.head()
    proofs = inclusion_proofs(unit.log.leaves(head.size), told.entries)
    return {
        "store": head.store,
        "public_key": encode(head.public_key),
        "checkpoint": head.checkpoint,
        "manifest": sealed(key, MANIFEST, told.to_bytes()),
        "entries": [_entry(unit, seq, proof) for seq, proof in zip(told.entries, proofs, strict=True)],
    }


def _entry(unit: Unit, seq: int, proof: list[bytes]) -> dict[str, Any]:
    logged = unit.log.entry(seq)
    if logged is None:
        raise IntegrityError("An entry of the log is missing", code="tampered", next_call="Run log verify.")
    return {
        "entry": logged.entry.as_leaf(),
        "payload": base64.b64encode(logged.payload).decode(),
        "signature": base64.b64encode(logged.signature).decode(),
        "proof": [base64.b64encode(node).decode() for node in proof],
    }


def _words(unit: Unit, served: Served) -> dict[str, str]:
    stored = unit.contents.get(served.state.seq)
    if stored is None:
        raise IntegrityError("The record's content is missing", code="tampered", next_call="Run log verify.")
    told = {"salt": stored.salt, "content": stored.content}
    return {name: base64.b64encode(value).decode() for name, value in told.items()}
