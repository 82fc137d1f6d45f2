"""Sixteen clients on one HTTP server for a minute: no error, and it keeps no more at the end than at the beginning."""

import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from memstore import admin, tokens
from memstore.core.statements import Role

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = 16
SECONDS = 60
WARM = 15  # seconds in which caches fill and the allocator finds its size
STEEPEST = 30  # megabytes a minute, with the records that are written meanwhile
SLOWEST = 2_000  # milliseconds, on a machine that may have other things to do
PROTOCOL = "2025-11-25"


class Caller:
    """One client with a token and a connection of its own; each call is a request."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": PROTOCOL,
        }
        self.took: list[float] = []
        self.errors: list[str] = []

    def call(self, tool: str, **arguments: Any) -> Any:
        params = {"name": tool, "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": len(self.took) + 1, "method": "tools/call", "params": params}
        began = time.perf_counter()
        self._connection.request("POST", "/mcp", json.dumps(message), self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        self.took.append((time.perf_counter() - began) * 1000)
        result = json.loads(body).get("result", {}) if answer.status == 200 else {}
        if answer.status != 200 or "structuredContent" not in result:
            self.errors.append(f"{answer.status} {body[:300]!r}")
            return None
        return result["structuredContent"]

    def close(self) -> None:
        self._connection.close()


def work(caller: Caller, number: int, until: float) -> None:
    """Mostly reading, as agents do: of ten calls seven gets, two searches and a write."""
    chance = random.Random(number)
    own = [caller.call("memory_write", kind="finding", title=f"Of {number}", body="b" * 500)]
    while time.monotonic() < until and not caller.errors:
        match chance.randrange(10):
            case 0:
                title = f"Of {number}: {chance.randrange(10**9)}"
                own.append(caller.call("memory_write", kind="finding", title=title, body="b" * 500))
            case 1 | 2:
                caller.call("memory_search", query=f"Of {chance.randrange(CLIENTS)}", limit=5, min_trust="attributed")
            case _:
                caller.call("memory_get", ids=[chance.choice(own)["id"]])
    caller.close()


def megabytes(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text("ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def watched(process: int, done: threading.Event) -> list[tuple[float, float]]:
    """(seconds, megabytes), twice a second until `done`."""
    began, seen = time.monotonic(), []
    while not done.wait(0.5):
        seen.append((time.monotonic() - began, megabytes(process)))
    return seen


@pytest.mark.slow
def test_sixteen_clients_for_a_minute_meet_no_error_and_memory_stays_flat(live):
    names = [f"client-{number}" for number in range(CLIENTS)]
    for name in names:
        admin.add_agent(live.house, name, role=Role.WORKER, under="planner")
    made = [tokens.make(live.house, name, ttl="1h")["token"] for name in names]
    command = [sys.executable, "-m", "memstore", "serve", "--port", "0", "--store", str(live.folder)]
    process: Any
    with subprocess.Popen(
        command, stdout=-1, stderr=-1, cwd=ROOT, env={**os.environ, "MEMSTORE_MODEL": "none"}
    ) as process:
        try:
            port = int(json.loads(process.stdout.readline())["url"].rsplit(":", 1)[1].split("/")[0])
            callers = [Caller(port, token) for token in made]
            done = threading.Event()
            with ThreadPoolExecutor(CLIENTS + 1) as pool:
                watching = pool.submit(watched, process.pid, done)
                until = time.monotonic() + SECONDS
                working = [pool.submit(work, caller, number, until) for number, caller in enumerate(callers)]
                for one in working:
                    one.result()
                done.set()
                seen = [(at, size) for at, size in watching.result() if at > WARM]
        finally:
            process.terminate()
            stderr = process.stderr.read()
    assert [error for caller in callers for error in caller.errors] == []
    took = sorted(one for caller in callers for one in caller.took)
    slope = statistics.linear_regression([at for at, _ in seen], [size for _, size in seen]).slope * 60
    p99 = took[int(len(took) * 0.99)]
    rate = len(took) / SECONDS
    say = sys.stdout.write
    say(f"\n{len(took)} calls, {rate:.0f} a second; p50 {statistics.median(took):.1f} ms, p99 {p99:.1f} ms\n")
    say(f"{seen[0][1]:.0f} MB after {WARM} s, {seen[-1][1]:.0f} MB at the end: {slope:+.1f} MB a minute\n")
    assert slope < STEEPEST
    assert p99 < SLOWEST
    assert process.returncode == 0
    assert stderr == b""
