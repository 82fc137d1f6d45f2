"""Records of every kind: what each must have, what a refusal says, what is kept of what was written (DESIGN 3.2)."""

from __future__ import annotations

from typing import Any

import pytest

from memstore.errors import Conflict, InvalidInput, NotFound

COMPLETE: dict[str, dict[str, Any]] = {
    "constraint": {"title": "No network"},
    "decision": {"title": "Use SQLite", "rationale": "One file.", "alternatives": ["none"]},
    "finding": {"title": "WAL works", "body": "Eight writers, no error."},
    "rejected": {"title": "Chroma alone", "rationale": "It loses ids between processes."},
    "question": {"title": "Which port?"},
    "checkpoint": {"title": "Half way", "data": {"at": 3}},
}
# What is left out, how the refusal names it, and what it says to do.
INCOMPLETE = [
    ("decision", {"title": "t", "alternatives": ["none"]}, "`rationale`", "one sentence"),
    ("decision", {"title": "t", "rationale": " \n", "alternatives": ["none"]}, "`rationale`", "one sentence"),
    ("decision", {"title": "t", "rationale": "r"}, "`alternatives`", 'alternatives=["none"]'),
    ("finding", {"title": "t"}, "`body`", "data"),
    ("rejected", {"title": "t"}, "`rationale`", '"unknown"'),
    ("checkpoint", {"title": "t"}, "`data`", "non-empty object"),
    ("question", {"title": "  "}, "`title`", "200"),
    ("question", {}, "`title`", "title"),
    ("constraint", {"title": ""}, "`title`", "200"),
    ("finding", {"title": "t", "body": "b", "verification": "verified"}, "`evidence`", 'verification="unverified"'),
]


@pytest.mark.parametrize("kind", COMPLETE)
def test_a_complete_record_of_each_kind_is_stored_and_read_back_as_it_was_written(ada, kind):
    written = ada.write(kind=kind, tags=["one"], caveats=["perhaps"], confidence=70, **COMPLETE[kind])
    (record,) = ada.get([written["id"]])["records"]
    assert written["status"] == "stored"
    assert record["kind"] == kind
    assert {name: record[name] for name in COMPLETE[kind]} == COMPLETE[kind]
    assert (record["caveats"], record["confidence"], record["author"]) == (["perhaps"], 70, "ada")


@pytest.mark.parametrize(("kind", "arguments", "named", "hint"), INCOMPLETE)
def test_a_refusal_names_what_is_missing_and_says_how_to_state_that_there_is_none(
    fleet, ada, kind, arguments, named, hint
):
    size = fleet.size()
    with pytest.raises(InvalidInput) as refused:
        ada.write(kind=kind, **arguments)
    assert refused.value.code == "missing_field"
    assert named in refused.value.what
    assert hint in refused.value.next_call
    assert fleet.size() == size


@pytest.mark.parametrize("kind", ["tool_result", "external", "plan", "", "Decision"])
def test_a_kind_that_is_not_written_is_refused_and_the_kinds_are_named(ada, kind):
    with pytest.raises(InvalidInput) as refused:
        ada.write(kind, "t", "b")
    assert refused.value.code == "unknown_kind"
    assert "'decision'" in refused.value.next_call
    assert "memory_observe" in refused.value.next_call


def test_chains_of_reasoning_are_refused_with_the_reason(ada):
    with pytest.raises(InvalidInput) as refused:
        ada.write("reasoning", "step by step")
    assert "Chains of reasoning" in refused.value.next_call
    assert "go stale" in refused.value.next_call


def test_an_unknown_field_is_refused_with_the_names_of_the_known_and_without_its_own(ada):
    with pytest.raises(InvalidInput) as refused:
        ada.write("question", "t", importance_xyzzy=3)
    assert refused.value.code == "unknown_field"
    assert "rationale" in refused.value.next_call
    assert "xyzzy" not in str(refused.value)


def test_a_hypothesis_needs_a_running_session(ada):
    with pytest.raises(InvalidInput) as refused:
        ada.write("hypothesis", "It is the cache")
    assert refused.value.code == "no_session"
    ada.session_start("t")
    assert ada.write("hypothesis", "It is the cache")["status"] == "stored"


@pytest.mark.parametrize(("name", "flags"), [("person", []), ("lead", ["relayed"])])
def test_an_intent_of_a_lead_is_flagged_as_relayed_and_that_of_a_person_is_not(fleet, name, flags):
    author = fleet.fresh(name)
    intent = author.write("intent", "Ship it", "Please ship the report by Friday.")
    (record,) = author.get([intent["id"]])["records"]
    assert record["body"] == "Please ship the report by Friday."
    assert record["flags"] == flags
    assert record["label"] == "trusted"


def test_a_worker_cannot_write_an_intent(fleet, ada):
    size = fleet.size()
    with pytest.raises(InvalidInput) as refused:
        ada.write("intent", "Ship it", "Please ship.")
    assert "person or a lead" in refused.value.what
    assert fleet.size() == size


def test_an_intent_has_a_body_of_at_most_4_kib_in_bytes(person):
    assert person.write("intent", "just fits", "é" * 2048)["status"] == "stored"
    for body, code in (("é" * 2048 + "x", "too_long"), ("", "missing_field")):
        with pytest.raises(InvalidInput) as refused:
            person.write("intent", "does not", body)
        assert refused.value.code == code


def test_a_checker_writes_no_records_not_even_as_a_dry_run(fleet):
    checker = fleet.agent("checker", role="checker")
    for dry_run in (True, False):
        with pytest.raises(Exception, match="denied: A principal of role checker"):
            checker.write("question", "May I?", dry_run=dry_run)


@pytest.mark.parametrize("verification", ["unverified", "verified", "failed"])
def test_verification_is_kept_as_it_was_said(ada, verification):
    found = ada.write("finding", "F", "b", verification=verification, evidence=["ran the suite"])
    assert ada.get([found["id"]])["records"][0]["verification"] == verification
    assert ada.get([found["id"]])["records"][0]["evidence"] == ["ran the suite"]


def test_only_a_finding_is_verified_or_failed(ada):
    for verification in ("verified", "failed"):
        with pytest.raises(InvalidInput, match="Only a finding"):
            ada.write("question", "q", verification=verification, evidence=["e"])


def test_evidence_that_is_a_record_is_rested_on_and_its_label_counts(ada):
    tainted = ada.observe("tool:unregistered", "42", ttl_seconds=60)
    found = ada.write("finding", "F", "b", verification="verified", evidence=["seen", tainted["id"]])
    assert found["label"] == "tainted"
    assert {"code": "declared", "label": "tainted", "id": tainted["id"]} in found["because"]


@pytest.mark.parametrize("field", ["derived_from", "evidence", "conditions", "supersedes", "answers"])
@pytest.mark.parametrize(
    ("asked", "code"),
    [("m-" + "a" * 26, "unknown_id"), ("s-" + "a" * 26, "unknown_id"), ("m-" + "short" * 4, ("invalid", "unknown_id"))],
)
def test_an_id_that_is_not_here_is_refused_wherever_it_stands(fleet, ada, field, asked, code):
    size = fleet.size()
    with pytest.raises((InvalidInput, NotFound)) as refused:
        ada.write(
            "finding", "F", "b", **{field: [asked] if field in ("derived_from", "evidence", "conditions") else asked}
        )
    assert refused.value.code in code
    assert asked not in str(refused.value)
    assert fleet.size() == size


def test_a_session_id_is_no_record(ada):
    session = ada.session_start("t")["session"]
    with pytest.raises(NotFound):
        ada.write("finding", "F", "b", derived_from=[session])


def test_a_dry_run_answers_as_the_write_would_and_writes_nothing(fleet, ada):
    size = fleet.size()
    asked = {"kind": "finding", "title": "F", "body": "b"}
    told = ada.write(**asked, dry_run=True)
    assert fleet.size() == size
    assert (told["id"], told["status"], told["seq"]) == ("", "would_store", -1)
    stored = ada.write(**asked)
    assert (told["label"], told["because"]) == (stored["label"], stored["because"])
    assert ada.write(**asked, dry_run=True)["status"] == "duplicate"


def test_a_dry_run_refuses_what_the_write_would_refuse(ada):
    with pytest.raises(InvalidInput):
        ada.write("decision", "d", dry_run=True)
    ada.write("question", "q", key="k")
    with pytest.raises(Conflict):
        ada.write("question", "other", key="k", dry_run=True)


def test_the_newest_checkpoint_supersedes_by_name(ada):
    first = ada.write("checkpoint", "c", data={"at": 1}, key="resume")
    second = ada.write("checkpoint", "c", data={"at": 2}, key="resume", supersedes="key:resume")
    assert ada.get(["key:resume"])["records"][0]["data"] == {"at": 2}
    assert ada.get([first["id"]])["quarantined"][0]["reasons"] == ["superseded"]
    assert second["note"].endswith(f"{first['id']} is superseded.")


def test_provenance_is_set_by_the_store(fleet, ada):
    session = ada.session_start("the task")["session"]
    fleet.clock.advance(seconds=5)
    found = ada.write("finding", "F", "b")
    fleet.clock.advance(seconds=7)
    (record,) = ada.get([found["id"]])["records"]
    assert (record["author"], record["role"], record["task"]) == ("ada", "worker", "the task")
    assert (record["session"], record["age_seconds"], record["signature"]) == (session, 7, "valid")
    assert record["logged_at"] == "2025-06-15T15:06:45.000000Z"
