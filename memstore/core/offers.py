"""The statements of handoffs and contracts (DESIGN 3.5): ids and closed values alone, no text of their own (T11)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from memstore.core.forms import (
    CODE_PATTERN,
    MAX_HOPS,
    MAX_NAMED,
    TO_PATTERN,
    Codes,
    ContractName,
    Digest,
    Micros,
    Name,
    Named,
    OptionalContract,
    OptionalDigest,
    OptionalId,
    OptionalName,
    Scope,
    Statement,
    StatementId,
    Task,
)


class HandoffType(StrEnum):
    """Who hands what to whom; posture and minimum follow from it (DESIGN 3.5)."""

    REPORT = "report"
    DELEGATE = "delegate"
    TRANSFER = "transfer"
    INTAKE = "intake"


class HandoffAction(StrEnum):
    """What somebody does to a handoff; `resume` is a receiver taking up its own lease in another context."""

    ACCEPT = "accept"
    RESUME = "resume"
    CLARIFY = "clarify"
    REJECT = "reject"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    APPROVE = "approve"
    DENY = "deny"


class HandoffOffered(Statement):
    """Work goes from its author to `receiver`: records by id, closed values, and no text of its own (T11).

    `to` is what was asked for, `receiver` whom it came to. `none` names the parts that were said to be empty. `parent`
    is the handoff that the author worked under, `correlation` the first of the chain ("" for that one itself). `digest`
    is over the arguments of the call, `key` over the author's idempotency key: the same call twice is once. `phrased`
    are those of its records that were written for it alone: outside it they stand no longer than it does (ADR 0035).
    """

    noun = "handoff"
    scope: Scope
    task: Task
    session: OptionalId = ""
    type: Annotated[HandoffType, Field(strict=False)]
    to: Annotated[str, Field(pattern=TO_PATTERN)]
    receiver: Name
    fallback: OptionalName = ""
    outputs: Named = []
    questions: Named = []
    rejected: Named = []
    constraints: Named = []
    caveats: Named = []
    none: Annotated[list[Annotated[str, Field(pattern=CODE_PATTERN)]], Field(max_length=8)] = []
    intent: OptionalId = ""
    directive: OptionalId = ""
    rationale: OptionalId = ""
    gate: OptionalId = ""
    checkpoint: OptionalId = ""
    contract: OptionalContract = ""
    deadline: Micros = 0
    grant: OptionalId = ""
    parent: OptionalId = ""
    correlation: OptionalId = ""
    hop: Annotated[int, Field(ge=1, le=MAX_HOPS)]
    phrased: Annotated[list[StatementId], Field(max_length=8 * MAX_NAMED)] = []
    digest: Digest
    key: OptionalDigest = ""


class HandoffReceived(Statement):
    """A receipt: what of a handoff was verified (digests of what was signed) and the problems that were found.

    `token` is the lease that was given last, so that a receipt is of one attempt; `found` a digest over each problem
    with the records that have it, and over the delta: the same codes on other records are another finding.
    """

    noun = "handoff.receipt"
    handoff: StatementId
    token: Micros
    verified: Annotated[list[Digest], Field(max_length=8 * MAX_NAMED)]
    problems: Codes = []
    found: OptionalDigest = ""


class HandoffAnswered(Statement):
    """A handoff is accepted, asked about, rejected, completed, failed, cancelled or resumed; `lease` is the token."""

    noun = "handoff.answer"
    handoff: StatementId
    action: Annotated[HandoffAction, Field(strict=False)]
    receipt: OptionalId = ""
    acknowledged: Codes = []
    question: OptionalId = ""
    reason: OptionalId = ""
    outputs: Named = []
    lease: Micros = 0
    digest: Digest


class HandoffDecided(Statement):
    """A person decides at a gate; `shown` is the digest of the offer that was decided on."""

    noun = "handoff.decision"
    handoff: StatementId
    approved: bool
    shown: Digest


class ContractAdded(Statement):
    """A form that outputs of a handoff have to have, as JSON Schema, under a name and version that is never reused."""

    noun = "contract"
    contract: ContractName
    owner: Name
    form: dict[str, Any]


class ContractDeprecated(Statement):
    """A contract takes no new handoffs; `successor` is what to use instead."""

    noun = "contract.deprecated"
    contract: ContractName
    successor: OptionalContract = ""
