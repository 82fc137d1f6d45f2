"""A store from before reviews and handoffs: opening it folds the log anew, once, and then says what is so."""

import re
import sqlite3
from pathlib import Path

import pytest
from simulator import Fleet, refs

from memstore import admin
from memstore.config import DATABASE, open_house
from memstore.stores.sql import migration

NEW = ("0003_trust", "0004_handoffs", "0005_handed_words", "0006_tokens")


def made_old(file: Path) -> None:
    """Take away what the newest steps added to the schema, as if they had never run."""
    with sqlite3.connect(file) as conn:
        for script in (migration(name) for name in reversed(NEW)):
            for kind, name in re.findall(r"^CREATE (TABLE|INDEX) (\w+)", script, re.MULTILINE)[::-1]:
                conn.execute(f"DROP {kind} {name}")
            for table, column in re.findall(r"^ALTER TABLE (\w+) ADD COLUMN (\w+)", script, re.MULTILINE):
                conn.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        conn.executemany("DELETE FROM _sqlite_migrations WHERE name = ?", [(name,) for name in NEW])
        conn.execute("PRAGMA user_version = 2")
    conn.close()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of the second version in which much happened, a theft among it, but nothing was reviewed."""
    with Fleet(tmp_path / "store") as fleet:
        boss, worker = fleet.agent("boss", role="lead"), fleet.agent("worker", under="boss")
        second = fleet.agent("second", under="boss")
        fleet.tool("db")
        fleet.tool("crawl", open_world=True)
        worker.write("finding", "Plain", "x")
        for tool in ("tool:db", "tool:crawl", "tool:nobody"):
            second.observe(tool, "a row", ttl_seconds=9)
        since = fleet.size()
        stolen = worker.write("finding", "Stolen", "x")["id"]
        boss.get([stolen])
        boss.write("finding", "Rests on what was stolen", "x")
        admin.compromise(fleet.house, "worker", since)
        reader = fleet.fresh("boss")
        reader.open(refs(reader.search("rests")))
        reader.write("finding", "After what fell", "x")
        fleet.assert_sound()
        fleet.house.store.empty_write_ahead_log()
    return tmp_path / "store"


def test_an_upgraded_store_is_what_its_log_gives(old: Path):
    columns = "SELECT * FROM records", "SELECT * FROM contexts"
    with sqlite3.connect(old / DATABASE) as conn:
        before = [conn.execute(query).fetchall() for query in columns]
    conn.close()
    made_old(old / DATABASE)
    with Fleet(old) as fleet:
        fleet.assert_sound()
        assert [[sorted(map(str, row)) for row in fleet.sql(query)] for query in columns] == [
            [sorted(map(str, row)) for row in rows] for rows in before
        ]
        assert fleet.sql("SELECT 1 FROM sqlite_master WHERE name = 'unfolded'") == []


def test_a_fold_that_was_cut_short_is_made_by_the_next_who_opens(old: Path, monkeypatch: pytest.MonkeyPatch):
    made_old(old / DATABASE)

    def cut_short(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("memstore.config.replay", cut_short)
        with pytest.raises(KeyboardInterrupt):
            open_house(old)
    with Fleet(old) as fleet:
        fleet.assert_sound()
