"""Many records at once: JSON lines and folders of decision records."""

import json
from pathlib import Path
from typing import Any

import pytest

from memstore.adr import read_record
from memstore.errors import NotFound
from memstore.importing import MAX_LINE_BYTES, decisions_in, lines_of

FINDING = {"kind": "finding", "title": "Queues drain", "body": "In order, within a second.", "task": "queues"}
PAGE = {"source": "https://example.org/queues", "content": "Queues are lists.", "task": "queues"}

NYGARD = """# 3. Use {what}

Date: 2020-01-01

## Status

{status}

## Context

We have to choose.

## Decision

We will use {what}.

## Consequences

It is chosen.
"""


def write_lines(tmp_path: Path, *lines: Any) -> Path:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines))
    return path


def test_lines_become_records_of_their_tasks(fleet, tmp_path):
    ada = fleet.fresh("ada")
    done = ada.import_lines(lines_of(write_lines(tmp_path, FINDING, PAGE)))
    assert (done["stored"], done["duplicate"], done["skipped"]) == (2, 0, [])
    (hit,) = ada.search("queues drain", task="queues", kinds=["finding"])["attributed"]["hits"]
    assert hit["title"] == "Queues drain"
    assert ada.search("lists", task="queues")["quarantined"]["count"] == 1


def test_what_follows_an_outside_text_in_an_import_is_tainted_like_any_other_words(fleet, tmp_path):
    ada = fleet.fresh("ada")
    ada.import_lines(lines_of(write_lines(tmp_path, PAGE, FINDING)))
    assert ada.search("queues drain", kinds=["finding"])["attributed"]["count"] == 0


def test_importing_again_stores_nothing_twice(fleet, tmp_path):
    ada = fleet.fresh("ada")
    path = write_lines(tmp_path, *[{**FINDING, "title": f"Queue {n} drains", "key": f"q{n}"} for n in range(450)])
    assert ada.import_lines(lines_of(path))["stored"] == 450
    again = ada.import_lines(lines_of(path))
    assert (again["stored"], again["duplicate"]) == (0, 450)
    fleet.audit()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (json.dumps(FINDING).encode()[:40] + b"\n", "bad_line"),
        (b"[1, 2]\n", "bad_line"),
        (b"\xff\xfe\n", "bad_line"),
        (b"[" * 200_000 + b"\n", "bad_line"),
        (b'{"kind": "finding", "title": "Twice", "title": "Said", "body": "mood"}\n', "bad_line"),
        (b'{"kind": "finding", "title": "Deep", "body": "b", "data": {"a": {"mood": 1, "mood": 2}}}\n', "bad_line"),
        (b'"' + b"x" * (10 * 1024 * 1024) + b'"\n', "too_long"),
        ({**FINDING, "mood": "good"}, "unknown_field"),
        ({**FINDING, "kind": "musing"}, "unknown_kind"),
        ({**FINDING, "task": 3}, "invalid"),
        ({**FINDING, "dry_run": True}, "unknown_field"),
        ({"kind": "decision", "title": "No reason"}, "missing_field"),
        ({**FINDING, "derived_from": ["m-" + "a" * 26]}, "unknown_id"),
        ({**FINDING, "data": {"half": 0.5}}, "not_canonical"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_line_that_cannot_be_stored_is_skipped_and_stops_nothing(fleet, tmp_path, line, code):
    ada = fleet.fresh("ada")
    done = ada.import_lines(lines_of(write_lines(tmp_path, FINDING, line, {**FINDING, "title": "After it"})))
    assert done["stored"] == 2
    assert [(skip["line"], skip["code"]) for skip in done["skipped"]] == [("2", code)]
    assert "mood" not in json.dumps(done)
    fleet.audit()


def test_a_line_refused_by_the_database_leaves_nothing_of_itself(fleet, tmp_path):
    ada = fleet.fresh("ada")
    clash = {**FINDING, "title": "Other words", "key": "mine"}
    path = write_lines(tmp_path, {**FINDING, "key": "mine"}, clash, {**FINDING, "title": "After it"})
    done = ada.import_lines(lines_of(path))
    assert [skip["code"] for skip in done["skipped"]] == ["key_conflict"]
    assert ada.search(kinds=["finding"], task="queues")["attributed"]["count"] == 2
    fleet.audit()


def test_empty_lines_and_a_missing_last_line_end_are_no_matter(fleet, tmp_path):
    path = write_lines(tmp_path, b"\n", FINDING, b"  \n", json.dumps({**FINDING, "title": "Last"}).encode())
    assert fleet.fresh("ada").import_lines(lines_of(path))["stored"] == 2


def test_a_byte_order_mark_costs_no_line(fleet, tmp_path):
    path = write_lines(tmp_path, b"\xef\xbb\xbf" + json.dumps(FINDING).encode() + b"\n", {**FINDING, "title": "Last"})
    done = fleet.fresh("ada").import_lines(lines_of(path))
    assert (done["stored"], done["skipped"]) == (2, [])


def test_an_overlong_line_behind_a_byte_order_mark_is_one_line(fleet, tmp_path):
    path = write_lines(tmp_path, b"\xef\xbb\xbf" + b"x" * MAX_LINE_BYTES + b"\n", FINDING)
    done = fleet.fresh("ada").import_lines(lines_of(path))
    assert (done["stored"], [skip["code"] for skip in done["skipped"]]) == (1, ["too_long"])


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(NotFound, match="cannot be read"):
        list(lines_of(tmp_path / "none.jsonl"))
    assert MAX_LINE_BYTES > 65_536 * 2


def adr_folder(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "adr"
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.md").write_text(text, "utf-8")
    return folder


def test_a_nygard_record_is_read_without_its_number():
    record = read_record(NYGARD.format(what="lists", status="Accepted"))
    assert record is not None
    assert (record.arguments["title"], record.arguments["rationale"]) == ("Use lists", "We will use lists.")
    assert record.arguments["alternatives"] == ["none"]


def test_a_superseded_decision_is_replaced_by_its_successor(fleet, tmp_path):
    old = NYGARD.format(what="lists", status="Superseded by [2](0002-trees.md)")
    folder = adr_folder(tmp_path, **{"0001-lists": old, "0002-trees": NYGARD.format(what="trees", status="Accepted")})
    ada = fleet.fresh("ada")
    assert ada.import_lines(decisions_in(folder))["stored"] == 2
    found = ada.search("use", kinds=["decision"])["attributed"]["hits"]
    assert [hit["title"] for hit in found] == ["Use trees"]
    assert ada.import_lines(decisions_in(folder))["stored"] == 0


def test_a_folder_without_decision_records_is_refused(tmp_path):
    with pytest.raises(NotFound, match="no decision records"):
        decisions_in(adr_folder(tmp_path, readme="# Only a title"))
    with pytest.raises(NotFound, match="no such folder"):
        decisions_in(tmp_path / "nowhere")
