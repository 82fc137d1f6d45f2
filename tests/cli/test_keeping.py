"""Backup, restore, quotas, retention, and the log as a file, from the command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from memstore import surroundings
from memstore.config import DATABASE

WRITE = ("write", "--agent", "worker", "--kind", "finding", "--title", "Use SQLite", "--body", "b")


def test_a_store_is_backed_up_and_restored(cli, tmp_path):
    written = cli(*WRITE).answer["id"]
    before = cli("log", "checkpoint").answer["checkpoint"]
    told = cli("backup", str(tmp_path / "b"), "--verify").answer
    assert (told["keys"], told["epoch"]) == (4, 0)
    cli("write", "--agent", "worker", "--kind", "question", "--title", "lost")
    (tmp_path / "after").write_text(cli("log", "checkpoint").stdout, "utf-8")
    (tmp_path / "before").write_text(before, "utf-8")
    place = tmp_path / "restored"
    done = cli("restore", str(tmp_path / "b"), "--store", str(place)).answer
    assert (done["store_id"], done["epoch"]) == (told["store_id"], 1)
    assert cli("get", written, "--agent", "worker", store=place).answer["records"][0]["title"] == "Use SQLite"
    assert cli(*WRITE, "--key", "k", store=place).answer["status"] == "stored"
    assert cli("log", "verify", "--against", str(tmp_path / "before"), store=place).answer["ok"]
    lost = cli("log", "verify", "--against", str(tmp_path / "after"), store=place)
    assert (lost.status, json.loads(lost.stdout)["problems"][0]["code"]) == (6, "restored")
    assert cli("doctor", store=place).answer["ok"]


def test_the_place_to_restore_to_is_named_as_for_every_command(cli, tmp_path):
    cli("backup", str(tmp_path / "b"))
    assert cli("restore", str(tmp_path / "b"), store=tmp_path / "by environment").answer["epoch"] == 1
    assert (tmp_path / "by environment" / DATABASE).is_file()
    taken = cli("restore", str(tmp_path / "b"), store=tmp_path / "by environment")
    assert (taken.code, taken.status) == ("store_exists", 7)


def test_keys_are_kept_apart_where_that_is_asked(cli, folder, tmp_path):
    assert cli("backup", str(tmp_path / "b"), "--without-keys").answer["keys"] == 0
    assert cli("restore", str(tmp_path / "b"), store=tmp_path / "r").code == "no_key"
    done = cli("restore", str(tmp_path / "b"), "--keys", str(folder / "keys"), "--no-verify", store=tmp_path / "r")
    assert done.answer["epoch"] == 1


def test_restoring_what_is_no_backup_says_so(cli, tmp_path):
    for place in (tmp_path, tmp_path / "none", tmp_path / "none" / "deeper"):
        assert cli("restore", str(place), store=tmp_path / "r").code == "not_a_backup"
    assert not (tmp_path / "r").exists()


def test_a_passphrase_is_asked_for_where_the_operator_s_key_has_one(terminal, cli, tmp_path):
    made = terminal("init", store=tmp_path / "s", typed=("correct horse", "correct horse"))
    assert made.status == 0, made.stdout
    assert cli("backup", str(tmp_path / "b"), store=tmp_path / "s").status == 0
    piped = cli("restore", str(tmp_path / "b"), store=tmp_path / "r")
    assert piped.code == "key_locked"
    assert not (tmp_path / "r").exists()
    done = terminal("restore", str(tmp_path / "b"), store=tmp_path / "r", typed=("correct horse",))
    assert done.status == 0, done.stdout
    assert (tmp_path / "r" / DATABASE).is_file()


def test_a_copy_of_a_log_is_looked_at_and_never_written(cli, folder, tmp_path):
    cli("agent", "add", "person", "--role", "human", "--unprotected-key")
    written = cli(*WRITE).answer["id"]
    told = cli("export", "log", str(tmp_path / "log")).answer
    place = tmp_path / "copy"
    done = cli("import", "log", str(tmp_path / "log"), store=place).answer
    assert (done["store_id"], done["entries"]) == (told["store_id"], told["entries"])
    assert cli("log", "verify", store=place).answer["root"] == cli("log", "verify").answer["root"]
    assert cli("log", "checkpoint", store=place).answer == cli("log", "checkpoint").answer
    assert cli("log", "prove", written, store=place).answer["id"] == written
    assert cli("stats", store=place).answer["records"] == cli("stats").answer["records"]
    found = cli("search", "SQLite", "--agent", "person", "--min-trust", "attributed", store=place).answer
    assert found["attributed"]["hits"][0]["id"] == written
    assert cli("history", "--agent", "person", store=place).answer["events"]
    assert cli("why", written, "--agent", "person", store=place).answer["record"]["id"] == written
    assert "--agent" in cli("why", written, store=place).stderr
    assert cli("doctor", store=place).answer["ok"]
    for refused in (
        cli(*WRITE, store=place),
        cli("search", "SQLite", "--agent", "worker", store=place),
        cli("write", "--agent", "person", "--kind", "question", "--title", "q", store=place),
        cli("erase", written, store=place),
        cli("rebuild", store=place),
        cli("backup", str(tmp_path / "b"), store=place),
        cli("export", "log", str(tmp_path / "again"), store=place),
        cli("quota", "set", "worker", "--records-per-day", "1", store=place),
    ):
        assert refused.code == "read_only_copy", refused.stdout
    cli("write", "--agent", "worker", "--kind", "question", "--title", "later")
    more = cli("export", "log", str(tmp_path / "more"), "--since", str(told["last_seq"])).answer
    assert cli("import", "log", str(tmp_path / "more"), store=place).answer["added"] == more["entries"] == 1


def test_a_file_that_was_changed_is_refused_with_the_line(cli, tmp_path):
    cli("export", "log", str(tmp_path / "log"))
    lines = (tmp_path / "log").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "log").write_text("".join([*lines[:2], "{}\n", *lines[2:]]), "utf-8")
    ended = cli("import", "log", str(tmp_path / "log"), store=tmp_path / "copy")
    assert (ended.status, ended.code) == (6, "bad_file")
    assert "Line 3" in ended.stderr


def test_a_quota_is_set_shown_and_held(cli):
    assert cli("quota", "set", "worker", "--records-per-day", "1").answer["records_per_day"] == 1
    cli(*WRITE)
    ended = cli("write", "--agent", "worker", "--kind", "question", "--title", "q")
    assert (ended.status, ended.code) == (5, "quota_exceeded")
    assert "quota set" in ended.stderr
    (told,) = cli("quota", "list").answer["quotas"]
    assert told["used"]["records"] == 1
    assert cli("quota", "set", "worker").answer["records_per_day"] == 0
    assert cli("write", "--agent", "worker", "--kind", "question", "--title", "q").status == 0
    assert cli("quota", "set", "nobody", "--records-per-day", "1").code == "unknown_principal"


def test_retention_says_what_it_would_do_and_does_it(cli, folder):
    cli("observe", "--agent", "worker", "--source", "https://x.example/", "--content", "a page to be forgotten")
    looked = cli("retention", "run", "--days", "1", "--dry-run").answer
    assert (looked["would_erase"], looked["kept_for_citations"]) == (0, 0)
    assert cli("retention", "run", "--days", "1").answer["erased"] == 0
    assert cli("retention", "run", "--days", "0").status == 2


def test_the_doctor_knows_of_the_last_backup(cli, tmp_path, monkeypatch):
    def told() -> str:
        checks = json.loads(cli("doctor").stdout)["checks"]
        return str(next(check["what"] for check in checks if check["name"] == "backup"))

    assert "No backup" in told()
    cli("backup", str(tmp_path / "b"))
    assert "0 days old" in told()
    monkeypatch.setattr(surroundings, "OLDEST_BACKUP", 0)
    assert cli("doctor").status == 1


def test_the_doctor_names_a_stopped_process_that_holds_the_queue(cli, folder):
    script = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True);"
        " sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(folder / "vectors.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"1\n"
        found = {check["name"]: check for check in cli("doctor").answer["checks"]}
        assert str(holder.pid) in found["queue_lock"]["what"]
        os.kill(holder.pid, signal.SIGSTOP)
        os.waitpid(holder.pid, os.WUNTRACED)
        wrong = [check for check in json.loads(cli("doctor").stdout)["checks"] if not check["ok"]]
        assert [check["name"] for check in wrong] == ["queue_lock"]
        assert f"kill -CONT {holder.pid}" in wrong[0]["next"]
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("command", [("backup",), ("export", "log")])
def test_progress_shows_on_a_terminal_and_is_gone_after(terminal, cli, tmp_path, command):
    cli(*WRITE)
    ended = terminal(*command, str(tmp_path / "out"))
    assert ended.status == 0
    assert "100 %" in ended.stdout


def test_what_an_interrupted_backup_left_is_removed_by_the_next(cli, tmp_path: Path):
    left = tmp_path / ".b[1].part-0badcafe"
    left.mkdir()
    (left / "backup.db").write_bytes(b"half")
    cli("backup", str(tmp_path / "b[1]"))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith((".b", "b"))) == ["b[1]"]
