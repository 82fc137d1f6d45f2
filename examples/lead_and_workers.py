"""A lead and two workers: work goes down as delegations, comes back as reports, and is reviewed by being accepted.

Run it with `python examples/lead_and_workers.py`. What a worker verified becomes trusted when its lead accepts the
report; what it only guesses shows as a problem, and the lead asks back instead.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from memstore import admin, open_store
from memstore.config import init_store, open_house
from memstore.core.statements import Role

TASK = "slow-checkout"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        init_store(store)
        house = open_house(store)
        admin.add_agent(house, "lead", role=Role.LEAD)
        for name in ("db", "web"):
            admin.add_agent(house, name, under="lead", capabilities=(name,))
        house.store.close()
        with (
            open_store(store, agent="lead") as lead,
            open_store(store, agent="db") as db,
            open_store(store, agent="web") as web,
        ):
            run(lead, db, web)


def run(lead: Any, db: Any, web: Any) -> None:
    started = lead.session_start(TASK, goal="Find out why the checkout is slow, and fix it.")
    intent = lead.session_start(TASK)["brief"]["intent"]["id"]
    say(f"brief: {started['brief']['intent']['text']}")
    for part in ("db", "web"):
        answer = lead.handoff_offer(
            f"capability:{part}", "delegate", intent=intent, directive=f"Measure the {part} side",
            rationale="One of the two is slow", constraints=["Change nothing in production"],
        )  # fmt: skip
        say(f"lead delegates to {answer['receiver']}: {answer['state']}")
    report(db, "The index on orders is missing", verified=True)
    report(web, "The page feels slow", verified=False)
    for item in lead.handoff_inbox()["items"]:
        judge(lead, item["handoff"], item["from"])
    trusted = lead.search("index")["trusted"]["hits"]
    decision = lead.write(
        "decision", "Add the index on orders", rationale=trusted[0]["title"], alternatives=["Cache: hides it"],
        derived_from=[trusted[0]["id"]],
    )  # fmt: skip
    say(f"the lead decides, and its decision is {decision['label']}")


def report(worker: Any, title: str, *, verified: bool) -> None:
    """Take the delegation, do the work, report back, and complete what was taken."""
    [item] = worker.handoff_inbox()["items"]
    found = worker.handoff_receive(item["handoff"])
    lease = worker.handoff_respond(item["handoff"], "accept", receipt=found["receipt"])["lease"]
    worker.session_start(TASK)
    checked = {"verification": "verified", "evidence": ["EXPLAIN on orders"]} if verified else {}
    output = worker.write("finding", title, "Measured on Monday", **checked)["id"]
    rules = found["named"]["constraints"]
    told = {"outputs": [output], "questions": ["none"], "caveats": ["none"], "rejected": ["none"], "constraints": rules}
    sent = worker.handoff_offer("lead", "report", **told)
    say(f"{worker.name} reports, with problems {[problem['code'] for problem in sent['problems']]}")
    worker.handoff_respond(item["handoff"], "complete", lease=lease, outputs=[output])


def judge(lead: Any, handoff: str, worker: str) -> None:
    found = lead.handoff_receive(handoff)
    problems = [problem["code"] for problem in found["problems"]]
    if problems:
        lead.handoff_respond(handoff, "clarify", question="What did you measure, and how?")
        for hit in found["outputs"]["attributed"]["hits"]:
            lead.review([hit["id"]], "dispute")
        say(f"lead asks {worker} back: {problems}")
        return
    answer = lead.handoff_respond(handoff, "accept", receipt=found["receipt"])
    say(f"lead accepts the report of {worker}. {answer['note']}")


if __name__ == "__main__":
    main()
