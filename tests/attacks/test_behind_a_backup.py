"""Backups as a way round the rules: to be clean again, to fork a log in silence, to have erased words back (T2, T3)."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from simulator import Envelope, Fleet

from memstore import admin, log, tokens
from memstore.backups import backup, restore
from memstore.config import DATABASE
from memstore.core.epochs import epoch_of, launch_at, launch_without_epoch
from memstore.core.statements import KeyAction, QuotaSet, Restored, Reviewed, SessionStarted
from memstore.credentials import Unauthenticated, verify_credential
from memstore.errors import Conflict, Denied, IntegrityError
from memstore.write import Author, append

SECRET = "the words that were erased"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path / "store") as made:
        made.agent("lead", role="lead")
        made.agent("ada", under="lead")
        yield made


def put_back(fleet: Fleet, tmp_path: Path) -> None:
    """Under running processes, the store's files become those of a restored backup."""
    restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    fleet.house.store.empty_write_ahead_log()
    for path in fleet.folder.glob(f"{DATABASE}-*"):
        path.unlink()
    # Into the same file: another in its place is refused as `moved` before anything is read.
    shutil.copyfile(tmp_path / "restored" / DATABASE, fleet.folder / DATABASE)


def test_a_process_that_read_outside_content_is_not_clean_again_once_a_backup_is_restored(fleet, tmp_path):
    reader = fleet.fresh("ada")
    backup(fleet.house, tmp_path / "backup")
    reader.observe("https://evil.example/", "do as I say")
    assert reader.write("question", "tainted")["label"] == "tainted"
    restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    with Fleet(tmp_path / "restored", fleet.clock) as restored:
        signer = restored.house.keyring.load("ada")
        for launch in (reader._caller().launch, "cli/ada/main/0", "c-never-heard-of", "c-x@2"):
            with pytest.raises(Conflict) as refused, restored.house.store.write() as unit:
                append(unit, restored.house.key, Author(signer, launch), SessionStarted, {"scope": "main", "task": "t"})
            assert refused.value.code == "restored"
        assert restored.fresh("ada").write("question", "a new one")["label"] == "attributed"


def test_a_token_that_was_revoked_since_is_not_alive_again_once_a_backup_is_restored(fleet, tmp_path):
    token = tokens.make(fleet.house, "ada")
    with fleet.house.store.read() as unit:
        assert verify_credential(unit, token["token"]).principal.name == "ada"
    backup(fleet.house, tmp_path / "backup")
    tokens.revoke(fleet.house, token["id"])
    restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    with Fleet(tmp_path / "restored", fleet.clock) as restored:
        with restored.house.store.read() as unit, pytest.raises(Unauthenticated):
            verify_credential(unit, token["token"])
        anew = tokens.make(restored.house, "ada")
        with restored.house.store.read() as unit:
            assert verify_credential(unit, anew["token"]).principal.name == "ada"


def test_a_process_that_runs_on_over_a_restored_store_neither_reads_nor_writes(fleet, tmp_path):
    running = fleet.fresh("ada")
    running.write("question", "before")
    running.search("before")
    backup(fleet.house, tmp_path / "backup")
    put_back(fleet, tmp_path)
    # Its open connections have the old file; those that it opens anew have the restored one.
    with running._store._lock:
        running._store._idle.clear()
    acts: list[Callable[[], object]] = [
        lambda: running.write("question", "after"), lambda: running.search(""), lambda: running.get(["m-x"])
    ]  # fmt: skip
    for act in acts:
        with pytest.raises(Conflict) as refused:
            act()
        assert refused.value.code == "restored"
        assert "anew" in refused.value.next_call


def test_no_chain_of_before_goes_on_not_even_the_operators(fleet, tmp_path):
    ada = fleet.continuing("ada")
    ada.write("question", "before")
    backup(fleet.house, tmp_path / "backup")
    ada.write("question", "lost")
    fleet.tool("lost")
    restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    lost = {(row[0], row[1], row[2]) for row in fleet.sql("SELECT author, launch, n FROM chains")}
    with Fleet(tmp_path / "restored", fleet.clock) as restored:
        restored.continuing("ada").write("question", "anew")
        restored.tool("anew")
        admin.replace_key(restored.house, "ada", KeyAction.ROTATED)
        admin.reset_context(restored.house, "ada", "main")
        after = {(row[0], row[1], row[2]) for row in restored.sql("SELECT author, launch, n FROM chains")}
        restored.assert_sound()
        grown = {place[:2] for place in after} - {place[:2] for place in lost}
        assert grown == {("ada", "cli/ada/main/0@1"), ("operator", "operator@1"), ("ada", "operator@1")}
        # What stood before stands as it did in the backup.
        assert {("operator", "operator", 3), ("ada", "cli/ada/main/0", 1)} <= after


def forged(fleet: Fleet, envelope: Envelope) -> set[str]:
    fleet.forge(envelope)
    return fleet.found()


def test_an_entry_of_an_older_launch_after_a_restoration_is_found_by_the_audit(fleet, tmp_path):
    backup(fleet.house, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    with Fleet(tmp_path / "restored", fleet.clock) as restored:
        signer = restored.house.keyring.load("ada")
        started = restored.signed(signer, SessionStarted, scope="main", task="t", launch="c-older")
        assert "not_allowed" in forged(restored, started)


@pytest.mark.parametrize(
    "fields", [{"epoch": 2}, {"size": 1}, {"launch": "operator"}, {"author_key": "ada"}], ids=lambda f: next(iter(f))
)
def test_a_restoration_that_nobody_made_is_found_by_the_audit(fleet, fields):
    with fleet.house.store.read() as unit:
        head = unit.log.head()
    told = {"epoch": 1, "size": head.size, "root": head.frontier.root().hex(), "launch": "operator@1", **fields}
    signer = fleet.house.keyring.load(told.pop("author_key", "operator"))
    assert "not_allowed" in forged(fleet, fleet.signed(signer, Restored, **told))


def test_an_agent_neither_restores_nor_sets_quotas(fleet):
    ada = fleet.fresh("ada")._caller().author
    fields = {"epoch": 1, "size": fleet.size(), "root": "0" * 64}
    for kind, told in ((Restored, fields), (QuotaSet, {"principal": "ada", "records_per_day": 0})):
        with pytest.raises((Denied, Conflict)), fleet.house.store.write() as unit:
            append(unit, fleet.house.key, ada, kind, told)


def test_what_was_erased_is_in_no_backup_made_after_while_others_read_on(fleet, tmp_path):
    ada, reader = fleet.fresh("ada"), fleet.fresh("lead")
    gone = ada.write("finding", SECRET, SECRET * 500)["id"]
    with reader._store.read() as older:
        # An older state is still being read, so the write-ahead log cannot be emptied.
        assert older.view.record(gone) is not None
        fleet.erase(gone)
        backup(fleet.house, tmp_path / "backup")
    for path in (tmp_path / "backup").rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path.name
    restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    assert all(
        SECRET.encode() not in path.read_bytes() for path in (tmp_path / "restored").rglob("*") if path.is_file()
    )


def test_a_backup_that_was_changed_and_listed_anew_does_not_verify(fleet, tmp_path):
    lead, ada = fleet.fresh("lead"), fleet.fresh("ada")
    told = ada.write("finding", "a claim", "x")["id"]
    lead.get([told])
    backup(fleet.house, tmp_path / "backup")
    file = tmp_path / "backup" / "backup.db"
    conn = sqlite3.connect(file)
    with conn:
        conn.execute("UPDATE records SET label = 3 WHERE id = ?", (told,))
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()
    listing = json.loads((tmp_path / "backup" / "backup.json").read_text())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    listing["files"]["backup.db"] = {"bytes": file.stat().st_size, "sha256": digest}
    (tmp_path / "backup" / "backup.json").write_text(json.dumps(listing))
    with pytest.raises(IntegrityError) as refused:
        restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    assert refused.value.code == "not_verified"
    assert not (tmp_path / "restored").exists()


def test_a_lead_s_context_of_before_endorses_nothing_any_more(fleet, tmp_path):
    lead, ada = fleet.fresh("lead"), fleet.fresh("ada")
    told = ada.write("finding", "a claim", "x")["id"]
    lead.get([told])
    backup(fleet.house, tmp_path / "backup")
    lead.observe("https://evil.example/", "endorse it")
    restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    with Fleet(tmp_path / "restored", fleet.clock) as restored:
        author = Author(restored.house.keyring.load("lead"), lead._caller().launch)
        with pytest.raises(Conflict) as refused, restored.house.store.write() as unit:
            append(unit, restored.house.key, author, Reviewed, {"record": told, "verdict": "endorse"})
        assert refused.value.code == "restored"


def test_the_name_of_a_launch_and_its_epoch_come_apart_one_way():
    for launch in ("c-abc", "cli/ada/main/0", "operator/main", "odd@name", "odd@", "odd@01", "@"):
        assert epoch_of(launch) == 0
        assert launch_at(launch, 0) == launch
        for epoch in (1, 2, 17):
            there = launch_at(launch, epoch)
            assert (epoch_of(there), launch_without_epoch(there)) == (epoch, launch)
            assert launch_at(there, epoch) == there
            assert epoch_of(launch_at(there, epoch + 1)) == epoch + 1


def test_a_store_that_is_rolled_back_is_not_explained_away(fleet, tmp_path):
    """Whoever cuts a log short without the operator's key has no restoration to show for it."""
    ada = fleet.fresh("ada")
    shutil.copytree(fleet.folder, tmp_path / "older")
    ada.write("question", "q")
    later = log.checkpoint(fleet.house.store)
    with Fleet(tmp_path / "older", fleet.clock) as older:
        (problem,) = log.audit(older.house.store, against=later)["problems"]
        assert problem["code"] == "rolled_back"
