"""The indexes of vectors keep their contract: the exact one, and Chroma where even the smallest tier is its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts.index_contract import IndexContract

from memstore.index.exact import ExactIndex
from memstore.ports import VectorIndex


class TestExactIndex(IndexContract):
    @pytest.fixture
    def index(self) -> Iterator[VectorIndex]:
        exact = ExactIndex()
        yield exact
        exact.close()


class TestChromaIndex(IndexContract):
    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[VectorIndex]:
        from memstore.index.chroma import ChromaIndex

        chroma = ChromaIndex(tmp_path / "chroma", big=0)
        yield chroma
        # One that had failed would have answered as the exact index does, and this suite would have shown nothing.
        assert chroma.problem == ""
        chroma.close()
