"""Everything below the log is projected from it: what is deleted by hand comes back, byte for byte (DESIGN 3.1)."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from simulator import Clock, Fleet

from memstore import admin, log
from memstore.core.statements import KeyAction
from memstore.stores.projection import PROJECTED, WORDS


@pytest.fixture(scope="module")
def past(made, tmp_path_factory):
    """The folder of a store with some of everything in it."""
    folder = tmp_path_factory.mktemp("lived") / "store"
    shutil.copytree(made, folder)
    with Fleet(folder) as fleet:
        live(fleet)
    return folder, fleet.clock.micros


@pytest.fixture
def lived(past, tmp_path):
    folder, micros = past
    shutil.copytree(folder, tmp_path / "lived")
    with Fleet(tmp_path / "lived", Clock(micros)) as fleet:
        yield fleet


def live(fleet: Fleet) -> None:
    ada, ben, lead = fleet.fresh("ada"), fleet.fresh("ben"), fleet.fresh("lead")
    for author, task in ((ada, "t1"), (ben, "t2"), (lead, "t1")):
        author.session_start(task)
    old = ada.write("constraint", "alpha old", key="rule", tags=["x"])["id"]
    ada.write("constraint", "alpha new", key="rule", tags=["x"], supersedes=old)
    question = ben.write("question", "alpha asked")["id"]
    lead.search("alpha", min_trust="attributed", detail="full")
    lead.write("decision", "alpha decided", rationale="r", alternatives=["none"], conditions=[question, old])
    ben.write("finding", "alpha found", "b", answers=question, derived_from=[old])
    ada.write("hypothesis", "alpha guess")
    ada.observe("tool:weather", "alpha sky", ttl_seconds=10)
    ada.observe("https://example.org/", "alpha page")
    ada.write("finding", "alpha tainted", "b")
    fleet.clock.advance(seconds=11)
    gone = ben.write("finding", "alpha secret", "b")["id"]
    admin.erase_content(fleet.house, gone)
    admin.replace_key(fleet.house, "ben", KeyAction.ROTATED)
    admin.reset_context(fleet.house, "ada", "main")
    ada.session_end("partial", summary="alpha summed up")
    bad = fleet.agent("bad", under="lead").write("finding", "alpha bad", "b")
    reader = fleet.fresh("ada")
    reader.get([bad["id"]])
    reader.write("finding", "alpha after bad", "b")
    admin.compromise(fleet.house, "bad", bad["seq"])


def answers(fleet: Fleet) -> bytes:
    """What three readers are told, as bytes, but for refs, which are random, and the sessions that asking starts."""
    told = []
    for name in ("ben", "lead", "person"):
        reader = fleet.fresh(name)
        told += [
            reader.search("alpha", include_superseded=True, detail="full", limit=3, max_tokens=9000),
            reader.search("", limit=50, max_tokens=9000, as_of="12"),
            reader.history(max_tokens=20_000),
            reader.get(["key:rule"]),
            reader.brief(fleet.sql("SELECT id FROM sessions ORDER BY seq LIMIT 1")[0][0]),
        ]
    return re.sub(r'"ref": "r-[\w-]+"', "", json.dumps(told, sort_keys=True)).encode()


def emptied(fleet, tables) -> None:
    for table in tables:
        if table in WORDS.values():
            fleet.sql(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")
        else:
            fleet.sql(f"DELETE FROM {table}")


def test_a_rebuild_of_a_sound_store_changes_nothing(lived):
    before = answers(lived)
    with lived.house.store.read() as unit:
        projected = unit.projected()
    assert log.rebuild(lived.house.store)["ok"]
    with lived.house.store.read() as unit:
        assert unit.projected() == projected
    assert answers(lived) == before
    lived.assert_sound()


@pytest.mark.parametrize(
    "tables", [[*PROJECTED, *WORDS.values()], *([table] for table in (*PROJECTED, *WORDS.values()))]
)
def test_what_was_deleted_by_hand_comes_back_byte_for_byte(lived, tables):
    before = answers(lived)
    emptied(lived, tables)
    assert log.rebuild(lived.house.store) == {"ok": True, "entries": lived.size(), "problems": []}
    assert answers(lived) == before
    lived.assert_sound()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE records SET label = 3",
        "UPDATE records SET superseded_by = NULL, revoked = 0, suspect = 0",
        "UPDATE contexts SET mark = 3, witness = '', stale = 0",
        "UPDATE contexts SET shown = 0, head = zeroblob(32)",
        "UPDATE principals SET role = 'lead'",
        "UPDATE tools SET open_world = 0",
        "DELETE FROM names",
        "INSERT INTO tags VALUES ('planted', 12)",
        "UPDATE sessions SET ended_seq = NULL, ended_at = NULL",
    ],
)
def test_a_projection_that_was_changed_is_found_by_the_audit_and_mended_by_a_rebuild(lived, change):
    before = answers(lived)
    lived.sql(change)
    assert "bad_projection" in lived.found()
    assert log.rebuild(lived.house.store)["ok"]
    assert answers(lived) == before
    lived.assert_sound()


def test_writing_goes_on_after_a_rebuild_where_it_left_off(lived):
    ben = lived.fresh("ben")
    emptied(lived, [*PROJECTED, *WORDS.values()])
    log.rebuild(lived.house.store)
    written = ben.write("question", "alpha after all")
    assert written["id"] in [h["id"] for h in ben.search("after all")["attributed"]["hits"]]
    lived.assert_sound()


def test_a_cycle_that_was_forced_into_the_tables_hangs_nothing(fleet, ada):
    one, two = (ada.write("finding", f"alpha {n}", "b") for n in (1, 2))
    for how in ("derived_from", "evidence", "conditions", "supersedes"):
        fleet.sql("INSERT INTO links VALUES (?, ?, ?)", one["seq"], how, two["id"])
        fleet.sql("INSERT INTO links VALUES (?, ?, ?)", two["seq"], how, one["id"])
        fleet.sql("INSERT INTO links VALUES (?, ?, ?)", one["seq"], how, one["id"])
    fleet.sql("UPDATE records SET superseded_by = ? WHERE seq = ?", two["seq"], one["seq"])
    fleet.sql("UPDATE records SET superseded_by = ? WHERE seq = ?", one["seq"], two["seq"])
    answer = ada.search("alpha", include_superseded=True)
    assert answer["attributed"]["count"] + answer["quarantined"]["count"] == 2
    assert len(ada.get([one["id"], two["id"]])["quarantined"]) == 2
    assert ada.write("finding", "three", "b", derived_from=[one["id"]])["status"] == "stored"
    assert "bad_projection" in fleet.found()
    assert log.rebuild(fleet.house.store)["ok"]
    assert ada.search("alpha")["attributed"]["count"] == 2
    fleet.assert_sound()


def test_a_chain_of_command_that_bites_its_tail_hangs_nothing(fleet, ada, ben):
    mine = ada.write("constraint", "alpha")
    fleet.sql("UPDATE principals SET under = 'ben' WHERE name = 'lead'")
    fleet.sql("UPDATE principals SET under = 'lead' WHERE name = 'ben'")
    fleet.fresh("lead").write("constraint", "beta", supersedes=mine["id"])
    theirs = ben.write("constraint", "gamma")
    assert ada.write("constraint", "delta", supersedes=theirs["id"])["status"] == "stored"
    assert "bad_projection" in fleet.found()
