"""A fleet for each attack: a lead, a worker under it, a reader, on a store of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from simulator import Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """An empty store; whatever the attack did, closing it leaves nothing open."""
    with Fleet(tmp_path / "store") as made:
        yield made
