"""Data, anomalies, summary: three agents, the third of which is killed half-way and goes on from its checkpoint.

Run it with `python examples/three_agents.py`. The third agent is a process of its own that kills itself after the first
of two anomalies; when its lease has run out, the work is offered again, and the first two agents do nothing twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from memstore import admin, open_store
from memstore.config import init_store, open_house

ROWS = [12, 11, 980, 13, 12, 4000]
TASK = "sensor-report"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    os.environ["MEMSTORE_LEASE_SECONDS"] = "1"  # a crash is noticed after a second, for the sake of the example
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        init_store(store)
        house = open_house(store)
        for name in ("reader", "analyst", "writer"):
            admin.add_agent(house, name)
        house.store.close()
        with open_store(store, agent="reader") as reader, open_store(store, agent="analyst") as analyst:
            read(reader)
            analyse(analyst)
        summarise_and_die(store)
        with open_store(store, agent="writer") as writer:
            go_on(writer)


def hand_on(memory: Any, to: str, output: str) -> None:
    answer = memory.handoff_offer(to, "transfer", outputs=[output], questions=["none"], caveats=["One sensor only"])
    say(f"{memory.name} hands {answer['handoff'][:8]}… to {to}: {answer['state']}")


def take(memory: Any, wait: int = 0) -> tuple[str, str, dict[str, Any]]:
    """The next handoff, received, its problems read, and accepted: (id, lease, what was received)."""
    [item] = memory.handoff_inbox(states=["offered"], wait_seconds=wait)["items"]
    found = memory.handoff_receive(item["handoff"])
    problems = [problem["code"] for problem in found["problems"]]
    taken = memory.handoff_respond(item["handoff"], "accept", receipt=found["receipt"], acknowledge=problems)
    say(f"{memory.name} accepts attempt {found['named']['attempt']}, lease {taken['lease']}, problems {problems}")
    return item["handoff"], taken["lease"], found


def finding(memory: Any, title: str, data: dict[str, Any]) -> str:
    told = {"verification": "verified", "evidence": ["computed from the rows handed over"]}
    return str(memory.write("finding", title, data=data, **told)["id"])


def read(memory: Any) -> None:
    memory.session_start(TASK)
    say("reader reads the sensor")
    hand_on(memory, "analyst", finding(memory, "Readings of the sensor", {"rows": ROWS}))


def analyse(memory: Any) -> None:
    handoff, lease, found = take(memory)
    memory.session_start(TASK)
    say("analyst looks for anomalies")
    rows = found["outputs"]["attributed"]["hits"][0]["data"]["rows"]
    odd = finding(memory, "Anomalies", {"anomalies": [row for row in rows if row > 100], "of": len(rows)})
    hand_on(memory, "writer", odd)
    memory.handoff_respond(handoff, "complete", lease=lease, outputs=[odd])


def anomalies(found: dict[str, Any]) -> list[int]:
    hits = found["outputs"]["attributed"]["hits"]
    return next(list(hit["data"]["anomalies"]) for hit in hits if "anomalies" in hit["data"])


def summarise_and_die(store: Path) -> None:
    dying = subprocess.run([sys.executable, __file__, str(store)], check=False, capture_output=True, text=True)
    sys.stdout.write(dying.stdout)
    say(f"writer is gone: signal {-dying.returncode}")


def half(store: str) -> None:
    """The writer's first life: one anomaly described, a checkpoint written, and no more."""
    with open_store(store, agent="writer") as memory:
        _, _, found = take(memory)
        memory.session_start(TASK)
        said = [f"A peak of {anomalies(found)[0]}"]
        memory.write("checkpoint", "One anomaly described", data={"done": 1, "said": said})
        say("writer has described 1 anomaly")
        os.kill(os.getpid(), signal.SIGKILL)


def go_on(memory: Any) -> None:
    handoff, lease, found = take(memory, wait=20)  # answered as soon as the lease of the first life has run out
    memory.session_start(TASK)
    [point] = found["named"]["checkpoint"]
    kept = next(hit["data"] for hit in found["outputs"]["attributed"]["hits"] if hit["id"] == point)
    say(f"writer goes on from its checkpoint: {kept['done']} done")
    said = kept["said"] + [f"A peak of {peak}" for peak in anomalies(found)[kept["done"] :]]
    summary = finding(memory, "Summary", {"sentences": said})
    done = memory.handoff_respond(handoff, "complete", lease=lease, outputs=[summary])
    say(f"summary: {'. '.join(said)}.")
    say(f"the work is {done['state']}")


if __name__ == "__main__":
    half(sys.argv[1]) if len(sys.argv) > 1 else main()
