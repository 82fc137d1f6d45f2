"""The arguments of each verb, once: MCP schemas, CLI options and the Python facade are all read off these models.

Parsing is strict (no text for a number, no float for an integer, no unknown field) and refuses with a message that
names the field and the defect and never repeats the value. Defaults are never null (DESIGN 7).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from memstore.core.canonical import refuse_not_canonical
from memstore.core.records import (
    MAX_BODY_BYTES,
    MAX_INTENT_BYTES,
    MAX_ITEM,
    MAX_ITEMS,
    MAX_RATIONALE_BYTES,
    MAX_TITLE,
    MAX_TTL_SECONDS,
    Items,
)
from memstore.core.statements import Task
from memstore.errors import InvalidInput

MAX_QUERY = 4096
MAX_IDS = 20
MAX_REFS = 5


def _at_most(most: int) -> AfterValidator:
    """That a text is at most `most` bytes in UTF-8: limits of stored text count bytes, those of a schema characters."""

    def check(text: str) -> str:
        if len(text.encode()) > most:
            raise PydanticCustomError("too_many_bytes", "too long", {"max_length": most})
        return text

    return AfterValidator(check)


Text = Annotated[str, Field(max_length=MAX_BODY_BYTES), _at_most(MAX_BODY_BYTES)]
Ids = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=MAX_ITEMS)]
IdOrKey = Annotated[str, Field(max_length=210)]
Short = Annotated[str, Field(max_length=200)]
Tags = Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=MAX_ITEMS)]
When = Annotated[str, Field(max_length=40)]
Tokens = Annotated[int, Field(ge=100, le=100_000)]
KindName = Literal["intent", "constraint", "decision", "finding", "rejected", "question", "hypothesis", "checkpoint"]
AnyKindName = Literal[
    "intent", "constraint", "decision", "finding", "rejected", "question", "hypothesis", "checkpoint",
    "tool_result", "external",
]  # fmt: skip
StateName = Literal[
    "awaiting_approval", "offered", "clarification_requested", "accepted", "completed", "failed", "rejected",
    "cancelled", "denied", "expired", "dead_letter",
]  # fmt: skip
TrustName = Literal["auto", "trusted", "attributed"]
Detail = Literal["ids", "concise", "full"]


class Request(BaseModel):
    """One call's arguments. Field order is the order of positional arguments in the Python facade."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    verb: ClassVar[str]

    @classmethod
    def parse(cls, arguments: dict[str, Any]) -> Self:
        try:
            request = cls.model_validate(arguments)
        except ValidationError as error:
            raise _refusal(cls, error) from None  # the cause would carry the input
        refuse_not_canonical(arguments, nfc=False)  # NUL, floats and depth, wherever they stand
        return request


class WriteRequest(Request):
    verb = "write"
    kind: KindName
    title: Annotated[str, Field(max_length=MAX_TITLE)]
    body: Text = ""
    rationale: Annotated[str, Field(max_length=MAX_RATIONALE_BYTES), _at_most(MAX_RATIONALE_BYTES)] = ""
    caveats: Items = []
    alternatives: Items = []
    conditions: Items = []
    confidence: Annotated[int, Field(ge=-1, le=100)] = -1
    verification: Literal["unverified", "verified", "failed"] = "unverified"
    evidence: Items = []
    derived_from: Ids = []
    data: dict[str, Any] = {}
    supersedes: IdOrKey = ""
    answers: IdOrKey = ""
    tags: Tags = []
    key: Short = ""
    session: IdOrKey = ""
    dry_run: bool = False


class ObserveRequest(Request):
    verb = "observe"
    source: Annotated[str, Field(min_length=1, max_length=MAX_ITEM)]
    content: Text
    title: Annotated[str, Field(max_length=MAX_TITLE)] = ""
    args: dict[str, Any] = {}
    ttl_seconds: Annotated[int, Field(ge=0, le=MAX_TTL_SECONDS)] = 0
    fetched_at: When = ""
    key: Short = ""
    session: IdOrKey = ""


class SearchRequest(Request):
    verb = "search"
    query: Annotated[str, Field(max_length=MAX_QUERY)] = ""
    task: Task = ""
    kinds: Annotated[list[AnyKindName], Field(max_length=10)] = []
    tags: Tags = []
    author: Annotated[str, Field(max_length=64)] = ""
    min_trust: TrustName = "auto"
    since: When = ""
    until: When = ""
    as_of: When = ""
    include_superseded: bool = False
    quarantined: Literal["refs", "none"] = "refs"
    detail: Detail = "concise"
    limit: Annotated[int, Field(ge=1, le=100)] = 8
    max_tokens: Tokens = 2000
    cursor: Annotated[str, Field(max_length=8192)] = ""


class GetRequest(Request):
    verb = "get"
    ids: Annotated[list[IdOrKey], Field(min_length=1, max_length=MAX_IDS)]
    detail: Detail = "full"
    max_tokens: Tokens = 8000


class OpenRequest(Request):
    verb = "open"
    refs: Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=MAX_REFS)]
    render: Literal["datamarked", "base64", "json"] = "datamarked"
    offset: Annotated[int, Field(ge=0, le=MAX_BODY_BYTES * 16)] = 0
    max_tokens: Tokens = 8000


class ReviewRequest(Request):
    verb = "review"
    ids: Annotated[list[IdOrKey], Field(min_length=1, max_length=MAX_IDS)]
    verdict: Literal["endorse", "dispute"]
    method: Literal["inspected", "reproduced", "tested"] = "inspected"
    evidence: Ids = []


class RetractRequest(Request):
    verb = "retract"
    id: Annotated[str, Field(min_length=1, max_length=210)]
    reason: Literal["wrong", "outdated", "poisoned", "leaked", "duplicate"]
    replacement: IdOrKey = ""
    dry_run: bool = False


class HistoryRequest(Request):
    verb = "history"
    id: IdOrKey = ""
    task: Task = ""
    of_session: IdOrKey = ""
    view: Literal["timeline", "why", "blame", "impact", "disclosures"] = "timeline"
    since: When = ""
    until: When = ""
    as_of: When = ""
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    max_tokens: Tokens = 4000
    cursor: Annotated[str, Field(max_length=8192)] = ""


class SessionStartRequest(Request):
    verb = "session_start"
    task: Annotated[str, Field(min_length=1, max_length=200)]
    scope: Annotated[str, Field(max_length=64)] = ""
    goal: Annotated[str, Field(max_length=MAX_INTENT_BYTES), _at_most(MAX_INTENT_BYTES)] = ""
    resume_handoff: IdOrKey = ""
    max_tokens: Tokens = 1500


class SessionEndRequest(Request):
    verb = "session_end"
    outcome: Literal["completed", "partial", "failed", "abandoned"]
    session: IdOrKey = ""
    summary: Text = ""
    keep: Ids = []


Items32 = Annotated[list[Annotated[str, Field(min_length=1, max_length=MAX_ITEM)]], Field(max_length=32)]
HandoffId = Annotated[str, Field(min_length=1, max_length=64)]


class HandoffOfferRequest(Request):
    verb = "handoff_offer"
    to: Annotated[str, Field(min_length=1, max_length=80)]
    type: Literal["report", "delegate", "transfer", "intake"]
    outputs: Items32 = []
    questions: Items32 = []
    rejected: Items32 = []
    constraints: Items32 = []
    caveats: Items32 = []
    intent: IdOrKey = ""
    directive: Text = ""
    rationale: Annotated[str, Field(max_length=MAX_RATIONALE_BYTES), _at_most(MAX_RATIONALE_BYTES)] = ""
    contract: Annotated[str, Field(max_length=80)] = ""
    gate: Annotated[str, Field(max_length=MAX_ITEM)] = ""
    fallback: Annotated[str, Field(max_length=64)] = ""
    deadline: When = ""
    grant_scopes: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=16)] = []
    grant_ttl_seconds: Annotated[int, Field(ge=0, le=MAX_TTL_SECONDS)] = 0
    fresh: bool = False
    checkpoint: IdOrKey = ""
    idempotency_key: Short = ""
    session: IdOrKey = ""


class HandoffInboxRequest(Request):
    verb = "handoff_inbox"
    box: Literal["in", "out", "dead_letter"] = "in"
    states: Annotated[list[StateName], Field(max_length=11)] = []
    wait_seconds: Annotated[int, Field(ge=0, le=25)] = 0
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, Field(max_length=64)] = ""


class HandoffReceiveRequest(Request):
    verb = "handoff_receive"
    handoff: HandoffId
    max_tokens: Tokens = 4000


class HandoffRespondRequest(Request):
    verb = "handoff_respond"
    handoff: HandoffId
    action: Literal["accept", "clarify", "reject", "complete", "fail", "cancel", "heartbeat"]
    receipt: Annotated[str, Field(max_length=64)] = ""
    acknowledge: Tags = []
    question: Annotated[str, Field(max_length=MAX_ITEM)] = ""
    reason: Text = ""
    outputs: Items32 = []
    lease: Annotated[str, Field(max_length=20)] = ""


def _refusal(model: type[Request], error: ValidationError) -> InvalidInput:
    """The first defect, in words that name fields of ours and never the caller's values."""
    first = error.errors(include_url=False, include_context=True, include_input=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    known = field in model.model_fields
    where = f"`{field}`" if known else "The arguments"
    bounds: dict[str, Any] = first.get("ctx") or {}
    match first["type"]:
        case "missing":
            return InvalidInput(f"{where} is missing", code="missing_field", next_call=f"Pass {field}.")
        case "extra_forbidden" if not known:
            return InvalidInput(
                f"{model.verb} has no such argument",
                code="unknown_field",
                next_call="It takes: " + ", ".join(model.model_fields) + ".",
            )
        case "literal_error":
            if field in ("kind", "kinds"):
                return _unknown_kind(field, str(bounds.get("expected", "")))
            return InvalidInput(f"{where} is not one of its values", next_call=f"Use {bounds.get('expected')}.")
        case "string_too_long" | "too_long" | "too_many_bytes" as defect:
            unit = {"too_long": "items", "too_many_bytes": "bytes"}.get(defect, "characters")
            limit = f"At most {bounds.get('max_length')} {unit}."
            return InvalidInput(f"{where} is too long", code="too_long", next_call=limit)
        case "string_too_short" | "too_short":
            return InvalidInput(f"{where} is empty", code="missing_field", next_call=f"Pass {field}.")
        case "greater_than_equal" | "less_than_equal":
            low_high = f"at least {bounds['ge']}" if "ge" in bounds else f"at most {bounds['le']}"
            return InvalidInput(f"{where} is out of range", code="out_of_range", next_call=f"It is {low_high}.")
        case "string_unicode":
            return InvalidInput(f"{where} has a lone surrogate in it", code="not_canonical")
        case kind:
            wanted = kind.removesuffix("_type").replace("_", " ")
            return InvalidInput(f"{where} is not of its type", next_call=f"Expected: {wanted}.")


def _unknown_kind(field: str, expected: str) -> InvalidInput:
    return InvalidInput(
        f"`{field}` names no kind of record",
        code="unknown_kind",
        next_call=f"Use {expected}. Tool results and outside content go to memory_observe. Chains of reasoning are no "
        "kind: they cannot be checked by a reader and go stale at once; write what was decided or found, and why.",
    )
