"""An agent whose key is not where the store is: all that it does through a server, by way of a bridge."""

import pytest
from bridging import Far

from memstore import admin
from memstore.core.statements import Role


@pytest.fixture
def far(folder, clock):
    made = Far(folder, clock)
    yield made
    made.close()


def test_all_verbs_work_through_bridges_and_every_record_is_signed_by_its_author(far, clock):
    lead, worker = far.bridge("planner"), far.bridge("researcher")
    started = lead.session_start("storage", goal="Choose a database.\nOne that many processes can open.")
    assert started["brief"]["intent"]["text"].startswith("Choose a database.")
    assert worker.session_start("storage")["brief"]["intent"]["id"] == started["brief"]["intent"]["id"]

    guess = worker.write("hypothesis", "WAL is fast", "Perhaps.", tags=["t"])
    other = worker.write("hypothesis", "WAL is slow", "Perhaps.")
    evidence = worker.observe("tool:weather.now", "dry", "weather", args={"at": "here"}, ttl_seconds=60)
    assert (evidence["status"], evidence["kind"]) == ("stored", "tool_result")
    found = worker.write(
        "finding", "WAL works", "Measured.", caveats=["one disk"], verification="verified",
        evidence=[evidence["id"], "bench.txt"], derived_from=[guess["id"]], data={"ms": 4}, key="wal", confidence=80,
    )  # fmt: skip
    assert (found["status"], found["label"]) == ("stored", "attributed")
    assert worker.write("finding", "Dry", "run", dry_run=True)["status"] == "would_store"
    assert worker.search("WAL")["attributed"]["count"] >= 1

    page = worker.observe("https://example.org/x", "outside words", fetched_at="2025-01-01T00:00:00Z")
    assert (page["label"], page["mark"]) == ("untrusted", "tainted")
    [entry, *_] = worker.search("outside")["quarantined"]["entries"]
    assert "outside" in worker.open([entry["ref"]], render="json")["entries"][0]["body"]

    lead.get([found["id"]])
    [result] = lead.review([found["id"]], "endorse")["results"]
    assert (result["label"], result["refused"]) == ("trusted", "")
    assert lead.review([found["id"]], "dispute", method="tested")["results"][0]["refused"] == ""
    newer = far.bridge("researcher").write("finding", "WAL works", "Measured again.", supersedes="key:wal")
    assert newer["status"] == "stored"
    wrong = lead.write("constraint", "Never on NFS")
    assert lead.retract(wrong["id"], "wrong", dry_run=True)["status"] == "would_retract"
    assert lead.retract(wrong["id"], "wrong")["status"] == "retracted"
    assert worker.retract(found["id"], "leaked")["status"] == "retracted"

    assert worker.history(task="storage")["events"]
    ended = worker.session_end("partial", summary="Half done.", keep=[guess["id"], guess["id"]])
    assert [one["id"] for one in ended["kept"]] == [guess["id"]]
    assert other["id"] in ended["expired"]
    assert lead.session_end("completed")["note"].startswith("Ended as completed")
    assert set(far.signatures()) == {"valid"}
    far.assert_sound()


def test_work_is_handed_on_and_back_through_bridges(far):
    lead, worker = far.bridge("planner"), far.bridge("researcher")
    lead.session_start("storage", goal="Choose a database.")
    worker.session_start("storage")
    known = worker.write("question", "Which disk?")
    done = worker.write("finding", "WAL works", "Measured.")
    report = {
        "outputs": [done["id"]], "questions": [known["id"], "How many writers?", "How many writers?"],
        "caveats": ["one disk"], "rejected": ["rollback journal: blocks readers"],
    }  # fmt: skip
    offered = worker.handoff_offer("planner", "report", **report, idempotency_key="first", deadline="2027-01-01")
    assert offered["state"] == "offered"
    assert worker.handoff_offer("planner", "report", **report, idempotency_key="first", deadline="2027-01-01")[
        "handoff"
    ] == offered["handoff"]  # fmt: skip
    # The same words in another handoff are the same records.
    again = worker.handoff_offer("planner", "report", **report)
    assert again["handoff"] != offered["handoff"]
    assert worker.handoff_respond(again["handoff"], "cancel", reason="said twice")["state"] == "cancelled"

    [item] = lead.handoff_inbox(wait_seconds=5)["items"]
    received = lead.handoff_receive(item["handoff"])
    codes = [problem["code"] for problem in received["problems"]]
    accepted = lead.handoff_respond(item["handoff"], "accept", receipt=received["receipt"], acknowledge=codes)
    assert accepted["note"].startswith("Endorsed 1 outputs.")
    assert lead.get([done["id"]])["records"][0]["label"] == "trusted"
    assert lead.handoff_respond(item["handoff"], "heartbeat", lease=accepted["lease"])["state"] == "accepted"
    assert lead.handoff_item(item["handoff"])["state"] == "accepted"
    resumed = far.bridge("planner")
    assert "under lease 2" in resumed.session_start("storage", resume_handoff=item["handoff"])["note"]
    closed = resumed.handoff_respond(item["handoff"], "complete", lease="2", outputs=[done["id"]], reason="Good.")
    assert closed["state"] == "completed"
    far.assert_sound()
    assert set(far.signatures()) == {"valid"}


def test_work_is_delegated_asked_about_and_refused_through_bridges(far):
    lead, worker = far.bridge("planner"), far.bridge("researcher")
    intent = lead.session_start("storage", goal="Choose a database.")["brief"]["intent"]["id"]
    told = {"directive": "Measure WAL.", "intent": intent, "rationale": "Nobody has.", "constraints": ["none"]}
    one = lead.handoff_offer("researcher", "delegate", **told, fresh=True, grant_ttl_seconds=600)["handoff"]
    received = worker.handoff_receive(one)
    assert received["valid"], received["problems"]
    assert worker.handoff_respond(one, "clarify", question="On which disk?")["state"] == "clarification_requested"
    assert lead.handoff_respond(one, "clarify", reason="On the slow one.")["state"] == "offered"
    granted = far.bridge("researcher", require_grant=True)
    granted.session_start("storage")
    assert granted.write("finding", "Slow", "It is.")["label"] == "attributed"
    received = worker.handoff_receive(one)
    codes = [problem["code"] for problem in received["problems"]]
    worker.get([hit["id"] for tier in ("trusted", "attributed") for hit in received["outputs"][tier]["hits"]])
    accepted = worker.handoff_respond(one, "accept", receipt=received["receipt"], acknowledge=codes)
    assert worker.handoff_respond(one, "fail", lease=accepted["lease"], reason="No disk.")["state"] == "failed"
    two = lead.handoff_offer("researcher", "delegate", **{**told, "directive": "Try again."}, gate="Is it worth it?")
    assert two["state"] == "awaiting_approval"
    three = lead.handoff_offer("researcher", "delegate", **{**told, "directive": "And again."}, fresh=True)["handoff"]
    assert worker.handoff_respond(three, "reject", reason="No time.")["state"] == "rejected"
    four = lead.handoff_offer("researcher", "delegate", **{**told, "directive": "A last time."}, fresh=True)["handoff"]
    assert lead.handoff_respond(four, "cancel", reason="Over.")["state"] == "cancelled"
    far.assert_sound()
    assert set(far.signatures()) == {"valid"}


@pytest.mark.parametrize("deadline", ["", "2099-01-01T00:00:00Z"])
def test_work_crosses_to_another_scope_through_bridges_for_as_long_as_its_grant(far, deadline):
    admin.add_agent(far.house, "boss", role=Role.LEAD, scopes=("red", "blue"))
    admin.add_agent(far.house, "bob", under="boss", scopes=("blue",))
    boss, bob = far.bridge("boss", scope="red"), far.bridge("bob", scope="blue")
    found = boss.write("finding", "Slow", "It is.", verification="verified", evidence=["bench.txt"])["id"]
    told = {"outputs": [found], "questions": ["none"], "deadline": deadline, "grant_scopes": ["red", "blue"]}
    handoff = boss.handoff_offer("bob", "transfer", **told, grant_ttl_seconds=600)["handoff"]
    got = bob.handoff_receive(handoff)
    assert bob.handoff_respond(handoff, "accept", receipt=got["receipt"])["state"] == "accepted"
    assert boss.handoff_item(handoff)["deadline"] < "2030"
    far.assert_sound()
