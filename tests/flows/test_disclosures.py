"""Who was shown what, when and at which label; and what was withheld (DESIGN 3.1, 7)."""

import pytest
from simulator import Fleet, leaked, refs

from memstore.errors import MemStoreError
from memstore.service import MemStore

SECRET = "the outside says that the key is under the mat"


def test_a_session_tells_what_its_context_was_shown_and_what_it_was_not(fleet: Fleet, ada: MemStore, ben: MemStore):
    first = ada.write_for("work", kind="finding", title="First", body="x")["id"]
    page = ada.observe_for("work", source="https://a.example/", content=SECRET)["id"]
    session = ben.session_start("work")["session"]
    ben.get([first])
    events = fleet.fresh("lead").history(of_session=session, view="disclosures")["events"]
    assert [(event["event"], event["id"], event["label"]) for event in events] == [
        ("shown", first, "attributed"),
        ("withheld", page, "untrusted"),
    ]
    assert events[0]["detail"] == "full"
    assert events[1]["reasons"] == ["external"]
    assert leaked(SECRET, events) == ""


def test_the_label_is_that_of_then(fleet: Fleet, ada: MemStore, lead: MemStore):
    said = ada.write("finding", "Found", "x")["id"]
    lead.get([said])
    lead.review([said], "endorse")
    fleet.fresh("ben").get([said])
    events = ada.history(id=said, view="disclosures")["events"]
    assert [(event["author"], event["label"]) for event in events] == [("lead", "attributed"), ("ben", "trusted")]


def test_opening_counts_as_being_shown(fleet: Fleet, ada: MemStore, ben: MemStore):
    page = ada.observe("https://a.example/", SECRET)["id"]
    ben.open(refs(ben.search("mat")))
    events = ada.history(id=page, view="disclosures")["events"]
    assert [(event["author"], event["label"]) for event in events] == [("ada", "untrusted"), ("ben", "untrusted")]


def test_it_comes_in_pages(fleet: Fleet, ada: MemStore, ben: MemStore):
    session = ben.session_start("work")["session"]
    said = [ada.write("finding", f"Found {number}", "x")["id"] for number in range(7)]
    ben.get(said)
    seen: list[str] = []
    cursor = ""
    while True:
        answer = ada.history(of_session=session, view="disclosures", limit=3, cursor=cursor)
        seen += [event["id"] for event in answer["events"]]
        cursor = answer["next_cursor"]
        if not cursor:
            break
    assert seen == said


def test_looking_lowers_nothing_and_tells_nothing_of_another_scope(fleet: Fleet, ada: MemStore):
    page = ada.observe("https://a.example/", SECRET)["id"]
    reader = fleet.fresh("ben")
    assert reader.history(id=page, view="disclosures")["mark"] == "trusted"
    fleet.agent("far", scopes=("elsewhere",))
    session = ada.session_start("work")["session"]
    for asked in ({"id": page}, {"of_session": session}):
        with pytest.raises(MemStoreError, match="unknown_id"):
            fleet.fresh("far").history(view="disclosures", **asked)
    with pytest.raises(MemStoreError, match="missing_field"):
        reader.history(view="disclosures")


def test_reviews_and_retractions_stand_in_the_timeline(fleet: Fleet, ada: MemStore, lead: MemStore):
    said = ada.write("finding", "Found", "x")["id"]
    lead.get([said])
    lead.review([said], "dispute", method="tested")
    lead.retract(said, "wrong")
    events = fleet.fresh("ben").history(id=said)["events"]
    assert [(event["event"], event["author"]) for event in events] == [
        ("recorded", "ada"), ("reviewed", "lead"), ("retracted", "lead"),
    ]  # fmt: skip
    assert (events[1]["verdict"], events[1]["method"], events[2]["reason"]) == ("dispute", "tested", "wrong")


def test_what_was_withheld_is_found_behind_however_many_others(fleet: Fleet, ada: MemStore, ben: MemStore):
    session = ben.session_start("work")["session"]
    page = ada.observe_for("work", source="https://a.example/", content=SECRET)["id"]
    for number in range(230):
        fleet.fresh("lead").write_for("work", kind="finding", title=f"Note {number}", body="x")
    answer = fleet.fresh("lead").history(of_session=session, view="disclosures")
    assert [(event["event"], event["id"]) for event in answer["events"]] == [("withheld", page)]


def test_a_flood_of_withheld_records_is_walked_in_pages(fleet: Fleet, ada: MemStore, ben: MemStore):
    session = ben.session_start("work")["session"]
    pages = [ada.observe_for("work", source="https://a.example/", content=f"{n}")["id"] for n in range(210)]
    reader, found, cursor = fleet.fresh("lead"), [], ""
    while True:
        answer = reader.history(of_session=session, view="disclosures", limit=50, cursor=cursor)
        found += [event["id"] for event in answer["events"]]
        cursor = answer["next_cursor"]
        if not cursor:
            break
    assert found == pages


def test_as_of_a_moment_nobody_has_seen_what_was_shown_later_with_nothing_written_between(fleet: Fleet, ada: MemStore):
    said = ada.write("finding", "Found", "x")
    fleet.clock.advance(seconds=10)
    then = ada.write("finding", "Then", "x")
    noon = ada.history(id=then["id"])["events"][0]["at"]
    fleet.clock.advance(seconds=10)
    fleet.fresh("ben").get([said["id"]])
    reader = fleet.fresh("lead")
    assert [event["author"] for event in reader.history(id=said["id"], view="disclosures")["events"]] == ["ben"]
    for moment in (noon, str(then["seq"])):
        assert reader.history(id=said["id"], view="disclosures", as_of=moment)["events"] == []
        assert reader.history(id=said["id"], view="why", as_of=moment)["seen_by"] == []
