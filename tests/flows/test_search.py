"""Search: each filter, the moments it looks back to, its sections and its forms (DESIGN 3.4, 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from simulator import START, Fleet, entries, ids

from memstore.service import MemStore


@dataclass
class World:
    """Some records by name: their ids and positions, and when each was written."""

    fleet: Fleet
    id: dict[str, str] = field(default_factory=dict)
    seq: dict[str, int] = field(default_factory=dict)
    at: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, answer: dict[str, Any]) -> None:
        self.id[name], self.seq[name] = answer["id"], answer["seq"]
        self.at[name] = stamp(self.fleet.clock())
        self.fleet.clock.advance(seconds=10)

    def names(self, answer: dict[str, Any], *sections: str) -> set[str]:
        """The names of the hits, and of what is only stale in quarantine."""
        found = [i for section in sections or ("trusted", "attributed") for i in ids(answer, section)]
        return {name for name, record in self.id.items() if record in found}

    def stale(self, answer: dict[str, Any]) -> set[str]:
        found = [entry["stale"]["id"] for entry in entries(answer) if "stale" in entry]
        return {name for name, record in self.id.items() if record in found}


def stamp(micros: int, *, more: int = 0) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros + more)).isoformat()


def later(text: str, micros: int) -> str:
    return (datetime.fromisoformat(text) + timedelta(microseconds=micros)).isoformat()


@pytest.fixture(scope="module")
def world(shared: Fleet) -> World:
    made = World(shared)
    ada, ben, lead = shared.fresh("ada"), shared.fresh("ben"), shared.fresh("lead")
    ada.session_start("t1")
    ben.session_start("t2")
    made.put("decided", ada.write("decision", "alpha decided", rationale="r", alternatives=["none"], tags=["x"]))
    made.put("found", ben.write("finding", "alpha found", "beta gamma", tags=["x", "y"]))
    made.put("bound", lead.write("constraint", "alpha bound", tags=["y"], key="bound"))
    made.put("old", ada.write("constraint", "alpha old"))
    made.put("new", ada.write("constraint", "alpha new", supersedes=made.id["old"]))
    made.put("short", ada.observe("tool:weather", "alpha short", ttl_seconds=15))
    made.put("page", shared.fresh("ada").observe("https://example.org/", "alpha page"))
    made.put("asked", ben.write("question", "alpha asked", data={"n": 1}))
    return made


@pytest.fixture
def reader(world: World) -> MemStore:
    return world.fleet.fresh("ben")


EVERYTHING = {"decided", "found", "bound", "new", "asked"}


def test_everything_in_force_is_found_in_the_section_of_its_label(world, reader):
    answer = reader.search("alpha")
    assert world.names(answer, "trusted") == {"bound"}
    assert world.names(answer, "attributed") == EVERYTHING - {"bound"}
    assert world.stale(answer) == {"short"}
    assert [e["reasons"] for e in entries(answer)] == [["expired"], ["external"]]


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"task": "t1"}, {"decided", "new"}),
        ({"task": "t"}, set()),
        ({"kinds": ["constraint"]}, {"bound", "new"}),
        ({"kinds": ["finding", "question"]}, {"found", "asked"}),
        ({"kinds": ["intent"]}, set()),
        ({"tags": ["x"]}, {"decided", "found"}),
        ({"tags": ["x", "y"]}, {"found"}),
        ({"tags": ["X"]}, set()),
        ({"author": "ben"}, {"found", "asked"}),
        ({"author": "be"}, set()),
        ({"author": "ada", "task": "t1", "kinds": ["decision"], "tags": ["x"]}, {"decided"}),
        ({"min_trust": "trusted"}, {"bound"}),
        ({"min_trust": "attributed"}, EVERYTHING),
    ],
)
@pytest.mark.parametrize("query", ["alpha", ""])
def test_each_filter_lets_through_what_it_names_and_nothing_else(world, reader, query, filters, wanted):
    answer = reader.search(query, **filters)
    assert world.names(answer) == wanted
    assert answer["trusted"]["count"] + answer["attributed"]["count"] == len(wanted)


def test_filters_narrow_the_quarantined_section_as_well(world, reader):
    assert world.stale(reader.search("alpha", kinds=["tool_result"])) == {"short"}
    assert reader.search("alpha", kinds=["external"])["quarantined"]["count"] == 1
    assert reader.search("alpha", author="ben")["quarantined"]["count"] == 0


def test_the_quarantined_section_is_left_out_when_it_is_not_wanted(world, reader):
    answer = reader.search("alpha", quarantined="none")
    assert answer["quarantined"] == {"entries": [], "count": 0, "next_cursor": ""}


def test_since_a_position_is_exclusive_and_until_a_position_inclusive(world, reader):
    seq = world.seq
    assert world.names(reader.search("", since=str(seq["found"]))) == {"bound", "new", "asked"}
    assert world.names(reader.search("", until=str(seq["bound"]))) == {"decided", "found", "bound"}
    assert world.names(reader.search("", since=str(seq["decided"]), until=str(seq["found"]))) == {"found"}


def test_since_and_until_a_time_are_inclusive_to_the_microsecond(world, reader):
    at = world.at["bound"]
    assert world.names(reader.search("", since=at)) == {"bound", "new", "asked"}
    assert world.names(reader.search("", since=later(at, 1))) == {"new", "asked"}
    assert world.names(reader.search("", until=at)) == {"decided", "found", "bound"}
    assert world.names(reader.search("", until=later(at, -1))) == {"decided", "found"}


def test_a_time_without_a_zone_is_utc_and_one_with_a_zone_is_converted(world, reader):
    at = datetime.fromisoformat(world.at["bound"])
    elsewhere = at.astimezone(datetime.fromisoformat("2025-01-01T00:00:00+05:30").tzinfo)
    for text in (at.replace(tzinfo=None).isoformat(), elsewhere.isoformat(), at.isoformat().replace("+00:00", "Z")):
        assert world.names(reader.search("", until=text)) == {"decided", "found", "bound"}


def test_as_of_shows_what_was_in_force_then_and_only_that(world, reader):
    for moment in (str(world.seq["old"]), world.at["old"], later(world.at["new"], -1)):
        answer = reader.search("alpha", as_of=moment)
        assert world.names(answer) == {"decided", "found", "bound", "old"}
        assert entries(answer) == []
    for moment in (str(world.seq["new"]), world.at["new"]):
        assert world.names(reader.search("alpha", as_of=moment)) == {"decided", "found", "bound", "new"}


def test_what_was_superseded_since_is_shown_as_of_then_without_a_reason_against_it(world, reader):
    answer = reader.search("alpha old", as_of=str(world.seq["old"]))
    (hit,) = [h for h in answer["attributed"]["hits"] if h["id"] == world.id["old"]]
    assert hit["posture"] == "evaluate"
    assert hit["title"] == "alpha old"


def test_a_result_that_expired_since_counts_as_of_a_time_when_it_stood(world, reader):
    written = datetime.fromisoformat(world.at["short"])
    before = (written + timedelta(seconds=15, microseconds=-1)).isoformat()
    at_the_end = (written + timedelta(seconds=15)).isoformat()
    assert "short" in world.names(reader.search("alpha", as_of=before))
    assert "short" not in world.names(reader.search("alpha", as_of=at_the_end))
    assert world.stale(reader.search("alpha", as_of=at_the_end)) == {"short"}


def test_as_of_before_the_first_record_and_after_the_last(world, reader):
    for moment in ("0", "1970-01-01", stamp(START, more=-1)):
        answer = reader.search("alpha", as_of=moment)
        assert [answer[s]["count"] for s in ("trusted", "attributed", "quarantined")] == [0, 0, 0]
    assert world.names(reader.search("alpha", as_of="999999999")) == EVERYTHING


def test_include_superseded_and_as_of_together_show_what_was_superseded_by_then(world, reader):
    answer = reader.search("alpha", as_of=str(world.seq["new"]), include_superseded=True)
    assert world.stale(answer) == {"old"}


def test_detail_ids_has_no_word_of_the_text(world, reader):
    answer = reader.search("alpha", detail="ids")
    assert world.names(answer) == EVERYTHING
    for hit in answer["trusted"]["hits"] + answer["attributed"]["hits"]:
        assert not {"title", "body", "rationale", "caveats", "data", "key"} & set(hit)
    assert "alpha" not in str(answer)
    assert answer["mark"] == "trusted"


FULL = {
    *("id", "kind", "title", "body", "rationale", "caveats", "confidence", "verification", "evidence", "conditions"),
    *("alternatives", "derived_from", "data", "label", "posture", "author", "role", "task", "session", "logged_at"),
    *("age_seconds", "flags", "signature", "score", "key"),
}


def test_detail_full_has_every_key_of_a_hit(world, reader):
    for hit in reader.search("alpha", detail="full", max_tokens=8000)["attributed"]["hits"]:
        assert set(hit) == FULL


def test_detail_concise_leaves_out_what_is_empty_and_shortens_what_is_long(fleet, ada):
    ada.write("finding", "F", "word " * 400)
    (concise,) = ada.search("word")["attributed"]["hits"]
    (full,) = ada.search("word", detail="full")["attributed"]["hits"]
    assert set(concise) < FULL
    assert not {"caveats", "rationale", "data"} & set(concise)
    assert len(concise["body"]) <= 280
    assert concise["body"].endswith("…")
    assert full["body"] == "word " * 400


def test_limit_is_per_section_and_count_is_of_all(world, reader):
    answer = reader.search("alpha", limit=1)
    assert [len(answer[s][items]) for s, items in SECTIONS] == [1, 1, 1]
    assert [answer[s]["count"] for s, _ in SECTIONS] == [1, 4, 2]
    assert [bool(answer[s]["next_cursor"]) for s, _ in SECTIONS] == [False, True, True]


SECTIONS = (("trusted", "hits"), ("attributed", "hits"), ("quarantined", "entries"))


def test_without_a_query_the_newest_comes_first(world, reader):
    hits = reader.search("")["attributed"]["hits"]
    assert [h["id"] for h in hits] == [world.id[n] for n in ("asked", "new", "found", "decided")]


def test_a_lead_gets_attributed_hits_as_a_listing_unless_it_asks_to_read_them(world):
    lead = world.fleet.fresh("lead")
    answer = lead.search("alpha")
    assert world.names(answer) == EVERYTHING
    assert all("title" not in hit for hit in answer["attributed"]["hits"])
    assert answer["trusted"]["hits"][0]["title"] == "alpha bound"
    assert answer["mark"] == "trusted"
    assert 'min_trust="attributed"' in answer["note"]
    asked = lead.search("alpha", min_trust="attributed")
    assert all(hit["title"] for hit in asked["attributed"]["hits"])
    assert asked["mark"] == "attributed"


def test_a_lead_s_word_after_reading_attributed_hits_is_attributed(fleet, ada, lead):
    ada.write("finding", "alpha", "b")
    lead.search("alpha")
    assert lead.write("question", "before")["label"] == "trusted"
    lead.search("alpha", min_trust="attributed")
    assert lead.write("question", "after")["label"] == "attributed"


def test_words_are_found_by_their_stem_and_without_accents(fleet, ada):
    kept = ada.write("finding", "Caching decisions", "Zürich répétition")["id"]
    for query in ("cached", "decision", "zurich", "RÉPÉTITIONS"):
        assert ids(ada.search(query), "attributed") == [kept], query


def test_every_field_that_holds_words_is_searched(fleet, ada):
    written = ada.write(
        "decision",
        "wordtitle",
        "wordbody",
        rationale="wordrationale",
        caveats=["wordcaveat"],
        alternatives=["wordalternative"],
        conditions=["wordcondition"],
        data={"wordkey": "wordvalue"},
        tags=["wordtag"],
        key="wordname",
    )
    for place in ("title", "body", "rationale", "caveat", "alternative", "condition", "key", "value", "tag", "name"):
        assert ids(ada.search(f"word{place}"), "attributed") == [written["id"]], place


def test_a_word_in_the_title_counts_for_more_than_one_in_the_body(fleet, ada):
    body = ada.write("finding", "Something else", "alpha and so on")["id"]
    title = ada.write("finding", "Alpha", "something else and so on")["id"]
    assert ids(ada.search("alpha"), "attributed") == [title, body]


def test_scores_are_a_function_of_the_rank_alone(fleet, ada):
    for n in range(4):
        ada.write("finding", f"alpha {n}", "alpha " * n + "b")
    assert [h["score"] for h in ada.search("alpha")["attributed"]["hits"]] == [1000, 983, 968, 953]


def test_a_scope_that_is_not_the_caller_s_shows_nothing_of_itself(fleet, ada):
    stranger = fleet.agent("stranger", scopes=("elsewhere",))
    mine = ada.write("finding", "alpha", "b")
    answer = stranger.search("alpha")
    assert [answer[s]["count"] for s, _ in SECTIONS] == [0, 0, 0]
    assert stranger.get([mine["id"]]) | {"mark": ""} == {
        "records": [],
        "quarantined": [],
        "missing": [mine["id"]],
        "mark": "",
    }
