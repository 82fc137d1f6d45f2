"""The log as a file: the same store again, read-only; what is wrong with a file is told by its line (ADR 0051)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from simulator import Clock, Fleet, leaked

from memstore import log
from memstore.config import DATABASE, init_store
from memstore.errors import Conflict, IntegrityError, InvalidInput, MemStoreError, NotFound, StoreUnavailable
from memstore.transfer import export_log, import_log

SECRET = "the word that must not travel"
Lines = list[dict[str, Any]]


@pytest.fixture
def lived(fleet: Fleet) -> Fleet:
    """A store in which records were read, reviewed, tainted, handed on, erased, leaked."""
    ada, ben, lead = fleet.fresh("ada"), fleet.fresh("ben"), fleet.fresh("lead")
    ada.session_start("t")
    good = ada.write("finding", "alpha", "good", tags=["x"], key="name")["id"]
    lead.get([good])
    lead.review([good], "endorse")
    ben.observe("https://example.org/", "outside")
    ben.write("finding", "alpha too", "after reading outside")
    ada.handoff_offer("lead", "report", [good], questions=["none"], caveats=["a caveat"], rejected=["none"])
    erased = ada.write("finding", "erased", SECRET)["id"]
    fleet.erase(erased)
    shown = ada.write("finding", "leaked", SECRET)["id"]
    lead.get([shown])
    ada.retract(shown, "leaked")
    # Shown after the last entry: no entry commits to it yet.
    ben.get([good])
    return fleet


def exported(fleet: Fleet, path: Path, since: int = -1) -> dict[str, Any]:
    return export_log(fleet.house, path, since=since)


def lines_of(path: Path) -> Lines:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_lines(path: Path, lines: Lines) -> None:
    told = [json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines]
    path.write_text("".join(told), "utf-8")


def test_a_copy_has_the_same_id_records_disclosures_and_root(lived, tmp_path):
    exported(lived, tmp_path / "log")
    done = import_log(tmp_path / "log", tmp_path / "copy", clock=lived.clock)
    whole = lived.audit()
    assert (done["store_id"], done["root"], done["entries"]) == (whole["store"], whole["root"], whole["size"])
    tables = "SELECT id, label, shown, suspect, admitted FROM records ORDER BY seq", "SELECT * FROM disclosures"
    with Fleet(tmp_path / "copy", lived.clock) as copy:
        copy.assert_sound()
        assert copy.audit()["root"] == whole["root"]
        assert log.checkpoint(copy.house.store) == log.checkpoint(lived.house.store)
        for query in tables:
            assert copy.sql(query) == lived.sql(query)
    assert (tmp_path / "log").stat().st_mode & 0o077 == (tmp_path / "copy" / DATABASE).stat().st_mode & 0o077 == 0
    assert not (tmp_path / "copy" / "keys").exists()


def test_what_was_erased_or_leaked_does_not_travel_and_no_key_does(lived, tmp_path):
    exported(lived, tmp_path / "log")
    assert leaked(SECRET, *(bytes_of(line) for line in lines_of(tmp_path / "log"))) == ""
    assert b"PRIVATE KEY" not in (tmp_path / "log").read_bytes()
    import_log(tmp_path / "log", tmp_path / "copy", clock=lived.clock)
    assert all(SECRET.encode() not in path.read_bytes() for path in (tmp_path / "copy").iterdir() if path.is_file())


def bytes_of(line: dict[str, Any]) -> str:
    import base64

    body = line.get("content", {}).get("content", "")
    return base64.b64decode(body).decode()


def test_a_store_that_did_not_change_is_exported_as_the_same_file(lived, tmp_path):
    exported(lived, tmp_path / "log")
    exported(lived, tmp_path / "log again")
    assert (tmp_path / "log again").read_bytes() == (tmp_path / "log").read_bytes()


def test_files_of_what_came_since_keep_a_copy_up_to_date_erasures_and_all(lived, tmp_path):
    last = exported(lived, tmp_path / "one")["last_seq"]
    import_log(tmp_path / "one", tmp_path / "copy", clock=lived.clock)
    ada, lead = lived.fresh("ada"), lived.fresh("lead")
    kept = ada.write("finding", "late", SECRET)["id"]
    lead.get([kept])
    next_last = exported(lived, tmp_path / "two", last)["last_seq"]
    assert import_log(tmp_path / "two", tmp_path / "copy", clock=lived.clock)["added"] == 1
    assert SECRET.encode() in (tmp_path / "copy" / DATABASE).read_bytes()
    lived.erase(kept)
    exported(lived, tmp_path / "three", next_last)
    done = import_log(tmp_path / "three", tmp_path / "copy", clock=lived.clock)
    assert (done["added"], done["root"]) == (1, lived.audit()["root"])
    assert SECRET.encode() not in (tmp_path / "copy" / DATABASE).read_bytes()
    with Fleet(tmp_path / "copy", lived.clock) as copy:
        copy.assert_sound()
        assert copy.sql("SELECT * FROM disclosures") == lived.sql("SELECT * FROM disclosures")
    # With nothing new in the log, what was shown meanwhile still comes along.
    lead.get(["key:nothing"])
    ada.search("alpha")
    exported(lived, tmp_path / "four", lived.size() - 1)
    assert import_log(tmp_path / "four", tmp_path / "copy", clock=lived.clock)["added"] == 0
    with Fleet(tmp_path / "copy", lived.clock) as copy:
        assert copy.sql("SELECT count(*) FROM disclosures") == lived.sql("SELECT count(*) FROM disclosures")


def test_what_leaks_later_leaves_a_copy_with_the_next_file(fleet, ada, tmp_path):
    shown = ada.write("finding", "x", SECRET)["id"]
    last = exported(fleet, tmp_path / "one")["last_seq"]
    import_log(tmp_path / "one", tmp_path / "copy", clock=fleet.clock)
    ada.retract(shown, "leaked")
    next_last = exported(fleet, tmp_path / "two", last)["last_seq"]
    import_log(tmp_path / "two", tmp_path / "copy", clock=fleet.clock)
    assert SECRET.encode() not in (tmp_path / "copy" / DATABASE).read_bytes()
    ada.write("question", "q")
    exported(fleet, tmp_path / "three", next_last)
    import_log(tmp_path / "three", tmp_path / "copy", clock=fleet.clock)
    with Fleet(tmp_path / "copy", fleet.clock) as copy:
        copy.assert_sound()


def test_a_file_that_does_not_go_on_where_the_copy_ends_is_refused(lived, tmp_path):
    last = exported(lived, tmp_path / "one")["last_seq"]
    lived.fresh("ada").write("question", "q")
    exported(lived, tmp_path / "two", last)
    exported(lived, tmp_path / "overlaps", last - 2)
    lived.fresh("ada").write("question", "r")
    exported(lived, tmp_path / "three", last + 1)
    with pytest.raises(Conflict) as no_copy:
        import_log(tmp_path / "two", tmp_path / "copy", clock=lived.clock)
    assert no_copy.value.code == "not_contiguous"
    assert not (tmp_path / "copy").exists()
    import_log(tmp_path / "one", tmp_path / "copy", clock=lived.clock)
    for name in ("one", "overlaps", "three"):
        with pytest.raises(Conflict) as refused:
            import_log(tmp_path / name, tmp_path / "copy", clock=lived.clock)
        assert (refused.value.code, str(last) in refused.value.next_call) == ("not_contiguous", True)
    with pytest.raises(Conflict) as written:
        import_log(tmp_path / "two", lived.folder, clock=lived.clock)
    assert written.value.code == "store_exists"


def test_a_fork_of_the_same_store_is_not_taken_for_what_comes_next(lived, tmp_path):
    from memstore.backups import backup, restore

    backup(lived.house, tmp_path / "backup")
    lived.fresh("ada").write("question", "lost")
    last = exported(lived, tmp_path / "one")["last_seq"]
    import_log(tmp_path / "one", tmp_path / "copy", clock=lived.clock)
    restore(tmp_path / "backup", tmp_path / "restored", clock=lived.clock)
    with Fleet(tmp_path / "restored", lived.clock) as restored:
        restored.fresh("ada").write("question", "other")
        exported(restored, tmp_path / "two", last)
    with pytest.raises(Conflict) as refused:
        import_log(tmp_path / "two", tmp_path / "copy", clock=lived.clock)
    assert refused.value.code == "not_contiguous"


def test_a_copy_is_read_by_people_and_written_by_nobody(lived, tmp_path):
    exported(lived, tmp_path / "log")
    import_log(tmp_path / "log", tmp_path / "copy", clock=lived.clock)
    before = (tmp_path / "copy" / DATABASE).read_bytes()
    with Fleet(tmp_path / "copy", lived.clock) as copy:
        person = copy.fresh("person")
        hit = person.search("alpha")["trusted"]["hits"][0]
        assert hit["title"] == "alpha"
        entry = person.search("")["quarantined"]["entries"][0]
        assert person.open([entry["ref"]])["entries"][0]["ref"] == entry["ref"]
        assert person.get([hit["id"]])["records"]
        assert person.history(id=hit["id"])["events"]
        acts: tuple[Callable[[], object], ...] = (
            lambda: person.write("question", "q"),
            lambda: person.review([hit["id"]], "dispute"),
            lambda: person.session_start("t"),
            lambda: copy.fresh("ada"),
            lambda: copy.fresh("lead"),
            lambda: copy.fresh("nobody"),
            lambda: copy.tool("x"),
            lambda: copy.erase(hit["id"]),
            lambda: copy.agent("new"),
            lambda: log.rebuild(copy.house.store),
            lambda: copy.house.key.signer.sign(b"as the store"),
        )
        for act in acts:
            with pytest.raises(MemStoreError) as refused:
                act()
            assert refused.value.code == "read_only_copy"
    assert (tmp_path / "copy" / DATABASE).read_bytes() == before


def test_export_and_import_overwrite_nothing(lived, tmp_path):
    exported(lived, tmp_path / "log")
    before = (tmp_path / "log").read_bytes()
    with pytest.raises(Conflict):
        exported(lived, tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(Conflict):
        import_log(tmp_path / "log", tmp_path / "full", clock=lived.clock)
    with pytest.raises(InvalidInput):
        exported(lived, tmp_path / "other", lived.size())
    with pytest.raises(NotFound):
        import_log(tmp_path / "none", tmp_path / "copy", clock=lived.clock)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "log", "store"]


def at(lines: Lines, kind: str, which: int = 0) -> int:
    return [n for n, line in enumerate(lines) if kind in line][which]


def drop(kind: str, which: int = 0) -> Callable[[Lines], int]:
    def harm(lines: Lines) -> int:
        place = at(lines, kind, which)
        lines.pop(place)
        lines[-1]["end"]["lines"] -= 1
        return place + 1

    return harm


def change(kind: str, name: str, value: object, which: int = 0) -> Callable[[Lines], int]:
    def harm(lines: Lines) -> int:
        place = at(lines, kind, which)
        lines[place][kind][name] = value
        return place + 1

    return harm


def swap(lines: Lines) -> int:
    first, second = at(lines, "entry", 3), at(lines, "entry", 4)
    lines[first], lines[second] = lines[second], lines[first]
    return first + 1


def double(lines: Lines) -> int:
    place = at(lines, "entry", 4)
    lines.insert(place, lines[place])
    lines[-1]["end"]["lines"] += 1
    return place + 2


def other_words(lines: Lines) -> int:
    place = at(lines, "content")
    lines[place]["content"]["content"] = "e30="
    return place + 1


def no_words(lines: Lines) -> int:
    place = at(lines, "content")
    del lines[place]["content"]
    return place + 1


def half(lines: Lines) -> int:
    del lines[len(lines) // 2 :]
    return 0


def beyond(lines: Lines) -> int:
    lines.append({"context": {"launch": "c", "principal": "p", "scope": "s"}})
    return len(lines) - 1


def no_end(lines: Lines) -> int:
    lines.pop()
    return 0


def another_kind(lines: Lines) -> int:
    lines.insert(3, {"note": {}})
    return 4


# What is done to the lines, and the line that is named; 0: any.
HARM: dict[str, Callable[[Lines], int]] = {
    "a statement that was changed": change("entry", "payload", "e30=", 5),
    "another signature": change("entry", "signature", "A" * 86 + "==", 5),
    "another time": change("entry", "logged_at", 1, 5),
    "a higher label": change("entry", "label", "trusted", -1),
    "another leaf": change("entry", "leaf", "0" * 64, 5),
    "a leaf of another length": change("entry", "leaf", "00", 5),
    "an unknown state": change("entry", "state", "sound", 5),
    "a position that is none": change("entry", "seq", -1, 5),
    "a position as text": change("entry", "seq", "5", 5),
    "a field too many": change("entry", "more", 1, 5),
    "words that were changed": other_words,
    "words that were left out": no_words,
    "an entry left out": drop("entry", 5),
    "two entries exchanged": swap,
    "an entry twice": double,
    "a disclosure left out": drop("shown"),
    "a disclosure of less": change("shown", "extent", 1),
    "a disclosure of another label": change("shown", "label", 0, -1),
    "a disclosure of what came later": change("shown", "record", 10_000),
    "a disclosure in nobody's context": change("shown", "launch", "c-other"),
    "a context left out": drop("context"),
    "a context of another": change("context", "principal", "ben"),
    "half of it": half,
    "no end": no_end,
    "something after the end": beyond,
    "another store's id": change("log", "store_id", "a" * 26),
    "another key": change("log", "public_key", "A" * 43 + "="),
    "another checkpoint": change("log", "checkpoint", "memstore/x\n1\n"),
    "a later version": change("log", "version", 2),
    "no first line": drop("log"),
    "a line of another kind": another_kind,
}


@pytest.mark.parametrize("name", HARM)
def test_a_file_that_was_tampered_with_is_refused_and_nothing_of_it_is_kept(lived, tmp_path, name):
    exported(lived, tmp_path / "log")
    lines = lines_of(tmp_path / "log")
    named = HARM[name](lines)
    write_lines(tmp_path / "log", lines)
    with pytest.raises(IntegrityError) as refused:
        import_log(tmp_path / "log", tmp_path / "copy", clock=lived.clock)
    assert refused.value.code == "bad_file"
    told = int(refused.value.what.removeprefix("Line ").partition(":")[0])
    assert told == named if name in NAMED else told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "store"]


# What a line by itself, or in its place, does not show is known from what follows, or at the end.
NAMED = HARM.keys() - {
    "an entry left out", "a disclosure left out", "a disclosure of less", "a disclosure of another label",
    "a context left out", "a context of another", "half of it", "no end", "another checkpoint",
}  # fmt: skip


@pytest.mark.parametrize("name", ["a higher label", "an entry left out", "half of it", "words that were changed"])
def test_a_file_that_was_tampered_with_leaves_the_copy_as_it_was(lived, tmp_path, name):
    last = exported(lived, tmp_path / "one")["last_seq"]
    import_log(tmp_path / "one", tmp_path / "copy", clock=lived.clock)
    ada = lived.fresh("ada")
    for n in range(8):
        ada.write("finding", f"late {n}", "x")
    exported(lived, tmp_path / "two", last)
    lines = lines_of(tmp_path / "two")
    HARM[name](lines)
    write_lines(tmp_path / "bad", lines)
    with pytest.raises(IntegrityError):
        import_log(tmp_path / "bad", tmp_path / "copy", clock=lived.clock)
    with Fleet(tmp_path / "copy", lived.clock) as copy:
        assert copy.size() == last + 1
        copy.assert_sound()
    assert import_log(tmp_path / "two", tmp_path / "copy", clock=lived.clock)["added"] == 8


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]\n", b"null\n", b"\xff\xfe\n", b"garbage\n" * 9, b'{"log": {}}\n', b"[" * 100_000 + b"\n"],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(IntegrityError) as refused:
        import_log(tmp_path / "log", tmp_path / "copy", clock=Clock())
    assert refused.value.code == "bad_file"
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_line_without_end_is_not_read_into_memory(lived, tmp_path, monkeypatch):
    monkeypatch.setattr("memstore.log_lines.MOST_LINE", 2000)
    exported(lived, tmp_path / "log")
    (tmp_path / "log").write_bytes(b"{" * 100_000 + (tmp_path / "log").read_bytes())
    with pytest.raises(IntegrityError) as refused:
        import_log(tmp_path / "log", tmp_path / "copy", clock=lived.clock)
    assert "too long" in refused.value.what


def test_a_log_of_another_store_is_not_imported_over_a_copy(lived, tmp_path):
    exported(lived, tmp_path / "log")
    import_log(tmp_path / "log", tmp_path / "copy", clock=lived.clock)
    init_store(tmp_path / "other", clock=Clock())
    with Fleet(tmp_path / "other") as other:
        other.tool("x")
        exported(other, tmp_path / "theirs", 0)
    with pytest.raises(Conflict) as refused:
        import_log(tmp_path / "theirs", tmp_path / "copy", clock=lived.clock)
    assert refused.value.code == "not_contiguous"


def test_a_copy_is_not_backed_up(lived, tmp_path):
    from memstore.backups import backup

    exported(lived, tmp_path / "log")
    import_log(tmp_path / "log", tmp_path / "copy", clock=lived.clock)
    with Fleet(tmp_path / "copy", lived.clock) as copy, pytest.raises(StoreUnavailable) as refused:
        backup(copy.house, tmp_path / "backup")
    assert refused.value.code == "read_only_copy"
