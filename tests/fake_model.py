"""A model of a few lines: words of one meaning have one vector, and nothing is loaded or fetched.

Each word that is not a synonym points its own way, so the cosine of two texts grows with the meanings they share.
"""

from __future__ import annotations

import hashlib
import re
import threading

import numpy as np

from memstore.errors import IntegrityError

DIMENSION = 64
MEANINGS = {"automobile": "car", "vehicle": "car", "physician": "doctor", "feline": "cat", "ship": "boat"}


class FakeModel:
    """What `memstore.ports.Embedder` asks for. `texts` is all that it was given, `fails` makes it refuse."""

    dimension = DIMENSION

    def __init__(self, name: str = "fake") -> None:
        self.model_id = name
        self.texts: list[str] = []
        self.fails = False
        self.enough = threading.Event()
        self.stops_after = -1

    def embed(self, texts: list[str]) -> np.ndarray:
        if self.fails:
            raise IntegrityError("The model is not the official file", code="bad_model")
        self.texts += texts
        if 0 <= self.stops_after <= len(self.texts):
            self.enough.set()
        return np.array([_vector(text) for text in texts], dtype=np.float32).reshape(len(texts), DIMENSION)


def _vector(text: str) -> np.ndarray:
    total = np.full(DIMENSION, 1e-3, dtype=np.float32)
    for word in sorted(set(re.findall(r"\w+", text.lower()))):
        total += _direction(MEANINGS.get(word, word))
    return total / np.linalg.norm(total)


def _direction(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
