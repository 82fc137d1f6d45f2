"""Files and folders that a store cannot be in, and disks that give out: a clear refusal, nothing broken (issue 2)."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from simulator import Clock, Fleet

from memstore import log
from memstore.config import DATABASE, init_store, open_house, open_store
from memstore.core.statements import OPERATOR_NAME
from memstore.errors import MemStoreError, StoreUnavailable
from memstore.stores.sqlite import APPLICATION_ID, SCHEMA_VERSION, SqliteUnit

ROOT = Path(__file__).resolve().parents[2]


def refusal(folder: Path) -> MemStoreError:
    with pytest.raises(MemStoreError) as refused:
        open_store(folder, agent="ada", clock=Clock())
    return refused.value


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A store that nothing holds open."""
    shutil.copytree(made, tmp_path / "store")
    return tmp_path / "store"


def test_where_there_is_no_store_the_caller_is_told_how_to_make_one(tmp_path):
    for place in (tmp_path, tmp_path / "none", tmp_path / "none" / "deeper"):
        error = refusal(place)
        assert error.code == "no_store"
        assert "memstore init" in error.next_call
    assert not (tmp_path / "none").exists()


def test_a_database_of_another_program_is_refused_and_left_as_it_was(folder):
    path = folder / DATABASE
    path.unlink()
    conn = sqlite3.connect(path)
    conn.execute("CREATE TABLE recipes (name TEXT)")
    conn.commit()
    conn.close()
    before = path.read_bytes()
    assert refusal(folder).code == "not_a_store"
    assert path.read_bytes() == before


def test_an_empty_file_is_no_store(folder):
    (folder / DATABASE).write_bytes(b"")
    assert refusal(folder).code == "not_a_store"
    assert (folder / DATABASE).read_bytes() == b""


@pytest.mark.parametrize(
    "content", [b"garbage" * 2000, b"\0" * 8192, os.urandom(20_000), b"{}", b"SQLite format 3\0" + b"\1" * 9000]
)
def test_a_garbage_file_is_refused_and_left_as_it_was(folder, content):
    (folder / DATABASE).write_bytes(content)
    assert refusal(folder).code in ("damaged", "not_a_store")
    assert (folder / DATABASE).read_bytes() == content


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused_in_our_words(folder, share):
    path = folder / DATABASE
    whole = path.read_bytes()
    for cut in (int(len(whole) * share), int(len(whole) * share) // 4096 * 4096):
        path.write_bytes(whole[:cut])
        assert refusal(folder).code in ("damaged", "tampered", "not_a_store")


def test_a_store_of_a_newer_version_is_refused(folder):
    conn = sqlite3.connect(folder / DATABASE)
    conn.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    conn.close()
    error = refusal(folder)
    assert (error.code, error.next_call) == ("newer_store", "Upgrade memstore.")


def test_a_crash_between_migration_steps_is_made_good_by_the_next_open(folder):
    conn = sqlite3.connect(folder / DATABASE)
    conn.execute("PRAGMA user_version = 0")
    conn.close()
    with open_store(folder, agent="ada", clock=Clock()) as ada:
        assert ada.write("question", "q")["status"] == "stored"
    conn = sqlite3.connect(folder / DATABASE)
    assert conn.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert conn.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    conn.close()
    with Fleet(folder) as fleet:
        fleet.assert_sound()


def test_a_store_of_another_key_is_refused(folder, tmp_path):
    init_store(tmp_path / "other", clock=Clock())
    shutil.copy(tmp_path / "other" / "keys" / "@store.key", folder / "keys" / "@store.key")
    assert refusal(folder).code == "wrong_key"


@pytest.mark.parametrize("name", ["with space", "ünïcödé 日本 🜛", "quote'and\"double", "percent%20?mode=ro#x", "-rf"])
def test_a_path_with_spaces_and_letters_of_any_script_works(tmp_path, name):
    with Fleet(tmp_path / name / "store") as fleet:
        ada = fleet.agent("ada")
        kept = ada.write("question", "q")["id"]
        assert ada.get([kept])["records"][0]["title"] == "q"
        fleet.assert_sound()
        assert log.rebuild(fleet.house.store)["ok"]
        assert (tmp_path / name / "store" / DATABASE).is_file()


def test_init_refuses_a_folder_that_has_a_store_and_leaves_its_keys(folder):
    keys = {path: path.read_bytes() for path in (folder / "keys").iterdir()}
    with pytest.raises(StoreUnavailable) as refused:
        init_store(folder)
    assert refused.value.code == "store_exists"
    assert {path: path.read_bytes() for path in (folder / "keys").iterdir()} == keys


def test_init_does_not_replace_the_keys_of_a_store_whose_database_is_elsewhere(folder):
    (folder / DATABASE).rename(folder / "moved.db")
    keys = {path: path.read_bytes() for path in (folder / "keys").iterdir()}
    with pytest.raises(MemStoreError):
        init_store(folder)
    assert {path: path.read_bytes() for path in (folder / "keys").iterdir()} == keys


def test_init_keeps_keys_out_of_git_and_away_from_others(tmp_path):
    init_store(tmp_path / "store", clock=Clock())
    assert (tmp_path / "store" / ".gitignore").read_text().splitlines()[-1] == "*"
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0
    for path in (tmp_path / "store" / "keys").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path.name
    assert (tmp_path / "store" / "keys").stat().st_mode & 0o077 == 0


def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreUnavailable) as refused:
            init_store(place)
        assert refused.value.code == "read_only"


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )


# Permissions do not bind the superuser: once all is imported, this becomes somebody else.
READ_ONLY = """
import os, sys
from memstore.config import init_store, open_store
from memstore.errors import MemStoreError
from memstore.stores import migrations
"canonical JSON sorts by".encode("utf-16be")
if sys.argv[2]:
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
place = sys.argv[1]
for call in (lambda: open_store(place, agent="ada").write("question", "q"), lambda: init_store(place + "/inside")):
    try:
        call()
        print("done")
    except MemStoreError as error:
        print(error.code)
"""


@pytest.fixture
def theirs(folder) -> Iterator[tuple[Path, str]]:
    """A store that belongs to a user who is not the superuser, in a place that this user can reach; and that user."""
    user = 65534 if os.geteuid() == 0 else 0
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        shutil.copytree(folder, Path(place) / "store")
        if user:
            for path in (Path(place) / "store", *(Path(place) / "store").rglob("*")):
                os.chown(path, user, user)
        yield Path(place) / "store", str(user or "")
        (Path(place) / "store").chmod(0o700)


@pytest.mark.parametrize(
    ("sealed", "mode", "codes"),
    [
        (".", 0o500, ["read_only", "read_only"]),
        (".", 0, ["read_only", "read_only"]),
        (DATABASE, 0o400, ["read_only", "done"]),
        (DATABASE, 0, ["read_only", "done"]),
        ("keys/ada.key", 0, ["no_key", "done"]),
        ("keys", 0, ["no_key", "done"]),
    ],
)
def test_a_place_that_cannot_be_read_or_written_is_refused_in_our_words(theirs, sealed, mode, codes):
    place, user = theirs
    (place / sealed).chmod(mode)
    done = run(READ_ONLY, str(place), user)
    assert done.stderr == ""
    assert done.stdout.split() == codes


DISK_FULL = """
import resource, signal, sys
from memstore.config import open_store
from memstore.errors import MemStoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open_store(sys.argv[1], agent="ada") as m:
    m.write("question", "before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    stored, refused = [], []
    for n in range(60):
        try:
            stored.append(m.write("finding", f"alpha {n}", "x" * 60_000)["id"])
        except MemStoreError as error:
            refused.append(error.code)
    found = m.search("", limit=1)["attributed"]["count"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    after = m.write("question", "after")["status"]
    print(len(stored), len(refused), sorted(set(refused)), found, after)
"""


def test_a_full_disk_refuses_writes_and_the_store_is_whole_and_usable_after(folder):
    with Fleet(folder) as fleet:
        size = fleet.size()
    done = run(DISK_FULL, str(folder), "1500000")
    assert done.stderr == ""
    stored, refused, rest = done.stdout.split(maxsplit=2)
    assert int(refused) > 0
    assert rest.strip() == f"['disk_full'] {int(stored) + 1} stored"
    with Fleet(folder) as fleet:
        assert fleet.size() == size + 2 + int(stored)
        fleet.assert_sound()


def test_a_database_that_may_not_grow_says_that_the_disk_is_full(folder):
    with Fleet(folder) as fleet:
        ada = fleet.fresh("ada")
        with fleet.house.store.read() as unit:
            assert isinstance(unit, SqliteUnit)
            pages = unit.conn.execute("PRAGMA page_count").fetchone()[0]
        store = ada._store
        with store.read() as unit:
            assert isinstance(unit, SqliteUnit)
            unit.conn.execute(f"PRAGMA max_page_count = {pages + 3}")
        size = fleet.size()
        with pytest.raises(StoreUnavailable) as refused:
            ada.write("finding", "F", "x" * 60_000)
        assert refused.value.code == "disk_full"
        assert fleet.size() == size
        assert ada.search("")["attributed"]["count"] == 0
        with store.read() as unit:
            assert isinstance(unit, SqliteUnit)
            unit.conn.execute("PRAGMA max_page_count = 1000000")
        assert ada.write("finding", "F", "x" * 60_000)["status"] == "stored"
        fleet.assert_sound()


def test_a_locked_database_is_busy_after_its_time_and_not_before(folder, monkeypatch):
    monkeypatch.setattr("memstore.stores.sqlite.BUSY_SECONDS", 0.05)
    with Fleet(folder) as fleet:
        ada = fleet.fresh("ada")
        other = sqlite3.connect(folder / DATABASE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable) as refused:
            ada.write("question", "q")
        assert (refused.value.code, refused.value.exit_status) == ("busy", 7)
        assert ada.search("")["mark"] == "trusted"
        other.execute("ROLLBACK")
        other.close()
        assert ada.write("question", "q")["status"] == "stored"


def test_the_operator_s_key_with_a_passphrase_is_asked_for_and_never_taken_from_a_pipe(tmp_path):
    init_store(tmp_path / "store", passphrase="correct horse", clock=Clock())
    house = open_house(tmp_path / "store", clock=Clock())
    try:
        with pytest.raises(MemStoreError) as refused:
            house.operator()
        assert refused.value.code == "key_locked"
        assert house.keyring.load(OPERATOR_NAME, lambda _: "correct horse").name == OPERATOR_NAME
        with pytest.raises(MemStoreError) as wrong:
            house.keyring.load(OPERATOR_NAME, lambda _: "wrong horse")
        assert wrong.value.code == "key_locked"
    finally:
        house.store.close()
