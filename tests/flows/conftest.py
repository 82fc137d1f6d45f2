"""A store for each test: a copy of one that was made once, with a lead, two workers under it, a person and three tools.

`fleet` is for tests that write; `shared` hands out one store for a whole module, for tests that only read.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from simulator import Fleet

from memstore.service import MemStore


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the others are copied from; making a store costs more than all that a test does with it."""
    folder = tmp_path_factory.mktemp("made") / "store"
    with Fleet(folder) as fleet:
        fleet.agent("lead", role="lead")
        fleet.agent("ada", under="lead")
        fleet.agent("ben", under="lead")
        fleet.agent("person", role="human")
        fleet.tool("weather*")
        fleet.tool("brief", max_ttl=60)
        fleet.tool("browser", open_world=True)
    return folder


@pytest.fixture
def fleet(made: Path, tmp_path: Path) -> Iterator[Fleet]:
    shutil.copytree(made, tmp_path / "store")
    with Fleet(tmp_path / "store") as copied:
        yield copied


@pytest.fixture(scope="module")
def shared(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("shared") / "store"
    shutil.copytree(made, folder)
    with Fleet(folder) as copied:
        yield copied


@pytest.fixture
def ada(fleet: Fleet) -> MemStore:
    return fleet.fresh("ada")


@pytest.fixture
def ben(fleet: Fleet) -> MemStore:
    return fleet.fresh("ben")


@pytest.fixture
def lead(fleet: Fleet) -> MemStore:
    return fleet.fresh("lead")


@pytest.fixture
def person(fleet: Fleet) -> MemStore:
    return fleet.fresh("person")
