"""Named queries, read from the `.sql` files beside this module; a name that is doubled is an error at once."""

from __future__ import annotations

import re
from pathlib import Path

_HERE = Path(__file__).parent
_NAME = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


def _queries(text: str) -> dict[str, str]:
    parts = _NAME.split(text)[1:]
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError("a query name is doubled")
    return {name: body.strip().rstrip(";") for name, body in zip(names, bodies, strict=True)}


QUERIES = _queries((_HERE / "queries.sql").read_text("utf-8"))


def migration(name: str) -> str:
    return (_HERE / "schema" / f"{name}.sql").read_text("utf-8")
