"""Stores of every earlier schema, as they were made then: opening one brings it up to date, and all is as before.

An old store is built from the schema files of its time, with what could be done then, and holds what the steps since
have to bring along. A new schema file is covered by being there.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from simulator import Fleet, refs, taken

from memstore import admin
from memstore.config import DATABASE, open_house
from memstore.core.labels import Label
from memstore.core.records import Content
from memstore.stores.migrations import STEPS, split_statements
from memstore.stores.sql import migration
from memstore.stores.sqlite import APPLICATION_ID, SCHEMA_VERSION

VERSIONS = [int(step[:4]) for step in STEPS]
REVIEWS, HANDOFFS = 3, 4  # the first schema that has them
WORDS = "words_"


def lived(folder: Path, version: int) -> None:
    """A store in which much happened, a theft among it: all that one of this version could do."""
    with Fleet(folder) as fleet:
        boss, worker = fleet.agent("boss", role="lead"), fleet.agent("worker", under="boss")
        second, third = fleet.agent("second", under="boss"), fleet.agent("third", under="boss")
        fleet.tool("db")
        fleet.tool("crawl", open_world=True)
        worker.write("finding", "Plain", "x", tags=["t"], key="named")
        for tool in ("tool:db", "tool:crawl", "tool:nobody"):
            second.observe(tool, "a row", ttl_seconds=9)
        third.session_start("a task", goal="none")
        guess = third.write("hypothesis", "A guess")["id"]
        question = third.write("question", "What is open?")["id"]
        third.write("finding", "An answer", "x", answers=question)
        third.session_end("partial", keep=[guess], summary="as far as it went")
        third.session_start("another task")
        fleet.erase(third.write("finding", "Erased", "gone")["id"])
        if version >= REVIEWS:
            told = third.write("finding", "Reviewed", "x")["id"]
            boss.get([told])
            boss.review([told], "endorse")
            third.retract(third.write("finding", "Wrong", "x")["id"], "wrong")
            third.retract(third.write("finding", "Leaked", "x")["id"], "leaked")
            boss.grant("third")
        if version >= HANDOFFS:
            ready = third.write("finding", "Ready", "x")["id"]
            handed = [
                third.handoff_offer("boss", "report", [ready], questions=[text], caveats=["none"], rejected=["none"])
                for text in ("what now?", "and then?", "is that all?")
            ]
            taken(fleet.fresh("boss"), handed[0]["handoff"])
            fleet.fresh("boss").handoff_receive(handed[1]["handoff"])
        since = fleet.size()
        stolen = worker.write("finding", "Stolen", "x")["id"]
        reader = fleet.fresh("boss")
        reader.get([stolen])
        reader.write("finding", "Rests on what was stolen", "x")
        admin.compromise(fleet.house, "worker", since)
        after = fleet.fresh("boss")
        after.open(refs(after.search("rests")))
        after.write("finding", "After what fell", "x")
        fleet.assert_sound()
        fleet.house.store.empty_write_ahead_log()


def made_old(folder: Path, version: int) -> None:
    """Put what a store holds into tables as this version made them, and into its full text."""
    file, old = folder / DATABASE, folder / "old.db"
    conn = sqlite3.connect(old, isolation_level=None)
    then = [step for step in STEPS if int(step[:4]) <= version]
    for step in then:
        for statement in split_statements(migration(step)):
            conn.execute(statement)
    conn.execute("ATTACH ? AS new", (str(file),))
    tables = [row[0] for row in conn.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
    for table in tables:
        if table.startswith((WORDS, "sqlite_")):
            continue
        columns = [row[1] for row in conn.execute(f"PRAGMA main.table_info({table})")]
        there = {row[1] for row in conn.execute(f"PRAGMA new.table_info({table})")}
        assert set(columns) <= there, f"a column of {table} is gone, and this test cannot tell what became of it"
        names = ", ".join(columns)
        conn.execute(f"DELETE FROM main.{table}")
        conn.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM new.{table}")
    fill(conn)
    made = conn.execute("SELECT sql FROM new.sqlite_master WHERE name = '_sqlite_migrations'").fetchone()[0]
    conn.execute(made)
    conn.execute("INSERT INTO main._sqlite_migrations SELECT * FROM new._sqlite_migrations")
    conn.executemany(
        "DELETE FROM main._sqlite_migrations WHERE name = ?", [(step,) for step in STEPS if step not in then]
    )
    conn.execute("DETACH new")
    conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    conn.execute(f"PRAGMA user_version = {version}")
    conn.execute("PRAGMA journal_mode = WAL")
    conn.close()
    old.replace(file)


def fill(conn: sqlite3.Connection) -> None:
    """The words of all records, in the columns that the full text had then."""
    declared = conn.execute("SELECT sql FROM main.sqlite_master WHERE name = 'words_trusted'").fetchone()[0]
    columns = re.findall(r"\b(title|lead|text)\b", declared)
    query = "SELECT r.seq, r.label, c.content FROM records r JOIN contents c ON c.seq = r.seq WHERE r.erased = 0"
    for seq, label, content in conn.execute(query).fetchall():
        told = dict(zip(("title", "lead", "text"), Content.parse(content).index_text(), strict=True))
        names, values = ", ".join(columns), [told[name] for name in columns]
        marks = ", ".join("?" * len(values))
        conn.execute(f"INSERT INTO {WORDS}{Label(label)} (rowid, {names}) VALUES (?, {marks})", (seq, *values))


@pytest.fixture
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[int, Path]:
    version = int(request.param)
    lived(tmp_path / "store", version)
    return version, tmp_path / "store"


def rows(folder: Path) -> dict[str, list[str]]:
    conn = sqlite3.connect(folder / DATABASE)
    tables = [row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {
        table: sorted(map(str, conn.execute(f"SELECT * FROM {table}")))
        for table in tables
        if not table.startswith((WORDS, "sqlite_", "_sqlite", "embedding", "unfolded", "unembedded", "leases"))
    }
    conn.close()
    return found


def test_every_schema_file_is_a_step_and_the_last_is_the_version_of_now():
    from memstore.stores import sql

    files = sorted(path.stem for path in (Path(sql.__file__).parent / "schema").glob("*.sql"))
    assert files == list(STEPS)
    assert VERSIONS[-1] == SCHEMA_VERSION


@pytest.mark.parametrize("old", VERSIONS, indirect=True)
def test_a_store_of_an_earlier_schema_is_what_its_log_gives_and_goes_on(old: tuple[int, Path]):
    version, folder = old
    before = rows(folder)
    made_old(folder, version)
    with Fleet(folder) as fleet:
        fleet.assert_sound()
        assert rows(folder) == before
        assert fleet.sql("SELECT 1 FROM sqlite_master WHERE name = 'unfolded'") == []
        assert fleet.sql("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        third = fleet.fresh("third")
        assert third.search("answer")["attributed"]["hits"][0]["title"] == "An answer"
        assert third.get(["key:named"])["missing"]
        kept = third.write("finding", "Afterwards", "x")["id"]
        boss = fleet.fresh("boss")
        boss.get([kept])
        assert boss.review([kept], "endorse")["results"][0]["label"] == "trusted"
        admin.set_quota(fleet.house, "third", records_per_day=1000)
        fleet.assert_sound()


@pytest.mark.parametrize("old", VERSIONS[1:3], indirect=True)
def test_a_fold_that_was_cut_short_is_made_by_the_next_who_opens(
    old: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
):
    version, folder = old
    made_old(folder, version)

    def cut_short(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("memstore.config.replay", cut_short)
        with pytest.raises(KeyboardInterrupt):
            open_house(folder)
    with Fleet(folder) as fleet:
        fleet.assert_sound()
