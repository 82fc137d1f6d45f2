"""Making a store, registering and withdrawing principals: what is printed, what is on disk, what is refused."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from memstore.config import DATABASE


def test_init_prints_the_store_id_and_makes_database_keys_and_ignore_file(cli, tmp_path):
    made = cli("init", "--unprotected-key", store=tmp_path / "new").answer
    assert made == {"store_id": made["store_id"], "folder": str(tmp_path / "new")}
    assert cli("stats", store=tmp_path / "new").answer["store_id"] == made["store_id"]
    assert (tmp_path / "new" / DATABASE).is_file()
    assert stat.S_IMODE((tmp_path / "new" / "keys" / "operator.key").stat().st_mode) == 0o600


def test_init_without_a_terminal_refuses_and_tells_of_the_unprotected_key(cli, tmp_path):
    ended = cli("init", store=tmp_path / "new")
    assert (ended.status, ended.code) == (7, "no_terminal")
    assert "--unprotected-key" in ended.stderr
    assert not (tmp_path / "new").exists()


def test_init_does_not_touch_a_store_that_is_there(cli, folder):
    before = (folder / "keys" / "operator.key").read_bytes()
    ended = cli("init", "--unprotected-key")
    assert (ended.status, ended.code) == (7, "store_exists")
    assert (folder / "keys" / "operator.key").read_bytes() == before


def test_the_store_is_named_before_or_after_the_command_or_by_the_environment(cli, folder, tmp_path):
    nowhere = tmp_path / "nowhere"
    told = cli("stats").answer["store_id"]
    assert cli("stats", "--store", str(folder), store=nowhere).answer["store_id"] == told
    assert cli("--store", str(folder), "stats", store=nowhere).answer["store_id"] == told
    assert cli("--store", str(nowhere), "stats", "--store", str(folder)).answer["store_id"] == told
    assert cli("--store", str(nowhere), "stats").code == "no_store"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not here")
def test_git_sees_nothing_of_a_store(cli, tmp_path):
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(tmp_path), *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    git("init", "--quiet")
    (tmp_path / "seen.txt").write_text("x")
    cli("init", "--unprotected-key", store=tmp_path / ".memstore")
    cli("agent", "add", "worker", store=tmp_path / ".memstore")
    assert (tmp_path / ".memstore" / "keys" / "worker.key").is_file()
    assert git("status", "--porcelain", "--untracked-files=all").split() == ["??", "seen.txt"]
    git("add", "--all")
    assert git("ls-files").split() == ["seen.txt"]


def test_an_agent_is_added_with_all_that_is_told_of_it(cli):
    told = ["--role", "worker", "--under", "planner", "--open-world", "--scope", "main", "--scope", "side"]
    told += [
        "--team",
        "blue",
        "--version",
        "v1",
        "--capability",
        "search",
        "--capability",
        "code",
        "--accepts",
        "c@1.0",
    ]
    added = cli("agent", "add", "reader", *told).answer
    assert added.pop("keyid")
    assert added == {
        "name": "reader",
        "role": "worker",
        "under": "planner",
        "open_world": True,
        "scopes": ["main", "side"],
        "team": "blue",
        "version": "v1",
        "capabilities": ["search", "code"],
        "accepts": ["c@1.0"],
        "key_file": "reader.key",
    }
    assert "reader" in [agent["name"] for agent in cli("agent", "list").answer["agents"]]


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("agent", "add", "planner"), 4, "name_taken"),
        (("agent", "add", "PLANNER"), 4, "name_taken"),
        (("agent", "add", "x", "--under", "nobody"), 3, "unknown_principal"),
        (("agent", "add", "../x"), 2, "invalid"),
        (("agent", "add", "x", "--scope", "a b"), 2, "invalid"),
        (("agent", "add", "alice", "--role", "human"), 7, "no_terminal"),
        (("agent", "rotate", "nobody"), 3, "no_key"),
        (("agent", "rotate", "operator"), 7, "no_terminal"),
        (("agent", "rekey", "nobody"), 3, "unknown_principal"),
        (("agent", "rekey", "operator"), 5, "denied"),
        (("agent", "retire", "operator"), 5, "denied"),
        (("agent", "retire", "nobody"), 3, "unknown_principal"),
        (("agent", "compromise", "worker", "--since", "99"), 2, "invalid"),
        (("tool", "add", "bad name"), 2, "invalid"),
        (("tool", "add", "x", "--max-ttl", "-1"), 2, "invalid"),
        (("session", "reset", "nobody"), 3, "unknown_principal"),
        (("session", "reset", "worker", "--scope", "side"), 3, "unknown_scope"),
    ],
)
def test_what_the_operator_may_not_do_is_refused_and_changes_nothing(cli, folder, arguments, status, code):
    before = cli("agent", "list").answer, cli("stats").answer["entries"], sorted((folder / "keys").iterdir())
    ended = cli(*arguments)
    assert (ended.status, ended.code, ended.stdout) == (status, code, "")
    assert before == (
        cli("agent", "list").answer,
        cli("stats").answer["entries"],
        sorted((folder / "keys").iterdir()),
    )


def test_the_key_of_a_person_needs_no_terminal_when_left_unprotected(cli):
    added = cli("agent", "add", "alice", "--role", "human", "--unprotected-key").answer
    assert added["role"] == "human"
    assert cli("agent", "rotate", "operator", "--unprotected-key").answer["action"] == "rotated"


def test_keys_are_rotated_replaced_and_retired(cli, folder):
    keys = {cli("agent", action, "worker").answer["keyid"] for action in ("rotate", "rekey")}
    assert len(keys) == 2
    write = ("write", "--agent", "worker", "--kind", "constraint", "--title", "t", "--body", "b")
    assert cli(*write).answer["status"] == "stored"
    assert cli("agent", "retire", "worker").answer["action"] == "retired"
    ended = cli(*write)
    assert (ended.status, ended.code) == (5, "key_revoked")


def test_a_compromise_names_what_fell(cli):
    written = cli("write", "--agent", "worker", "--kind", "finding", "--title", "t", "--body", "b").answer
    fell = cli("agent", "compromise", "worker", "--since", str(written["seq"])).answer
    assert fell["affected"] == [{"id": written["id"], "status": "revoked_author"}]


def test_tools_are_listed_as_they_were_registered(cli):
    cli("tool", "add", "browser", "--open-world")
    assert cli("tool", "list").answer["tools"] == [
        {"tool": "browser", "open_world": True, "max_ttl_seconds": 0},
        {"tool": "weather*", "open_world": False, "max_ttl_seconds": 100},
    ]


def test_a_key_file_that_others_can_read_is_refused(cli, folder):
    Path(folder / "keys" / "worker.key").chmod(0o640)
    ended = cli("search", "--agent", "worker")
    assert (ended.status, ended.code) == (5, "key_exposed")
    assert "chmod 600 on worker.key" in ended.stderr
