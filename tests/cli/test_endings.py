"""How the command line ends: the status of each kind of failure, and nothing but one line about it."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memstore.cli import setting_up
from memstore.config import DATABASE

NOBODY = 65534
WRITE = ("write", "--agent", "worker", "--kind", "finding", "--body", "b", "--title")


def test_a_defect_of_ours_ends_with_70_and_says_where_but_not_what(cli, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a secret value")

    monkeypatch.setattr(setting_up, "opened_house", broken)
    ended = cli("agent", "list")
    assert (ended.status, ended.code, ended.stdout) == (70, "internal", "")
    assert "KeyError at memstore.cli.setting_up:" in ended.stderr
    assert "secret" not in ended.stderr
    assert len(ended.stderr.strip().split("\n")) == 1


def test_an_error_of_the_system_ends_with_7(cli, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/a/secret/path")

    monkeypatch.setattr(setting_up, "opened_house", broken)
    ended = cli("agent", "list")
    assert (ended.status, ended.code) == (7, "read_only")
    assert "secret" not in ended.stderr


def other_program(folder: Path) -> None:
    (folder / DATABASE).unlink()
    conn = sqlite3.connect(folder / DATABASE)
    conn.execute("CREATE TABLE entries (x)")
    conn.close()


def newer(folder: Path) -> None:
    conn = sqlite3.connect(folder / DATABASE)
    conn.execute("PRAGMA user_version = 999")
    conn.close()


CANNOT_OPEN: dict[str, Callable[[Path], object]] = {
    "no_store": lambda folder: (folder / DATABASE).unlink(),
    "not_a_store": other_program,
    "newer_store": newer,
    "damaged": lambda folder: (folder / DATABASE).write_bytes(b"no database " * 1000),
}


@pytest.mark.parametrize("code", CANNOT_OPEN)
def test_what_cannot_be_opened_is_refused_and_left_as_it_is(cli, folder, code):
    CANNOT_OPEN[code](folder)
    before = sorted((path, path.stat().st_size) for path in folder.rglob("*"))
    for arguments in (("stats",), (*WRITE, "t"), ("log", "verify")):
        ended = cli(*arguments)
        assert (ended.status, ended.code, ended.stdout) == (7, code, "")
    assert sorted((path, path.stat().st_size) for path in folder.rglob("*")) == before


@pytest.fixture
def common_folder(template: Path) -> Iterator[Path]:
    """A store that another user may reach and read, where root runs the tests; else one of our own."""
    with tempfile.TemporaryDirectory() as parent:
        store = Path(shutil.copytree(template, Path(parent) / "store"))
        if os.getuid() == 0:
            for path in (Path(parent), store, *store.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        yield store


# Permissions count for nobody, not for root; all is imported first, for nobody may be unable to read the interpreter.
AS_NOBODY = f"""
import os
import memstore.cli, memstore.config, memstore.render, memstore.stores.migrations
from memstore.cli import setting_up, upkeep, verbs
if os.getuid() == 0:
    os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
memstore.cli.main()
"""


def as_nobody(spawn: Any, *arguments: str) -> tuple[int, str]:
    """The status and stderr of a command run without root's rights."""
    process = spawn(program=[sys.executable, "-c", AS_NOBODY, *arguments])
    _, told = process.communicate(timeout=30)
    return process.returncode, told.decode()


def test_a_folder_that_cannot_be_written_is_refused(spawn, common_folder):
    common_folder.chmod(0o500)
    (common_folder / DATABASE).chmod(0o400)
    for arguments in (
        ("--store", str(common_folder), *WRITE, "t"),
        ("init", "--unprotected-key", "--store", str(common_folder / "new")),
    ):
        status, told = as_nobody(spawn, *arguments)
        assert (status, told.partition(":")[0]) == (7, "read_only"), told
        assert len(told.strip().split("\n")) == 1
    common_folder.chmod(0o700)


def test_a_folder_that_cannot_be_entered_is_refused(spawn, common_folder):
    common_folder.chmod(0o000)
    status, told = as_nobody(spawn, "stats", "--store", str(common_folder))
    common_folder.chmod(0o700)
    assert (status, told.partition(":")[0]) == (7, "read_only"), told
    assert len(told.strip().split("\n")) == 1


def test_a_pipe_that_nobody_reads_is_silent(spawn, cli):
    for number in range(40):
        cli(*WRITE, f"number {number}", "--caveat", "x" * 2000)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        ended = spawn(
            "search", "number", "--agent", "worker", "--max-tokens", "100000", "--detail", "full", stdout=pipe
        )
    _, told = ended.communicate(timeout=30)
    assert (ended.returncode, told) == (1, b"")


def test_ctrl_c_ends_with_130(spawn):
    process = spawn("write", "--agent", "worker", "--json", "-", stdin=subprocess.PIPE)
    wait_until_it_reads(process.pid)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, told.strip()) == (130, b"")


def wait_until_it_reads(process: int) -> None:
    """Until the process sleeps in a read of its stdin, as the kernel tells."""
    state = Path(f"/proc/{process}/syscall")
    if not os.access(state, os.R_OK):
        pytest.skip("the kernel does not tell what a process waits for")
    for _ in range(2_000_000):
        if state.read_text().startswith("0 0x0 "):
            return
    pytest.fail("it never read its stdin")


def test_processes_write_at_once_and_everything_is_stored(spawn, cli):
    running = [spawn(*WRITE, f"from process {number}") for number in range(3)]
    for process in running:
        out, _ = process.communicate(timeout=30)
        assert (process.returncode, b'"stored"' in out) == (0, True)
    assert cli("search", "process", "--agent", "worker").answer["attributed"]["count"] == 3
    assert cli("log", "verify").answer["ok"]


def test_the_script_of_the_package_is_this_command_line(shell):
    from importlib import import_module

    assert callable(import_module("memstore.cli").main)
    assert shell("stats").answer["entries"] == 4
