"""How far a retraction reaches, and how long that takes: chains, fans, diamonds, an endorsed middle (T5)."""

import time
from typing import Any

import pytest
from simulator import Fleet

from memstore.recording import write_in
from memstore.requests import WriteRequest
from memstore.service import MemStore

SECONDS = 2.0


def written(member: MemStore, sources: list[list[int]]) -> list[str]:
    """Records in one transaction; each names those that it rests on by their number among them."""
    ids: list[str] = []
    caller = member._caller()
    with member._store.write() as unit:
        for number, rests in enumerate(sources):
            request = WriteRequest.parse(
                {"kind": "finding", "title": f"R {number}", "body": "x", "derived_from": [ids[n] for n in rests]}
            )
            ids.append(write_in(unit, member._key, caller, request)["id"])
    return ids


def chain(length: int) -> list[list[int]]:
    return [[], *([number] for number in range(length))]


def fan(width: int) -> list[list[int]]:
    return [[], *([0] for _ in range(width))]


def diamonds(rows: int) -> list[list[int]]:
    """Rows of two, each resting on both of the row above."""
    found: list[list[int]] = [[], [0], [0]]
    for _ in range(rows - 1):
        above = [len(found) - 2, len(found) - 1]
        found += [above, above]
    return found


def reached(fleet: Fleet, sources: list[list[int]]) -> tuple[list[str], dict[str, Any], float]:
    ids = written(fleet.fresh("ada"), sources)
    # Of the processor, not of the wall: other tests run beside this one.
    began = time.process_time()
    answer = fleet.fresh("person").retract(ids[0], "poisoned")
    return ids, answer, time.process_time() - began


@pytest.mark.parametrize("sources", [chain(300), fan(300), diamonds(150)], ids=["chain", "fan", "diamonds"])
def test_all_of_it_is_suspect_and_listed_in_the_order_of_the_log(fleet: Fleet, sources: list[list[int]]):
    ids, answer, _ = reached(fleet, sources)
    assert [one["id"] for one in answer["affected"]] == ids[1:]
    assert {(one["label"], one["status"]) for one in answer["affected"]} == {("tainted", "suspect")}
    assert len(fleet.sql("SELECT * FROM affected")) == len(ids) - 1
    fleet.assert_sound()


def test_an_endorsed_middle_falls_with_the_rest_and_stands_again_once_reviewed(fleet: Fleet, lead: MemStore):
    ids = written(fleet.fresh("ada"), chain(20))
    lead.get([ids[10]])
    assert lead.review([ids[10]], "endorse")["results"][0]["label"] == "trusted"
    answer = fleet.fresh("person").retract(ids[0], "poisoned")
    assert [one["id"] for one in answer["affected"]] == ids[1:]
    clean = fleet.fresh("lead")
    clean.open([clean.get([ids[10]])["quarantined"][0]["ref"]])
    assert clean.review([ids[10]], "endorse")["results"][0]["label"] == "attributed"
    labels = [row[0] for row in fleet.sql("SELECT suspect FROM records ORDER BY seq")]
    assert labels == [0, *[1] * 9, *[0] * 11]
    fleet.assert_sound()


def test_a_chain_of_contexts_that_only_showed_each_other_things_falls_too(fleet: Fleet):
    ids = [fleet.fresh("ada").write("finding", "Link 0", "x")["id"]]
    for number in range(1, 40):
        member = fleet.fresh("ben" if number % 2 else "ada")
        member.get([ids[-1]])
        ids.append(member.write("finding", f"Link {number}", "x")["id"])
    answer = fleet.fresh("person").retract(ids[0], "poisoned")
    assert [one["id"] for one in answer["affected"]] == ids[1:]
    fleet.assert_sound()


@pytest.mark.slow
@pytest.mark.parametrize("sources", [chain(10_000), fan(10_000), diamonds(5_000)], ids=["chain", "fan", "diamonds"])
def test_ten_thousand_fall_within_two_seconds(fleet: Fleet, sources: list[list[int]]):
    ids, answer, seconds = reached(fleet, sources)
    assert [one["id"] for one in answer["affected"]] == ids[1:]
    assert seconds < SECONDS
