"""Many workers after the same handoffs, in threads and in processes: each is accepted once, and nothing is lost."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from simulator import Fleet

from memstore.config import open_store
from memstore.errors import MemStoreError

CLAIMER = """
import random, sys
from memstore.config import open_store
from memstore.errors import MemStoreError
folder, seed, *handoffs = sys.argv[1:]
random.Random(seed).shuffle(handoffs)
with open_store(folder, agent="ben") as m:
    print("ready", flush=True)
    sys.stdin.readline()
    for handoff in handoffs:
        try:
            receipt = m.handoff_receive(handoff)["receipt"]
            lease = m.handoff_respond(handoff, "accept", receipt=receipt)["lease"]
            m.handoff_respond(handoff, "complete", lease=lease)
            print(handoff, lease, flush=True)
        except MemStoreError as error:
            assert error.code in ("not_yours_now", "handoff_over", "old_receipt", "leased", "wrong_state"), error
"""


def offered(fleet: Fleet, many: int) -> list[str]:
    ada = fleet.fresh("ada")
    output = ada.write("finding", "Found", "it", verification="verified", evidence=["log"])["id"]
    told = {"outputs": [output], "questions": ["none"]}
    return [ada.handoff_offer("ben", "transfer", idempotency_key=str(n), **told)["handoff"] for n in range(many)]


def claim_in_threads(fleet: Fleet, handoffs: list[str], *, workers: int, each: int) -> list[tuple[str, str]]:
    """Every worker in a thread and context of its own, each after `each` handoffs that others are after too."""
    claimed: list[tuple[str, str]] = []
    surprises: list[BaseException] = []
    begin = threading.Barrier(workers)

    def work(number: int) -> None:
        start = number * len(handoffs) // workers
        mine = [handoffs[(start + n) % len(handoffs)] for n in range(each)]
        random.Random(number).shuffle(mine)
        with open_store(fleet.folder, agent="ben", clock=fleet.clock) as ben:
            begin.wait(120)
            for handoff in mine:
                try:
                    receipt = ben.handoff_receive(handoff)["receipt"]
                    lease = ben.handoff_respond(handoff, "accept", receipt=receipt)["lease"]
                    claimed.append((handoff, lease))
                except MemStoreError as error:
                    if error.code not in ("not_yours_now", "handoff_over", "old_receipt", "leased", "wrong_state"):
                        surprises.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    assert surprises == []
    return claimed


def claim_in_processes(fleet: Fleet, handoffs: list[str], *, processes: int) -> list[tuple[str, str]]:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, str(fleet.folder), str(number), *handoffs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        for number in range(processes)
    ]
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [one.communicate(timeout=600)[0].splitlines() for one in started]
    assert [one.returncode for one in started] == [0] * processes
    return [(line.split()[0], line.split()[1]) for lines in told for line in lines]


def assert_each_once(fleet: Fleet, handoffs: list[str], claimed: list[tuple[str, str]]) -> None:
    assert sorted(handoff for handoff, _ in claimed) == sorted(handoffs)
    assert {lease for _, lease in claimed} == {"1"}
    with fleet.house.store.read() as unit:
        accepts = [sum(str(a.action) == "accept" for a in unit.receipts.answers(handoff)) for handoff in handoffs]
    assert set(accepts) == {1}


def test_workers_in_threads_accept_each_handoff_once(fleet: Fleet):
    handoffs = offered(fleet, 24)
    assert_each_once(fleet, handoffs, claim_in_threads(fleet, handoffs, workers=8, each=9))
    fleet.assert_sound()


def test_processes_accept_each_handoff_once(fleet: Fleet):
    handoffs = offered(fleet, 12)
    assert_each_once(fleet, handoffs, claim_in_processes(fleet, handoffs, processes=2))
    fleet.assert_sound()


@pytest.mark.slow
def test_two_hundred_workers_and_eight_processes_accept_two_thousand_once_each(fleet: Fleet):
    handoffs = offered(fleet, 2000)
    assert_each_once(fleet, handoffs[:1600], claim_in_threads(fleet, handoffs[:1600], workers=200, each=16))
    assert_each_once(fleet, handoffs[1600:], claim_in_processes(fleet, handoffs[1600:], processes=8))
    fleet.assert_sound()


def test_a_worker_that_is_killed_after_accepting_leaves_the_work_to_the_next(fleet: Fleet):
    [handoff] = offered(fleet, 1)
    killed = (
        "import os,sys\nfrom memstore.config import open_store\n"
        "m = open_store(sys.argv[1], agent='ben')\n"
        "r = m.handoff_receive(sys.argv[2])['receipt']\n"
        "print(m.handoff_respond(sys.argv[2], 'accept', receipt=r)['lease'], flush=True)\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", killed, str(fleet.folder), handoff],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert (done.returncode, done.stdout) == (-9, "1\n")
    with fleet.house.store.read() as unit:
        found = unit.view.handoff(handoff)
    assert found is not None
    assert found.until is not None
    fleet.clock.micros = found.until
    ben = fleet.fresh("ben")
    receipt = ben.handoff_receive(handoff)["receipt"]
    assert ben.handoff_respond(handoff, "accept", receipt=receipt)["lease"] == "2"
    fleet.assert_sound()
