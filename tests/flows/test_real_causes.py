"""Published runs that went wrong, loaded step by step: blame leads from the end to the step, impact from it to the end.

A step is a record, what an agent had read by then is a disclosure. Nothing is declared: what is found follows from what
was shown. The poisoned runs name the memory and the call; those of "Which agent causes task failures and when?" name
the step of the decisive mistake, and say in words why it was one.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

import pytest
from simulator import Fleet
from vectors import vector_path

from memstore.service import MemStore

MOST_BYTES = 60_000


def lines_of(*parts: str) -> list[dict[str, Any]]:
    """The lines of a data set beside the vectors; skips the test, and says so, where it is absent."""
    path = vector_path().parent.joinpath("data", *parts)
    if not path.exists():
        pytest.skip(f"the data set {parts[0]} is not here: set MEMSTORE_SHARED to the folder that holds data/")
    # What the lines hold may be any character, so they are split at "\n" alone.
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def written(member: MemStore, title: str, text: str) -> str:
    cut = text.encode()[:MOST_BYTES].decode("utf-8", "ignore")
    return str(member.write("finding", title, cut if cut.strip() else "(nothing was said)")["id"])


def everything(member: MemStore, record: str, view: str) -> list[str]:
    """The ids of all pages of a view, in order of rank."""
    found: list[str] = []
    cursor = ""
    while True:
        answer = member.history(id=record, view=view, limit=500, max_tokens=100_000, cursor=cursor)
        found += [node["id"] for node in answer["nodes"]]
        cursor = answer["next_cursor"]
        if not cursor:
            assert len(found) == answer["count"]
            return found


def test_blame_of_the_bad_call_names_the_poisoned_memory_first_and_impact_of_that_names_the_call(fleet: Fleet):
    runs = [run for run in lines_of("poisoned_runs", "asb_memory_runs.jsonl") if run["bad_call_step"] is not None]
    for name in ("past", "agent", "looking"):
        fleet.agent(name).close()
    looking = fleet.fresh("looking")
    for number, run in enumerate(runs):
        memory = written(fleet.fresh("past"), f"Workflow {number}", run["memory_text"])
        agent = fleet.fresh("agent")
        steps: dict[int, str] = {}
        for event in run["events"]:
            if event["step"] == run["memory_step"]:
                agent.get([memory])
            steps[event["step"]] = written(agent, f"{number}: step {event['step']}", event["text"])
        call = steps[run["bad_call_step"]]
        blamed = looking.history(id=call, view="blame")["nodes"]
        assert (blamed[0]["id"], blamed[0]["how"], blamed[0]["distance"]) == (memory, "shown", 1), number
        reached = {node["id"]: node["how"] for node in looking.history(id=memory, view="impact")["nodes"]}
        assert reached[call] == "shown", number
        before = [step for step in steps if step < run["memory_step"]]
        assert reached.keys().isdisjoint(steps[step] for step in before), number
    assert len(runs) >= 38


def traces() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in lines_of("whoandwhen_ag", "events.jsonl"):
        found[event["trace_id"]].append(event)
    return {trace: sorted(steps, key=lambda step: int(step["step"])) for trace, steps in found.items()}


def replayed(fleet: Fleet, trace: str, steps: list[dict[str, Any]]) -> dict[int, str]:
    """Each step a record of its agent, which has read all steps of the others before: they talk in one room."""
    members: dict[str, MemStore] = {}
    read: dict[str, set[str]] = defaultdict(set)
    said: dict[int, str] = {}
    by: dict[str, str] = {}
    for step in steps:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", step["agent"])[:64]
        if name not in members:
            members[name] = fleet.launched(name, f"{trace}/{name}")
            members[name].session_start(trace, max_tokens=300)
        unread = [record for record in said.values() if by[record] != name and record not in read[name]]
        for start in range(0, len(unread), 20):
            members[name].get(unread[start : start + 20], detail="concise")
        read[name] |= set(unread)
        record = written(members[name], f"{step['agent']}, turn{step['step']}", step["text"])
        said[int(step["step"])], by[record] = record, name
    return said


def load(fleet: Fleet, chosen: dict[str, list[dict[str, Any]]]) -> dict[str, dict[int, str]]:
    names = {re.sub(r"[^A-Za-z0-9._-]", "_", step["agent"])[:64] for steps in chosen.values() for step in steps}
    for name in sorted(names):
        fleet.agent(name).close()
    return {trace: replayed(fleet, trace, steps) for trace, steps in chosen.items()}


def found_in(fleet: Fleet, every: int) -> tuple[int, int, int]:
    """How many traces there are, and in how many the reason's words find the step first, and among the first five."""
    labels = {label["trace_id"]: label for label in lines_of("whoandwhen_ag", "labels.jsonl")}
    chosen = dict(list(traces().items())[::every])
    said = load(fleet, chosen)
    looking = fleet.agent("looking", role="human")
    first = among_five = 0
    for trace, steps in said.items():
        mistake, last = steps[int(labels[trace]["mistake_step"])], steps[max(steps)]
        if mistake != last:
            assert last in everything(looking, mistake, "impact"), trace
            assert mistake in everything(looking, last, "blame"), trace
        reason = labels[trace]["mistake_reason"][:4000]
        hits = looking.search(reason, task=trace, min_trust="attributed", limit=5, max_tokens=9000)["attributed"]
        ids = [hit["id"] for hit in hits["hits"]]
        first += ids[:1] == [mistake]
        among_five += mistake in ids
    return len(said), first, among_five


def test_the_mistake_of_a_run_leads_to_its_end_and_the_end_back_to_it_in_a_sixth_of_the_runs(fleet: Fleet):
    runs, _, among_five = found_in(fleet, 6)
    assert runs == 21
    assert among_five >= 18


@pytest.mark.slow
def test_126_of_126_mistakes_lead_to_the_end_and_back_and_their_reasons_find_them(fleet: Fleet):
    runs, first, among_five = found_in(fleet, 1)
    # Plain full text gets .413 and .960; one standard error is four points.
    assert runs == 126
    assert first / runs >= 0.37, first
    assert among_five / runs >= 0.92, among_five
