"""Published runs that were led astray by a poisoned memory: what it led to is found by what was shown (T2, T5).

The agents declare nothing. That the memory is an ancestor of the bad call follows from the disclosure alone.
"""

import json
from typing import Any

import pytest
from simulator import Fleet
from vectors import vector_path


def runs() -> list[dict[str, Any]]:
    path = vector_path().parent / "data" / "poisoned_runs" / "asb_memory_runs.jsonl"
    if not path.exists():
        pytest.skip("the data set poisoned_runs is not here: set MEMSTORE_SHARED to the folder that holds data/")
    found = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    return [run for run in found if run["bad_call_step"] is not None]


def replayed(fleet: Fleet, run: dict[str, Any], number: int) -> tuple[str, str, str]:
    """(the memory, the record of the bad call, one that was written before the memory was read)."""
    memory = fleet.fresh("past").write("finding", f"Workflow {number}", run["memory_text"][:60_000])["id"]
    agent = fleet.fresh("agent")
    written: dict[int, str] = {}
    for event in run["events"]:
        if event["step"] == run["memory_step"]:
            agent.get([memory])
        written[event["step"]] = agent.write(
            "finding", f"{number}: step {event['step']}", event["text"][:60_000] or "-"
        )["id"]
    first = min(step for step in written if step < run["memory_step"])
    return memory, written[run["bad_call_step"]], written[first]


def test_the_memory_that_led_to_the_call_is_an_ancestor_of_it_in_every_run(fleet: Fleet):
    published = runs()
    fleet.agent("past")
    fleet.agent("agent")
    person = fleet.agent("person", role="human")
    missed, blamed = [], []
    for number, run in enumerate(published):
        memory, bad, before = replayed(fleet, run, number)
        reached = {one["id"] for one in person.retract(memory, "poisoned", dry_run=True)["affected"]}
        missed += [number] if bad not in reached else []
        blamed += [number] if before in reached else []
    assert len(published) >= 38
    assert (missed, blamed) == ([], [])


def test_who_saw_the_memory_is_told(fleet: Fleet):
    run = runs()[0]
    fleet.agent("past")
    fleet.agent("agent")
    memory, _, _ = replayed(fleet, run, 0)
    events = fleet.agent("looking").history(id=memory, view="disclosures")["events"]
    assert [(event["author"], event["label"], event["detail"]) for event in events] == [("agent", "attributed", "full")]
