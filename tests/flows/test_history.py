"""The timeline: order, pages, filters, and the moments it reaches from and to (DESIGN 7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from simulator import START

from memstore.errors import InvalidInput, NotFound


@pytest.fixture(scope="module")
def past(shared):
    """A store with two tasks; returns it, the positions by name, and the session of ada."""
    ada, ben = shared.fresh("ada"), shared.fresh("ben")
    seq: dict[str, int] = {}
    session = ada.session_start("t1")["session"]
    for name, author in (("a1", ada), ("b1", ben), ("a2", ada), ("b2", ben)):
        shared.clock.advance(seconds=10)
        seq[name] = author.write("finding", name, "alpha body")["seq"]
    seq["page"] = shared.fresh("ada").observe("https://example.org/", "secret page words")["seq"]
    shared.clock.advance(seconds=10)
    ada.session_end("partial")
    return shared, seq, session


@pytest.fixture
def reader(past):
    return past[0].fresh("ben")


def seqs(answer: dict[str, Any]) -> list[int]:
    return [event["seq"] for event in answer["events"]]


def test_events_come_oldest_first_with_starts_and_ends(past, reader):
    answer = reader.history()
    assert seqs(answer) == sorted(seqs(answer))
    assert [e["event"] for e in answer["events"]] == ["session_started", *["recorded"] * 5, "session_ended"]
    assert answer["next_cursor"] == ""


def test_an_event_of_a_record_says_what_became_of_it_and_its_title_where_that_lowers_nothing(past, reader):
    events = {event["seq"]: event for event in reader.history()["events"]}
    found, page = events[past[1]["a1"]], events[past[1]["page"]]
    assert (found["title"], found["author"], found["task"]) == ("a1", "ada", "t1")
    assert (found["kind"], found["label"], found["status"]) == ("finding", "attributed", "in_force")
    assert page["label"] == "untrusted"
    assert not {"title", "task"} & set(page)


def test_a_lead_s_timeline_has_no_titles_of_workers_and_lowers_nothing(past):
    lead = past[0].fresh("lead")
    answer = lead.history()
    assert all("title" not in event for event in answer["events"])
    assert answer["mark"] == "trusted"


def test_filters_by_task_session_and_record(past, reader):
    _, seq, session = past
    assert [e["event"] for e in reader.history(task="t1")["events"]] == [
        *("session_started", "recorded", "recorded", "session_ended")
    ]
    assert seqs(reader.history(of_session=session)) == seqs(reader.history(task="t1"))
    record = reader.history()["events"][2]["id"]
    assert seqs(reader.history(id=record)) == seqs(reader.history(id=record[:12])) == [seq["b1"]]
    assert reader.history(task="none")["events"] == []


@pytest.mark.parametrize("view", ["timeline", "disclosures"])
def test_ids_of_nothing_and_of_another_scope_are_refused_alike(past, reader, view):
    fleet, _, session = past
    record = reader.history()["events"][2]["id"]
    stranger = fleet.agent(f"stranger-{view}", scopes=("elsewhere",))
    asked = [(reader, {"id": "m-" + "a" * 26}), (reader, {"id": "key:none"}), (reader, {"of_session": "s-" + "a" * 26})]
    asked += [(stranger, {"id": record}), (stranger, {"id": record[:12]}), (stranger, {"of_session": session})]
    said = []
    for member, one in asked:
        with pytest.raises(NotFound) as refused:
            member.history(view=view, **one)
        assert refused.value.code == "unknown_id"
        said.append(str(refused.value))
    assert len(set(said)) == 2


def test_since_a_position_is_exclusive_and_until_and_as_of_inclusive(past, reader):
    seq = past[1]
    assert seqs(reader.history(since=str(seq["b1"]), until=str(seq["b2"]))) == [seq["a2"], seq["b2"]]
    assert seqs(reader.history(since=str(seq["b1"]), as_of=str(seq["a2"]))) == [seq["a2"]]


def test_since_and_until_a_time_are_inclusive(past, reader):
    seq = past[1]
    at = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=START, seconds=20)).isoformat()
    assert seqs(reader.history(since=at))[0] == seq["b1"]
    assert seqs(reader.history(until=at))[-1] == seq["b1"]


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
def test_pages_make_up_the_whole_while_others_write(past, limit):
    fleet = past[0]
    reader, writer = fleet.fresh("ben"), fleet.fresh("ben")
    whole = seqs(reader.history())
    walked: list[int] = []
    cursor = ""
    while True:
        page = reader.history(limit=limit, cursor=cursor, until=str(whole[-1]))
        assert len(page["events"]) <= limit
        walked += seqs(page)
        cursor = page["next_cursor"]
        if not cursor:
            break
        writer.write_for("noise", kind="question", title=f"noise {limit} {len(walked)}")
    assert walked == whole


def test_a_cursor_of_another_timeline_or_of_a_search_is_refused(past, reader):
    cursor = reader.history(limit=1)["next_cursor"]
    other = reader.search("alpha", limit=1)["attributed"]["next_cursor"]
    for arguments in ({"task": "t1", "cursor": cursor}, {"cursor": other}, {"cursor": cursor[:-2]}, {"cursor": "AAAA"}):
        with pytest.raises(InvalidInput) as refused:
            reader.history(**arguments)
        assert refused.value.code == "bad_cursor"
    with pytest.raises(InvalidInput):
        reader.search("alpha", cursor=cursor)


def test_a_timeline_of_another_scope_is_empty(fleet, ada):
    ada.session_start("t")
    ada.write("question", "q")
    assert fleet.agent("stranger", scopes=("elsewhere",)).history()["events"] == []
