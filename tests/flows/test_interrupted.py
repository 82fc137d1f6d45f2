"""Backup, restore, export and import at a bad moment: killed, on a full disk, in a closed folder, by a wrong clock."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from simulator import Clock, Fleet

from memstore.backups import backup, restore
from memstore.config import DATABASE
from memstore.placing import unfinished
from memstore.transfer import export_log, import_log

ROOT = Path(__file__).resolve().parents[2]
MOMENTS = 8


def started(folder: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "memstore", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "MEMSTORE_STORE": str(folder)},
        cwd=ROOT,
    )


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of some megabytes, its backup and its export."""
    place = tmp_path_factory.mktemp("big")
    with Fleet(place / "store", Clock(time.time_ns() // 1000)) as fleet:
        ada = fleet.agent("ada")
        for n in range(150):
            ada.write("finding", f"alpha {n}", f"{n} " * 8000)
        backup(fleet.house, place / "backup")
        export_log(fleet.house, place / "log")
    return place


def ended(process: subprocess.Popen[bytes], *, after: float | None = None) -> int:
    """The status of a process that is waited for, or killed after so many seconds."""
    timer = threading.Timer(after or 0.0, process.kill)
    if after is not None:
        timer.start()
    told = process.communicate(timeout=120)
    timer.cancel()
    assert process.returncode in (0, -signal.SIGKILL), told
    return process.returncode


def whole(command: str, target: Path, scratch: Path) -> None:
    """What is at the target is all of it, or `pytest` says what is wrong."""
    if command == "backup":
        restore(target, scratch / "from-backup")
        target = scratch / "from-backup"
    if command == "export":
        import_log(target, scratch / "from-log")
        target = scratch / "from-log"
    with Fleet(target, Clock(time.time_ns() // 1000)) as fleet:
        fleet.assert_sound()
        assert fleet.sql("SELECT count(*) FROM records") == [(150,)]


def call(command: str, big: Path, target: Path) -> tuple[Path, list[str]]:
    """The store that a command is run on, and its arguments."""
    calls = {
        "backup": (big / "store", ["backup", str(target)]),
        "restore": (target, ["restore", str(big / "backup")]),
        "export": (big / "store", ["export", "log", str(target)]),
        "import": (target, ["import", "log", str(big / "log")]),
    }
    return calls[command]


COMMANDS = ("backup", "restore", "export", "import")


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_killed_at_any_moment_leaves_all_or_nothing(big, tmp_path, command):
    before = time.monotonic()
    assert ended(started(*call(command, big, tmp_path / "whole"))) == 0
    takes = time.monotonic() - before
    chance = random.Random(7)
    done = 0
    for n in range(MOMENTS):
        target = tmp_path / f"target {n}"
        # The first half of the time is the interpreter's.
        ended(started(*call(command, big, target)), after=takes * chance.uniform(0.3, 1.1))
        if target.exists():
            done += 1
            scratch = tmp_path / f"scratch {n}"
            scratch.mkdir()
            whole(command, target, scratch)
            continue
        assert ended(started(*call(command, big, target))) == 0
        assert unfinished(target) == []
    assert done < MOMENTS, "nothing was killed while it ran"


@pytest.mark.slow
def test_an_import_that_is_killed_while_it_goes_on_with_a_copy_leaves_the_copy_as_it_was(big, tmp_path):
    shutil.copytree(big / "store", tmp_path / "store")
    place = tmp_path / "copy"
    import_log(big / "log", place)
    with Fleet(tmp_path / "store", Clock(time.time_ns() // 1000)) as fleet:
        last = fleet.size() - 1
        ada = fleet.fresh("ada")
        for n in range(40):
            ada.write("finding", f"late {n}", "x" * 5000)
        export_log(fleet.house, tmp_path / "more", since=last)
        root = fleet.audit()["root"]
    before = time.monotonic()
    shutil.copytree(place, tmp_path / "rehearsal")
    assert ended(started(tmp_path / "rehearsal", ["import", "log", str(tmp_path / "more")])) == 0
    takes = time.monotonic() - before
    chance = random.Random(8)
    for _ in range(MOMENTS):
        ended(started(place, ["import", "log", str(tmp_path / "more")]), after=takes * chance.uniform(0.3, 0.95))
        with Fleet(place, Clock(time.time_ns() // 1000)) as copy:
            assert copy.size() in (last + 1, last + 41)
            copy.assert_sound()
            if copy.size() == last + 41:
                assert copy.audit()["root"] == root
                return
    assert ended(started(place, ["import", "log", str(tmp_path / "more")])) == 0


FULL = """
import resource, sys
from memstore.cli.root import root
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
root(sys.argv[2:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("room", [0, 100_000, 1_500_000])
def test_on_a_full_disk_nothing_half_is_left_and_the_store_goes_on(big, tmp_path, command, room):
    folder, arguments = call(command, big, tmp_path / "target")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(room), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "MEMSTORE_STORE": str(folder)},
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.stderr.startswith("disk_full: "), done.stderr
    assert done.returncode == 7
    assert list(tmp_path.iterdir()) == []
    with Fleet(big / "store", Clock(time.time_ns() // 1000)) as fleet:
        assert fleet.fresh("ada").search("alpha")["attributed"]["count"] == 150


CLOSED = """
import os, sys
from memstore.cli.root import root
from memstore import backups, transfer
"canonical JSON sorts by".encode("utf-16be")
if sys.argv[1]:
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
root(sys.argv[2:])
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_into_a_folder_that_is_closed_nothing_is_written(made, command):
    user = 65534 if os.geteuid() == 0 else 0
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        home.chmod(0o755)
        shutil.copytree(made, home / "store")
        with Fleet(home / "store") as fleet:
            backup(fleet.house, home / "backup")
            export_log(fleet.house, home / "log")
        closed = home / "closed"
        closed.mkdir()
        if user:
            for path in (home, *home.rglob("*")):
                os.chown(path, user, user)
        closed.chmod(0o500)
        folder, arguments = call(command, home, closed / "target")
        done = subprocess.run(
            [sys.executable, "-c", CLOSED, str(user or ""), *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "MEMSTORE_STORE": str(folder)},
            cwd=ROOT,
            timeout=60,
            check=False,
        )
        assert done.stderr.startswith("read_only: "), done.stderr
        assert list(closed.iterdir()) == []


def test_a_clock_that_goes_back_an_hour_loses_nothing_and_brings_nothing_back(fleet, ada, lead, tmp_path):
    reading = ada.observe("tool:weather.now", "17 degrees", ttl_seconds=60)["id"]
    ada.session_start("t")
    told = [ada.write("question", f"alpha {n}")["id"] for n in range(3)]
    fleet.clock.advance(seconds=120)
    assert ada.search("degrees")["quarantined"]["count"] == 1
    fleet.clock.set_back(seconds=3600)
    # Written, read, backed up, restored: all as if no time had passed.
    told += [fleet.fresh("ada").write("question", f"alpha {n}")["id"] for n in range(3, 6)]
    assert ada.search("degrees")["quarantined"]["count"] == 1
    assert [record["id"] for record in lead.get(told)["records"]] == told
    backup(fleet.house, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    for folder in (fleet.folder, tmp_path / "restored"):
        with Fleet(folder, fleet.clock) as found:
            found.assert_sound()
            times = [row[0] for row in found.sql("SELECT logged_at FROM entries ORDER BY seq")]
            assert times == sorted(times)
            assert [r["id"] for r in found.fresh("lead").get([*told, reading])["records"]] == told
    assert (tmp_path / "restored" / DATABASE).is_file()
