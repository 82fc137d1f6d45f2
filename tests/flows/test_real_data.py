"""Records that nobody here wrote: decisions of four public projects, and tool calls of 200 runs of an airline desk."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from simulator import Fleet, ids
from vectors import vector_path

from memstore.core.records import MAX_ITEM, MAX_TITLE
from memstore.service import MemStore


def load(*parts: str) -> list[dict[str, Any]]:
    # The data lie beside the vectors; what the lines hold may be any character, so they are split at "\n" alone.
    return [json.loads(line) for line in vector_path("..", "data", *parts).read_text("utf-8").split("\n") if line]


def as_decision(adr: dict[str, Any]) -> dict[str, Any]:
    options = [option[:MAX_ITEM] for option in adr["options"].split("\n") if option.strip()]
    return {
        "title": adr["title"][:MAX_TITLE],
        "body": adr["decision"],
        "rationale": (adr["context"] or adr["consequences"] or adr["decision"] or "not stated")[:5000],
        "alternatives": options or ["none"],
        "tags": [adr["source"]],
        "key": f"{adr['source']}/{adr['file']}",
    }


@pytest.mark.parametrize(("author", "section"), [("ada", "attributed"), ("lead", "trusted")])
def test_each_of_98_decision_records_is_among_the_first_five_for_its_title(fleet, author, section):
    adrs = load("decisions", "adrs.jsonl")
    writer, reader = fleet.fresh(author), fleet.fresh("ben")
    written = [writer.write("decision", **as_decision(adr)) for adr in adrs]
    assert Counter(told["status"] for told in written) == {"stored": 98}
    missed = []
    for adr, told in zip(adrs, written, strict=True):
        answer = reader.search(adr["title"], limit=5, detail="ids", max_tokens=4000, quarantined="none")
        if told["id"] not in ids(answer, section):
            missed.append(adr["title"])
    assert missed == []
    fleet.assert_sound()


def test_all_1164_results_of_a_registered_tool_are_attributed_while_they_count_and_expire(fleet: Fleet):
    fleet.tool("airline*")
    ada, reader = fleet.fresh("ada"), fleet.fresh("ben")
    calls = load("toolresults", "taubench_airline.jsonl")
    told = [observed(ada, call) for call in calls]
    stored = [answer for answer in told if answer["status"] == "stored"]
    assert len(calls) == 1164
    assert {answer["label"] for answer in told} == {"attributed"}
    # The same call with the same result in the same run is one record while the first of them counts.
    assert len(stored) == len({(c["run"], c["tool"], c["args"], c["result"]) for c in calls})
    assert reader.search("", limit=1)["attributed"]["count"] == len(stored)
    fleet.clock.advance(seconds=3600, micros=-1)
    assert reader.search("reservation", limit=1)["attributed"]["count"] > 100
    fleet.clock.advance(micros=1)
    for query in ("", "reservation", "flight"):
        answer = reader.search(query, limit=1, max_tokens=8000)
        assert (answer["trusted"]["count"], answer["attributed"]["count"]) == (0, 0)
    assert reader.search("", limit=1)["quarantined"]["count"] == len(stored)
    assert reader.get([stored[0]["id"]])["quarantined"][0]["reasons"] == ["expired"]


def observed(ada: MemStore, call: dict[str, Any]) -> dict[str, Any]:
    return ada.observe_for(
        call["run"],
        source=f"tool:airline.{call['tool']}",
        content=call["result"],
        args={"json": call["args"]},
        ttl_seconds=3600,
    )
