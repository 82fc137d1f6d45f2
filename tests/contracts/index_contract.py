"""What every index of vectors must do: the nearest of one tier of one scope, best first, as the store has them now."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from contracts.values import PUBLIC, STORE, Clock, put

from memstore.core.fold import EraseContent, Supersede
from memstore.core.labels import Label
from memstore.core.records import Content
from memstore.ports import Near, Store, Unit, VectorIndex
from memstore.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from memstore.ports import Vector

MODEL = "model/passages-1"
ATTRIBUTED, TAINTED = Label.ATTRIBUTED, Label.TAINTED


def at(degrees: float, *, dimension: int = 8) -> Vector:
    """A vector of length 1 at an angle to `ASKED`, whose cosine is thus known."""
    vector = np.zeros(dimension, dtype=np.float32)
    vector[0], vector[1] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vector


ASKED = at(0)


def embed(unit: Unit, seq: int, *degrees: float, model: str = MODEL, dimension: int = 8) -> None:
    """Give a record that waits a vector for each passage."""
    assert unit.vectors.put(
        seq, model, [at(each, dimension=dimension).astype(np.float16).tobytes() for each in degrees]
    )


def add(unit: Unit, seq: int, *degrees: float, **fields: Any) -> str:
    record = put(unit, seq, **fields)
    embed(unit, seq, *degrees)
    return record


def relabel(unit: Unit, record: str, label: Label) -> None:
    told = unit.view.record(record)
    assert told is not None
    unit.records.relabel(told, label, suspect=False, content=Content(title="title", body="alpha"))


def asked(
    index: VectorIndex,
    unit: Unit,
    *,
    label: Label = ATTRIBUTED,
    scope: str = "main",
    most: int = 50,
    among: list[int] | None = None,
    vector: Vector = ASKED,
) -> list[Near]:
    return index.nearest(unit, scope, label, vector, most=most, among=among)


def found(index: VectorIndex, unit: Unit, **given: Any) -> list[int]:
    """The positions of the nearest, in their order."""
    return [near.record for near in asked(index, unit, **given)]


def made_store(path: Path) -> SqliteStore:
    store = SqliteStore.create(path, Clock(), store=STORE, public_key=PUBLIC)
    with store.write() as unit:
        unit.vectors.adopt(MODEL, "f16")
    return store


class IndexContract:
    """Whoever inherits gives `index`."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        made = made_store(tmp_path / "store.db")
        yield made
        made.close()

    def test_the_nearest_comes_first(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            for seq, degrees in enumerate([60, 10, 85, 30, 120]):
                add(unit, seq, degrees)
            near = asked(index, unit)
            assert [one.record for one in near] == [1, 3, 0, 2, 4]
            assert [one.similarity for one in near] == pytest.approx([0.9848, 0.866, 0.5, 0.0872, -0.5], abs=1e-3)

    def test_no_more_than_asked_for(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            for seq in range(20):
                add(unit, seq, 80 - 4 * seq)
            assert found(index, unit, most=3) == [19, 18, 17]
            assert found(index, unit, most=1) == [19]
            assert found(index, unit, most=20) == found(index, unit, most=1000) == list(range(19, -1, -1))

    def test_ties_fall_by_position(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            for seq in (9, 3, 7, 1, 5, 8, 2, 6, 4):
                add(unit, seq, 40)
            add(unit, 20, 10)
            assert found(index, unit, most=4) == [20, 1, 2, 3]
            assert found(index, unit) == [20, 1, 2, 3, 4, 5, 6, 7, 8, 9]

    def test_a_similarity_has_six_digits(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            add(unit, 0, 37)
            [near] = asked(index, unit)
            assert near.similarity == pytest.approx(round(near.similarity, 6), abs=1e-8)

    def test_a_record_is_as_near_as_its_nearest_passage_and_comes_once(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            add(unit, 0, 50, 20, 70)
            add(unit, 1, 30, 30)
            add(unit, 2, 90, 89, 88, 10)
            assert [(one.record, one.passage) for one in asked(index, unit)] == [(2, 3), (0, 1), (1, 0)]
            assert found(index, unit, most=2) == [2, 0]

    def test_a_record_of_many_passages_hides_no_other(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            add(unit, 0, *[degrees / 10 for degrees in range(60)])
            for seq in range(1, 5):
                add(unit, seq, 10 * seq)
            assert found(index, unit, most=4) == [0, 1, 2, 3]

    def test_among_is_all_that_is_looked_at(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            for seq in range(10):
                add(unit, seq, 80 - seq, 85)
            assert found(index, unit, among=[2, 7, 5]) == [7, 5, 2]
            assert found(index, unit, among=[2, 7, 5], most=2) == [7, 5]
            assert found(index, unit, among=[7, 7, 99]) == [7]
            assert found(index, unit, among=[]) == []

    def test_among_leaves_the_tier_to_nobody(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            add(unit, 0, 10)
            add(unit, 1, 20, label=TAINTED)
            add(unit, 2, 30, scope="other")
            assert found(index, unit, among=[0, 1, 2]) == [0]

    def test_what_was_superseded_or_has_expired_is_proposed(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            old = add(unit, 0, 10)
            add(unit, 1, 20, expires_at=1)
            unit.apply(Supersede(old, 1), None)
            assert found(index, unit) == found(index, unit, among=[0, 1]) == [0, 1]

    def test_tiers_are_apart(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            for seq, label in enumerate(Label):
                add(unit, seq, 10, label=label)
            for seq, label in enumerate(Label):
                assert found(index, unit, label=label) == [seq]

    def test_scopes_are_apart(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            add(unit, 0, 10)
            add(unit, 1, 20, scope="other")
            assert found(index, unit) == [0]
            assert found(index, unit, scope="other") == [1]
            assert found(index, unit, scope="unheard of") == []

    def test_a_tier_without_vectors_has_nothing_near(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            assert found(index, unit) == []
            put(unit, 0)
            assert found(index, unit) == found(index, unit, among=[0]) == []

    def test_what_is_added_is_found(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            add(unit, 0, 50)
            assert found(index, unit) == [0]
        with store.write() as unit:
            add(unit, 1, 20)
            assert found(index, unit) == [1, 0]
        with store.write() as unit:
            for seq in range(2, 40):
                add(unit, seq, seq)
        with store.read() as unit:
            assert found(index, unit, most=3) == [2, 3, 4]

    def test_what_is_erased_is_found_no_more(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            record = add(unit, 0, 10, 15)
            add(unit, 1, 20)
            assert found(index, unit) == [0, 1]
        with store.write() as unit:
            unit.apply(EraseContent(record), None)
            assert found(index, unit) == found(index, unit, among=[0, 1]) == [1]

    def test_all_that_a_tier_had_may_be_erased(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            records = [add(unit, seq, 10) for seq in range(3)]
            assert found(index, unit) == [0, 1, 2]
            for record in records:
                unit.apply(EraseContent(record), None)
            assert found(index, unit) == []
            add(unit, 3, 10)
            assert found(index, unit) == [3]

    def test_a_relabelled_record_moves_with_its_vectors(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            record = add(unit, 0, 10, 12)
            add(unit, 1, 20)
            add(unit, 2, 30, label=TAINTED)
            assert (found(index, unit), found(index, unit, label=TAINTED)) == ([0, 1], [2])
            relabel(unit, record, TAINTED)
            assert (found(index, unit), found(index, unit, label=TAINTED)) == ([1], [0, 2])
            assert found(index, unit, among=[0, 1, 2]) == [1]

    def test_a_record_that_left_and_came_back_is_there(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            record = add(unit, 0, 10)
            add(unit, 1, 20)
            assert found(index, unit) == [0, 1]
            relabel(unit, record, TAINTED)
            relabel(unit, record, ATTRIBUTED)
            assert found(index, unit) == [0, 1]
            assert found(index, unit, label=TAINTED) == []

    def test_vectors_of_another_model_take_the_place_of_all(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            for seq in range(3):
                add(unit, seq, 10 * seq)
            assert found(index, unit) == [0, 1, 2]
        with store.write() as unit:
            unit.vectors.adopt("other", "f16")
            assert found(index, unit) == []
            embed(unit, 1, 60, model="other", dimension=4)
            embed(unit, 2, 30, model="other", dimension=4)
            assert found(index, unit, vector=at(0, dimension=4)) == [2, 1]

    def test_a_moment_that_is_older_than_the_copy_loses_nothing_that_still_stands(
        self, store: Store, index: VectorIndex
    ):
        with store.write() as unit:
            add(unit, 0, 30)
            gone = add(unit, 1, 20)
        with store.read() as old:
            assert old.vectors.state().last == 2
            with store.write() as unit:
                add(unit, 2, 10)
                unit.apply(EraseContent(gone), None)
                assert found(index, unit) == [2, 0]
            assert 0 in found(index, old)
            assert 1 in found(index, old, among=[1]) or 1 not in found(index, old)
        with store.read() as unit:
            assert found(index, unit) == [2, 0]

    def test_two_ask_the_same_and_get_the_same(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            for seq in range(30):
                add(unit, seq, 90 - seq)
                add(unit, 100 + seq, seq, label=TAINTED)
            expected = {label: asked(index, unit, label=label, most=12) for label in (ATTRIBUTED, TAINTED)}
        together = threading.Barrier(6)

        def one(number: int) -> None:
            label = (ATTRIBUTED, TAINTED)[number % 2]
            together.wait()
            for _ in range(10):
                with store.read() as unit:
                    assert asked(index, unit, label=label, most=12) == expected[label]

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(one, range(6))) == [None] * 6

    def test_many_ask_while_one_writes(self, store: Store, index: VectorIndex):
        with store.write() as unit:
            add(unit, 0, 5)
        together = threading.Barrier(4)

        def write() -> None:
            together.wait()
            for seq in range(1, 25):
                with store.write() as unit:
                    add(unit, seq, 5 + seq)

        def ask(_: int) -> None:
            together.wait()
            for _ in range(15):
                with store.read() as unit:
                    last = unit.vectors.state().last
                    # Rows of other threads may be there already: what this moment knows comes whole and in order.
                    assert found(index, unit, most=100)[:last] == list(range(last))

        with ThreadPoolExecutor(4) as pool:
            writing = pool.submit(write)
            assert list(pool.map(ask, range(3))) == [None] * 3
            writing.result()
        with store.read() as unit:
            assert found(index, unit) == list(range(25))
