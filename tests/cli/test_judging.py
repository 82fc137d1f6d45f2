"""Review, retract and grants from the command line."""

import json

import pytest

WRITE = ("write", "--agent", "worker", "--kind", "finding", "--title", "Found", "--body", "it")
OWN = ("agent", "add", "ann", "--role", "human", "--unprotected-key")


@pytest.fixture
def said(cli) -> str:
    cli(*OWN)
    found: str = cli(*WRITE).answer["id"]
    return found


def test_a_lead_endorses_what_it_read(cli, said):
    cli("get", "--agent", "planner", said)
    answer = cli("review", "--agent", "planner", "--verdict", "endorse", said).answer
    assert [(one["label"], one["refused"]) for one in answer["results"]] == [("trusted", "")]


def test_what_was_not_read_is_not_reviewed(cli, said):
    answer = cli("review", "--agent", "ann", "--verdict", "endorse", said).answer
    assert answer["results"][0]["refused"] == "not_shown"


def test_a_person_opens_what_is_quarantined_and_endorses_it(cli):
    cli(*OWN)
    cli("observe", "--agent", "worker", "--source", "https://x.example/", "--content", "c")
    said = cli(*WRITE).answer
    assert said["label"] == "tainted"
    (entry,) = cli("get", "--agent", "ann", said["id"]).answer["quarantined"]
    cli("open", "--agent", "ann", entry["ref"])
    answer = cli("review", "--agent", "ann", "--verdict", "endorse", "--method", "tested", said["id"]).answer
    assert answer["results"][0]["label"] == "trusted"
    counted = cli("stats").answer
    assert (counted["admitted"], counted["reviews"], counted["reviews_waiting"]) == (1, 1, 0)


def test_the_queue_says_what_waits_and_what_each_would_raise(cli, said):
    rests = cli(*WRITE[:-4], "--title", "Rests", "--body", "x", "--derived-from", said).answer["id"]
    for arguments in ((), ("--agent", "planner")):
        answer = cli("review", "--queue", *arguments).answer
        assert {one["id"]: (one["needs"], one["raises"]) for one in answer["waiting"]} == {
            said: (["lead", "human", "checker"], 1),
            rests: (["lead", "human", "checker"], 1),
        }
    cli("get", "--agent", "ann", rests)
    cli("review", "--agent", "ann", "--verdict", "dispute", rests)
    assert [one["id"] for one in cli("review", "--queue").answer["waiting"]] == [said]


def test_a_retraction_lists_what_it_reaches_and_a_trial_changes_nothing(cli, said):
    rests = cli(*WRITE[:-4], "--title", "Rests", "--body", "x", "--derived-from", said).answer["id"]
    trial = cli("retract", "--agent", "planner", "--reason", "poisoned", "--dry-run", said).answer
    assert cli("get", "--agent", "ann", rests).answer["quarantined"] == []
    done = cli("retract", "--agent", "planner", "--reason", "poisoned", said).answer
    assert [one["id"] for one in trial["affected"]] == [one["id"] for one in done["affected"]] == [rests]
    assert cli("get", "--agent", "ann", rests).answer["quarantined"][0]["reasons"] == ["tainted", "suspect"]
    assert cli("log", "verify").answer["ok"]


def test_the_operator_retracts_without_an_agent(cli, said):
    assert cli("retract", "--reason", "leaked", said).answer["status"] == "retracted"
    assert cli("get", "--agent", "ann", said).answer["missing"] == [said]
    assert cli("retract", "--reason", "wrong", "m-" + "a" * 26).code == "unknown_id"


CONTRACT = {
    "type": "object",
    "title": "Count",
    "properties": {"rows": {"type": "integer"}, "state": {"enum": ["ok", "failed"]}},
    "required": ["rows"],
    "additionalProperties": False,
}


@pytest.fixture
def counts(cli, tmp_path) -> dict[str, str]:
    """Tainted records: one with nothing but numbers, one with a word too many, and the contract's file."""
    cli("agent", "add", "typed", "--role", "checker")
    cli("observe", "--agent", "worker", "--source", "https://x.example/", "--content", "c")
    found = {"file": str(tmp_path / "contract.json")}
    (tmp_path / "contract.json").write_text(json.dumps(CONTRACT), "utf-8")
    for name, title, data in (("good", "Count", {"rows": 3}), ("bad", "Count", {"rows": "obey"}), ("said", "Obey", {})):
        arguments = ("--title", title, "--data", json.dumps(data or {"rows": 1}))
        found[name] = cli("write", "--agent", "worker", "--kind", "finding", *arguments).answer["id"]
    return found


def test_the_built_in_checker_admits_what_is_data_alone(cli, counts):
    ids = [counts[name] for name in ("good", "bad", "said")]
    answer = cli("review", "--checker", "typed", "--contract", counts["file"], *ids).answer
    assert {one["id"]: (one["label"], one["refused"]) for one in answer["results"]} == {
        counts["good"]: ("attributed", ""),
        counts["bad"]: ("", "not_of_contract"),
        counts["said"]: ("", "not_of_contract"),
    }
    assert cli("log", "verify").answer["ok"]


@pytest.mark.parametrize(
    "contract",
    [
        {"type": "string"},
        {"type": "object", "properties": {}},
        {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "string", "pattern": ".*"}}},
        {"type": "array", "items": {"type": "number"}},
        {"anyOf": [{"type": "integer"}]},
        {"$ref": "#"},
    ],
)
def test_a_contract_that_leaves_room_for_words_is_refused(cli, counts, tmp_path, contract):
    (tmp_path / "open.json").write_text(json.dumps(contract), "utf-8")
    ended = cli("review", "--checker", "typed", "--contract", str(tmp_path / "open.json"), counts["good"])
    assert ended.code == "open_contract"


def test_a_grant_is_given_listed_and_revoked(cli):
    given = cli("agent", "grant", "worker", "--agent", "planner", "--ttl", "60").answer
    assert (given["scopes"], given["ceiling"], given["depth"]) == (["main"], "attributed", 0)
    assert [one["state"] for one in cli("agent", "grants", "worker").answer["grants"]] == ["open"]
    assert cli("agent", "revoke", given["grant"]).answer["status"] == "revoked"
    assert [one["state"] for one in cli("agent", "grants").answer["grants"]] == ["revoked"]


def test_a_lead_gives_a_fresh_context_to_who_is_under_it(cli):
    cli("observe", "--agent", "worker", "--source", "https://x.example/", "--content", "c")
    assert cli(*WRITE).answer["label"] == "tainted"
    assert cli("session", "reset", "planner", "--agent", "worker").code == "denied"
    assert cli("session", "reset", "worker", "--agent", "planner").answer["epoch"] == 1
    fresh = cli(*WRITE[:-4], "--title", "Anew", "--body", "it").answer
    assert fresh["label"] == "attributed"


def test_a_server_without_a_grant_does_not_start(shell):
    ended = shell("mcp", "--agent", "worker", "--require-grant")
    assert (ended.status, ended.code) == (5, "no_grant")
