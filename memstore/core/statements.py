"""Statements: the signed, immutable acts that the log is made of, their bytes, and their ids (DESIGN 3.1).

A statement is canonical JSON signed over the DSSE pre-authentication encoding, under one payload type per kind, so that
bytes signed as one kind never verify as another. Parsing refuses unknown fields, unknown types and bytes that are not
canonical; ids and chain links are hashes of what was signed, never of the signature.
"""

from __future__ import annotations

import base64
import hashlib
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

from pydantic import Field, ValidationError

from memstore.core.canonical import canonical_bytes, parse_canonical
from memstore.core.forms import ID_PATTERN as ID_PATTERN
from memstore.core.forms import (
    MAX_DEPTH,
    MAX_EVIDENCE,
    NAME_PATTERN,
    TOOL_PATTERN,
    Digest,
    Key,
    Micros,
    Name,
    OptionalId,
    Proof,
    Scope,
    StatementId,
)
from memstore.core.forms import OPERATOR_NAME as OPERATOR_NAME
from memstore.core.forms import Statement as Statement
from memstore.core.forms import Task as Task
from memstore.core.offers import (
    ContractAdded,
    ContractDeprecated,
    HandoffAnswered,
    HandoffDecided,
    HandoffOffered,
    HandoffReceived,
)
from memstore.errors import IntegrityError, MemStoreError


class Role(StrEnum):
    """What a principal is; the ceiling of its words follows from it (T1)."""

    WORKER = "worker"
    LEAD = "lead"
    HUMAN = "human"
    TOOL = "tool"
    CHECKER = "checker"
    OPERATOR = "operator"


class Kind(StrEnum):
    """The kinds of record (DESIGN 3.2)."""

    INTENT = "intent"
    CONSTRAINT = "constraint"
    DECISION = "decision"
    FINDING = "finding"
    REJECTED = "rejected"
    QUESTION = "question"
    HYPOTHESIS = "hypothesis"
    CHECKPOINT = "checkpoint"
    TOOL_RESULT = "tool_result"
    EXTERNAL = "external"


OBSERVED = frozenset({Kind.TOOL_RESULT, Kind.EXTERNAL})


class Verification(StrEnum):
    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    FAILED = "failed"


class Origin(StrEnum):
    """Where a body came from: derived by the store, never told by the caller."""

    AGENT = "agent"
    TOOL = "tool"
    WEB = "web"
    FILE = "file"
    EMAIL = "email"


class KeyAction(StrEnum):
    ROTATED = "rotated"
    REKEYED = "rekeyed"
    RETIRED = "retired"
    COMPROMISED = "compromised"


class Outcome(StrEnum):
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    ABANDONED = "abandoned"


class Stance(StrEnum):
    """What a review says of a record (`verdict` in arguments and statements)."""

    ENDORSE = "endorse"
    DISPUTE = "dispute"


class Method(StrEnum):
    """How a reviewer came to it."""

    INSPECTED = "inspected"
    REPRODUCED = "reproduced"
    TESTED = "tested"


class Withdrawal(StrEnum):
    """Why a record is withdrawn; what follows for others depends on it (T5)."""

    WRONG = "wrong"
    OUTDATED = "outdated"
    POISONED = "poisoned"
    LEAKED = "leaked"
    DUPLICATE = "duplicate"


class PrincipalRegistered(Statement):
    """A principal enters; `proof` is its own signature over what is registered (proof of possession, T9)."""

    noun = "principal"
    name: Name
    role: Annotated[Role, Field(strict=False)]
    under: str = ""
    open_world: bool = False
    scopes: list[Scope]
    team: Annotated[str, Field(max_length=64)] = ""
    version: Annotated[str, Field(max_length=64)] = ""
    capabilities: list[Annotated[str, Field(max_length=64)]] = []
    accepts: list[Annotated[str, Field(max_length=128)]] = []
    public_key: Key
    proof: Proof


class KeyChanged(Statement):
    """A key is rotated, replaced after loss, retired, or said to be compromised from a log position on (T9)."""

    noun = "key"
    principal: Name
    action: Annotated[KeyAction, Field(strict=False)]
    keyid: Key
    public_key: Annotated[str, Field(pattern=r"^([A-Za-z0-9_-]{43})?$")] = ""
    proof: Annotated[str, Field(pattern=r"^([A-Za-z0-9_-]{86})?$")] = ""
    since: Micros = 0


class ToolRegistered(Statement):
    """A tool, or all whose names begin so, is known: closed or open-world, and how long its results may live."""

    noun = "tool"
    tool: Annotated[str, Field(pattern=TOOL_PATTERN)]
    open_world: bool
    max_ttl_seconds: Micros = 0


class ContextReset(Statement):
    """A fresh continuing context is given to a principal in one scope (T3)."""

    noun = "context"
    principal: Name
    scope: Scope


class SessionStarted(Statement):
    noun = "session.started"
    scope: Scope
    task: Task


class SessionEnded(Statement):
    """A session ends; hypotheses written in it expire with it, save that `kept` ones go on as questions."""

    noun = "session.ended"
    session: StatementId
    outcome: Annotated[Outcome, Field(strict=False)]
    kept: list[StatementId] = []


class Recorded(Statement):
    """A record is written. Its content lies apart; `content` is the salted digest that commits to it.

    `tool` is the registration (not the tool's own name) that an observation falls under, "" where none does.
    """

    noun = "record"
    kind: Annotated[Kind, Field(strict=False)]
    scope: Scope
    task: Task
    session: OptionalId
    origin: Annotated[Origin, Field(strict=False)]
    content: Digest
    verification: Annotated[Verification, Field(strict=False)] = Verification.UNVERIFIED
    derived_from: list[StatementId] = []
    evidence: list[StatementId] = []
    conditions: list[StatementId] = []
    supersedes: OptionalId = ""
    answers: OptionalId = ""
    tool: str = ""
    ttl_seconds: Micros = 0
    fetched_at: Micros = 0


class Reviewed(Statement):
    """A record is endorsed or disputed: ids and closed values, no text, so that a review carries no words (T6)."""

    noun = "review"
    record: StatementId
    verdict: Annotated[Stance, Field(strict=False)]
    method: Annotated[Method, Field(strict=False)] = Method.INSPECTED
    evidence: Annotated[list[StatementId], Field(max_length=MAX_EVIDENCE)] = []


class Retracted(Statement):
    """A record is withdrawn for good, by somebody who may (T7); `replacement` is what to use instead."""

    noun = "retraction"
    record: StatementId
    reason: Annotated[Withdrawal, Field(strict=False)]
    replacement: OptionalId = ""


class Granted(Statement):
    """A principal is given one fresh context, bounded in every field; `under` is the grant its giver acts by (T3)."""

    noun = "grant"
    principal: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=16)]
    ceiling: Annotated[str, Field(pattern=r"^(tainted|attributed|trusted)$")]
    expires_at: Micros
    depth: Annotated[int, Field(ge=0, le=MAX_DEPTH)] = 0
    under: OptionalId = ""


class GrantRevoked(Statement):
    """A grant, and all that were given by it, count no longer."""

    noun = "grant.revoked"
    grant: StatementId


class Erased(Statement):
    """The content of a record is destroyed; the record's statement and its place in the log stay."""

    noun = "erasure"
    record: StatementId


class Restored(Statement):
    """The log goes on from a backup of its first `size` entries, whose root is `root`, in a new epoch (ADR 0050)."""

    noun = "restored"
    epoch: Annotated[int, Field(ge=1, le=999_999)]
    size: Micros
    root: Digest


class QuotaSet(Statement):
    """How much a principal, or with `*` every agent that has no quota of its own, may store; 0 is without a bound."""

    noun = "quota"
    principal: Annotated[str, Field(pattern=r"^\*$|" + NAME_PATTERN)]
    records_per_day: Micros = 0
    bytes_per_day: Micros = 0
    open_sessions: Micros = 0


KINDS: tuple[type[Statement], ...] = (
    PrincipalRegistered,
    KeyChanged,
    ToolRegistered,
    ContextReset,
    SessionStarted,
    SessionEnded,
    Recorded,
    Reviewed,
    Retracted,
    Granted,
    GrantRevoked,
    HandoffOffered,
    HandoffReceived,
    HandoffAnswered,
    HandoffDecided,
    ContractAdded,
    ContractDeprecated,
    Erased,
    Restored,
    QuotaSet,
)


def payload_type(kind: type[Statement]) -> str:
    return f"application/vnd.memstore.{kind.noun}.v1+json"


_BY_TYPE = {payload_type(kind): kind for kind in KINDS}
_PREFIX = {
    Recorded.noun: "m-",
    SessionStarted.noun: "s-",
    Granted.noun: "g-",
    HandoffOffered.noun: "h-",
    HandoffReceived.noun: "h-",
}


def pre_authentication_encoding(kind: str, payload: bytes) -> bytes:
    """DSSE v1 PAE: what a signature covers, so that a type cannot be swapped for another."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def payload_of(statement: Statement) -> bytes:
    return canonical_bytes(statement.model_dump(mode="json"))


def parse_statement(kind: str, payload: bytes) -> Statement:
    """The statement that canonical bytes stand for; anything else raises `IntegrityError` with code `bad_statement`."""
    model = _BY_TYPE.get(kind)
    if model is None:
        raise IntegrityError("The payload type is unknown", code="bad_statement")
    try:
        return model.model_validate(parse_canonical(payload))
    except (ValidationError, MemStoreError) as error:
        raise IntegrityError("The payload is not a well-formed statement of its type", code="bad_statement") from error


def digest_of(kind: str, payload: bytes) -> bytes:
    """SHA-256 of the PAE: 32 bytes, the identity of what was signed."""
    return hashlib.sha256(pre_authentication_encoding(kind, payload)).digest()


@lru_cache(maxsize=256)
def short_id(prefix: str, digest: bytes) -> str:
    """`prefix` and the base32 of the first 128 bits of `digest`: 26 characters."""
    return prefix + base64.b32encode(digest[:16]).decode().rstrip("=").lower()


def id_of(statement: Statement, digest: bytes) -> str:
    """The id by which others name this statement; "" for acts that nobody refers to."""
    prefix = _PREFIX.get(statement.noun)
    return short_id(prefix, digest) if prefix else ""


def possession_message(*, store: str, name: str, public_key: str) -> bytes:
    """What a new key signs to show that its owner holds it; bound to store and name, so no proof is used twice."""
    return pre_authentication_encoding(
        "application/vnd.memstore.possession.v1+json",
        canonical_bytes({"store": store, "name": name, "public_key": public_key}),
    )
