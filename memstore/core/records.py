"""Records: what each kind must have, what its content is, and how content is committed to (DESIGN 3.2, 3.1).

Content is canonical JSON beside the log, kept byte for byte as it was written and bound to its statement by a salted
digest, so that it can be destroyed while the log still verifies. A refusal names the missing field and says how to
state that there is nothing; chains of reasoning are no kind of record.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memstore.core.canonical import canonical_bytes, parse_canonical
from memstore.core.statements import ID_PATTERN, OBSERVED, Kind, Origin, Role, Verification
from memstore.errors import IntegrityError, InvalidInput, MemStoreError

SALT_BYTES = 16
MAX_TITLE = 200
MAX_BODY_BYTES = 64 * 1024
MAX_INTENT_BYTES = 4 * 1024
MAX_RATIONALE_BYTES = 16 * 1024
MAX_DATA_BYTES = 64 * 1024
MAX_ITEMS = 64
MAX_ITEM = 2000
MAX_TTL_SECONDS = 366 * 24 * 3600
LEAD = 200  # characters of a text that are searched as its beginning

Item = Annotated[str, Field(max_length=MAX_ITEM, min_length=1)]
Items = Annotated[list[Item], Field(max_length=MAX_ITEMS)]

# By factory, below: a default that is a list is copied deep for every record that is read.


class Content(BaseModel):
    """Everything about a record that may have to be destroyed: its words, and the names in them.

    `conditions` and `evidence` hold ids and texts in the author's order; ids stand in the statement as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: str = ""
    body: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    rationale: str = ""
    caveats: list[str] = Field(default_factory=list)
    alternatives: list[str] = Field(default_factory=list)
    conditions: list[str] = Field(default_factory=list)
    evidence: list[str] = Field(default_factory=list)
    confidence: int = -1
    tags: list[str] = Field(default_factory=list)
    key: str = ""
    source: str = ""
    args: dict[str, Any] = Field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Canonical JSON of what is not empty; strings are kept as they are, not normalised."""
        return canonical_bytes(self.said(), nfc=False)

    def said(self) -> dict[str, Any]:
        """What of it is not empty."""
        told = self.model_dump(mode="json")
        return {name: value for name, value in told.items() if value != _EMPTY[name]}

    @classmethod
    def parse(cls, data: bytes) -> Content:
        try:
            return cls.model_validate(parse_canonical(data, nfc=False))
        except (ValidationError, MemStoreError) as error:
            raise IntegrityError("The content is not well formed", code="bad_content") from error

    @classmethod
    def of_store(cls, data: bytes) -> Content:
        """Content that was parsed when it was written, for moving its words: quick, and not checked for its form."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise IntegrityError("The content is not well formed", code="bad_content") from error

    def index_text(self) -> tuple[str, str, str]:
        """(title, how the text begins, the whole text): what the full-text table of the record's tier holds.

        A text says first what it is about, so its beginning is searched as a column of its own as well.
        """
        parts = [self.body, *self.besides_body(), " ".join(self.tags), self.key, self.source]
        text = "\n".join(part for part in parts if part)
        return self.title, text[:LEAD], text

    def besides_body(self) -> list[str]:
        """What else a record says, beside its title, its body and its names."""
        said = [self.rationale, *self.caveats, *self.alternatives, *self.conditions]
        data = [canonical_bytes(value, nfc=False).decode() for value in (self.data, self.args) if value]
        return [text for text in (*said, *data) if text]

    def words(self) -> bytes:
        """What a quarantined entry counts and hashes: the body, or the data where there is no body."""
        return self.body.encode() if self.body or not self.data else canonical_bytes(self.data, nfc=False)


_EMPTY = Content().model_dump(mode="json")


def content_digest(salt: bytes, content: bytes) -> str:
    """SHA-256 of salt and content, 64 hex digits: commits to the content without letting it be guessed."""
    return hashlib.sha256(salt + content).hexdigest()


_ID = re.compile(ID_PATTERN)
# Long enough that no word with a hyphen is taken for one.
_ID_LIKE = re.compile(r"^[mhs]-\w{16,}$")


def ids_among(items: list[str]) -> list[str]:
    """Those of `items` that are meant as record ids; texts are passed over, a malformed id is refused."""
    meant = [item for item in items if _ID_LIKE.match(item)]
    for item in meant:
        if not _ID.match(item):
            raise InvalidInput("An id is malformed", next_call="Copy the id as an answer gave it, all 28 characters.")
    return meant


def origin_of(source: str) -> Origin:
    """Which closed kind of place a source is; nothing of the source's own text is kept in the answer."""
    scheme = source.partition(":")[0].lower()
    match scheme:
        case "tool":
            return Origin.TOOL
        case "file":
            return Origin.FILE
        case "mailto" | "mid" | "cid" | "imap" | "imaps" | "email":
            return Origin.EMAIL
        case _:
            return Origin.WEB


def _missing(field: str, why: str, say_none: str) -> InvalidInput:
    return InvalidInput(f"`{field}` is missing: {why}", code="missing_field", next_call=say_none)


def check_kind(kind: Kind, content: Content, *, verification: Verification, role: Role) -> None:
    """Raise `InvalidInput` where a record lacks what its kind must have (DESIGN 3.2)."""
    if kind in OBSERVED:
        raise InvalidInput(
            "Tool results and outside content are observed, not written", next_call="Use memory_observe."
        )
    if not content.title.strip():
        raise _missing("title", "it says in a line what the record is about", "Pass a title of up to 200 characters.")
    match kind:
        case Kind.INTENT:
            _check_intent(content, role)
        case Kind.DECISION:
            if not content.rationale.strip():
                raise _missing("rationale", "a decision says why", "Pass rationale; one sentence will do.")
            if not content.alternatives:
                raise _missing(
                    "alternatives",
                    "a decision says what else was possible and why it was rejected",
                    'Pass one text per option, or alternatives=["none"] if there was no other.',
                )
        case Kind.FINDING:
            if not content.body.strip() and not content.data:
                raise _missing("body", "a finding says what was found", "Pass body, or data as an object.")
        case Kind.REJECTED:
            if not content.rationale.strip() and not content.body.strip():
                raise _missing(
                    "rationale", "a rejected option says why it was dropped", 'Pass rationale; "unknown" is an answer.'
                )
        case Kind.CHECKPOINT:
            if not content.data:
                raise _missing("data", "a checkpoint holds what to resume from", "Pass data as a non-empty object.")
        case Kind.CONSTRAINT | Kind.QUESTION | Kind.HYPOTHESIS | Kind.TOOL_RESULT | Kind.EXTERNAL:
            pass
    _check_verification(kind, content, verification)


def _check_intent(content: Content, role: Role) -> None:
    if role not in (Role.HUMAN, Role.LEAD):
        raise InvalidInput(
            "An intent is a person's request; only a person or a lead writes it",
            next_call="Write a constraint or a question instead, or ask your lead.",
        )
    if not content.body.strip():
        raise _missing("body", "an intent is the person's request verbatim", "Pass the request itself as body.")
    if len(content.body.encode()) > MAX_INTENT_BYTES:
        raise InvalidInput("An intent is at most 4 KiB", code="too_long", next_call="Pass the request itself, no more.")


def _check_verification(kind: Kind, content: Content, verification: Verification) -> None:
    if verification is not Verification.UNVERIFIED and kind is not Kind.FINDING:
        raise InvalidInput("Only a finding is verified or failed", next_call="Leave verification out for this kind.")
    if verification is Verification.VERIFIED and not content.evidence:
        raise _missing(
            "evidence",
            "verified means that something shows it",
            'Pass record ids or texts as evidence, or verification="unverified".',
        )
