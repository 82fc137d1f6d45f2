"""`make conformance`: the official suite over the HTTP server, in each scenario that needs no fixture of its own.

`scenarios.json` says of every scenario of the suite what is expected, and why: the checks that fail or warn, of most
none; or the "fixture" for want of which it is not run. A scenario that ends otherwise than it says, better or worse, is
a failure of this run, and so is one that only one of the two lists has.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from memstore import admin
from memstore.config import init_store, open_house

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODULES = ROOT / ".clients" / "node" / "node_modules"
SUITE = [str(MODULES / ".bin" / "node"), str(MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js")]
EXPECTED: dict[str, dict[str, Any]] = json.loads((HERE / "scenarios.json").read_text("utf-8"))
MUST_PASS = {"server-stateless", "dns-rebinding-protection"}
PATIENCE = 60


def listed() -> set[str]:
    shown = subprocess.run([*SUITE, "list", "--server"], capture_output=True, text=True, timeout=PATIENCE, check=True)
    return set(re.findall(r"^\s+- (\S+) \[", shown.stdout, flags=re.MULTILINE))


def ended(scenario: str, url: str) -> dict[str, list[str]]:
    """The checks of a scenario that fail and those that warn; raises where it made none or could not be run."""
    with tempfile.TemporaryDirectory() as place:
        command = [*SUITE, "server", "--url", url, "--scenario", scenario, "--output-dir", place]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        found = [json.loads(path.read_text("utf-8")) for path in Path(place).rglob("checks.json")]
    if not found:
        raise RuntimeError(f"{scenario} made no checks:\n{ran.stdout}{ran.stderr}")
    checks = [check for one in found for check in one]
    kinds = {"fails": "FAILURE", "warns": "WARNING"}
    told = {name: sorted(c["id"] for c in checks if c["status"] == status) for name, status in kinds.items()}
    return {name: ids for name, ids in told.items() if ids}


def judged(scenario: str, url: str) -> str:
    """What is wrong with how a scenario ended; "" where it ended as expected."""
    said, wanted = ended(scenario, url), wanted_of(scenario)
    return "" if said == wanted else f"expected {wanted or 'no failure'}, got {said or 'no failure'}"


def wanted_of(scenario: str) -> dict[str, list[str]]:
    return {name: sorted(ids) for name, ids in EXPECTED[scenario].items() if name in ("fails", "warns")}


def main() -> int:
    if not Path(SUITE[0]).exists():
        print("The suite is not installed: run `make conformance`, which installs it into .clients/node")
        return 1
    there = listed()
    problems = [f"{name} is not in scenarios.json" for name in sorted(there - set(EXPECTED))]
    problems += [f"{name} is no scenario of this suite" for name in sorted(set(EXPECTED) - there)]
    problems += [
        f"{name} has to pass" for name in sorted(MUST_PASS) if set(EXPECTED.get(name, {"fails": []})) != {"why"}
    ]
    run = [name for name, told in EXPECTED.items() if "fixture" not in told and name in there]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "store"
        init_store(folder)
        house = open_house(folder)
        admin.add_agent(house, "agent")
        house.store.close()
        command = [sys.executable, str(HERE / "serve.py"), "--port", "0", "--dev", "agent", "--store", str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "MEMSTORE_MODEL": "none"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
            try:
                assert server.stdout is not None
                url = json.loads(server.stdout.readline())["url"]
                for name in run:
                    wrong = judged(name, url)
                    expected = "fails, as expected" if "fails" in EXPECTED[name] else "passes"
                    print(f"{name:<46}{'WRONG: ' + wrong if wrong else expected}", flush=True)
                    problems += [f"{name}: {wrong}"] if wrong else []
            finally:
                server.terminate()
    print("\n".join(problems))
    print(f"{len(run) - len(problems)} passed, {len(problems)} failed, {len(there) - len(run)} need fixtures")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
