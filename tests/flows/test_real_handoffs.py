"""126 runs of agents that failed, replayed: each a task, each step a record, each change of agent a handoff.

The runs are those of "Which agent causes task failures and when?" (algorithm-generated part). What a handoff should say
of hops and of what was dropped is worked out here, apart from the store.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from itertools import groupby, pairwise
from typing import Any

import pytest
from simulator import Fleet, codes
from vectors import vector_path

from memstore.core.forms import MAX_HOPS
from memstore.errors import Denied
from memstore.service import MemStore


class Replay:
    """The runs on one store; `again` makes every call of the first replay once more."""

    def __init__(self, fleet: Fleet, runs: dict[str, list[dict[str, Any]]]) -> None:
        self.fleet = fleet
        self.runs = runs
        self.lead = fleet.fresh("lead")
        self.members: dict[tuple[str, str], MemStore] = {}
        self.calls: list[tuple[MemStore, str, dict[str, Any], dict[str, Any]]] = []
        self.handoffs = self.refusals = 0
        names = {_name(step["agent"]) for steps in runs.values() for step in steps}
        for name in sorted(names):
            fleet.agent(name, under="lead").close()

    def member(self, run: str, agent: str) -> MemStore:
        """An agent at work on one run: a context and a session of its own."""
        if (run, agent) not in self.members:
            made = self.fleet.launched(agent, f"{run}/{agent}")
            made.session_start(run, max_tokens=300)
            self.members[run, agent] = made
        return self.members[run, agent]

    def call(self, member: MemStore, verb: str, **arguments: Any) -> dict[str, Any]:
        answer = dict(getattr(member, verb)(**arguments))
        self.calls.append((member, verb, arguments, answer))
        return answer

    def replay(self, run: str) -> None:
        steps = self.runs[run]
        turns = [(agent, list(said)) for agent, said in groupby(steps, key=lambda step: _name(step["agent"]))]
        first = self.member(run, turns[0][0])
        question = self.call(first, "write", kind="question", title=f"What is asked in {run}?")["id"]
        rule = self.call(first, "write", kind="constraint", title=f"Show the work in {run}")["id"]
        hops: dict[str, int] = {}
        carried = False
        for place, (agent, said) in enumerate(turns):
            member = self.member(run, agent)
            outputs = [self._written(member, run, step) for step in said]
            if place + 1 == len(turns):
                return
            receiver = turns[place + 1][0]
            expected = hops.get(agent, 0) + 1
            # Every other handoff forgets the rule.
            told: dict[str, Any] = {
                "outputs": outputs,
                "questions": [question],
                "constraints": [] if place % 2 else [rule],
            }
            told |= {"to": receiver, "type": "transfer", "idempotency_key": f"{run}/{place}"}
            if expected > MAX_HOPS:
                self._refused(member, told)
                expected = 1
                member, told = self._anew(run, told)
            offered = self.call(member, "handoff_offer", **told)
            assert offered["hop"] == expected
            dropped = ["dropped_constraint"] if carried and told["constraints"] in ([], ["none"]) else []
            assert [code for code in codes(offered) if code.startswith("dropped")] == dropped
            carried = told["constraints"] not in ([], ["none"])
            self._taken(self.member(run, receiver), offered["handoff"], dropped)
            hops[receiver] = expected

    def _written(self, member: MemStore, run: str, step: dict[str, Any]) -> str:
        body = step["text"] if step["text"].strip() else "(nothing was said)"
        title = f"Step {step['step']} of {run}"
        return str(self.call(member, "write", kind="finding", title=title, body=body)["id"])

    def _refused(self, member: MemStore, told: dict[str, Any]) -> None:
        with pytest.raises(Denied) as error:
            member.handoff_offer(**told)
        assert error.value.code == "hop_limit"
        self.refusals += 1

    def _anew(self, run: str, told: dict[str, Any]) -> tuple[MemStore, dict[str, Any]]:
        """The lead takes the work and gives it out anew: a chain of its own."""
        lead = self.member(run, "lead")
        intent = self.call(lead, "write", kind="intent", title=f"Answer {run}", body="Answer the question.")["id"]
        more = {"type": "delegate", "intent": intent, "directive": "Go on", "rationale": "It went round in circles"}
        return lead, {**told, **more, "constraints": told["constraints"] or ["none"]}

    def _taken(self, member: MemStore, handoff: str, dropped: list[str]) -> None:
        found = member.handoff_receive(handoff, max_tokens=20_000)
        assert found["valid"]
        assert "unverified_output" in codes(found)
        assert [item["part"] for item in found["delta"]["dropped"]] == ["constraints"] * len(dropped)
        accept = {"action": "accept", "receipt": found["receipt"], "acknowledge": codes(found)}
        assert self.call(member, "handoff_respond", handoff=handoff, **accept)["lease"] == "1"
        self.handoffs += 1

    def again(self) -> None:
        for member, verb, arguments, answer in self.calls:
            told = dict(getattr(member, verb)(**arguments))
            assert {"id": told.get("id"), "handoff": told.get("handoff")} == {
                "id": answer.get("id"), "handoff": answer.get("handoff"),
            }  # fmt: skip


def _lines() -> list[dict[str, Any]]:
    # The data lie beside the vectors; what the lines hold may be any character, so they are split at "\n" alone.
    text = vector_path("..", "data", "whoandwhen_ag", "events.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def _name(agent: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", agent)[:64]


def _replayed(fleet: Fleet, every: int) -> int:
    """Replay each run, or every so many; then make all calls again. How many handoffs there were."""
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in _lines():
        runs[event["trace_id"]].append(event)
    assert len(runs) == 126
    chosen = {run: sorted(steps, key=lambda step: int(step["step"])) for run, steps in list(runs.items())[::every]}
    replay = Replay(fleet, chosen)
    for run in chosen:
        replay.replay(run)
    changes = sum(
        _name(one["agent"]) != _name(other["agent"]) for steps in chosen.values() for one, other in pairwise(steps)
    )
    assert replay.handoffs == changes
    assert replay.refusals > 0
    size = fleet.size()
    replay.again()
    assert fleet.size() == size
    fleet.assert_sound()
    return replay.handoffs


def test_a_ninth_of_the_runs_is_handed_over_and_a_second_load_changes_nothing(fleet: Fleet):
    assert _replayed(fleet, 9) > 80


@pytest.mark.slow
def test_126_of_126_runs_are_handed_over_and_a_second_load_changes_nothing(fleet: Fleet):
    assert _replayed(fleet, 1) > 800
