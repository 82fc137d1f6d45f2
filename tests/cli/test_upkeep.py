"""Audit, checkpoints, proofs, diagnosis, erasure: what each finds, and the status it ends with."""

import fcntl
import json
import os
import shutil
import sqlite3
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from memstore import insight, surroundings, tokens
from memstore.config import DATABASE, open_house

WRITE = ("write", "--agent", "worker", "--kind", "finding", "--title", "Use SQLite", "--body", "some secret words")


def change(folder: Path, statement: str) -> None:
    """Change a store as no memstore does."""
    conn = sqlite3.connect(folder / DATABASE)
    with conn:
        conn.execute(statement)
    conn.close()


def test_a_sound_log_verifies_also_against_an_older_checkpoint(cli, tmp_path):
    note = cli("log", "checkpoint")
    (tmp_path / "as json").write_text(note.stdout, "utf-8")
    (tmp_path / "as note").write_text(note.answer["checkpoint"], "utf-8")
    cli(*WRITE)
    for against in ("as json", "as note"):
        verified = cli("log", "verify", "--against", str(tmp_path / against)).answer
        assert (verified["ok"], verified["problems"]) == (True, [])


def test_a_changed_log_does_not_verify_and_is_not_opened(cli, folder):
    cli(*WRITE)
    change(folder, "UPDATE entries SET payload = CAST(replace(payload, 'worker', 'w0rker') AS BLOB) WHERE seq = 4")
    ended = cli("log", "verify")
    assert ended.status == 6
    assert "bad_leaf" in {problem["code"] for problem in json.loads(ended.stdout)["problems"]}
    assert cli("stats").code == "tampered"
    assert cli("stats").status == 6


def test_a_log_that_was_rolled_back_does_not_verify_against_a_later_checkpoint(cli, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "before")
    cli(*WRITE)
    (tmp_path / "later").write_text(cli("log", "checkpoint").stdout, "utf-8")
    ended = cli("log", "verify", "--against", str(tmp_path / "later"), store=tmp_path / "before")
    assert ended.status == 6
    assert [problem["code"] for problem in json.loads(ended.stdout)["problems"]] == ["rolled_back"]


def test_a_file_that_is_no_checkpoint_is_refused(cli, tmp_path):
    (tmp_path / "other").write_text("[]")
    assert cli("log", "verify", "--against", str(tmp_path / "other")).status == 6
    assert cli("log", "verify", "--against", str(tmp_path / "none")).code == "no_file"


def test_a_record_is_proved_and_an_unknown_one_is_not(cli):
    written = cli(*WRITE).answer
    proof = cli("log", "prove", written["id"]).answer
    assert (proof["id"], proof["index"]) == (written["id"], written["seq"])
    assert cli("log", "prove", "m-" + "a" * 26).status == 3


def test_erased_words_are_nowhere_in_the_store_and_the_log_verifies(cli, folder):
    written = cli(*WRITE).answer
    assert cli("erase", written["id"]).answer["status"] == "erased"
    assert cli("get", written["id"], "--agent", "worker").answer["missing"] == [written["id"]]
    assert cli("log", "verify").answer["ok"]
    assert all(b"secret" not in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert cli("stats").answer["erased"] == 1


def test_rebuilding_mends_a_projection(cli, folder):
    cli(*WRITE)
    change(folder, "DELETE FROM tags")
    change(folder, "UPDATE records SET task = 'another'")
    assert cli("log", "verify").status == 6
    assert cli("rebuild").answer["ok"]
    assert cli("log", "verify").answer["ok"]


def test_stats_count_what_is_there(cli):
    cli(*WRITE)
    cli("observe", "--agent", "worker", "--source", "https://x.example/", "--content", "c")
    cli("session", "start", "--agent", "worker", "--task", "t")
    counted = cli("stats").answer
    assert counted["records"] == {
        "total": 2,
        "by_kind": {"external": 1, "finding": 1},
        "by_label": {"attributed": 1, "untrusted": 1},
        "by_status": {"in_force": 2},
    }
    assert (counted["quarantined_share"], counted["tainted_contexts"], counted["open_sessions"]) == (0.5, 1, 1)
    assert (counted["pending_vectors"], counted["reviews_waiting"]) == (2, 1)
    assert (counted["tainted_share"], counted["admitted"], counted["reviews"]) == (0.5, 0, 0)
    assert counted["bytes_on_disk"] > 0
    assert counted["disclosures"] == 1


def test_a_sound_store_is_well(cli):
    cli(*WRITE)
    found = cli("doctor").answer
    assert found["ok"]
    assert all(check["ok"] and not check["next"] for check in found["checks"])


Usage = namedtuple("Usage", "total used free")


def flip_frontier(folder: Path, _: pytest.MonkeyPatch) -> None:
    change(folder, "UPDATE store SET frontier = zeroblob(length(frontier))")


def exchange_keys(folder: Path, _: pytest.MonkeyPatch) -> None:
    shutil.copy2(folder / "keys" / "planner.key", folder / "keys" / "worker.key")


def fill_disk(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage(1, 1, 0))


def damage_a_page(folder: Path, _: pytest.MonkeyPatch) -> None:
    conn = sqlite3.connect(folder / DATABASE)
    page = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'links_target'").fetchone()[0]
    size = conn.execute("PRAGMA page_size").fetchone()[0]
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()
    with (folder / DATABASE).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\x05" + b"\xff" * 100)


def damage_the_index(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "chroma").mkdir()
    (folder / "chroma" / "chroma.sqlite3").write_bytes(b"SQLite format 3\0" + b"\1" * 9000)


def make_a_short_token(folder: Path, _: pytest.MonkeyPatch) -> None:
    house = open_house(folder)
    tokens.make(house, "planner", ttl="60d")
    tokens.make(house, "planner", ttl="1d")
    tokens.make(house, "worker", ttl="1d")
    house.store.close()


Harm = Callable[[Path, pytest.MonkeyPatch], object]
HARM: dict[str, Harm] = {
    "store": lambda folder, _: (folder / DATABASE).rename(folder / "elsewhere"),
    "database": damage_a_page,
    "log": flip_frontier,
    "keys_without_principals": lambda folder, _: shutil.copy2(
        folder / "keys" / "worker.key", folder / "keys" / "stranger.key"
    ),
    "principals_without_keys": lambda folder, _: (folder / "keys" / "operator.key").unlink(),
    "tokens": make_a_short_token,
    "key_contents": exchange_keys,
    "clock": lambda folder, _: change(folder, "UPDATE store SET clock_floor = clock_floor + 1000000000000"),
    "write_ahead_log": lambda _, monkeypatch: monkeypatch.setattr(insight, "MOST_WAL_BYTES", -1),
    "full_text": lambda folder, _: change(
        folder, "INSERT INTO words_attributed (words_attributed) VALUES ('delete-all')"
    ),
    "vectors": lambda _, monkeypatch: monkeypatch.setenv("MEMSTORE_MODEL", "no-such-model"),
    "key_modes": lambda folder, _: (folder / "keys" / "worker.key").chmod(0o604),
    "gitignore": lambda folder, _: (folder / ".gitignore").unlink(),
    "free_disk": fill_disk,
    "backup": lambda _, monkeypatch: monkeypatch.setattr(surroundings, "OLDEST_BACKUP", 0),
    "folder": lambda _, monkeypatch: monkeypatch.setattr("os.access", lambda *_: False),
    "leftovers": lambda folder, _: (folder / "copy-left").mkdir(),
    "queue_lock": lambda _, monkeypatch: monkeypatch.setattr(surroundings, "holder_of", lambda _: (77, "T")),
    "index": damage_the_index,
}


@pytest.mark.parametrize("name", HARM)
def test_the_doctor_names_what_is_wrong_and_what_to_do(cli, folder, monkeypatch, name):
    cli(*WRITE)
    HARM[name](folder, monkeypatch)
    ended = cli("doctor")
    assert ended.status == 1
    wrong = {check["name"]: check for check in json.loads(ended.stdout)["checks"] if not check["ok"]}
    assert list(wrong) == [name]
    assert wrong[name]["what"]
    assert wrong[name]["next"]


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        (lambda folder: ((folder / DATABASE).chmod(0o644), folder.chmod(0o711)), "folder"),
        (lambda folder: (folder / "keys" / "worker.key").write_bytes(b"torn"), "key_contents"),
        (lambda folder: os.truncate(folder / DATABASE, 20_000), "store"),
        (lambda folder: (folder / "keys" / "@store.key").unlink(), "store"),
    ],
)
def test_what_the_doctor_advises_helps(cli, folder, harm, name):
    harm(folder)
    [wrong] = [check for check in json.loads(cli("doctor").stdout)["checks"] if not check["ok"]]
    assert wrong["name"] == name
    assert "doctor" not in wrong["next"]
    assert "agent add" not in wrong["next"]


def test_a_store_made_in_a_folder_that_was_there_is_its_owner_s_alone(cli, tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    cli("init", "--unprotected-key", store=tmp_path / "open")
    assert (tmp_path / "open" / DATABASE).stat().st_mode & 0o077 == 0
    assert cli("doctor", store=tmp_path / "open").status == 0


def test_every_check_of_the_doctor_has_been_seen_to_fail(cli):
    assert {check["name"] for check in cli("doctor").answer["checks"]} == set(HARM)


def test_the_doctor_of_no_store_says_so(cli, tmp_path):
    ended = cli("doctor", store=tmp_path / "nowhere")
    assert ended.status == 1
    assert [check["name"] for check in json.loads(ended.stdout)["checks"]] == ["store"]


def test_the_doctor_changes_nothing(cli, folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.suffix in (".key", ".db")}
    cli("doctor")
    assert before == {path: path.read_bytes() for path in before}


def test_a_key_that_lies_beside_a_bridge_is_no_fault(cli, folder):
    os.unlink(folder / "keys" / "worker.key")
    ended = cli("doctor")
    assert ended.status == 0
    assert "worker" in ended.stdout


def test_an_agent_with_another_token_for_long_is_not_told_of_one_that_ends(cli, folder, monkeypatch):
    make_a_short_token(folder, monkeypatch)
    told = {check["name"]: check["what"] for check in json.loads(cli("doctor").stdout)["checks"]}
    assert "worker" in told["tokens"]
    assert "planner" not in told["tokens"]
    assert cli("stats").answer["tokens"] == {"stands": 3}


def test_a_principal_whose_key_was_withdrawn_needs_no_key_file(cli, folder):
    cli("agent", "retire", "worker")
    os.unlink(folder / "keys" / "worker.key")
    assert cli("doctor").status == 0


def test_an_erasure_leaves_nothing_in_an_index_of_vectors(cli, folder):
    written = cli(*WRITE).answer["id"]
    (folder / "chroma" / "of-a-collection").mkdir(parents=True)
    (folder / "chroma" / "chroma.sqlite3").write_bytes(b"vectors")
    assert cli("erase", written).answer["cleared"]
    assert [path.name for path in (folder / "chroma").iterdir()] == ["lock"]


def test_an_erasure_says_so_where_a_process_keeps_an_index_open(cli, folder):
    written = cli(*WRITE).answer["id"]
    (folder / "chroma").mkdir()
    (folder / "chroma" / "kept").write_bytes(b"vectors")
    with (folder / "chroma" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        told = cli("erase", written).answer
    assert (told["status"], told["cleared"]) == ("erased", False)
    assert "index of vectors" in told["note"]
    assert (folder / "chroma" / "kept").exists()
