"""Values to fill a store with, for the contract suites: entries, principals, records, disclosures.

They are of the right form and signed by nobody: a store keeps what it is given, and judging is for those above it.
"""

from __future__ import annotations

from typing import Any

from memstore.core.contexts import Disclosure, Extent
from memstore.core.entries import Entry, Logged, leaf_of
from memstore.core.fold import PutRecord, PutSession
from memstore.core.labels import Cause, CauseCode, Label, SignatureState, Source, Status, Verdict
from memstore.core.policy import KeyState, Principal
from memstore.core.records import Content
from memstore.core.state import RecordState, SessionState
from memstore.core.statements import Kind, Origin, Recorded, Role, Verification, digest_of
from memstore.ports import Filter, StoredContent, Unit

STORE = "a" * 26
PUBLIC = bytes(range(32))
NOW = 1_750_000_000_000_000
SECOND = 1_000_000
FAR = NOW + 10**6 * SECOND


class Clock:
    """Microseconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.micros = NOW

    def __call__(self) -> int:
        return self.micros


def logged(seq: int, *, at: int = NOW, because: tuple[Cause, ...] = (), disclosures: bytes = bytes(32)) -> Logged:
    kind, payload = "application/vnd.memstore.record.v1+json", b'{"n":%d}' % seq
    label = min((cause.label for cause in because), default=Label.TRUSTED)
    entry = Entry(
        seq=seq,
        logged_at=at,
        payload_type=kind,
        digest=digest_of(kind, payload),
        keyid=f"key{seq}",
        signature=SignatureState.VALID,
        verdict=Verdict(label, because),
        disclosures=disclosures,
    )
    return Logged(entry, payload, b"signature %d" % seq, leaf_of(entry))


CAUSES = (
    Cause(CauseCode.SHOWN, Label.TAINTED, "m-" + "b" * 26),
    Cause(CauseCode.AUTHOR_WORKER, Label.ATTRIBUTED),
)


def principal(name: str, **fields: Any) -> Principal:
    return Principal(**{"name": name, "role": Role.WORKER, "scopes": ("main",), **fields})


def key(keyid: str, *, of: str = "ada", added: int = 0) -> KeyState:
    return KeyState(keyid, of, keyid.encode().ljust(32, b"."), added)


def record_id(seq: int) -> str:
    return "m-" + chr(ord("a") + seq % 26) * 20 + f"{seq:06}".translate(str.maketrans("0189", "wxyz"))


def statement(seq: int, **fields: Any) -> Recorded:
    given: dict[str, Any] = {
        "kind": Kind.FINDING,
        "scope": "main",
        "task": "t",
        "session": "",
        "origin": Origin.AGENT,
        "content": "0" * 64,
        **fields,
    }
    return Recorded(store=STORE, author="ada", launch="l", n=seq + 1, prev="", asserted_at=NOW, **given)


def state(seq: int, **fields: Any) -> RecordState:
    given: dict[str, Any] = {
        "id": record_id(seq),
        "seq": seq,
        "kind": Kind.FINDING,
        "author": "ada",
        "scope": "main",
        "task": "t",
        "session": "",
        "launch": "l",
        "label": Label.ATTRIBUTED,
        "logged_at": NOW + seq * SECOND,
        "expires_at": None,
        "shown": 0,
        "verification": Verification.UNVERIFIED,
        "origin": Origin.AGENT,
        **fields,
    }
    return RecordState(**given)


def put(unit: Unit, seq: int, text: str = "alpha", *, content: dict[str, Any] | None = None, **fields: Any) -> str:
    """Project a record with this text, its entry and its content; its id."""
    links = {
        name: fields.pop(name) for name in ("derived_from", "conditions", "supersedes", "answers") if name in fields
    }
    words = Content(title=f"title {seq}", body=text, **(content or {}))
    told = state(seq, **fields)
    unit.log.append_entry(logged(seq, at=told.logged_at))
    unit.contents.put(seq, StoredContent(b"salt", words.to_bytes(), b"fingerprint %d" % seq))
    unit.apply(PutRecord(told, statement(seq, kind=told.kind, task=told.task, session=told.session, **links)), words)
    return told.id


def session(name: str, **fields: Any) -> SessionState:
    given: dict[str, Any] = {
        "id": name,
        "principal": "ada",
        "launch": "l",
        "scope": "main",
        "task": "t",
        "started_at": NOW,
        "expires_at": NOW,
        "ended": False,
        "closed": False,
        **fields,
    }
    return SessionState(**given)


def put_session(unit: Unit, name: str, seq: int, *, until: int = FAR, **fields: Any) -> str:
    unit.apply(PutSession(session(name, **fields), seq), None)
    unit.records.lease(name, until)
    return name


def disclosure(
    record: int,
    *,
    label: Label = Label.ATTRIBUTED,
    status: Status = Status.IN_FORCE,
    extent: Extent = Extent.CONCISE,
    position: int = 100,
) -> Disclosure:
    return Disclosure(record, position, NOW, Source(record_id(record), label, status), extent)


def everything(**fields: Any) -> Filter:
    return Filter(**{"scope": "main", "now": NOW, **fields})
