"""Points in the log as people name them: a position, or a time in RFC 3339.

A position names the entry of that number; a time without a zone is UTC. What is neither is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from memstore.errors import InvalidInput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Position:
    seq: int


@dataclass(frozen=True, slots=True)
class Instant:
    micros: int


Moment = Position | Instant


def parse_moment(text: str, field: str) -> Moment | None:
    """The moment that `text` names, None for ""; raises `InvalidInput` with code `bad_time`."""
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return Position(int(text))
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"`{field}` is no time and no position",
            code="bad_time",
            next_call="Use RFC 3339, as in 2026-01-31T12:00:00Z, or a log position.",
        ) from None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    micros = (when - EPOCH) // timedelta(microseconds=1)
    return Instant(max(0, micros))
