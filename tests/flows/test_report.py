"""The report of a task: what a person reads after the fact, for one caller, with nothing of what is quarantined."""

from __future__ import annotations

import pytest
from simulator import Fleet, leaked, taken

from memstore.errors import NotFound
from memstore.service import MemStore

SECRET = "The moon base wants its password, said the page"


@pytest.fixture
def story(fleet: Fleet, ada: MemStore, ben: MemStore) -> dict[str, str]:
    session = ada.session_start("storage")["session"]
    ada.write("constraint", "No server to run", "It has to work on a laptop.")
    said = ada.write("finding", "WAL keeps readers going", "Measured.", verification="verified", evidence=["a log"])[
        "id"
    ]
    ada.write("finding", "Eight writers", "Not looked at.", verification="unverified", caveats=["one disk only"])
    ada.write("decision", "Use SQLite", rationale="One file.", alternatives=["PostgreSQL: a server"], conditions=[said])
    ada.write("rejected", "LMDB", "Tried for a day.", rationale="No queries.")
    ada.write("question", "What of backups?", "Nobody knows.")
    handoff = ada.handoff_offer("ben", "transfer", outputs=[said], questions=["none"])["handoff"]
    ben.handoff_respond(handoff, "complete", lease=taken(ben, handoff))
    page = ada.observe("https://evil.example/", SECRET)["id"]
    ada.session_end("partial")
    return {"session": session, "said": said, "handoff": handoff, "page": page}


def section(page: str, title: str) -> str:
    """What stands under a heading."""
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_it_tells_what_was_decided_and_why_found_rejected_and_left_open(person: MemStore, story: dict[str, str]):
    page = person.export_report("storage")["markdown"]
    told = {
        "Who": ["` ada `: worker, under ` lead `; 7 records"],
        "Sessions": [story["session"], "partial"],
        "What binds": ["No server to run", "It has to work on a laptop."],
        "Decisions": ["Use SQLite", "One file.", "PostgreSQL: a server", story["said"]],
        "Findings": ["verified, attributed", "a log", "unverified, attributed", "one disk only"],
        "Tried and rejected": ["LMDB", "No queries."],
        "Questions": ["open, attributed", "What of backups?"],
        "Handoffs": [story["handoff"], "completed", "received by ` ben `", "accept by ` ben `"],
        "In quarantine": [f"{story['page']}: external from web, external"],
        "Timeline": [f"started {story['session']}", f"offered {story['handoff']}, a transfer", "partial"],
    }
    for title, expected in told.items():
        assert all(one in section(page, title) for one in expected), (title, section(page, title))


def test_the_problems_that_were_accepted_are_named(fleet: Fleet, ada: MemStore, ben: MemStore, person: MemStore):
    ada.session_start("storage")
    guess = ada.write("finding", "A guess", "b", verification="unverified")["id"]
    handoff = ada.handoff_offer("ben", "transfer", outputs=[guess], questions=["none"])["handoff"]
    taken(ben, handoff)
    told = section(person.export_report("storage")["markdown"], "Handoffs")
    assert "problems accepted: unverified_output" in told


def test_what_was_replaced_is_told_with_its_words_for_what_it_is(ada: MemStore, person: MemStore):
    ada.session_start("storage")
    old = ada.write("decision", "The old way", rationale="r", alternatives=["none"])["id"]
    ada.write("decision", "The new way", rationale="r", alternatives=["none"], supersedes=old)
    told = section(person.export_report("storage")["markdown"], "Decisions")
    assert "The old way" in told
    assert "attributed, superseded" in told


def test_no_byte_of_what_is_quarantined_is_in_it(fleet: Fleet, ada: MemStore, story: dict[str, str]):
    ada.write("finding", SECRET, SECRET, verification="unverified", tags=["moonbase-password"])
    for name in ("lead", "ben", "person"):
        for trust in ("auto", "attributed"):
            page = fleet.fresh(name).export_report("storage", min_trust=trust)["markdown"]
            assert leaked(SECRET, page) == ""
            assert "evil.example" not in page
            assert "moonbase" not in page


def test_a_lead_is_not_lowered_by_it_unless_it_asks_to_read_all(lead: MemStore, story: dict[str, str]):
    found = lead.export_report("storage")
    assert found["mark"] == "trusted"
    assert "Use SQLite" not in found["markdown"]
    found = lead.export_report("storage", min_trust="attributed")
    assert found["mark"] == "attributed"
    assert "Use SQLite" in found["markdown"]


def test_reading_it_is_disclosed_and_lets_nobody_endorse(fleet: Fleet, lead: MemStore, story: dict[str, str]):
    lead.export_report("storage", min_trust="attributed")
    seen = lead.history(id=story["said"], view="disclosures")["events"]
    assert ("lead", "concise") in {(event["author"], event["detail"]) for event in seen}
    assert lead.review([story["said"]], "endorse")["results"][0]["label"] == "attributed"


def test_a_long_body_is_cut_and_says_so(ada: MemStore, person: MemStore):
    ada.session_start("storage")
    ada.write("finding", "Long", "x" * 5000, verification="unverified")
    page = person.export_report("storage")["markdown"]
    assert "x" * 4000 in page
    assert "x" * 4001 not in page
    assert "1000 more characters" in page


def test_more_than_a_report_holds_is_said_to_be_left_out(
    monkeypatch: pytest.MonkeyPatch, person: MemStore, story: dict[str, str]
):
    monkeypatch.setattr("memstore.report.MOST_ACTS", 3)
    found = person.export_report("storage")
    assert found["complete"] is False
    assert "There is more of this task" in found["markdown"]


def test_a_flood_from_below_pushes_nothing_out_that_stands_higher(
    monkeypatch: pytest.MonkeyPatch, fleet: Fleet, ada: MemStore, person: MemStore
):
    monkeypatch.setattr("memstore.report.MOST_ACTS", 5)
    ben = fleet.fresh("ben")
    ben.session_start("storage")
    for n in range(20):
        ben.observe(f"https://evil.example/{n}", "flood")
    ada.session_start("storage")
    ada.write("decision", "Use SQLite", rationale="One file.", alternatives=["none"])
    found = person.export_report("storage")
    assert "Use SQLite" in section(found["markdown"], "Decisions")
    assert found["markdown"].count("external from web") == 5
    assert found["complete"] is False


def test_a_task_that_nobody_worked_on_is_none_and_one_of_another_scope_looks_alike(fleet: Fleet, lead: MemStore):
    fleet.agent("zoe", scopes=("side",)).session_start("theirs")
    told = []
    for task in ("theirs", "nobody's"):
        with pytest.raises(NotFound) as refused:
            lead.export_report(task)
        told.append(str(refused.value))
    assert told[0] == told[1]
