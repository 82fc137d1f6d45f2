"""Backups: whole or not at all, taken while others write, and restored in a new epoch (ADR 0050)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from simulator import Clock, Fleet, codes, refs

from memstore import admin, log
from memstore.backups import COPIED, LIST, backup, restore
from memstore.config import init_store
from memstore.core.statements import KeyAction
from memstore.errors import Conflict, Denied, IntegrityError, MemStoreError, NotFound, StoreUnavailable
from memstore.service import MemStore

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def again(fleet: Fleet, tmp_path: Path, *, name: str = "again") -> Iterator[Fleet]:
    """The store as it is now, backed up and restored."""
    backup(fleet.house, tmp_path / f"{name}-backup")
    restore(tmp_path / f"{name}-backup", tmp_path / name, clock=fleet.clock)
    with Fleet(tmp_path / name, fleet.clock) as restored:
        yield restored


def against(fleet: Fleet, checkpoint: str) -> list[str]:
    return [problem["code"] for problem in log.audit(fleet.house.store, against=checkpoint)["problems"]]


def test_a_process_that_has_the_store_open_notices_that_another_was_put_in_its_place(fleet, ada, tmp_path):
    ada.write("finding", "alpha", "kept")
    backup(fleet.house, tmp_path / "backup")
    fleet.folder.rename(tmp_path / "moved")
    for _ in ("nothing is there", "the restored one is"):
        with pytest.raises(StoreUnavailable) as refused:
            ada.write("finding", "beta", "lost")
        assert refused.value.code == "moved"
        with pytest.raises(StoreUnavailable) as refused:
            ada.search("alpha")
        assert refused.value.code == "moved"
        if not fleet.folder.exists():
            restore(tmp_path / "backup", fleet.folder, clock=fleet.clock)
    with Fleet(fleet.folder, fleet.clock) as restored:
        assert restored.fresh("ada").search("alpha")["attributed"]["count"] == 1
        assert restored.fresh("ada").write("finding", "beta", "found")["status"] == "stored"
        restored.assert_sound()


def test_a_restored_store_holds_what_the_backup_held_and_goes_on(fleet, ada, lead, tmp_path):
    kept = ada.write("finding", "alpha", "kept")["id"]
    lead.get([kept])
    lead.review([kept], "endorse")
    told = backup(fleet.house, tmp_path / "backup", verify=True)
    ada.write("finding", "beta", "lost")
    done = restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    assert (done["entries"], done["epoch"]) == (told["entries"], 1)
    with Fleet(tmp_path / "restored", fleet.clock) as restored:
        restored.assert_sound()
        hit = restored.fresh("lead").search("alpha")["trusted"]["hits"][0]
        assert hit["id"] == kept
        reader = restored.fresh("ada")
        assert reader.search("beta")["attributed"]["count"] == 0
        assert reader.write("finding", "gamma", "new")["status"] == "stored"
        restored.tool("new*")
        restored.assert_sound()
    assert {path.stat().st_mode & 0o077 for path in [tmp_path / "backup", *(tmp_path / "backup").rglob("*")]} == {0}
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "restored" / "keys").iterdir()} == {0}


def test_a_checkpoint_of_before_verifies_and_one_of_after_is_told_what_became_of_it(fleet, ada, tmp_path):
    before = log.checkpoint(fleet.house.store)
    backup(fleet.house, tmp_path / "backup")
    size = fleet.size()
    ada.write("question", "lost")
    ada.write("question", "lost too")
    after = log.checkpoint(fleet.house.store)
    restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    with Fleet(tmp_path / "restored", fleet.clock) as restored:
        assert against(restored, before) == []
        assert against(restored, after) == ["restored"]
        member = restored.fresh("ada")
        for n in range(4):
            member.write("question", f"goes on {n}")
        # Longer than what was lost by now, and still not that.
        (problem,) = log.audit(restored.house.store, against=after)["problems"]
        assert (problem["code"], problem["seq"]) == ("restored", size)
        assert "epoch 1" in problem["what"]
        assert f"entries {size} to {size + 1}" in problem["what"]
        assert against(restored, log.checkpoint(restored.house.store)) == []


def test_a_store_that_was_cut_short_is_still_taken_for_a_rollback(fleet, ada, tmp_path):
    shutil.copytree(fleet.folder, tmp_path / "older")
    ada.write("question", "q")
    with Fleet(tmp_path / "older", fleet.clock) as older:
        assert against(older, log.checkpoint(fleet.house.store)) == ["rolled_back"]


def test_a_store_is_restored_again_in_the_next_epoch(fleet, ada, tmp_path):
    ada.write("question", "q")
    with again(fleet, tmp_path, name="one") as one:
        one.fresh("ada").write("question", "in one")
        with again(one, tmp_path, name="two") as two:
            assert two.fresh("ada").write("question", "in two")["status"] == "stored"
            with two.house.store.read() as unit:
                assert unit.log.head().epoch == 2
            assert log.rebuild(two.house.store)["ok"]
            two.assert_sound()


def test_a_cursor_of_before_is_of_no_query_any_more(fleet, ada, ben, tmp_path):
    for n in range(3):
        ada.write("question", f"alpha {n}")
    search = ben.search("alpha", limit=1)["attributed"]["next_cursor"]
    history = ben.history(limit=1)["next_cursor"]
    assert ben.search("alpha", limit=1, cursor=search)["attributed"]["hits"]
    with again(fleet, tmp_path) as restored:
        reader = restored.fresh("ben")
        acts: list[Callable[[], object]] = [
            lambda: reader.search("alpha", limit=1, cursor=search),
            lambda: reader.history(cursor=history),
        ]
        for act in acts:
            with pytest.raises(MemStoreError) as refused:
                act()
            assert refused.value.code == "bad_cursor"


def test_refs_leases_and_sessions_of_before_are_over(fleet, ada, ben, lead, tmp_path):
    ada.session_start("t")
    done = ada.write("finding", "done", "x")["id"]
    handoff = ada.handoff_offer("lead", "report", [done], questions=["none"], caveats=["none"], rejected=["none"])
    found = lead.handoff_receive(handoff["handoff"])
    lead.handoff_respond(handoff["handoff"], "accept", receipt=found["receipt"], acknowledge=codes(found))
    ben.observe("https://example.org/", "outside")
    ref = refs(ben.search(""))[0]
    with again(fleet, tmp_path) as restored:
        with pytest.raises(NotFound) as unknown:
            restored.fresh("ben").open([ref])
        assert unknown.value.code == "unknown_ref"
        assert restored.sql("SELECT * FROM leases") == restored.sql("SELECT * FROM handoff_leases") == []
        assert [item["state"] for item in restored.fresh("lead").handoff_inbox()["items"]] == ["offered"]
        assert restored.fresh("ada").session_start("t")["session"]
        restored.assert_sound()


def test_a_backup_is_taken_while_four_processes_write(fleet, tmp_path):
    script = (
        "import sys\nfrom memstore.config import open_store\n"
        "with open_store(sys.argv[1], agent=sys.argv[2]) as m:\n"
        "    print('ready', flush=True)\n    n = 0\n"
        "    while True:\n        n += 1\n        m.write('finding', f'alpha {n}', 'b' * 3000)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(fleet.folder), name], stdout=subprocess.PIPE, cwd=ROOT)
        for name in ("ada", "ben", "ada", "lead")
    ]
    try:
        for one in writers:
            assert one.stdout is not None
            assert one.stdout.readline() == b"ready\n"
        told = [backup(fleet.house, tmp_path / f"backup {n}", verify=True) for n in range(3)]
        assert all(one.poll() is None for one in writers)
    finally:
        for one in writers:
            one.kill()
            one.communicate()
    assert told[0]["entries"] < told[1]["entries"] < told[2]["entries"] <= fleet.size()
    restore(tmp_path / "backup 1", tmp_path / "restored")
    with Fleet(tmp_path / "restored", Clock(fleet.clock() + 10**15)) as restored:
        assert restored.size() == told[1]["entries"] + 1
        restored.assert_sound()


def test_keys_that_change_while_a_backup_is_taken_are_those_that_its_log_names(fleet, tmp_path, monkeypatch):
    real = shutil.copy2

    def rotated_meanwhile(*_: object) -> None:
        """What the progress of copying calls: by then the keys are read."""
        if not (tmp_path / "rotated").exists():
            real(fleet.folder / "keys" / "ada.key", tmp_path / "rotated")
            admin.replace_key(fleet.house, "ada", KeyAction.ROTATED)

    monkeypatch.setattr("memstore.stores.sqlite.BACKUP_PAGES", 1)
    backup(fleet.house, tmp_path / "backup", progress=rotated_meanwhile)
    assert (tmp_path / "backup" / "keys" / "ada.key").read_bytes() == (tmp_path / "rotated").read_bytes()
    restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    with Fleet(tmp_path / "restored", fleet.clock) as restored:
        assert restored.fresh("ada").write("question", "q")["status"] == "stored"


def test_a_backup_overwrites_nothing_and_neither_does_restoring(fleet, tmp_path):
    backup(fleet.house, tmp_path / "backup")
    before = {path: path.read_bytes() for path in (tmp_path / "backup").rglob("*") if path.is_file()}
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    for place in ("backup", "file", "full"):
        with pytest.raises(Conflict) as taken:
            backup(fleet.house, tmp_path / place)
        assert taken.value.code == "exists"
    for place in ("file", "full"):
        with pytest.raises(Conflict):
            restore(tmp_path / "backup", tmp_path / place, clock=fleet.clock)
    with pytest.raises(MemStoreError) as there:
        restore(tmp_path / "backup", fleet.folder, clock=fleet.clock)
    assert there.value.code == "store_exists"
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "file", "full", "store"]


def test_an_empty_folder_is_a_place_to_restore_to(fleet, tmp_path):
    backup(fleet.house, tmp_path / "backup")
    (tmp_path / "empty").mkdir()
    assert restore(tmp_path / "backup", tmp_path / "empty", clock=fleet.clock)["epoch"] == 1


def test_a_backup_without_keys_wants_them_from_where_they_lie(fleet, ada, tmp_path):
    ada.write("question", "q")
    assert backup(fleet.house, tmp_path / "backup", keys=False)["keys"] == 0
    assert not (tmp_path / "backup" / "keys").exists()
    with pytest.raises(NotFound) as refused:
        restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    assert (refused.value.code, "--keys" in refused.value.next_call) == ("no_key", True)
    restore(tmp_path / "backup", tmp_path / "restored", keys=fleet.folder / "keys", clock=fleet.clock)
    with Fleet(tmp_path / "restored", fleet.clock) as restored:
        restored.assert_sound()


def test_a_store_that_does_not_verify_is_backed_up_only_unlooked_at(fleet, ada, tmp_path):
    ada.write("question", "q")
    fleet.sql("UPDATE records SET label = 3")
    with pytest.raises(IntegrityError) as refused:
        backup(fleet.house, tmp_path / "backup", verify=True)
    assert refused.value.code == "not_verified"
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    backup(fleet.house, tmp_path / "backup")
    with pytest.raises(IntegrityError) as unrestored:
        restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    assert unrestored.value.code == "not_verified"
    assert not (tmp_path / "restored").exists()


def without(name: str) -> Callable[[Path], object]:
    return lambda place: (place / name).unlink()


def cut(name: str, share: float) -> Callable[[Path], object]:
    return lambda place: (place / name).write_bytes((data := (place / name).read_bytes())[: int(len(data) * share)])


def flipped(place: Path) -> None:
    data = bytearray((place / COPIED).read_bytes())
    data[len(data) // 2] ^= 1
    (place / COPIED).write_bytes(data)


def listing(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def harm(place: Path) -> None:
        told = json.loads((place / LIST).read_text())
        change(told)
        (place / LIST).write_text(json.dumps(told))

    return harm


def foreign(place: Path) -> None:
    """Database and keys of another store, listed as if they were backed up."""
    init_store(place.parent / "foreign", clock=Clock())
    with Fleet(place.parent / "foreign") as other:
        backup(other.house, place.parent / "foreign-backup")
    told = json.loads((place / LIST).read_text())
    theirs = json.loads((place.parent / "foreign-backup" / LIST).read_text())
    told["files"] = theirs["files"]
    shutil.rmtree(place / "keys")
    shutil.copytree(place.parent / "foreign-backup" / "keys", place / "keys")
    shutil.copy(place.parent / "foreign-backup" / COPIED, place / COPIED)
    (place / LIST).write_text(json.dumps(told))


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "no list": (without(LIST), "not_a_backup"),
    "no database": (without(COPIED), "damaged_backup"),
    "no key of one": (without("keys/ada.key"), "damaged_backup"),
    "half a database": (cut(COPIED, 0.5), "damaged_backup"),
    "an empty database": (cut(COPIED, 0), "damaged_backup"),
    "half a list": (cut(LIST, 0.5), "damaged_backup"),
    "a bit": (flipped, "damaged_backup"),
    "a key cut short": (cut("keys/@store.key", 0.5), "damaged_backup"),
    "a list of another size": (listing(lambda told: told.update(entries=3)), "damaged_backup"),
    "a list of a later version": (listing(lambda told: told.update(version=2)), "damaged_backup"),
    "a list without a database": (listing(lambda told: told["files"].pop(COPIED)), "damaged_backup"),
    "a list that reaches out": (
        listing(lambda told: told["files"].update({"../store/memstore.db": told["files"][COPIED]})),
        "damaged_backup",
    ),
    "a list that reaches out of keys": (
        listing(lambda told: told["files"].update({"keys/../../x": told["files"][COPIED]})),
        "damaged_backup",
    ),
    "a list with an absolute path": (
        listing(lambda told: told["files"].update({"/etc/hostname": told["files"][COPIED]})),
        "damaged_backup",
    ),
    "another store": (foreign, "damaged_backup"),
}


@pytest.mark.parametrize("name", HARM)
def test_a_damaged_backup_is_refused_and_nothing_of_it_is_left(fleet, ada, tmp_path, name):
    ada.write("finding", "alpha", "b" * 20_000)
    backup(fleet.house, tmp_path / "backup")
    harm, code = HARM[name]
    harm(tmp_path / "backup")
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(MemStoreError) as refused:
        restore(tmp_path / "backup", tmp_path / "restored", clock=fleet.clock)
    assert refused.value.code == code
    assert refused.value.next_call or code == "damaged_backup"
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_backup_of_an_older_schema_is_brought_up_to_date(fleet, ada, tmp_path):
    ada.write("question", "q")
    with again(fleet, tmp_path) as restored:
        assert restored.sql("PRAGMA user_version")[0][0] == fleet.sql("PRAGMA user_version")[0][0]


def test_a_grant_of_before_that_nobody_took_is_over_and_a_new_one_is_taken(fleet, lead, tmp_path):
    lead.grant("ada")
    with again(fleet, tmp_path) as restored:
        with pytest.raises(Denied) as refused:
            restored.fresh("ada", require_grant=True)
        assert refused.value.code == "no_grant"
        restored.fresh("lead").grant("ada")
        granted = restored.fresh("ada", require_grant=True)
        assert granted.write("question", "q")["status"] == "stored"
        with pytest.raises(Denied):
            restored.fresh("ada", require_grant=True)
        restored.assert_sound()


def test_progress_is_told_while_the_database_is_copied(fleet, ada: MemStore, tmp_path, monkeypatch):
    monkeypatch.setattr("memstore.stores.sqlite.BACKUP_PAGES", 4)
    ada.write("question", "q")
    told: list[tuple[int, int]] = []
    backup(fleet.house, tmp_path / "backup", progress=lambda done, total: told.append((done, total)))
    assert len(told) > 3
    assert told[-1][0] == told[-1][1]
