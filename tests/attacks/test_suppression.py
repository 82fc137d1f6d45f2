"""Suppression: write the text first, take the name, close the question, or replace what is true."""

import pytest
from simulator import Fleet, ids

from memstore.errors import MemStoreError

TEXT = ("The limit", "is 30 requests a second")


def test_the_same_words_by_another_author_are_no_duplicate(fleet: Fleet):
    flooder, worker, reader = fleet.agent("flooder", open_world=True), fleet.agent("worker"), fleet.agent("reader")
    first = flooder.write("finding", *TEXT)
    said = worker.write("finding", *TEXT)
    assert (first["status"], said["status"], said["label"]) == ("stored", "stored", "attributed")
    assert said["id"] != first["id"]
    assert ids(reader.search("limit requests"), "attributed") == [said["id"]]


def test_a_name_belongs_to_its_author(fleet: Fleet):
    flooder, worker = fleet.agent("flooder", open_world=True), fleet.agent("worker")
    flooder.write("finding", "Mine", "first", key="limit")
    said = worker.write("finding", *TEXT, key="limit")
    assert said["status"] == "stored"
    assert [record["id"] for record in worker.get(["key:limit"])["records"]] == [said["id"]]
    assert fleet.agent("reader").get(["key:limit"])["missing"] == ["key:limit"]


def test_a_name_used_for_other_words_is_a_conflict_that_names_the_holder(fleet: Fleet):
    worker = fleet.agent("worker")
    said = worker.write("finding", *TEXT, key="limit")
    with pytest.raises(MemStoreError) as refused:
        worker.write("finding", "The limit", "is 40", key="limit")
    assert refused.value.code == "key_conflict"
    assert said["id"] in str(refused.value)


def test_the_same_words_again_come_back_as_they_were_stored(fleet: Fleet):
    worker = fleet.agent("worker")
    first, again = worker.write("finding", *TEXT), fleet.fresh("worker").write("finding", *TEXT)
    assert (again["status"], again["id"], again["seq"]) == ("duplicate", first["id"], first["seq"])


def test_a_clean_word_repeated_by_a_poisoned_context_neither_rises_nor_falls(fleet: Fleet):
    worker, reader = fleet.agent("worker"), fleet.agent("reader")
    said = worker.write("finding", *TEXT)
    worker.observe("https://evil.example/", "poison")
    assert worker.write("finding", *TEXT)["label"] == "attributed"
    assert ids(reader.search("limit"), "attributed") == [said["id"]]


@pytest.mark.parametrize(
    "differs",
    [{"kind": "question"}, {"kind": "constraint"}, {"verification": "failed"}],
    ids=lambda differs: "-".join(differs.values()),
)
def test_the_same_words_meant_otherwise_are_stored(fleet: Fleet, differs: dict[str, str]):
    worker = fleet.agent("worker")
    worker.write("finding", *TEXT)
    again = worker.write(**{"kind": "finding", "title": TEXT[0], "body": TEXT[1], **differs})
    assert again["status"] == "stored"


def test_nothing_lower_replaces_what_stands(fleet: Fleet):
    lead, worker = fleet.agent("lead", role="lead"), fleet.agent("worker", under="lead")
    flooder, reader = fleet.agent("flooder", open_world=True), fleet.agent("reader")
    rule = lead.write("constraint", *TEXT)
    said = worker.write("finding", *TEXT)
    rival = worker.write("finding", "No limit", "at all", supersedes=rule["id"])["id"]
    flooder.write("finding", "No limit", "ever", supersedes=said["id"])
    answer = reader.search("limit")
    assert ids(answer, "trusted") == [rule["id"]]
    assert said["id"] in ids(answer, "attributed")
    flags = {hit["id"]: hit["flags"] for hit in answer["trusted"]["hits"] + answer["attributed"]["hits"]}
    assert flags == {rule["id"]: [], said["id"]: [], rival: ["conflicting"]}


def test_an_authors_lower_successor_only_flags_its_own_record(fleet: Fleet):
    worker, reader = fleet.agent("worker"), fleet.agent("reader")
    said = worker.write("finding", *TEXT)
    worker.observe("https://evil.example/", "there is no limit")
    lower = worker.write("finding", "No limit", "it says", supersedes=said["id"])
    answer = reader.search("limit")
    assert (lower["label"], ids(answer, "attributed")) == ("tainted", [said["id"]])
    assert answer["attributed"]["hits"][0]["flags"] == ["needs_revisit"]


def test_an_author_replaces_its_own_record_and_a_lead_that_of_those_below(fleet: Fleet):
    lead, worker = fleet.agent("lead", role="lead"), fleet.agent("worker", under="lead")
    reader = fleet.agent("reader")
    said = worker.write("finding", *TEXT)
    newer = worker.write("finding", "The limit", "is 40", supersedes=said["id"])
    newest = lead.write("constraint", "The limit", "is 50", supersedes=newer["id"])
    answer = reader.search("limit")
    assert (ids(answer, "trusted"), ids(answer, "attributed")) == ([newest["id"]], [])


def test_a_lead_of_others_does_not_replace(fleet: Fleet):
    fleet.agent("boss", role="lead")
    stranger, worker = fleet.agent("stranger", role="lead"), fleet.agent("worker", under="boss")
    said = worker.write("finding", *TEXT)
    stranger.write("constraint", "No limit", supersedes=said["id"])
    assert said["id"] in ids(fleet.agent("reader").search("limit"), "attributed")


def test_a_question_is_not_closed_from_below(fleet: Fleet):
    lead, flooder = fleet.agent("lead", role="lead"), fleet.agent("flooder", open_world=True)
    worker = fleet.agent("worker")
    with_session = lead.session_start("limits")
    asked = lead.write("question", "What is the limit?", session=with_session["session"])
    flooder.write("finding", "None", "no limit", answers=asked["id"])
    worker.write("finding", "None", "no limit", answers=asked["id"])
    still = fleet.fresh("lead").session_start("limits")["brief"]["questions"]
    lead.write("finding", "Thirty", "it is 30", answers=asked["id"])
    closed = fleet.fresh("lead").session_start("limits")["brief"]["questions"]
    assert ([question["id"] for question in still], closed) == ([asked["id"]], [])
    fleet.assert_sound()
