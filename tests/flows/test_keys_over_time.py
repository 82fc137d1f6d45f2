"""Keys that come and go: what was signed before stands, what has no key any more is refused (DESIGN T3, T9)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memstore import admin, log
from memstore.config import open_store
from memstore.core.statements import KeyAction
from memstore.errors import Denied, MemStoreError, NotFound

CHANGES = {"rotated": KeyAction.ROTATED, "rekeyed": KeyAction.REKEYED}


@pytest.mark.parametrize("how", CHANGES)
def test_after_a_change_of_key_old_records_verify_and_new_ones_are_written(fleet, ada, how):
    old = ada.write("finding", "old", "b")["id"]
    before = admin.list_agents(fleet.house)
    told = admin.replace_key(fleet.house, "ada", CHANGES[how])
    assert told["action"] == how
    assert told["keyid"] not in [agent["keyid"] for agent in before]
    again = fleet.fresh("ada")
    new = again.write("finding", "new", "b")["id"]
    records = {r["id"]: r for r in fleet.fresh("ben").get([old, new])["records"]}
    assert [records[i]["signature"] for i in (old, new)] == ["valid", "valid"]
    fleet.assert_sound()
    assert log.rebuild(fleet.house.store)["ok"]


@pytest.mark.parametrize("how", CHANGES)
def test_the_old_key_writes_no_more_even_where_it_was_open_already(fleet, ada, how):
    admin.replace_key(fleet.house, "ada", CHANGES[how])
    calls: list[Callable[[], object]] = [
        lambda: ada.write("question", "q"),
        lambda: ada.search("q"),
        lambda: ada.session_start("t"),
    ]
    for call in calls:
        with pytest.raises(Denied) as refused:
            call()
        assert refused.value.code == "key_revoked"


def test_a_retired_principal_is_refused_and_what_it_wrote_stands(fleet, ada, ben):
    kept = ada.write("finding", "kept", "b")["id"]
    admin.retire(fleet.house, "ada")
    with pytest.raises(Denied) as refused:
        ada.write("question", "q")
    assert refused.value.code == "key_revoked"
    (record,) = ben.get([kept])["records"]
    assert (record["label"], record["signature"]) == ("attributed", "valid")
    assert {a["name"]: a["key"] for a in admin.list_agents(fleet.house)}["ada"] == "retired"
    fleet.assert_sound()


def test_a_retired_principal_comes_back_with_a_new_key(fleet, ada):
    admin.retire(fleet.house, "ada")
    admin.replace_key(fleet.house, "ada", KeyAction.REKEYED)
    assert fleet.fresh("ada").write("question", "q")["status"] == "stored"
    fleet.assert_sound()


def test_many_changes_of_key_in_a_row_leave_every_record_valid(fleet, ben):
    written = []
    for n in range(5):
        written.append(fleet.fresh("ada").write("finding", f"F{n}", "b")["id"])
        admin.replace_key(fleet.house, "ada", list(CHANGES.values())[n % 2])
    assert {r["signature"] for r in ben.get(written)["records"]} == {"valid"}
    fleet.assert_sound()


def test_a_continuing_context_goes_on_under_the_new_key(fleet):
    first = fleet.continuing("ada")
    first.observe("https://example.org/", "taint")
    admin.replace_key(fleet.house, "ada", KeyAction.ROTATED)
    assert fleet.continuing("ada").write("question", "q")["label"] == "tainted"
    fleet.assert_sound()


def test_the_operator_gives_a_fresh_continuing_context(fleet):
    fleet.continuing("ada").observe("https://example.org/", "taint")
    assert fleet.continuing("ada").write("question", "q")["label"] == "tainted"
    admin.reset_context(fleet.house, "ada", "main")
    assert fleet.continuing("ada").write("question", "q2")["label"] == "attributed"
    fleet.assert_sound()


def test_the_operator_s_own_key_rotates(fleet):
    admin.replace_key(fleet.house, "operator", KeyAction.ROTATED)
    fleet.agent("eve")
    fleet.assert_sound()
    with pytest.raises(Denied):
        admin.replace_key(fleet.house, "operator", KeyAction.REKEYED)
    with pytest.raises(Denied):
        admin.retire(fleet.house, "operator")


def test_a_change_of_key_for_nobody_is_refused_and_leaves_no_key_file(fleet):
    size = fleet.size()
    acts: list[Callable[[], object]] = [
        lambda: admin.replace_key(fleet.house, "nobody", KeyAction.REKEYED),
        lambda: admin.replace_key(fleet.house, "nobody", KeyAction.ROTATED),
        lambda: admin.retire(fleet.house, "nobody"),
        lambda: admin.compromise(fleet.house, "nobody", 0),
    ]
    for act in acts:
        with pytest.raises(NotFound):
            act()
    assert fleet.size() == size
    assert not list((fleet.folder / "keys").glob("nobody*"))


def test_a_key_file_that_others_can_read_is_refused(fleet):
    path = fleet.folder / "keys" / "ada.key"
    assert path.stat().st_mode & 0o777 == 0o600
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(Denied) as refused:
            open_store(fleet.folder, agent="ada", clock=fleet.clock)
        assert refused.value.code == "key_exposed"


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_key_file_that_holds_no_key_is_refused_in_our_words(fleet, content):
    (fleet.folder / "keys" / "ada.key").write_bytes(content)
    with pytest.raises(MemStoreError) as refused:
        open_store(fleet.folder, agent="ada", clock=fleet.clock)
    assert refused.value.code in ("key_locked", "bad_key")


def test_a_key_of_another_principal_under_one_s_own_name_is_refused(fleet):
    keys = fleet.folder / "keys"
    (keys / "ben.key").write_bytes((keys / "ada.key").read_bytes())
    with pytest.raises(Denied) as refused:
        open_store(fleet.folder, agent="ben", clock=fleet.clock)
    assert refused.value.code == "unknown_principal"


@pytest.mark.parametrize("name", ["ADA", "operator", "Operator", "lead"])
def test_a_name_that_is_taken_in_any_case_is_refused(fleet, name):
    size = fleet.size()
    with pytest.raises(MemStoreError) as refused:
        fleet.agent(name)
    assert refused.value.code == "name_taken"
    assert fleet.size() == size


@pytest.mark.parametrize("name", ["", "../evil", "a/b", "@store", ".hidden", "a b", "é", "x" * 65, "a\0"])
def test_a_name_that_could_be_a_path_is_refused_and_no_file_is_made(fleet, name):
    size, files = fleet.size(), sorted(fleet.folder.rglob("*"))
    with pytest.raises(MemStoreError):
        fleet.agent(name)
    assert fleet.size() == size
    assert sorted(fleet.folder.rglob("*")) == files


def test_nobody_stands_under_somebody_who_is_not_here(fleet):
    with pytest.raises(NotFound):
        fleet.agent("eve", under="nobody")
