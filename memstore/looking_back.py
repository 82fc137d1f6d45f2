"""The moment that `as_of` names, in one way for all who look back: a size of the log, and the time to judge by.

What is asked for from the future is what stands now: nothing is said of what has not happened.
"""

from __future__ import annotations

from dataclasses import dataclass

from memstore.moments import Instant, Position, parse_moment
from memstore.ports import Unit


@dataclass(frozen=True, slots=True)
class Back:
    """How long the log was, and the time then."""

    before: int
    now: int


def look_back(unit: Unit, text: str, field: str = "as_of") -> Back | None:
    """The moment to look back to, None for now; raises `InvalidInput` with code `bad_time`."""
    size = unit.log.head().size
    match parse_moment(text, field):
        case Position(seq) if seq < size:
            logged = unit.log.entry(seq)
            return Back(seq + 1, logged.entry.logged_at if logged else 0)
        case Instant(micros) if micros < unit.now:
            return Back(unit.log.size_at(micros), micros)
        case _:
            return None
