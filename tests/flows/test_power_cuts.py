"""Power cuts: whatever of the last writes reached the disk, the store opens, verifies, and has what was acknowledged.

What is simulated: SQLite under a write-ahead log with synchronous=FULL waits for the log's frames at a commit, for
the database's pages at a checkpoint, and only then does it write over the log from its beginning. The files are copied
after each acknowledged commit, while nothing is under way; what a cut leaves between one copy and the next is the files
as they were, with any of the sectors of 512 bytes that differ new or old, in the order which those waits allow: first
of the log alone, then of the database alone. "None of them" is to lose all since the last wait. The index of the log in
shared memory is gone, as after a cut it is.

What is not: a disk that says it has written what it has not, a file system that loses names or lengths of files which
were waited for, and anything but the database (keys are written once, at `init` and `agent add`).
"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from simulator import Fleet

from memstore.config import DATABASE
from memstore.stores.sqlite import SqliteUnit

SECTOR = 512
COMMITS = 60
CUTS = 200
SYNCHRONOUS_FULL = 2
WAL = DATABASE + "-wal"


@dataclass(frozen=True)
class Copy:
    """Both files after an acknowledged commit, and the id that was acknowledged."""

    database: bytes
    log: bytes
    record: str


def commits(fleet: Fleet) -> list[Copy]:
    """Write, and copy after each acknowledgement; with a checkpoint every few commits, so that cuts meet those too."""
    ada = fleet.fresh("ada")
    ada.write("question", "The first, so that its context is there")
    with ada._store.write() as unit:
        assert isinstance(unit, SqliteUnit)
        assert unit.conn.execute("PRAGMA synchronous").fetchone()[0] == SYNCHRONOUS_FULL
        unit.conn.execute("PRAGMA wal_autocheckpoint = 150")
    copies = []
    for number in range(COMMITS):
        record = ada.write("finding", f"Number {number}", "x" * random.Random(number).randint(10, 4000))["id"]
        copies.append(Copy((fleet.folder / DATABASE).read_bytes(), (fleet.folder / WAL).read_bytes(), record))
    return copies


def torn(old: bytes, new: bytes, chance: random.Random) -> bytes:
    """`old` with some of the sectors in which `new` differs: none, a first part of them, or any."""
    share = chance.choice([0.0, chance.random(), -1.0])
    length = max(len(old), len(new))
    differs = [at for at in range(0, length, SECTOR) if old[at : at + SECTOR] != new[at : at + SECTOR]]
    left = bytearray(old)
    for number, at in enumerate(differs):
        sector = new[at : at + SECTOR]
        if sector and (chance.random() < 0.5 if share < 0 else number / len(differs) < share):
            left += bytes(max(0, at + len(sector) - len(left)))  # what was not written before it is zeros
            left[at : at + len(sector)] = sector
    return bytes(left)


def cut(before: Copy, after: Copy, chance: random.Random) -> tuple[bytes, bytes]:
    """What is on the disk after a cut between two acknowledgements."""
    if chance.random() < 0.5 or before.database == after.database:
        return before.database, torn(before.log, after.log, chance)
    return torn(before.database, after.database, chance), after.log


@pytest.mark.slow
def test_after_a_power_cut_the_store_opens_and_has_all_that_was_acknowledged(fleet, tmp_path):
    copies = commits(fleet)
    assert len({copy.database for copy in copies}) > 3, "no checkpoint came between"
    assert any(len(a.log) == len(b.log) and a.log != b.log for a, b in pairwise(copies)), (
        "the log was never written over"
    )
    survived = 0
    for seed in range(CUTS):
        chance = random.Random(seed)
        at = chance.randrange(len(copies) - 1)
        database, log = cut(copies[at], copies[at + 1], chance)
        place = tmp_path / "cut"
        shutil.copytree(fleet.folder, place, ignore=shutil.ignore_patterns(f"{DATABASE}*"))
        (place / DATABASE).write_bytes(database)
        (place / WAL).write_bytes(log)
        survived += opened(place, [copy.record for copy in copies[: at + 2]], seed)
        shutil.rmtree(place)
    assert 0 < survived < CUTS  # what was not acknowledged may be there or not, and both were met


def opened(place: Path, records: list[str], seed: int) -> bool:
    """Whether the last of `records`, which was not acknowledged, is there; all others have to be."""
    *acknowledged, last = records
    with Fleet(place) as fleet:
        fleet.assert_sound()
        reader = fleet.fresh("ada")
        missing = [
            record
            for start in range(0, len(acknowledged), 20)
            for record in reader.get(acknowledged[start : start + 20], detail="ids")["missing"]
        ]
        assert missing == [], f"cut {seed}"
        assert reader.write("question", "afterwards")["status"] == "stored"
        return not reader.get([last], detail="ids")["missing"]


def test_without_the_last_sectors_of_the_log_a_commit_that_was_acknowledged_would_be_missed(fleet, tmp_path):
    """The simulation can fail: a store that had not waited for its log would be found out."""
    copies = commits(fleet)
    at = next(at for at in range(len(copies) - 1) if len(copies[at].log) < len(copies[at + 1].log))
    place = tmp_path / "cut"
    shutil.copytree(fleet.folder, place, ignore=shutil.ignore_patterns(f"{DATABASE}*"))
    (place / DATABASE).write_bytes(copies[at + 1].database)
    (place / WAL).write_bytes(copies[at + 1].log[: len(copies[at].log)])
    with pytest.raises(AssertionError, match="cut 0"):
        opened(place, [copy.record for copy in copies[: at + 2]] + [copies[0].record], 0)
