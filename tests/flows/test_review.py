"""Reviews: who raises what, how far, and what a reviewer is told where it comes to nothing (T2, T6)."""

from typing import Any

import pytest
from simulator import Fleet, entries, ids, refs

from memstore import log
from memstore.errors import MemStoreError
from memstore.service import MemStore


@pytest.fixture
def team(fleet: Fleet) -> dict[str, MemStore]:
    """A lead with two workers, a person, and a lead of nobody."""
    fleet.agent("other", role="lead")
    names = {"lead": "lead", "worker": "ada", "peer": "ben", "ann": "person", "other": "other"}
    return {name: fleet.fresh(who) for name, who in names.items()}


def label(fleet: Fleet, record: str) -> str:
    told = {event["id"]: event for event in fleet.continuing("person").history(limit=500)["events"] if "label" in event}
    return f"{told[record]['label']} {told[record]['status']}"


def only(answer: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any]
    (result,) = answer["results"]
    return result


def read(member: MemStore, record: str) -> None:
    """Read a record whole, opening it where it is quarantined."""
    found = member.get([record])
    if found["quarantined"]:
        member.open([found["quarantined"][0]["ref"]])


def test_a_lead_above_raises_what_its_worker_found(fleet: Fleet, team: dict[str, MemStore]):
    said = team["worker"].write("finding", "Found", "it")["id"]
    read(team["lead"], said)
    answer = team["lead"].review([said], "endorse")
    assert only(answer) == {"id": said, "label": "trusted", "needs": [], "refused": ""}
    assert answer["mark"] == "trusted"
    assert ids(fleet.fresh("ben").search("found"), "trusted") == [said]
    fleet.assert_sound()


@pytest.mark.parametrize("who", ["peer", "other"])
def test_who_stands_not_above_carries_nothing_and_is_told_who_does(fleet: Fleet, team: dict[str, MemStore], who: str):
    said = team["worker"].write("finding", "Found", "it")["id"]
    read(team[who], said)
    result = only(team[who].review([said], "endorse"))
    assert result == {
        "id": said, "label": "attributed", "needs": ["lead", "human", "checker"], "refused": "not_entitled",
    }  # fmt: skip
    fleet.assert_sound()


def test_what_comes_from_outside_is_admitted_by_a_lead_and_trusted_by_a_person(fleet: Fleet, team: dict[str, MemStore]):
    team["worker"].observe("https://a.example/", "a page")
    said = team["worker"].write("finding", "Found on a page", "it")["id"]
    read(team["lead"], said)
    result = only(team["lead"].review([said], "endorse"))
    assert (result["label"], result["needs"]) == ("attributed", ["human", "checker"])
    hit = fleet.fresh("ben").search("page")["attributed"]["hits"][0]
    assert (hit["id"], hit["flags"]) == (said, ["admitted"])
    read(team["ann"], said)
    assert only(team["ann"].review([said], "endorse", method="reproduced"))["label"] == "trusted"
    assert fleet.fresh("ben").search("page")["trusted"]["hits"][0]["flags"] == ["admitted"]
    fleet.assert_sound()


def test_a_lead_that_has_read_the_outside_carries_to_attributed(fleet: Fleet, team: dict[str, MemStore]):
    said = team["worker"].write("finding", "Found", "it")["id"]
    lead = team["lead"]
    lead.observe("https://a.example/", "a page")
    read(lead, said)
    assert only(lead.review([said], "endorse"))["label"] == "attributed"
    clean = fleet.fresh("lead")
    read(clean, said)
    assert only(clean.review([said], "endorse"))["label"] == "trusted"
    fleet.assert_sound()


def test_a_person_makes_what_was_admitted_trusted_and_what_rests_on_it_follows(fleet: Fleet, team: dict[str, MemStore]):
    team["worker"].observe("https://a.example/", "a page")
    source = team["worker"].write("finding", "From a page", "it")["id"]
    rests = team["peer"].write("finding", "So it is", "x", derived_from=[source])["id"]
    assert label(fleet, rests) == "tainted in_force"
    read(team["lead"], source)
    assert only(team["lead"].review([source], "endorse"))["label"] == "attributed"
    assert label(fleet, rests) == "attributed in_force"
    clean = fleet.fresh("lead")
    read(clean, rests)
    # It rests on what is only admitted, so a lead carries it no further.
    assert only(clean.review([rests], "endorse"))["label"] == "attributed"
    read(team["ann"], source)
    team["ann"].review([source], "endorse")
    assert (label(fleet, source), label(fleet, rests)) == ("trusted in_force", "trusted in_force")
    fleet.assert_sound()


def test_a_dispute_takes_ones_own_endorsement_back_and_shows(fleet: Fleet, team: dict[str, MemStore]):
    said = team["worker"].write("finding", "Found", "it")["id"]
    read(team["lead"], said)
    team["lead"].review([said], "endorse")
    assert only(team["lead"].review([said], "dispute"))["label"] == "attributed"
    assert fleet.fresh("ben").search("found")["attributed"]["hits"][0]["flags"] == ["disputed"]
    fleet.assert_sound()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_order_of_endorsements_makes_no_difference(fleet: Fleet, team: dict[str, MemStore], order: tuple[int, int]):
    team["worker"].observe("https://a.example/", "a page")
    said = team["worker"].write("finding", "Found", "it")["id"]
    for number in order:
        who = ("lead", "ann")[number]
        read(team[who], said)
        team[who].review([said], "endorse")
    assert label(fleet, said) == "trusted in_force"
    fleet.assert_sound()


def test_what_comes_to_nothing_says_why(fleet: Fleet, team: dict[str, MemStore]):
    own = team["lead"].write("finding", "Own", "x")["id"]
    listed = team["worker"].write("finding", "Listed", "x" * 600)["id"]
    page = team["worker"].observe("https://a.example/", "a page")["id"]
    gone = "m-" + "a" * 26
    lead = team["lead"]
    lead.search("listed", min_trust="attributed")
    read(lead, page)
    answer = lead.review([own, listed, page, gone, "what is this"], "endorse")
    assert [(one["id"], one["refused"]) for one in answer["results"]] == [
        (own, "own_record"), (listed, "not_shown"), (page, "untrusted"), (gone, "unknown_id"),
        ("malformed", "unknown_id"),
    ]  # fmt: skip
    assert "memory_get" in answer["note"]
    fleet.assert_sound()


def test_evidence_that_is_not_here_is_refused_and_nothing_is_logged(fleet: Fleet, team: dict[str, MemStore]):
    said = team["worker"].write("finding", "Found", "it")["id"]
    read(team["lead"], said)
    before = fleet.size()
    with pytest.raises(MemStoreError) as refused:
        team["lead"].review([said], "endorse", evidence=["m-" + "z" * 26])
    assert (refused.value.code, fleet.size()) == ("unknown_id", before)


def test_the_same_review_twice_is_one(fleet: Fleet, team: dict[str, MemStore]):
    said = team["worker"].write("finding", "Found", "it")["id"]
    read(team["lead"], said)
    first = team["lead"].review([said], "endorse")
    before = fleet.size()
    assert team["lead"].review([said], "endorse") == first
    assert fleet.size() == before


def test_a_lead_that_judges_what_it_reads_has_its_decision_trusted(fleet: Fleet, team: dict[str, MemStore]):
    """Benign use stays light: eight findings, five endorsed, three disputed, and no human act."""
    lead = team["lead"]
    found = [team["worker"].write("finding", f"Finding {n}", "it is so")["id"] for n in range(8)]
    lead.get(found)
    assert lead.write("finding", "Too early", "x")["label"] == "attributed"
    lead.review(found[:5], "endorse")
    answer = lead.review(found[5:], "dispute")
    assert answer["mark"] == "trusted"
    decision = lead.write("decision", "Do it", rationale="r", alternatives=["none"])
    assert (decision["label"], decision["because"]) == ("trusted", [])
    fleet.assert_sound()


def test_with_a_web_page_in_play_it_takes_one_human_act(fleet: Fleet, team: dict[str, MemStore]):
    lead = team["lead"]
    found = [team["worker"].write("finding", f"Finding {n}", "it is so")["id"] for n in range(7)]
    fleet.agent("browser", under="lead")
    browser = fleet.fresh("browser")
    browser.observe("https://a.example/", "a page")
    found.append(browser.write("finding", "Finding 7", "from a page")["id"])
    lead.get(found[:7])
    lead.review(found[:5], "endorse")
    lead.review(found[5:7], "dispute")
    read(team["ann"], found[7])
    assert only(team["ann"].review([found[7]], "endorse"))["label"] == "trusted"
    lead.get([found[7]])
    decision = lead.write("decision", "Do it", rationale="r", alternatives=["none"], derived_from=found[:5])
    assert decision["label"] == "trusted"
    fleet.assert_sound()


def test_a_rebuild_gives_the_same_store(fleet: Fleet, team: dict[str, MemStore]):
    team["worker"].observe("https://a.example/", "a page")
    said = team["worker"].write("finding", "Found", "it")["id"]
    team["peer"].write("finding", "So", "x", derived_from=[said])
    read(team["lead"], said)
    team["lead"].review([said], "endorse")
    team["lead"].write("decision", "Do it", rationale="r", alternatives=["none"])
    read(team["ann"], said)
    team["ann"].review([said], "endorse")
    team["lead"].review([said], "dispute")
    with fleet.house.store.read() as unit:
        before = unit.projected()
    assert log.rebuild(fleet.house.store)["ok"]
    with fleet.house.store.read() as unit:
        assert unit.projected() == before
    fleet.assert_sound()


def test_a_written_twin_says_why_its_label_is_what_it_is_now(fleet: Fleet, team: dict[str, MemStore]):
    said = team["worker"].write("finding", "Found", "it")
    read(team["lead"], said["id"])
    team["lead"].review([said["id"]], "endorse")
    again = team["worker"].write("finding", "Found", "it")
    assert (again["status"], again["label"]) == ("duplicate", "trusted")
    assert [cause["code"] for cause in again["because"]] == ["endorsed", "author_worker"]


def test_entries_of_the_quarantine_are_told_apart(fleet: Fleet, team: dict[str, MemStore]):
    team["worker"].observe("https://a.example/", "a page")
    found = team["lead"].search("page")
    assert [entry["reasons"] for entry in entries(found)] == [["external"]]
    assert refs(found)
