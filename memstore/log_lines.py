"""The lines of an exported log: what each holds, and how a file of them is read without believing any (ADR 0051).

A line is parsed strictly and by itself; every refusal names the line that it is about, and repeats nothing of it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memstore.core.entries import Entry, Logged, leaf_of
from memstore.core.keys import verify_signature
from memstore.core.labels import Cause, CauseCode, Label, SignatureState, Verdict
from memstore.core.notes import Checkpoint, verify_checkpoint
from memstore.core.records import Content, content_digest
from memstore.core.statements import Recorded, digest_of, parse_statement, pre_authentication_encoding
from memstore.errors import IntegrityError, MemStoreError
from memstore.ports import StoredContent
from memstore.signing import origin_of_store, store_id

VERSION = 1
MOST_LINE = 8 << 20
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
L = TypeVar("L", bound="Line")


class Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Start(Line):
    """The first line: whose log, from which entry on, and the signed checkpoint that the last entry leads to."""

    memstore: Annotated[str, Field(pattern="^log$")]
    version: Annotated[int, Field(ge=VERSION, le=VERSION)]
    store_id: Annotated[str, Field(pattern="^[a-z2-7]{26}$")]
    public_key: str
    start: Count
    start_root: Hash
    size: Count
    checkpoint: str


class Context(Line):
    launch: Annotated[str, Field(min_length=1, max_length=200)]
    principal: str
    scope: str


class Shown(Line):
    """One disclosure: `record` and `position` are log positions."""

    launch: str
    n: Count
    record: Count
    position: Count
    at: Count
    label: Annotated[int, Field(ge=0, le=3)]
    extent: Annotated[int, Field(ge=1, le=2)]
    stale: bool


class EntryLine(Line):
    seq: Count
    logged_at: Count
    payload_type: str
    payload: str
    keyid: str
    signature: str
    state: str
    label: str
    because: list[dict[str, str]]
    shown: Hash
    leaf: Hash


class Body(Line):
    salt: str
    content: str


class End(Line):
    """The last line: how many lines stand before it, and the store's signature over all of them.

    What a context was shown after its last statement is in no entry yet: the signature covers that too.
    """

    lines: Count
    signature: str


def signed_over(digest: bytes) -> bytes:
    """What the store signs of a file, by the SHA-256 of its lines."""
    return pre_authentication_encoding("application/vnd.memstore.export.v1", digest)


def entry_of(reading: Reading, line: EntryLine, body: Any) -> tuple[Logged, StoredContent | None]:
    """An entry whose hash is the leaf that is named, and its content, if that is what its statement commits to."""
    try:
        payload = reading.decoded(line.payload)
        causes = tuple(Cause(CauseCode(c["code"]), Label.named(c["label"]), c.get("id", "")) for c in line.because)
        entry = Entry(
            seq=line.seq,
            logged_at=line.logged_at,
            payload_type=line.payload_type,
            digest=digest_of(line.payload_type, payload),
            keyid=line.keyid,
            signature=SignatureState(line.state),
            verdict=Verdict(Label.named(line.label), causes),
            disclosures=bytes.fromhex(line.shown),
        )
        statement = parse_statement(line.payload_type, payload)
    except (ValueError, KeyError, MemStoreError) as error:
        raise reading.refusal("an entry is not well formed") from error
    logged = Logged(entry, payload, reading.decoded(line.signature), bytes.fromhex(line.leaf))
    if leaf_of(entry) != logged.leaf:
        raise reading.refusal("an entry is not what was hashed")
    if body is None:
        return logged, None
    parsed = reading.parsed(Body, body)
    # The fingerprint finds the same words again for who writes, and nobody writes here.
    stored = StoredContent(reading.decoded(parsed.salt), reading.decoded(parsed.content), b"")
    if not isinstance(statement, Recorded) or content_digest(stored.salt, stored.content) != statement.content:
        raise reading.refusal("a content is not what its author signed")
    try:
        Content.parse(stored.content)
    except MemStoreError as error:
        raise reading.refusal("a content is not well formed") from error
    return logged, stored


class Reading:
    """A file read line by line; every refusal names the line that it is about."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._end: End | None = None
        self.number = 0

    def refusal(self, what: str, line: int = 0) -> IntegrityError:
        return IntegrityError(
            f"Line {line or self.number}: {what}",
            code="bad_file",
            state="Nothing of the file was kept.",
            next_call="Export it anew, or copy it anew.",
        )

    def first(self) -> Start:
        found = self._next()
        if found is None or found[0] != "log":
            raise self.refusal("the file is no export of a log")
        return self.parsed(Start, found[1])

    def key(self, first: Start) -> bytes:
        """The key that the store is named by."""
        public = self.decoded(first.public_key)
        if len(public) != 32 or store_id(public) != first.store_id:
            raise self.refusal("the key is not the one that the store is named by", 1)
        return public

    def checkpoint(self, first: Start) -> Checkpoint:
        """What the store signed of the log that the file ends with."""
        try:
            return verify_checkpoint(first.checkpoint, origin_of_store(first.store_id), self.key(first))
        except IntegrityError as error:
            raise self.refusal("the checkpoint is not signed by the store", 1) from error

    def lines(self) -> Iterator[tuple[str, Any, Any]]:
        """(kind, value, content) of each line, up to the last, after which nothing may come."""
        while (found := self._next()) is not None:
            if found[0] == "end":
                self._end = self.parsed(End, found[1])
                if self._end.lines != self.number - 1 or self._file.read(1):
                    raise self.refusal("the file does not end where it says")
                return
            yield found
        raise self.refusal("the file is cut short")

    def verify_signature(self, public: bytes) -> None:
        """Raise where what was read is not what the store signed."""
        signature = self.decoded(self._end.signature) if self._end else b""
        try:
            verify_signature(public, signature, signed_over(self._digest.digest()))
        except IntegrityError as error:
            raise self.refusal("the file is not the one that the store signed") from error

    def _next(self) -> tuple[str, Any, Any] | None:
        raw = self._file.readline(MOST_LINE)
        if not raw:
            return None
        self.number += 1
        if not raw.endswith(b"\n"):
            raise self.refusal("the file is cut short" if len(raw) < MOST_LINE else "the line is too long")
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise self.refusal("the line is no JSON") from error
        if not isinstance(value, dict) or len(value) not in (1, 2) or (len(value) == 2 and "content" not in value):
            raise self.refusal("the line is none of ours")
        content = value.pop("content", None)
        if len(value) != 1:
            raise self.refusal("the line is none of ours")
        ((kind, told),) = value.items()
        if content is not None and kind != "entry":
            raise self.refusal("the line is none of ours")
        if kind != "end":
            self._digest.update(raw)
        return kind, told, content

    def parsed(self, model: type[L], value: Any) -> L:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise self.refusal("the line is not well formed") from error

    def decoded(self, text: str) -> bytes:
        try:
            return base64.b64decode(text, validate=True)
        except ValueError as error:
            raise self.refusal("the line is not well formed") from error
