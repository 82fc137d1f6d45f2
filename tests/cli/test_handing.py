"""Handoffs, gates and contracts from the command line, and a bundle verified as a file."""

import json
from typing import Any

import pytest

FORM = {"type": "object", "properties": {"rows": {"type": "integer"}}, "required": ["rows"]}


@pytest.fixture
def output(cli) -> str:
    cli("agent", "add", "peer", "--under", "planner", "--accepts", "sum@1.0", "--capability", "sum")
    said = ("--title", "Found", "--data", '{"rows": 3}', "--verification", "verified", "--evidence", "log")
    found: str = cli("write", "--agent", "worker", "--kind", "finding", *said).answer["id"]
    return found


def offer(cli: Any, output: str, *more: str) -> Any:
    said = ("--type", "transfer", "--output", output, "--question", "none", "--to", "peer", *more)
    return cli("handoff", "offer", "--agent", "worker", *said)


def test_work_is_handed_over_and_proven(cli, output, tmp_path):
    handoff = offer(cli, output).answer["handoff"]
    assert [item["handoff"] for item in cli("handoff", "inbox", "--agent", "peer").answer["items"]] == [handoff]
    found = cli("handoff", "receive", "--agent", "peer", handoff).answer
    respond = ("handoff", "respond", "--agent", "peer", handoff, "--action")
    taken = cli(*respond, "accept", "--receipt", found["receipt"]).answer
    assert cli(*respond, "complete", "--lease", taken["lease"]).answer["state"] == "completed"
    file = tmp_path / "bundle.json"
    file.write_text(cli("handoff", "show", "--agent", "peer", "--bundle", handoff).stdout)
    store = cli("stats").answer["store_id"]
    proven = cli("handoff", "verify", "--store-id", store, str(file)).answer
    assert [act["act"] for act in proven["acts"]] == ["offered", "received", "accept", "complete"]
    file.write_text(file.read_text().replace(handoff, "h-" + "a" * 26))
    assert cli("handoff", "verify", "--store-id", store, str(file)).status == 6


def test_a_person_is_shown_what_each_answer_leads_to_and_decides(cli, output):
    cli("agent", "add", "ann", "--role", "human", "--unprotected-key")
    handoff = offer(cli, output, "--gate", "May it be dropped?").answer["handoff"]
    [item] = cli("handoff", "inbox", "--agent", "ann").answer["items"]
    assert (item["handoff"], item["state"], item["from"]) == (handoff, "awaiting_approval", "worker")
    # It is no agent's turn, and no agent finds it among what it is to do.
    assert cli("handoff", "inbox", "--agent", "peer").answer["items"] == []
    assert cli("handoff", "inbox", "--agent", "planner").answer["items"] == []
    shown = cli("handoff", "show", "--agent", "ann", handoff).answer
    assert shown["decide"]["title"] == "May it be dropped?"
    assert any("If you approve" in line for line in shown["summary"])
    refused = cli("handoff", "approve", "--agent", "planner", handoff)
    assert (refused.status, refused.code) == (5, "not_a_person")
    assert cli("handoff", "approve", "--agent", "ann", handoff).answer["state"] == "offered"
    assert cli("handoff", "deny", "--agent", "ann", handoff).code == "wrong_state"
    assert cli("handoff", "inbox", "--agent", "ann").answer["items"] == []


def test_contracts_are_added_listed_and_deprecated(cli, output, tmp_path):
    file = tmp_path / "sum.json"
    file.write_text(json.dumps(FORM))
    assert cli("contract", "add", "sum@1.0", str(file), "--owner", "planner").answer["status"] == "added"
    assert cli("contract", "add", "sum@1.0", str(file)).code == "contract_exists"
    assert offer(cli, output, "--contract", "sum@1.0").answer["problems"] == []
    assert cli("contract", "deprecate", "sum@1.0").answer["status"] == "deprecated"
    [listed] = cli("contract", "list").answer["contracts"]
    assert (listed["contract"], listed["owner"], listed["deprecated"], listed["schema"]) == (
        "sum@1.0", "planner", True, FORM,
    )  # fmt: skip
    file.write_text("no json")
    assert cli("contract", "add", "sum@2.0", str(file)).code == "bad_json"


def test_a_missing_minimum_is_told_as_a_list(cli, output):
    refused = cli("handoff", "offer", "--agent", "worker", "--to", "peer", "--type", "report")
    assert (refused.status, refused.code) == (2, "missing_minimum")
    assert "`outputs`, `questions`, `caveats`, `rejected`" in refused.stderr
