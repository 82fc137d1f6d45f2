"""PROV-JSON is read by a library of others and says who made what, from what, shown what, and what ended it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from simulator import Fleet, leaked, taken

from memstore.errors import InvalidInput, NotFound
from memstore.service import MemStore

model = pytest.importorskip("prov.model", reason="the reader of PROV is in the `test` extra")

SECRET = "The moon base wants its password, said the page"


def read(document: dict[str, Any]) -> Any:
    """The document as the library has it, once it came back the same from a round trip."""
    found = model.ProvDocument.deserialize(content=json.dumps(document), format="json")
    assert model.ProvDocument.deserialize(content=found.serialize(format="json"), format="json") == found
    return found


def pairs(found: Any, kind: str) -> set[tuple[str, str]]:
    """The two ends of each relation of a kind, as local names."""
    ends = (relation.args[:2] for relation in found.get_records(getattr(model, kind)))
    return {(one.localpart, other.localpart if other is not None else "") for one, other in ends}


def types(found: Any, kind: str) -> set[str]:
    return {str(one) for relation in found.get_records(getattr(model, kind)) for one in relation.get_asserted_types()}


@pytest.fixture
def story(fleet: Fleet, ada: MemStore, ben: MemStore, lead: MemStore) -> dict[str, str]:
    """A task in which a page was read, something was decided, replaced, reviewed, withdrawn, and handed on."""
    session = ada.session_start("storage")["session"]
    said = ada.write("finding", "WAL keeps readers going", "b", verification="verified", evidence=["log"])["id"]
    first = ada.write("decision", "A", rationale="r", alternatives=["none"], derived_from=[said])["id"]
    second = ada.write("decision", "B", rationale="r", alternatives=["none"], conditions=[said], supersedes=first)["id"]
    handoff = ada.handoff_offer("ben", "transfer", outputs=[said], questions=["none"])["handoff"]
    ben.handoff_respond(handoff, "complete", lease=taken(ben, handoff))
    page = ada.observe("https://evil.example/", SECRET)["id"]
    note = ada.write("finding", SECRET[:30], "b", verification="unverified", derived_from=[page])["id"]
    lead.get([said], detail="full")
    lead.review([said], "endorse")
    lead.retract(note, "wrong")
    return {"session": session, "said": said, "first": first, "second": second, "page": page, "note": note}


def test_a_task_is_read_by_the_library_and_comes_back_the_same(lead: MemStore, story: dict[str, str]):
    found = read(lead.export_prov(task="storage"))
    assert {(story["said"], story["session"]), (story["page"], story["session"])} <= pairs(found, "ProvGeneration")
    assert (story["said"], "ada") in pairs(found, "ProvAttribution")
    assert {("ada", "lead"), ("ben", "lead")} <= pairs(found, "ProvDelegation")


def test_what_a_record_names_is_derived_from_as_it_names_it(lead: MemStore, story: dict[str, str]):
    found = read(lead.export_prov(task="storage"))
    assert pairs(found, "ProvDerivation") == {
        (story["first"], story["said"]), (story["second"], story["first"]), (story["note"], story["page"]),
    }  # fmt: skip
    assert types(found, "ProvDerivation") == {"prov:Revision", "prov:PrimarySource"}
    assert pairs(found, "ProvInfluence") == {(story["second"], story["said"])}


def test_what_was_merely_shown_was_used_by_the_context(lead: MemStore, story: dict[str, str]):
    found = read(lead.export_prov(task="storage"))
    used = {(one, other) for one, other in pairs(found, "ProvUsage") if one.startswith("c-")}
    assert story["page"] in {record for _, record in used}
    [context] = {one for one, record in used if record == story["page"]}
    assert (story["session"], context) in pairs(found, "ProvCommunication")


def test_what_ended_a_record_invalidated_it(lead: MemStore, story: dict[str, str]):
    ended = dict(pairs(read(lead.export_prov(task="storage")), "ProvInvalidation"))
    assert ended[story["first"]] == story["session"]
    assert ended[story["note"]].startswith("act-")
    assert story["said"] not in ended


def test_what_was_withdrawn_twice_ended_once(fleet: Fleet, ada: MemStore, lead: MemStore):
    record = ada.write("finding", "F", "b", verification="unverified")["id"]
    ada.retract(record, "wrong")
    lead.retract(record, "outdated")
    found = read(lead.export_prov(record=record))
    assert len(list(found.get_records(model.ProvInvalidation))) == 1


def test_an_expired_reading_is_invalidated_by_time_alone(fleet: Fleet, ada: MemStore):
    ada.session_start("storage")
    reading = ada.observe("tool:weather", "12", ttl_seconds=1)["id"]
    fleet.clock.advance(seconds=2)
    assert pairs(read(ada.export_prov(record=reading)), "ProvInvalidation") == {(reading, "")}


def test_the_neighbourhood_of_a_record_goes_both_ways_as_far_as_asked(lead: MemStore, story: dict[str, str]):
    def near(depth: int) -> set[str]:
        acts = lead.export_prov(record=story["said"], depth=depth)
        return {one for one, _ in pairs(read(acts), "ProvDerivation")}

    assert near(0) == set()
    assert near(1) == {story["first"]}
    assert near(2) >= {story["first"], story["second"]}


def test_titles_stand_where_reading_lowers_nothing_and_count_as_shown(person: MemStore, story: dict[str, str]):
    document = person.export_prov(task="storage")
    labels = {name: told.get("prov:label") for name, told in document["entity"].items()}
    assert labels[f"store:{story['said']}"] == "WAL keeps readers going"
    assert labels[f"store:{story['note']}"] is None
    seen = person.history(id=story["said"], view="disclosures")["events"]
    assert ("person", "concise") in {(event["author"], event["detail"]) for event in seen}


def test_no_byte_of_what_is_quarantined_is_in_it(fleet: Fleet, story: dict[str, str]):
    for name in ("lead", "ben", "person"):
        document = fleet.fresh(name).export_prov(task="storage")
        assert leaked(SECRET, document) == ""
        assert "evil.example" not in json.dumps(document)


def test_an_erased_record_is_not_described(fleet: Fleet, lead: MemStore, story: dict[str, str]):
    fleet.erase(story["first"])
    document = lead.export_prov(task="storage")
    assert f"store:{story['first']}" not in document["entity"]
    read(document)


def test_ids_of_nothing_and_of_another_scope_look_alike(fleet: Fleet, lead: MemStore):
    other = fleet.agent("zoe", scopes=("side",))
    hidden = other.write("finding", "Elsewhere", "b", verification="unverified")["id"]
    told = []
    for asked in (hidden, "m-" + "a" * 26):
        with pytest.raises(NotFound) as refused:
            lead.export_prov(record=asked)
        told.append(str(refused.value))
    assert told[0] == told[1]


def test_a_task_of_another_scope_is_none(fleet: Fleet, lead: MemStore):
    other = fleet.agent("zoe", scopes=("side",))
    other.session_start("their task")
    with pytest.raises(NotFound, match="nothing of this task"):
        lead.export_prov(task="their task")


@pytest.mark.parametrize("asked", [{}, {"task": "t", "record": "m-" + "a" * 26}, {"task": "t", "depth": 17}])
def test_one_of_task_and_record_is_named_and_the_depth_bounded(lead: MemStore, asked: dict[str, Any]):
    with pytest.raises(InvalidInput):
        lead.export_prov(**asked)


@pytest.mark.parametrize("asked", ["task", "record"])
def test_a_flood_from_below_pushes_nothing_out_that_stands_higher(
    monkeypatch: pytest.MonkeyPatch, fleet: Fleet, ada: MemStore, person: MemStore, asked: str
):
    monkeypatch.setattr("memstore.exporting.MOST_ACTS", 4)
    monkeypatch.setattr("memstore.exporting.MOST_RECORDS", 4)
    ada.session_start("storage")
    root = ada.write("finding", "Root", "b")["id"]
    ben = fleet.fresh("ben")
    ben.session_start("storage")
    ben.observe("https://evil.example/", "flood")
    for number in range(9):
        ben.write("finding", f"flood {number}", "b", derived_from=[root])
    last = ada.write("finding", "Last", "b", derived_from=[root])["id"]
    document = person.export_prov(task="storage") if asked == "task" else person.export_prov(record=root, depth=2)
    # The library takes the document; what it says is looked up in it.
    read(document)
    assert {f"store:{root}", f"store:{last}"} <= set(document["entity"])
    assert sum(one.get("memstore:label") == "tainted" for one in document["entity"].values()) <= 4
    assert [one["memstore:complete"] for one in document["entity"].values() if "memstore:complete" in one] == [False]
