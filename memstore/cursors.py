"""Cursors: which section of which query, and what of it was served already.

A cursor names served records by a part of their id's hash, so it survives writes: nothing is served twice, and nothing
that holds a word of the query is passed over. Of what is only near it, the nearest are offered, whichever those are by
then. It holds no log position, so nothing below a tier can show in it (T10). It grants nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from memstore.core.canonical import canonical_bytes
from memstore.errors import InvalidInput

PART = 5
MOST_SERVED = 1200  # beyond it a cursor would be longer than is taken back
_DIGEST = 8


@dataclass(frozen=True, slots=True)
class Cursor:
    section: str
    served: frozenset[bytes] = frozenset()

    def __contains__(self, record: str) -> bool:
        return part(record) in self.served


def part(record: str) -> bytes:
    return hashlib.sha256(record.encode()).digest()[:PART]


def _query_digest(query: object) -> bytes:
    return hashlib.sha256(canonical_bytes(query, nfc=False)).digest()[:_DIGEST]


def encode_cursor(query: object, section: str, served: Iterable[bytes]) -> str:
    raw = _query_digest(query) + section[:1].encode() + b"".join(sorted(served))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(text: str, query: object, sections: Iterable[str]) -> Cursor:
    """The cursor, if it was given out for this very query; else `InvalidInput` with code `bad_cursor`."""
    refusal = InvalidInput(
        "The cursor is not of this query",
        code="bad_cursor",
        next_call="Repeat the query as it was, or drop cursor.",
    )
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise refusal from None
    digest, letter, parts = raw[:_DIGEST], raw[_DIGEST : _DIGEST + 1], raw[_DIGEST + 1 :]
    section = {name[:1].encode(): name for name in sections}.get(letter)
    if digest != _query_digest(query) or section is None or len(parts) % PART:
        raise refusal
    return Cursor(section, frozenset(parts[i : i + PART] for i in range(0, len(parts), PART)))
