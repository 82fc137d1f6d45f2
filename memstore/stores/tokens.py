"""Tokens as a table (ports.Tokens): looked up by a digest, so that how long it takes tells nothing of a text."""

from __future__ import annotations

import sqlite3

from memstore.stores.sql import QUERIES
from memstore.token_ports import Token


def _token_from(row: sqlite3.Row) -> Token:
    return Token(row["id"], row["principal"], row["position"], row["created_at"], row["expires_at"], row["revoked_at"])


class TokenTable:
    """Tokens inside one transaction."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn

    def put(self, token: Token, digest: bytes) -> None:
        values = (token.id, digest, token.principal, token.position, token.created_at, token.expires_at)
        self.conn.execute(QUERIES["put_token"], values)

    def found(self, digest: bytes) -> Token | None:
        row = self.conn.execute(QUERIES["token"], (digest,)).fetchone()
        return _token_from(row) if row else None

    def listed(self) -> list[Token]:
        """All of them, oldest first."""
        return [_token_from(row) for row in self.conn.execute(QUERIES["tokens"])]

    def revoke(self, token: str, at: int) -> bool:
        """Whether there is such a token; the time of a first revocation stays."""
        return self.conn.execute(QUERIES["revoke_token"], (at, token)).rowcount > 0
