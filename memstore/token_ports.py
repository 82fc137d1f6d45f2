"""What verbs ask of a store about tokens, beside `memstore.ports`, whose `Unit` holds both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the store knows it: whose it is and how long, never its text. Times are microseconds."""

    id: str
    principal: str
    position: int
    created_at: int
    expires_at: int
    revoked_at: int | None = None


class Tokens(Protocol):
    """Tokens by the SHA-256 of their text."""

    def put(self, token: Token, digest: bytes) -> None: ...
    def found(self, digest: bytes) -> Token | None: ...
    def listed(self) -> list[Token]: ...
    def revoke(self, token: str, at: int) -> bool: ...
