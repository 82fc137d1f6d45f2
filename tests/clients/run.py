"""`make test-clients`: each client in an environment of its own, on one store, over stdio and over HTTP.

A client that is not installed has failed: nothing is skipped. What a client's script printed last is shown; of one that
failed, all that it said.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memstore import admin, tokens
from memstore.config import init_store, open_house
from memstore.core.statements import Role

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CLIENTS = ROOT / ".clients"
NODE = CLIENTS / "node"
PATIENCE = 120
# What a server is started with; some clients pass nothing else on.
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "MEMSTORE_MODEL": "none"}


@dataclass(frozen=True)
class Subject:
    """A client: its name, its environment, and the script that uses it."""

    name: str
    environment: str
    script: str

    def command(self) -> list[str]:
        if self.script.endswith(".mjs"):
            return [str(NODE / "node_modules" / ".bin" / "node"), str(NODE / self.script)]
        return [str(CLIENTS / self.environment / "bin" / "python"), str(HERE / self.script)]


SUBJECTS = (
    Subject("fastmcp", "fastmcp", "with_fastmcp.py"),
    Subject("mcp 1", "mcp-1", "with_mcp_1.py"),
    Subject("mcp 2", "mcp-2", "with_mcp_2.py"),
    Subject("TypeScript SDK 1", "node", "with_ts_1.mjs"),
    Subject("TypeScript SDK 2", "node", "with_ts_2.mjs"),
    Subject("langchain-mcp-adapters", "langchain", "with_langchain.py"),
    Subject("openai-agents", "openai-agents", "with_openai_agents.py"),
    Subject("pydantic-ai", "pydantic-ai", "with_pydantic_ai.py"),
)


def furnished(folder: Path) -> None:
    init_store(folder)
    house = open_house(folder)
    admin.add_agent(house, "planner", role=Role.LEAD)
    for subject in SUBJECTS:
        admin.add_agent(house, agent_of(subject), under="planner")
    house.store.close()


def agent_of(subject: Subject) -> str:
    return Path(subject.script).stem.replace("_", "-")


@contextmanager
def served(folder: Path) -> Iterator[Callable[[Subject], dict[str, Any]]]:
    """An HTTP server over the store; gives each client the address and a token of its own."""
    command = [sys.executable, "-m", "memstore", "serve", "--port", "0", "--store", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **ENVIRONMENT}) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            house = open_house(folder)
            made = {subject: tokens.make(house, agent_of(subject), ttl="1h")["token"] for subject in SUBJECTS}
            house.store.close()
            yield lambda subject: {"command": ["none"], "url": url, "token": made[subject]}
        finally:
            server.terminate()


def over_stdio(subject: Subject, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "memstore", "mcp", "--agent", agent_of(subject), "--store", str(folder)]
    return {"command": command, "url": "", "token": ""}


def run(subject: Subject, transport: str, place: dict[str, Any]) -> bool:
    """Whether it did all that it should; says so on a line."""
    began = time.perf_counter()
    marker = f"{Path(subject.script).stem}{transport}".replace("_", "")
    told = json.dumps({**place, "marker": marker, "env": ENVIRONMENT})
    head = f"{subject.name:<24}{transport:<7}"
    try:
        done = subprocess.run(
            subject.command(), input=told, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=HERE
        )
    except FileNotFoundError:
        print(f"{head}NOT INSTALLED: run `make test-clients`, which installs it into .clients/{subject.environment}")
        return False
    except subprocess.TimeoutExpired:
        print(f"{head}HUNG for {PATIENCE} s")
        return False
    if done.returncode != 0:
        print(f"{head}FAILED with status {done.returncode}\n{done.stdout}{done.stderr}")
        return False
    print(f"{head}ok     {time.perf_counter() - began:5.1f} s  {'; '.join(done.stdout.splitlines())}", flush=True)
    return True


def main() -> int:
    for script in HERE.glob("*.mjs"):  # packages are looked for beside the script
        if NODE.is_dir():
            shutil.copy(script, NODE / script.name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "store"
        furnished(folder)
        passed = [run(subject, "stdio", over_stdio(subject, folder)) for subject in SUBJECTS]
        with served(folder) as place_of:
            passed += [run(subject, "http", place_of(subject)) for subject in SUBJECTS]
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
