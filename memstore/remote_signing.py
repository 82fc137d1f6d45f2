"""Signatures by a key that is not here: what a server uses in place of a key for the acts of a bridge (ADR 0045).

The verbs run as always. What they would sign is noted, and the transaction is taken back until whoever holds the key
has signed every statement of it, in just these bytes; so moment and salts are functions of the call. Nothing that is
not signed is ever committed, and nothing that was committed is done twice.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from memstore.core.keys import verify_signature
from memstore.core.labels import SignatureState
from memstore.core.records import SALT_BYTES
from memstore.core.statements import digest_of
from memstore.signing import Unsigned


class SignatureNeeded(Exception):
    """A transaction was taken back because its statements are not signed yet; here they are, in order."""

    def __init__(self, statements: tuple[Unsigned, ...]) -> None:
        super().__init__()
        self.statements = statements


class AlreadyDone(Exception):
    """The statement before this one was signed for the same call: it is on record, and its answer was lost."""


def salt_of(nonce: str, content: bytes) -> bytes:
    """The salt of a content in a call: both sides make it, so that neither can hide anything in it."""
    return hmac.digest(nonce.encode(), hashlib.sha256(content).digest(), "sha256")[:SALT_BYTES]


@dataclass
class RemoteSigner:
    """The public half of a principal's key, and the signatures that came with one call (`Signatory`).

    `given` has them by the hex digest of what they sign; `asserted_at` is in microseconds.
    """

    name: str
    public: bytes
    keyid: str
    nonce: str
    asserted_at: int
    given: Mapping[str, bytes]
    state: SignatureState = SignatureState.VALID
    _made: dict[str, Unsigned] = field(default_factory=dict)
    _is_complete: bool = True

    def moment(self, now: int) -> int:
        return self.asserted_at

    def salt(self, content: bytes) -> bytes:
        return salt_of(self.nonce, content)

    def sign_statement(self, unsigned: Unsigned) -> bytes:
        """The signature that was given for it, verified; else a blank, which is never committed."""
        prev = unsigned.statement.prev
        if prev in self.given and prev not in self._made:
            raise AlreadyDone
        digest = digest_of(unsigned.kind, unsigned.payload).hex()
        self._made[digest] = unsigned
        signature = self.given.get(digest)
        if signature is None:
            self._is_complete = False
            return bytes(64)
        verify_signature(self.public, signature, unsigned.message)
        return signature

    def settle(self) -> None:
        if not self._is_complete:
            raise SignatureNeeded(tuple(self._made.values()))
