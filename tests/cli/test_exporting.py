"""Exports from the command line: to stdout or a file, never written over unasked, and verified without a store."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from memstore.config import init_store


@pytest.fixture
def record(cli: Any) -> str:
    given = ("--kind", "finding", "--title", "WAL", "--body", "keeps readers going", "--task", "storage")
    return str(cli("write", "--agent", "worker", *given).answer["id"])


@pytest.fixture
def evidence(cli: Any, tmp_path: Path, record: str) -> Path:
    path = tmp_path / "evidence.json"
    assert cli("export", "bundle", record, "--agent", "worker", "--output", str(path)).status == 0
    return path


def store_id(cli: Any) -> str:
    return str(cli("log", "checkpoint").answer["store_id"])


EXPORTS = (
    ("prov", "--task", "storage"),
    ("intoto", "--task", "storage"),
    ("report", "storage"),
)


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export[0])
def test_an_export_goes_to_stdout_or_into_a_file(cli: Any, tmp_path: Path, record: str, export: tuple[str, ...]):
    shown = cli("export", *export, "--agent", "worker")
    assert shown.status == 0
    assert record in shown.stdout or export[0] == "intoto"
    path = tmp_path / "out"
    told = cli("export", *export, "--agent", "worker", "--output", str(path)).answer
    assert told == {"file": "out", "bytes": path.stat().st_size}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text("utf-8").count("\n") == shown.stdout.count("\n")


def test_attestations_stand_one_a_line(cli: Any, record: str):
    cli("write", "--agent", "worker", "--kind", "finding", "--title", "Another", "--body", "b", "--task", "storage")
    lines = cli("export", "intoto", "--task", "storage", "--agent", "worker").stdout.splitlines()
    assert [json.loads(line)["payloadType"] for line in lines] == ["application/vnd.in-toto+json"] * 2


def test_a_record_bundle_verifies_with_the_id_of_the_store_and_without_the_store(
    cli: Any, tmp_path: Path, evidence: Path, record: str
):
    found = cli("verify-bundle", str(evidence), "--store-id", store_id(cli), store=tmp_path / "nowhere").answer
    assert (found["ok"], found["kind"], found["id"]) == (True, "record", record)


def test_a_bundle_may_come_by_a_pipe(cli: Any, record: str):
    shown = cli("export", "bundle", record, "--agent", "worker").stdout
    assert cli("verify-bundle", "-", "--store-id", store_id(cli), stdin=shown).answer["id"] == record


@pytest.mark.parametrize("form", ["text", "file", "checkpoint"])
def test_the_public_key_is_given_as_text_or_in_a_file(cli: Any, tmp_path: Path, evidence: Path, form: str):
    shown = cli("log", "checkpoint")
    key = shown.answer["public_key"]
    given = {"text": key, "file": key + "\n", "checkpoint": shown.stdout}[form]
    if form != "text":
        (tmp_path / "store.pub").write_text(given)
        given = str(tmp_path / "store.pub")
    assert cli("verify-bundle", str(evidence), "--key", given).answer["ok"] is True


def test_one_command_verifies_bundles_of_both_kinds_and_the_old_one_still_does(cli: Any, tmp_path: Path, record: str):
    cli("session", "start", "--agent", "worker", "--task", "storage")
    given = ("--to", "planner", "--type", "report", "--output", record, "--question", "none", "--rejected", "none")
    handoff = cli("handoff", "offer", "--agent", "worker", *given, "--caveat", "none").answer["handoff"]
    path = tmp_path / "handoff.json"
    cli("export", "bundle", handoff, "--agent", "worker", "--output", str(path))
    (tmp_path / "shown.json").write_text(cli("handoff", "show", handoff, "--bundle", "--agent", "worker").stdout)
    for file in (path, tmp_path / "shown.json"):
        for command in (("verify-bundle",), ("handoff", "verify")):
            found = cli(*command, str(file), "--store-id", store_id(cli)).answer
            assert (found["kind"], found["id"]) == ("handoff", handoff)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda raw: raw[: len(raw) // 2], "bad_bundle"),
        (lambda raw: raw.replace(b'"label": "attributed"', b'"label": "trusted"', 1), "bad_proof"),
        (lambda raw: b"", "bad_bundle"),
    ],
    ids=["truncated", "changed", "empty"],
)
def test_what_proves_nothing_ends_with_status_six(cli: Any, evidence: Path, change: Any, code: str):
    raw = evidence.read_bytes()
    evidence.write_bytes(change(raw))
    ended = cli("verify-bundle", str(evidence), "--store-id", store_id(cli))
    assert (ended.status, ended.code) == (6, code)


def test_a_bundle_of_another_store_proves_nothing(cli: Any, tmp_path: Path, evidence: Path):
    ended = cli("verify-bundle", str(evidence), "--store-id", init_store(tmp_path / "other"))
    assert (ended.status, ended.code) == (6, "wrong_store")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ((), "missing_field"),
        (("--store-id", "a", "--key", "b"), "missing_field"),
        (("--key", "nothing"), "bad_key"),
        (("--key", "no/such/file"), "no_file"),
    ],
)
def test_whom_to_trust_has_to_be_said(cli: Any, evidence: Path, given: tuple[str, ...], code: str):
    ended = cli("verify-bundle", str(evidence), *given)
    assert (ended.status, ended.code) == (2, code)


def test_a_file_that_is_there_is_written_over_only_when_asked(cli: Any, evidence: Path, record: str):
    before = evidence.read_bytes()
    ended = cli("export", "bundle", record, "--agent", "worker", "--output", str(evidence))
    assert (ended.status, ended.code) == (4, "file_exists")
    assert evidence.read_bytes() == before
    given = ("--without-content", "--output", str(evidence), "--force")
    assert cli("export", "bundle", record, "--agent", "worker", *given).status == 0
    assert "content" not in json.loads(evidence.read_bytes())


def test_where_nothing_can_be_written_nothing_is_read(cli: Any, tmp_path: Path, record: str):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for place in (tmp_path, tmp_path / "no" / "such" / "folder", Path("/dev/full"), tmp_path / "link"):
        given = ("--output", str(place), "--force")
        ended = cli("export", "bundle", record, "--agent", "planner", *given)
        assert (ended.status, ended.code) == (2, "unwritable"), place
    assert cli("history", "--id", record, "--view", "disclosures", "--agent", "planner").answer["events"] == []


def test_an_export_that_is_refused_leaves_no_file(cli: Any, tmp_path: Path, record: str):
    place = tmp_path / "out"
    place.mkdir()
    for export in (("bundle", "m-" + "a" * 26), ("prov", "--task", "none"), ("prov",), ("report", "none")):
        ended = cli("export", *export, "--agent", "worker", "--output", str(place / "file"))
        assert ended.status in (2, 3), export
    assert os.listdir(place) == []


def test_ids_of_nothing_and_of_another_scope_look_alike(cli: Any, folder: Path):
    given = ("--kind", "finding", "--title", "Elsewhere", "--body", "b", "--task", "there", "--scope", "side")
    hidden = cli("write", "--agent", "planner", *given).answer["id"]
    for export in (("bundle",), ("prov",), ("intoto",)):
        told = [cli("export", *export, asked, "--agent", "worker") for asked in (hidden, "m-" + "a" * 26)]
        assert told[0] == told[1]
        assert (told[0].status, told[0].code) == (3, "unknown_id")
    told = [cli("export", "report", task, "--agent", "worker") for task in ("there", "nowhere")]
    assert told[0] == told[1]
    assert (told[0].status, told[0].code) == (3, "unknown_task")


def test_a_quarantined_record_is_evidence_only_when_asked_for_as_such(cli: Any):
    page = cli("observe", "--agent", "worker", "--source", "https://x.example/", "--content", "words").answer["id"]
    ended = cli("export", "bundle", page, "--agent", "planner")
    assert (ended.status, ended.code) == (5, "quarantined")
    assert cli("export", "bundle", page, "--quarantined", "--agent", "planner").status == 0


def test_the_report_is_shown_on_a_terminal_as_it_is(cli: Any, terminal: Any, record: str):
    shown = terminal("export", "report", "storage", "--agent", "worker")
    assert shown.status == 0
    assert shown.stdout.startswith("# Report of the task ` storage `")
