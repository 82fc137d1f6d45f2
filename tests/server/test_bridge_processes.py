"""Server and bridge as processes of their own, over a real socket, with -9 at any moment."""

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from memstore import log
from memstore.keyfiles import make_key

ROOT = Path(__file__).resolve().parents[2]


# `memstore serve` without Chroma, which takes most of its start.
LIGHT = """
import sys
import uvicorn
from mcp_server.http import Settings, build_app
from mcp_server.remote import Remote
from memstore.config import open_engine
engine = open_engine(sys.argv[1])
app = build_app(engine, Settings(), remote=Remote(engine).answer)
uvicorn.run(app, port=int(sys.argv[2]), log_level="critical")
"""


class Serve:
    """A server on a port that stays its own, killed and started anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: Any = None

    def start(self) -> None:
        """Start it; whoever needs it up waits for it, as bridges do."""
        command = [sys.executable, "-c", LIGHT, os.fspath(self.folder), str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self) -> None:
        """Until it listens."""
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert self.process.poll() is None
            time.sleep(0.02)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def serve(live) -> Iterator[Serve]:
    made = Serve(live.folder)
    yield made
    made.kill()


@pytest.fixture
def bridge(serve, live, server_of, command_of):
    """`bridge("researcher")`: `memstore mcp --url` as a process."""
    started = []

    def start(agent="researcher", *more):
        started.append(server_of([*command_of(live.folder, agent), "--url", serve.url, *more], mode="legacy"))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.ended()


def test_a_bridge_is_there_before_its_server_and_its_first_call_waits_for_it(serve, bridge):
    agent = bridge()
    assert len(agent.request("tools/list", {})["result"]["tools"]) == 14
    agent.ask("session_start", task="storage")
    serve.start()
    assert "session" in agent.receive()["result"]["structuredContent"]
    written = agent.ok("memory_write", kind="finding", title="x", body="y")
    read = agent.request("resources/read", {"uri": f"memstore://record/{written['id']}"})["result"]
    assert json.loads(read["contents"][0]["text"])["records"][0]["id"] == written["id"]
    read = agent.request("resources/read", {"uri": "memstore://agents"})["result"]
    assert "planner" in read["contents"][0]["text"]
    refused = agent.call("memory_write", kind="decision", title="x")["result"]
    assert refused["isError"]
    assert refused["content"][0]["text"].startswith("missing_field: ")
    serve.kill()
    serve.start()
    assert agent.ok("memory_search")["attributed"]["count"] == 1
    assert agent.close() == 0
    assert agent.stderr == b""


def test_an_inbox_waits_at_the_server_while_other_calls_go_on(serve, bridge):
    serve.start()
    receiver, sender = bridge("planner"), bridge("researcher")
    sender.ok("session_start", task="storage")
    done = sender.ok("memory_write", kind="finding", title="x", body="y")["id"]
    receiver.ok("session_start", task="storage")
    receiver.ask("handoff_inbox", wait_seconds=20)
    waiting = receiver.number
    assert receiver.ok("memory_search")["mark"]
    receiver.number, last = waiting, receiver.number
    offered = sender.ok(
        "handoff_offer", to="planner", type="report", outputs=[done], questions=["none"], caveats=["none"],
        rejected=["none"],
    )  # fmt: skip
    [item] = receiver.receive()["result"]["structuredContent"]["items"]
    receiver.number = last
    assert item["handoff"] == offered["handoff"]


def test_an_agent_whose_key_was_made_elsewhere_works_from_there(serve, bridge, live, tmp_path, server_of):
    key = tmp_path / "elsewhere" / "far.key"
    made = make_key(key, "far", live.house.key.store)
    command = [sys.executable, "-m", "memstore", "agent", "add", "far", "--store", os.fspath(live.folder)]
    command += ["--public-key", made["public_key"], "--proof", made["proof"], "--under", "planner"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    serve.start()
    agent = server_of(
        [sys.executable, "-m", "memstore", "mcp", "--agent", "far", "--key", os.fspath(key), "--url", serve.url],
        mode="auto",
    )
    assert agent.ok("memory_write", kind="finding", title="x", body="y")["label"] == "attributed"
    agent.close()
    with live.house.store.read() as unit:
        [*_, logged] = unit.log.entries()
    assert (str(logged.entry.signature), logged.entry.keyid) == ("valid", made["keyid"])


def test_what_a_bridge_cannot_do_without_is_said_at_once(live, command_of, tmp_path):
    alone = tmp_path / "alone.key"
    make_key(alone, "researcher", live.house.key.store)
    alone.with_suffix(".store").unlink()
    base = command_of(live.folder, "researcher")
    for more, status, code in [
        (["--url", "http://memory.example"], 2, b"insecure_url: "),
        (["--url", "https://127.0.0.1", "--ca", "nothing.pem"], 2, b"bad_ca: "),
        (["--url", "http://127.0.0.1:1", "--key", os.fspath(alone)], 3, b"no_store_id: "),
        (["--url", "http://127.0.0.1:1", "--key", "nothing.key"], 3, b"no_key: "),
        (["--ca", "x.pem"], 2, b"invalid: "),
    ]:
        done = subprocess.run(
            [*base, *more], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (status, b""), done.stderr
        assert done.stderr.startswith(code)


def test_a_bridge_has_no_store_in_its_process(serve, live):
    serve.start()
    script = f"""
import sys
sys.argv = ["mcp_server", "--agent", "researcher", "--store", {os.fspath(live.folder)!r}, "--url", {serve.url!r}]
from mcp_server.__main__ import main
status = main()
heavy = {{"torch", "chromadb", "sentence_transformers", "sqlite_utils", "onnxruntime", "numpy"}}
sys.stderr.write(" ".join(sorted(heavy & set(sys.modules))))
sys.exit(status)
"""
    asked = "".join(json.dumps(message) + "\n" for message in TALK)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, input=asked.encode(), capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[-1]["result"]["structuredContent"]["status"] == "stored"


TALK: list[dict[str, Any]] = [
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {"name": "memory_write", "arguments": {"kind": "finding", "title": "x", "body": "y"}},
    },
]


@pytest.mark.slow
def test_a_server_that_is_killed_at_any_moment_loses_nothing_and_does_nothing_twice(serve, bridge, live):
    """Kills come between calls and within them; every call is answered in the end, and is there once."""
    serve.start()
    agent = bridge()
    agent.patience = 120
    over, dice = threading.Event(), random.Random(7)
    kills = 0

    def kill() -> None:
        nonlocal kills
        while not over.wait(dice.choice([dice.uniform(0.02, 0.3), dice.uniform(0.3, 3)])):
            serve.kill()
            serve.start()
            serve.wait()
            kills += 1

    def done(tool: str, **arguments: Any) -> Any:
        """What an agent does that is told that its call may have been done: it makes it again."""
        while True:
            result = agent.call(tool, **arguments)["result"]
            if not result.get("isError"):
                return result["structuredContent"]
            assert result["content"][0]["text"].startswith("server_unreachable: ")

    killer = threading.Thread(target=kill)
    killer.start()
    written: list[Any] = []
    sessions: list[Any] = []
    try:
        while kills < 12:
            number = len(written)
            sessions.append(done("session_start", task=f"task {number}"))
            written += [done("memory_write", kind="finding", title=f"{number} {one}", body="text") for one in range(8)]
            done("session_end", outcome="partial")
    finally:
        over.set()
        killer.join()
    with live.house.store.read() as unit:
        there = [one.id for one in unit.records.written_from(0) if one.author == "researcher"]
        entries = [logged.entry for logged in unit.log.entries()]
        kinds = [entry.payload_type for entry in entries]
    assert sorted(there) == sorted(one["id"] for one in written)
    assert {one["status"] for one in written} == {"stored"}
    assert sum(kind.endswith("session.started.v1+json") for kind in kinds) == len(sessions)
    assert sum(kind.endswith("session.ended.v1+json") for kind in kinds) == len(sessions)
    assert {str(entry.signature) for entry in entries} == {"valid"}
    assert log.audit(live.house.store)["ok"]
