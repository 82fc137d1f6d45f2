"""Another model by name, and the default one against it: sentence-transformers is the reference (DESIGN 4.3)."""

from __future__ import annotations

import json
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from memstore.embed.conversion import WEIGHTS
from memstore.embed.onnx import OnnxEmbedder
from memstore.embed.sentence_transformers import SentenceTransformersEmbedder
from memstore.errors import StoreUnavailable

needs_torch = pytest.mark.skipif(
    find_spec("sentence_transformers") is None,
    reason="sentence-transformers is not installed: pip install 'memstore[offline]'",
)


def described(folder: Path) -> Path:
    """A folder that has the form of a model, without one that can be run."""
    folder.mkdir()
    (folder / "modules.json").write_text("[]")
    (folder / WEIGHTS).write_bytes(b"weights")
    return folder


def test_the_id_is_of_the_files_and_not_of_where_they_are(tmp_path) -> None:
    model = described(tmp_path / "mine")
    first = SentenceTransformersEmbedder(str(model)).model_id
    assert first.startswith("mine@")
    assert first.endswith("/torch-f32")
    (model / "README.md").write_text("A model.")
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.copytree(model, tmp_path / "elsewhere" / "mine")
    assert SentenceTransformersEmbedder(str(moved)).model_id == first
    (model / WEIGHTS).write_bytes(b"other weights")
    assert SentenceTransformersEmbedder(str(model)).model_id != first


@pytest.mark.parametrize(
    "name", ["no/such-model", "nosuchmodel", "../..//x", "", "https://example.invalid/model", "\x00"]
)
def test_a_model_that_is_not_here_is_refused_and_not_fetched(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it used the network"))
    with pytest.raises(StoreUnavailable, match=r"^no_model: .*MEMSTORE_MODEL") as caught:
        SentenceTransformersEmbedder(name)
    assert len(name) < 4 or name not in str(caught.value)


def test_a_folder_without_a_model_is_refused(tmp_path) -> None:
    with pytest.raises(StoreUnavailable, match=r"^no_model"):
        SentenceTransformersEmbedder(str(tmp_path))


DAMAGED = """
import sys
from memstore.embed.sentence_transformers import SentenceTransformersEmbedder
from memstore.errors import MemStoreError
try:
    SentenceTransformersEmbedder(sys.argv[1]).embed(["a text"])
except MemStoreError as error:
    print(error.code)
"""


@pytest.mark.slow
@needs_torch
def test_a_damaged_model_is_refused(model, tmp_path, script) -> None:
    damaged = shutil.copytree(model, tmp_path / "damaged")
    with (damaged / WEIGHTS).open("r+b") as file:
        file.truncate(1_000_000)
    assert script(DAMAGED, damaged).communicate(timeout=300)[0] == "bad_model\n"


# In a process of its own: torch stays out of that of the other tests.
REFERENCE = """
import json, sys
import numpy as np
from memstore.embed.sentence_transformers import SentenceTransformersEmbedder
embedder = SentenceTransformersEmbedder(sys.argv[1])
assert "torch" not in sys.modules
texts = json.load(open(sys.argv[2]))
np.save(sys.argv[3], embedder.embed(texts))
print(embedder.dimension)
"""


@pytest.mark.slow
@needs_torch
def test_the_default_model_gives_the_vectors_of_the_reference(model, real_texts, tmp_path, script) -> None:
    assert len(real_texts) >= 200
    texts = [*real_texts, "", "x" * 60_000, "多智能体" * 500, "ذاكرة مشتركة", "👩‍👩‍👧‍👦", "[SEP] [CLS]"]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    run = script(REFERENCE, model, tmp_path / "texts.json", tmp_path / "vectors.npy")
    assert run.communicate(timeout=600)[0] == "384\n"
    cosines = (np.load(tmp_path / "vectors.npy") * OnnxEmbedder().embed(texts)).sum(axis=1)
    assert cosines.min() >= 0.9999
