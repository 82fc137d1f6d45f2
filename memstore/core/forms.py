"""The form of a statement: what every one carries, and the shapes that fields of several kinds share (DESIGN 3.1)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memstore.errors import InvalidInput

MAX_SAFE_INT = 2**53 - 1
OPERATOR_NAME = "operator"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
SCOPE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$"
TOOL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}\*?$"
ID_PATTERN = r"^[gmhs]-[a-z2-7]{26}$"
CONTRACT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}@(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})$"
TO_PATTERN = r"^(capability:)?[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
CODE_PATTERN = r"^[a-z][a-z_]{0,39}$"
MAX_EVIDENCE = 64
MAX_DEPTH = 8
MAX_NAMED = 64
MAX_HOPS = 5

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Scope = Annotated[str, Field(pattern=SCOPE_PATTERN)]
Task = Annotated[str, Field(max_length=200)]
Launch = Annotated[str, Field(min_length=1, max_length=200)]
StatementId = Annotated[str, Field(pattern=ID_PATTERN)]
OptionalId = Annotated[str, Field(pattern=r"^$|" + ID_PATTERN)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
OptionalDigest = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Micros = Annotated[int, Field(ge=0, le=MAX_SAFE_INT)]
OptionalName = Annotated[str, Field(pattern=r"^$|" + NAME_PATTERN)]
Named = Annotated[list[StatementId], Field(max_length=MAX_NAMED)]
ContractName = Annotated[str, Field(pattern=CONTRACT_PATTERN)]
OptionalContract = Annotated[str, Field(pattern=r"^$|" + CONTRACT_PATTERN)]
Codes = Annotated[list[Annotated[str, Field(pattern=CODE_PATTERN)]], Field(max_length=MAX_NAMED)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
Proof = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{86}$")]


class Statement(BaseModel):
    """What every statement carries: its store, author, launch, place in the author's chain, and the author's time.

    `n` counts from 1 within one author and launch and `prev` is the digest of the statement before (replay, omission).
    Times are microseconds since 1970 UTC; `asserted_at` is the author's and is only displayed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_enum_values=False)
    noun: ClassVar[str]

    v: Annotated[int, Field(ge=1, le=1)] = 1  # not Literal[1], which True equals
    store: Annotated[str, Field(pattern=r"^[a-z2-7]{26}$")]
    author: Name
    launch: Launch
    n: Annotated[int, Field(ge=1, le=MAX_SAFE_INT)]
    prev: OptionalDigest
    asserted_at: Micros

    @classmethod
    def build(cls, **fields: Any) -> Self:
        """The statement of these fields; `InvalidInput` names the first that is not well formed, never its value."""
        try:
            return cls(**fields)
        except ValidationError as error:
            where = error.errors(include_url=False, include_input=False, include_context=False)[0]["loc"]
            raise InvalidInput(f"`{where[0] if where else cls.noun}` is not well formed") from None

    @classmethod
    def check(cls, store: str, fields: dict[str, Any]) -> None:
        """Raise `InvalidInput` if these fields could not be stated, before anything is done for them."""
        cls.build(store=store, author=OPERATOR_NAME, launch="check", n=1, prev="", asserted_at=0, **fields)
