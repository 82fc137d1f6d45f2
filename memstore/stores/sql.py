"""Named queries, read from the `.sql` files beside this module, and values of columns that somebody may have changed.

A query name that is doubled is an error at once; a value that is none of its type counts as the worst (T12).
"""

from __future__ import annotations

import json
import re
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from memstore.core.labels import Cause, CauseCode, Label

_HERE = Path(__file__).parent
_NAME = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


def _queries(text: str) -> dict[str, str]:
    parts = _NAME.split(text)[1:]
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError("a query name is doubled")
    return {name: body.strip().rstrip(";") for name, body in zip(names, bodies, strict=True)}


QUERIES = _queries((_HERE / "queries.sql").read_text("utf-8"))


T = TypeVar("T")
E = TypeVar("E", bound=Enum)


def readable(value: object, otherwise: T) -> T:
    """`value` if it is of the type of `otherwise`."""
    return value if isinstance(value, type(otherwise)) else otherwise


def member(values: type[E], value: object, worst: E) -> E:
    """The member that `value` names, or the worst."""
    try:
        return values(value)
    except ValueError:
        return worst


@lru_cache(maxsize=4096)
def causes_from(text: object) -> tuple[Cause, ...]:
    """Causes as they are stored; none where what is there cannot be read."""
    try:
        told = json.loads(text)  # type: ignore[arg-type]  # what is no text raises
        return tuple(Cause(CauseCode(c["code"]), Label.named(c["label"]), c.get("id", "")) for c in told)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def migration(name: str) -> str:
    return (_HERE / "schema" / f"{name}.sql").read_text("utf-8")
