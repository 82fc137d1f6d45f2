"""Looking back and between: what has fallen since shows without a word, gaps are marked, a delta says what changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from simulator import Fleet, ids, taken

from memstore import log
from memstore.errors import InvalidInput, NotFound
from memstore.service import MemStore

HOUR = 3600


def as_of(member: MemStore, position: int) -> dict[str, Any]:
    return dict(member.search("sesame", as_of=str(position), min_trust="attributed", detail="full"))


@pytest.mark.parametrize("reason", ["poisoned", "wrong"])
def test_what_was_retracted_since_stands_where_it_stood_without_a_word(fleet: Fleet, reason: str):
    ada, person, reader = fleet.fresh("ada"), fleet.fresh("person"), fleet.fresh("ben")
    said = ada.write("finding", "Open sesame", "the sesame words")
    person.retract(said["id"], reason)
    (hit,) = as_of(reader, said["seq"])["attributed"]["hits"]
    assert (hit["id"], hit["label"], hit["fell_since"]) == (said["id"], "attributed", True)
    assert "sesame" not in json.dumps(hit)
    assert as_of(reader, fleet.size() - 1)["attributed"]["hits"] == []
    assert reader.history(id=said["id"], as_of=str(said["seq"]))["events"][0]["status"] == "in_force"
    assert "sesame" not in json.dumps(dict(reader.history(id=said["id"], as_of=str(said["seq"]))))
    seen = fleet.fresh("lead").history(id=said["id"], view="disclosures")["events"]
    assert [event for event in seen if event["author"] == "ben"] == []


def test_how_a_record_stood_is_audited_and_mended_by_a_rebuild(fleet: Fleet):
    ada, person = fleet.fresh("ada"), fleet.fresh("person")
    said = ada.write("finding", "Open sesame", "the sesame words")
    person.retract(said["id"], "wrong")
    fleet.assert_sound()
    fleet.sql("UPDATE former SET label = 3")
    assert fleet.found() == {"bad_projection"}
    assert log.rebuild(fleet.house.store)["ok"]
    fleet.assert_sound()


def test_what_leaked_since_shows_at_no_moment(fleet: Fleet):
    ada, reader = fleet.fresh("ada"), fleet.fresh("ben")
    said = ada.write("finding", "Open sesame", "the sesame words")
    ada.retract(said["id"], "leaked")
    answer = as_of(reader, said["seq"])
    assert (answer["attributed"]["hits"], answer["quarantined"]["entries"]) == ([], [])


def test_what_was_raised_since_stands_as_low_as_it_did(fleet: Fleet):
    ada, lead, reader = fleet.fresh("ada"), fleet.fresh("lead"), fleet.fresh("ben")
    said = ada.write("finding", "Open sesame", "the sesame words")
    lead.get([said["id"]])
    lead.review([said["id"]], "endorse")
    assert ids(as_of(reader, fleet.size() - 1), "trusted") == [said["id"]]
    then = as_of(reader, said["seq"])
    assert ids(then, "trusted") == []
    assert [(hit["label"], hit["body"]) for hit in then["attributed"]["hits"]] == [("attributed", "the sesame words")]
    # What it is worth now counts for who reads it.
    assert then["mark"] == "trusted"
    fleet.assert_sound()


def test_a_session_that_died_a_lease_that_lapsed_and_a_long_silence_are_gaps(fleet: Fleet):
    ada, ben = fleet.fresh("ada"), fleet.fresh("ben")
    died = ada.session_start("dig")["session"]
    ada.write("finding", "Before", "x")
    fleet.clock.advance(seconds=13 * HOUR)
    ben.session_start("dig")
    ben.write("finding", "After", "x")
    events = fleet.fresh("lead").history(task="dig")["events"]
    assert [(event["event"], event.get("reason")) for event in events] == [
        ("session_started", None), ("recorded", None), ("gap", "lease_lapsed"), ("gap", "silence"),
        ("session_started", None), ("recorded", None),
    ]  # fmt: skip
    lapsed, silence = events[2:4]
    assert (lapsed["id"], lapsed["author"], lapsed["seq"]) == (died, "ada", events[1]["seq"])
    assert silence["seconds"] == 13 * HOUR


def test_a_handoff_whose_lease_ran_out_is_a_gap(fleet: Fleet):
    ada, ben = fleet.fresh("ada"), fleet.fresh("ben")
    ada.session_start("dig")
    said = ada.write("finding", "Dug", "x")["id"]
    told = {"outputs": [said], "questions": ["none"]}
    handoff = ada.handoff_offer("ben", "transfer", **told)["handoff"]
    taken(ben, handoff)
    fleet.clock.advance(seconds=1000)
    gaps = [event for event in fleet.fresh("lead").history(task="dig")["events"] if event["event"] == "gap"]
    assert [(gap["reason"], gap["id"], gap["author"]) for gap in gaps] == [("lease_lapsed", handoff, "ben")]


def test_gaps_stand_once_on_whatever_page(fleet: Fleet):
    ada = fleet.fresh("ada")
    for number in range(4):
        ada.write_for("dig", kind="finding", title=f"Step {number}", body="x")
        fleet.clock.advance(seconds=2 * HOUR)
    reader = fleet.fresh("lead")
    walked: list[str] = []
    cursor = ""
    while True:
        page = reader.history(task="dig", limit=1, cursor=cursor)
        walked += [event["event"] for event in page["events"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert walked == [*["recorded", "gap"] * 3, "recorded"]
    assert walked == [event["event"] for event in reader.history(task="dig")["events"]]


def told(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(event["event"], event["id"]) for event in answer["events"]]


def test_a_delta_says_what_came_fell_was_raised_and_ran_out(fleet: Fleet):
    ada, lead, person = fleet.fresh("ada"), fleet.fresh("lead"), fleet.fresh("person")
    bad = ada.write("finding", "Bad", "x")["id"]
    good = ada.write("finding", "Good", "x")["id"]
    reading = ada.observe("tool:weather", "12", ttl_seconds=5)["id"]
    old = ada.write("finding", "Old", "x")["id"]
    start = fleet.size() - 1
    person.retract(bad, "wrong")
    lead.get([good])
    lead.review([good], "endorse")
    new = ada.write("finding", "New", "x", supersedes=old)["id"]
    fleet.clock.advance(seconds=10)
    last = ada.write("finding", "Last", "x")["id"]
    answer = lead.delta(str(start), str(fleet.size() - 1))
    assert told(answer) == [
        ("fell", bad), ("raised", good), ("fell", reading), ("fell", old), ("came", new), ("came", last),
    ]  # fmt: skip
    assert answer["events"][1]["was"] == {"label": "attributed", "status": "in_force"}
    assert answer["events"][1]["now"] == {"label": "trusted", "status": "in_force"}
    assert answer["events"][1]["title"] == "Good"
    assert "title" not in answer["events"][0]
    assert lead.delta(str(start), str(start))["events"] == []


def test_a_flood_from_below_pushes_nothing_out_of_a_delta_that_stands_higher(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("memstore.delta.MOST", 5)
    ada, ben, person = fleet.fresh("ada"), fleet.fresh("ben"), fleet.fresh("person")
    bad = ada.write("finding", "Bad", "x")["id"]
    start = str(fleet.size() - 1)
    for number in range(8):
        ben.observe(f"https://evil.example/{number}", "flood")
    good = ada.write("finding", "Good", "x")["id"]
    person.retract(bad, "wrong")
    answer = person.delta(start, "999999")
    assert [one for one in told(answer) if one[1] in (bad, good)] == [("fell", bad), ("came", good)]
    assert answer["note"] != ""
    # Of a small answer too it is the lower that is left out.
    assert [event["id"] for event in person.delta(start, "999999", max_tokens=200)["events"]][:1] == [bad]


def test_a_delta_between_two_handoffs_is_between_their_offers(fleet: Fleet):
    ada, lead = fleet.fresh("ada"), fleet.fresh("lead")
    ada.session_start("dig")
    offers = []
    for number in range(2):
        said = ada.write("finding", f"Dug {number}", "x")["id"]
        offered = ada.handoff_offer("ben", "transfer", outputs=[said], questions=["none"], idempotency_key=str(number))
        offers.append((said, offered["handoff"]))
    answer = lead.delta(offers[0][1], offers[1][1])
    assert ("came", offers[1][0]) in told(answer)
    assert offers[0][0] not in [record for _, record in told(answer)]


def test_moments_that_are_none_are_refused(fleet: Fleet, ada: MemStore):
    ada.write("finding", "x", "x")
    for start, end, code in (("1", "yesterday", "bad_time"), ("5", "3", "out_of_range")):
        with pytest.raises(InvalidInput) as refused:
            ada.delta(start, end)
        assert refused.value.code == code
    with pytest.raises(NotFound):
        ada.delta("1", "h-" + "a" * 26)


def test_a_handoff_of_another_scope_is_no_moment(fleet: Fleet, ada: MemStore):
    said = ada.write("finding", "x", "x")["id"]
    handoff = ada.handoff_offer("ben", "transfer", outputs=[said], questions=["none"])["handoff"]
    far = fleet.agent("far", scopes=("other",))
    with pytest.raises(NotFound):
        far.delta(handoff, handoff)
