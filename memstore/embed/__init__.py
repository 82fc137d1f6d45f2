"""Texts to vectors: the models that can be run, and what is refused from any of them (DESIGN 4.3).

Nothing here uses the network, and nothing heavy is imported before the first text comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memstore.errors import IntegrityError, StoreUnavailable

if TYPE_CHECKING:
    from memstore.ports import Vector

UNTOUCHED = "No text was embedded."


def checked(vectors: Vector, *, count: int, dimension: int) -> Vector:
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
