"""in-toto attestations of records (Statement v1, in DSSE envelopes): what a store says of each, under its own key.

An author signed a record under a payload type of memstore; an in-toto Statement is another payload, which no author
signed. So it is the store that says it, with the key of its checkpoints, and the author's own envelope stands in the
predicate, to be verified by itself. That envelope holds the name of a task: where the caller may not be told that, the
digest alone stands for it.
"""

from __future__ import annotations

import hashlib
from typing import Any

from memstore.answers import Page
from memstore.core.canonical import canonical_bytes
from memstore.core.contexts import Extent
from memstore.core.entries import Logged
from memstore.core.statements import Recorded, short_id
from memstore.envelopes import as_envelope, sealed
from memstore.exporting import ExportRequest, may_be_told, select
from memstore.ports import Store, Unit
from memstore.render import Answer, Budget, timestamp
from memstore.serving import Caller, Served, disclosed, look_up
from memstore.signing import StoreKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:memstore:attestation:record:v1"


def export_intoto(store: Store, key: StoreKey, caller: Caller, request: ExportRequest) -> Answer:
    """{attestations[], complete}: one envelope for each record, in the order of the log."""

    def look(unit: Unit) -> tuple[Answer, Page]:
        page = Page(Budget(0))
        chosen = select(unit, caller, request)
        made: list[dict[str, Any]] = []
        for logged, statement in chosen.acts:
            if isinstance(statement, Recorded):
                served = look_up(unit, short_id("m-", logged.entry.digest), caller.scope)
                made += [_attested(unit, key, caller, page, logged, served)] if served is not None else []
        return Answer({"attestations": made, "complete": chosen.complete}, page.lowest), page

    return disclosed(store, caller, look)[0]


def _attested(unit: Unit, key: StoreKey, caller: Caller, page: Page, logged: Logged, served: Served) -> dict[str, Any]:
    """The envelope of one record. What does not verify is attested as such: `signature` says so."""
    statement = served.statement
    uri = f"urn:memstore:{key.store}:{served.id}"
    # The digest is over the very bytes that were signed; that of the content is over its salt and itself, so that an
    # attestation does not tell of words that were erased since.
    subject = [{"name": served.id, "uri": uri, "digest": {"sha256": hashlib.sha256(logged.payload).hexdigest()}}]
    if statement is not None:
        subject.append(
            {"name": f"{served.id}/content", "uri": f"{uri}/content", "digest": {"sha256": statement.content}}
        )
    predicate = _predicate(unit, logged, served)
    # T11: a review that raised it vouched for its words, not for the task that its statement names.
    if may_be_told(unit, caller, served) and not served.is_raised:
        page.show(served, Extent.CONCISE)
        kind = logged.entry.payload_type
        predicate["envelope"] = as_envelope(kind, logged.payload, keyid=logged.entry.keyid, signature=logged.signature)
    told = {"_type": STATEMENT, "subject": subject, "predicateType": PREDICATE, "predicate": predicate}
    return sealed(key, PAYLOAD_TYPE, canonical_bytes(told, nfc=False))


def _predicate(unit: Unit, logged: Logged, served: Served) -> dict[str, Any]:
    """What the store knows of the record, in ids and closed values."""
    entry, state, head = logged.entry, served.state, unit.log.head()
    told: dict[str, Any] = {
        "store": head.store,
        "entries": head.size,
        "checkpoint": head.checkpoint,
        "madeAt": timestamp(unit.now),
        "seq": entry.seq,
        "loggedAt": timestamp(entry.logged_at),
        "payloadType": entry.payload_type,
        "payloadDigest": entry.digest.hex(),
        "keyid": entry.keyid,
        "author": state.author,
        "role": served.role,
        "kind": str(state.kind),
        "origin": str(state.origin),
        "verification": str(state.verification),
        "signature": str(served.signature),
        "labelWhenLogged": str(entry.verdict.label),
        "label": str(served.label),
        "status": str(served.status),
        "flags": list(served.flags),
        "quarantined": [str(reason) for reason in served.reasons],
    }
    statement = served.statement
    if statement is not None:
        materials = {"derivedFrom": statement.derived_from, "evidence": statement.evidence}
        told |= {name: list(found) for name, found in materials.items()}
    return told
