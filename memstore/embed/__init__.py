"""Texts to vectors: what every embedder is, and what is refused from any of them (DESIGN 4.3).

An embedder turns each text into one vector of length 1, the same for the same text whatever else is embedded. It is
named by model and precision, and vectors of different names are never compared. Nothing here uses the network, and
nothing heavy is imported before the first text comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from memstore.errors import IntegrityError, StoreUnavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

UNTOUCHED = "No text was embedded."


class Embedder(Protocol):
    """A model that is at hand. The first use may be slow, and may refuse with `no_model` or `bad_model`."""

    @property
    def model_id(self) -> str:
        """Model, precision and runner: what stands beside every vector."""

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""

    def embed(self, texts: list[str]) -> Vectors:
        """One row of float32 and length 1 for each text: shape (len(texts), dimension)."""


def checked(vectors: Vectors, *, count: int, dimension: int) -> Vectors:
    """The vectors, if they are as many and as long as they should be, and all of numbers.

    A NaN would stand in an index unseen and compare with nothing, so a model that yields one is refused whole.
    """
    import numpy as np

    if vectors.shape != (count, dimension) or vectors.dtype != np.float32:
        raise bad_model("The model gives vectors of another form than it says")
    if not np.isfinite(vectors).all():
        raise bad_model("The model gives vectors that hold no numbers")
    return vectors


def no_model(what: str, next_call: str) -> StoreUnavailable:
    return StoreUnavailable(what, code="no_model", state=UNTOUCHED, next_call=next_call)


def bad_model(what: str, next_call: str = "Install the model anew.") -> IntegrityError:
    return IntegrityError(what, code="bad_model", state=UNTOUCHED, next_call=next_call)
