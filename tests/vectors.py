"""Where the published test vectors are: a folder beside the repository, never a copy within it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


def vector_path(*parts: str) -> Path:
    """The file or folder of vectors; skips the test, and says why, where it is absent.

    `MEMSTORE_SHARED` names the folder that holds `vectors/`; without it, `shared` beside the repository is tried.
    """
    beside = Path(__file__).resolve().parents[2] / "shared"
    path = Path(os.environ.get("MEMSTORE_SHARED") or beside).joinpath("vectors", *parts)
    if not path.exists():
        pytest.skip(
            f"the vectors {'/'.join(parts)} are not here: set MEMSTORE_SHARED to the folder that holds vectors/"
        )
    return path


def load_vectors(*parts: str) -> Any:
    """The JSON file of vectors of that name."""
    return json.loads(vector_path(*parts).read_text(encoding="utf-8"))
