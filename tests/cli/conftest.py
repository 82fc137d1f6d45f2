"""Stores to run the command line on, and three ways to run it: in this process, as a process, on a terminal."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from memstore import admin
from memstore.cli.root import root
from memstore.config import init_store, open_house
from memstore.core.statements import Role

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """What a run of the command line left behind."""

    status: int
    stdout: str
    stderr: str = ""

    @property
    def answer(self) -> Any:
        assert self.status == 0, self.stderr
        return json.loads(self.stdout)

    @property
    def code(self) -> str:
        """The code that the line on stderr begins with."""
        return self.stderr.partition(":")[0]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a lead, a worker under it, and a tool; its path has a space and letters beyond ASCII."""
    folder = tmp_path_factory.mktemp("cli") / "my störe 記憶"
    init_store(folder)
    house = open_house(folder)
    admin.add_agent(house, "planner", role=Role.LEAD, scopes=("main", "side"))
    admin.add_agent(house, "worker", under="planner")
    admin.add_tool(house, "weather*", max_ttl=100)
    house.store.close()
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / template.name))


Cli = Callable[..., Ended]


@pytest.fixture
def cli(folder: Path) -> Cli:
    """Run a command on the store, in this process."""

    def run(*arguments: str, stdin: str | bytes | None = None, store: Path | None = None) -> Ended:
        found = CliRunner().invoke(root, arguments, input=stdin, env={"MEMSTORE_STORE": str(store or folder)})
        assert not isinstance(found.exception, Exception), found.exception
        return Ended(found.exit_code, found.stdout, found.stderr)

    return run


def environment(store: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "MEMSTORE_STORE": str(store), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "memstore", *arguments]


Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn(folder: Path) -> Spawn:
    """Start a command on the store, or another program with `program`, as a process of its own."""

    def start(*arguments: str, program: list[str] | None = None, **settings: Any) -> "subprocess.Popen[bytes]":
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
        return subprocess.Popen(program or command(*arguments), env=environment(folder), **streams)

    return start


@pytest.fixture
def shell(folder: Path) -> Cli:
    """Run a command on the store, as a process of its own."""

    def run(*arguments: str, store: Path | None = None, **settings: Any) -> Ended:
        settings.setdefault("stdin", subprocess.DEVNULL)
        found = subprocess.run(
            command(*arguments),
            env=environment(store or folder),
            capture_output=True,
            timeout=30,
            check=False,
            **settings,
        )
        return Ended(found.returncode, found.stdout.decode(), found.stderr.decode())

    return run


# Makes its stdin, a pseudo-terminal, the one that /dev/tty names, as it is for a person.
ON_A_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.fixture
def terminal(folder: Path) -> Cli:
    """Run a command on a pseudo-terminal; `typed` answers its prompts, one after another."""

    def run(*arguments: str, typed: tuple[str, ...] = (), store: Path | None = None) -> Ended:
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, *command(*arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment(store or folder), "TERM": "xterm"},
            start_new_session=True,
        )
        os.close(slave)
        shown, answers = b"", list(typed)
        while chunk := _read(master):
            shown += chunk
            if answers and shown.endswith(b": "):
                os.write(master, answers.pop(0).encode() + b"\n")
        os.close(master)
        return Ended(process.wait(timeout=30), shown.decode().replace("\r\n", "\n"))

    return run


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # Linux says so when the other side is gone
        return b""
