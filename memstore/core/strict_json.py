"""JSON objects from outside, read in the one way that leaves no two readers in doubt."""

from __future__ import annotations

import json
from typing import Any


def object_in(text: str) -> dict[str, Any]:
    """The object that `text` is; `ValueError` for all else, and where a name stands twice or a number is none."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError("not JSON")
