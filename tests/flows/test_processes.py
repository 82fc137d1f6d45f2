"""Many processes, one store: nothing lost, nothing doubled, and what was acknowledged is on disk (DESIGN 4.1)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from simulator import Fleet

from memstore.config import open_store

WRITER = """
import sys
from memstore.config import open_store
folder, agent, name, many, continuing = sys.argv[1:]
with open_store(folder, agent=agent, continuing=continuing == "1") as m:
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(int(many)):
        print(m.write("question", f"alpha {name} {n}", "b" * 200)["id"], flush=True)
"""


def writer(fleet: Fleet, agent: str, name: str, *, many: int, continuing: bool = False) -> subprocess.Popen[str]:
    """A process that opens the store, says so, waits for a line, and prints the id of each write once acknowledged."""
    arguments = [str(fleet.folder), agent, name, str(many), str(int(continuing))]
    started = subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def run(*writers: subprocess.Popen[str]) -> list[list[str]]:
    """Let them all go at once; the ids that each printed."""
    for one in writers:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [one.communicate(timeout=60)[0].split() for one in writers]
    assert [one.returncode for one in writers] == [0] * len(writers)
    return told


def test_two_processes_write_at_once_and_none_of_their_records_is_lost(fleet):
    size = fleet.size()
    first, second = run(writer(fleet, "ada", "one", many=100), writer(fleet, "ben", "two", many=100))
    assert len({*first, *second}) == 200
    assert fleet.size() == size + 200
    assert fleet.fresh("lead").search("alpha")["attributed"]["count"] == 200
    fleet.assert_sound()


def test_two_windows_of_one_agent_share_a_context_and_keep_one_chain(fleet):
    first, second = run(
        writer(fleet, "ada", "one", many=40, continuing=True), writer(fleet, "ada", "two", many=40, continuing=True)
    )
    assert len({*first, *second}) == 80
    (chain,) = fleet.sql("SELECT n FROM chains WHERE launch LIKE 'cli/ada/%'")
    assert chain == (80,)
    fleet.assert_sound()


def test_what_one_process_writes_another_that_was_open_before_finds_at_once(fleet, ben):
    assert ben.search("alpha")["attributed"]["count"] == 0
    run(writer(fleet, "ada", "one", many=3))
    assert ben.search("alpha")["attributed"]["count"] == 3


@pytest.mark.parametrize("seed", range(3))
def test_a_process_killed_while_it_writes_has_lost_nothing_that_was_acknowledged(fleet, seed):
    doomed = writer(fleet, "ada", "doomed", many=100_000)
    assert doomed.stdin is not None
    assert doomed.stdout is not None
    doomed.stdin.write("go\n")
    doomed.stdin.flush()
    told = [doomed.stdout.readline().strip() for _ in range(random.Random(seed).randint(1, 60))]
    os.kill(doomed.pid, signal.SIGKILL)
    told += doomed.communicate(timeout=60)[0].split("\n")[:-1]
    assert doomed.returncode == -signal.SIGKILL
    reader = fleet.fresh("ada")
    there = [r["id"] for at in range(0, len(told), 20) for r in reader.get(told[at : at + 20], detail="ids")["records"]]
    assert there == told
    fleet.assert_sound()
    assert reader.write("question", "afterwards")["status"] == "stored"


def test_threads_of_one_process_share_a_store_object(fleet, ada):
    told: list[str] = []
    errors: list[Exception] = []

    def work(name: int) -> None:
        try:
            for n in range(15):
                told.append(ada.write("question", f"alpha {name} {n}")["id"])
                ada.search("alpha", limit=2)
        except Exception as error:  # noqa: BLE001  # shown below: a thread has no other way to fail the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(set(told)) == 60
    assert ada.search("alpha")["attributed"]["count"] == 60
    fleet.assert_sound()


def test_two_windows_in_one_process_see_each_other_s_mark(fleet):
    one, two = fleet.continuing("ada"), fleet.continuing("ada")
    one.write("question", "first")
    two.observe("https://example.org/", "taint")
    assert one.write("question", "second")["label"] == "tainted"
    fleet.assert_sound()


def test_a_store_object_that_was_closed_can_be_closed_again(fleet):
    with open_store(fleet.folder, agent="ada", clock=fleet.clock) as member:
        member.write("question", "q")
    member.close()
