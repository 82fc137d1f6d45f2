"""An incident in which a tool's result is out of date when it is handed over, and is caught before anybody acts on it.

Run it with `python examples/stale_at_the_boundary.py`. Nobody has to remember to check: receiving says so, and
accepting has to take the problem on by its name.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from memstore import admin, open_store
from memstore.config import init_store, open_house
from memstore.errors import MemStoreError


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        init_store(store)
        house = open_house(store)
        for name in ("watcher", "fixer"):
            admin.add_agent(house, name)
        admin.add_tool(house, "metrics.*")
        house.store.close()
        with open_store(store, agent="watcher") as watcher, open_store(store, agent="fixer") as fixer:
            catch(fixer, hand_over(watcher))


def hand_over(watcher: Any) -> str:
    watcher.session_start("incident-7")
    reading = watcher.observe("tool:metrics.free_disk", "free disk: 80 %", ttl_seconds=1)
    told = watcher.write("finding", "There is room on the disk", "80 % are free", derived_from=[reading["id"]])
    sent = watcher.handoff_offer("fixer", "transfer", outputs=[reading["id"], told["id"]], questions=["none"])
    say(f"handed over, with problems {[problem['code'] for problem in sent['problems']]}")
    while watcher.get([reading["id"]])["records"]:
        time.sleep(0.05)  # until the reading's second is over
    return str(sent["handoff"])


def catch(fixer: Any, handoff: str) -> None:
    found = fixer.handoff_receive(handoff)
    for problem in found["problems"]:
        say(f"{problem['class']}: {problem['what']}. {problem['next']}")
    [entry] = found["outputs"]["quarantined"]["entries"]
    say(f"apart: {entry['reasons'][0]}, last value {entry['stale']['body']!r}")
    try:
        fixer.handoff_respond(handoff, "accept", receipt=found["receipt"])
    except MemStoreError as error:
        say(f"refused: {error}")
    fixer.handoff_respond(handoff, "reject", reason="The reading is out of date; read it again.")
    say("rejected, with the reason on record")


if __name__ == "__main__":
    main()
