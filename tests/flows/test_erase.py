"""Erasure: no byte of the words is left in any file of the store, and the log still verifies (DESIGN 3.1)."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from simulator import Fleet, entries, ids

from memstore import admin, log
from memstore.errors import NotFound

SECRET = "quokkavalanche"
RECORD: dict[str, Any] = {
    "kind": "decision",
    "title": f"The {SECRET}title of it",
    "body": f"all about {SECRET}body and {SECRET}again",
    "rationale": f"{SECRET}rationale",
    "alternatives": [f"{SECRET}alternative"],
    "caveats": [f"{SECRET}caveat"],
    "conditions": [f"{SECRET}condition"],
    "evidence": [f"{SECRET}evidence"],
    "data": {f"{SECRET}name": f"{SECRET}value"},
    "tags": [f"{SECRET}tag"],
    "key": f"{SECRET}key",
}


def left_in(folder: Path, *words: str) -> list[tuple[str, str]]:
    """(file, word) of all that is left of these words, in any case, as bytes of any file."""
    return [
        (path.name, word)
        for path in folder.rglob("*")
        if path.is_file()
        for word in words
        if word.encode() in path.read_bytes().lower()
    ]


# The full-text tables hold stems, cut off in places where terms share a beginning: look for less than the whole.
TRACES = (SECRET, SECRET[:9], SECRET[3:])


@pytest.mark.parametrize("others", [0, 400])
def test_no_byte_of_an_erased_record_is_left_in_any_file(fleet, ada, others):
    for n in range(others // 2):
        ada.write("finding", f"before {n}", f"words w{n % 17} that are merged")
    record = ada.write(**RECORD)["id"]
    for n in range(others // 2):
        ada.write("finding", f"after {n}", f"words w{n % 19} that are merged")
    assert left_in(fleet.folder, SECRET)
    told = admin.erase_content(fleet.house, record)
    assert (told["status"], told["cleared"]) == ("erased", True)
    assert left_in(fleet.folder, *TRACES) == []
    fleet.assert_sound()


def test_no_byte_is_left_when_writing_goes_on_afterwards(fleet, ada):
    record = ada.write(**RECORD)["id"]
    admin.erase_content(fleet.house, record)
    for n in range(100):
        ada.write("finding", f"after {n}", "words")
    log.rebuild(fleet.house.store)
    fleet.close()
    assert left_in(fleet.folder, *TRACES) == []


@pytest.mark.parametrize("size", [300, 5000, 60_000])
def test_a_body_of_any_size_is_gone(fleet, ada, size):
    # Long values lie on overflow pages of their own.
    record = ada.write("finding", "F", f"{SECRET}x " * (size // 16))["id"]
    admin.erase_content(fleet.house, record)
    assert left_in(fleet.folder, *TRACES) == []


def test_an_observation_is_erased_with_its_source_and_arguments(fleet, ada):
    page = ada.observe(f"https://{SECRET}.example/", f"{SECRET} page", title=SECRET, key=SECRET)["id"]
    tool = ada.observe("tool:weather", f"{SECRET} sky", args={SECRET: SECRET}, ttl_seconds=5)["id"]
    for record in (page, tool):
        admin.erase_content(fleet.house, record)
    assert left_in(fleet.folder, *TRACES) == []
    fleet.assert_sound()


def test_a_relabelled_record_is_erased_from_the_tier_it_came_to(fleet, ada):
    source = ada.write("finding", "source", "b")
    with_source = fleet.fresh("ben")
    record = with_source.write("finding", "F", SECRET, derived_from=[source["id"]])["id"]
    admin.compromise(fleet.house, "ada", source["seq"])
    admin.erase_content(fleet.house, record)
    assert left_in(fleet.folder, *TRACES) == []
    fleet.assert_sound()


def test_an_erased_record_is_missing_everywhere(fleet, ada, ben):
    record = ada.write(**RECORD)["id"]
    other = ada.write("finding", "other", "b", derived_from=[record])["id"]
    admin.erase_content(fleet.house, record)
    assert ben.get([record])["missing"] == [record]
    assert ada.get([f"key:{RECORD['key']}"])["missing"] == [f"key:{RECORD['key']}"]
    for reader in (ada, ben):
        for query in (SECRET, f"{SECRET}body", ""):
            answer = reader.search(query, include_superseded=True)
            assert record not in ids(answer, "attributed")
            assert entries(answer) == []
    assert ben.search("", tags=RECORD["tags"])["attributed"]["count"] == 0
    assert ids(ben.search(""), "attributed") == [other]
    (event,) = [e for e in ben.history()["events"] if e.get("erased")]
    assert "title" not in event


def test_a_ref_to_what_was_erased_since_opens_nothing(fleet, ada, ben):
    page = ada.observe("https://example.org/", SECRET)["id"]
    ref = entries(ben.search(""))[0]["ref"]
    admin.erase_content(fleet.house, page)
    with pytest.raises(NotFound):
        ben.open([ref])


def test_the_fingerprint_is_gone_so_the_same_words_are_a_new_record(fleet, ada):
    first = ada.write(**RECORD)["id"]
    admin.erase_content(fleet.house, first)
    assert fleet.sql("SELECT count(*) FROM contents WHERE seq = (SELECT seq FROM records WHERE id = ?)", first) == [
        (0,)
    ]
    again = ada.write(**RECORD)
    assert (again["status"], again["id"] == first) == ("stored", False)


def test_the_log_still_proves_that_the_record_was_there(fleet, ada):
    record = ada.write(**RECORD)["id"]
    kept = log.checkpoint(fleet.house.store)
    admin.erase_content(fleet.house, record)
    assert log.audit(fleet.house.store, against=kept)["ok"]
    assert log.prove(fleet.house.store, record)["id"] == record


def test_erasing_twice_is_once_and_what_is_not_here_is_not_erased(fleet, ada):
    record = ada.write(**RECORD)["id"]
    admin.erase_content(fleet.house, record)
    size = fleet.size()
    assert admin.erase_content(fleet.house, record)["status"] == "erased"
    assert fleet.size() == size
    with pytest.raises(NotFound):
        admin.erase_content(fleet.house, "m-" + "a" * 26)


def test_what_rests_on_an_erased_record_keeps_its_label_through_a_rebuild(fleet, ada):
    record = ada.write(**RECORD)["id"]
    other = ada.write("finding", "other", "b", derived_from=[record])
    admin.erase_content(fleet.house, record)
    assert log.rebuild(fleet.house.store)["ok"]
    assert ada.get([other["id"]])["records"][0]["label"] == "attributed"
    fleet.assert_sound()


def test_a_content_that_is_gone_without_an_erasure_is_found_by_the_audit(fleet, ada):
    record = ada.write(**RECORD)["id"]
    fleet.sql("DELETE FROM contents WHERE seq = (SELECT seq FROM records WHERE id = ?)", record)
    assert "no_content" in fleet.found()


def test_while_another_reader_holds_an_older_moment_the_operator_is_told(made, tmp_path, monkeypatch):
    monkeypatch.setattr("memstore.stores.sqlite.BUSY_SECONDS", 0.1)
    shutil.copytree(made, tmp_path / "store")
    with Fleet(tmp_path / "store") as fleet:
        _erase_beside_a_reader(fleet)


def _erase_beside_a_reader(fleet: Fleet) -> None:
    record = fleet.fresh("ada").write(**RECORD)["id"]
    other = sqlite3.connect(fleet.folder / "memstore.db", isolation_level=None)
    try:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM entries").fetchone()
        told = admin.erase_content(fleet.house, record)
        assert told["cleared"] is False
        assert "run erase again" in told["note"]
    finally:
        other.close()
    assert admin.erase_content(fleet.house, record)["cleared"] is True
    assert left_in(fleet.folder, *TRACES) == []


def test_the_name_of_an_erased_record_goes_back_to_the_one_before_it(fleet, ada):
    first = ada.write("constraint", "Be quick", key="pace")
    second = ada.write("constraint", "Be quicker", key="pace", supersedes="key:pace")
    admin.erase_content(fleet.house, second["id"])
    assert ada.get(["key:pace"])["quarantined"][0]["id"] == first["id"]
    fleet.assert_sound()
