"""What README and docs say is what there is: commands parse, tools exist, examples run, decision records are whole."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from memstore.adr import read_folder
from memstore.cli.root import root
from memstore.config import init_store
from memstore.service import MemStore

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
CLIENTS = (ROOT / "docs" / "CLIENTS.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = BLOCK.findall(README)
ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))


def shell_lines() -> Iterator[str]:
    for language, text in [*BLOCKS, *BLOCK.findall(CLIENTS)]:
        if language == "sh":
            yield from text.replace("\\\n", " ").splitlines()


COMMANDS = [line.partition("#")[0] for line in shell_lines() if re.match(r"(\.venv/bin/)?memstore ", line)]


@pytest.mark.parametrize("line", COMMANDS, ids=[line[:50] for line in COMMANDS])
def test_a_command_in_the_readme_is_one_that_the_command_line_takes(line):
    words = shlex.split(line)[1:]
    command: click.Command = root
    context = click.Context(command)
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found is not None, line
        command = found
    parsed = command.make_context(command.name, words, parent=context)
    assert parsed.command is command


def test_every_make_target_in_the_readme_is_in_the_makefile():
    targets = set(re.findall(r"`?make ([a-z-]+)", README))
    assert {"demo", "test"} <= targets
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_the_readme_lists_the_tools_that_the_server_offers():
    from mcp_server.tools import TOOLS

    table = README.partition("## What an agent gets")[2].partition("##")[0]
    assert set(re.findall(r"`((?:memory|session|handoff)_\w+)`", table)) == {offer.name for offer in TOOLS}


def test_the_readme_shows_output_and_no_placeholder():
    assert "@@" not in README
    assert "quarantined" in README.partition("```")[2].partition("```")[0]


def test_links_in_the_readme_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_what_is_said_of_each_client_names_its_files_and_what_goes_wrong():
    from memstore.cli.configuring import CLIENTS as CONFIGURED

    told = dict(re.findall(r"^\| `([\w-]+)` \| `?([^|`]+)`? \|", CLIENTS, re.MULTILINE))
    assert told == {name: form.place for name, form in CONFIGURED.items()}
    assert all(form.hooks_place in CLIENTS for form in CONFIGURED.values())
    sections = re.split(r"^## ", CLIENTS, flags=re.MULTILINE)[1:]
    assert [section.partition("\n")[0] for section in sections] == [
        "Claude Code", "Claude Desktop", "Cursor", "VS Code", "Codex", "LangGraph", "OpenAI Agents SDK", "pydantic-ai",
    ]  # fmt: skip
    assert all("Goes wrong most:" in section and "To see it:" in section for section in sections)
    for language, text in BLOCK.findall(CLIENTS):
        if language == "python":
            ast.parse(text)


def test_python_in_the_readme_calls_verbs_that_there_are():
    code = "\n".join(text for language, text in BLOCKS if language == "python")
    called = set(re.findall(r"memory\.(\w+)\(", code))
    assert called
    assert all(hasattr(MemStore, name) for name in called)


# What each example shows, in the order in which it says so.
EXAMPLES = {
    "incident": ["tainted", "expired"],
    "three_agents": [
        "reader reads the sensor",
        "analyst looks for anomalies",
        "writer has described 1 anomaly",
        "signal 9",
        "accepts attempt 2, lease 2",
        "goes on from its checkpoint: 1 done",
        "A peak of 980. A peak of 4000.",
        "completed",
    ],
    "planted_cause": [
        "$ memstore blame",
        "external by mailer  untrusted  shown · 2 steps",
        "(finding by payer) was written after payer was shown",
        "8  shown: attributed finding by books",
        "└─ shown:",
        "$ memstore why",
        "is a finding by mailer (worker)",
        "By itself it is no higher than tainted",
        "It was shown to payer",
        "$ memstore impact",
        "decision by orders  tainted",
    ],
    "lead_and_workers": ["Endorsed 1 outputs", "asks web back: ['unverified_output']", "its decision is trusted"],
    "stale_at_the_boundary": ["freshness: A tool's result has expired", "last value", "refused: unacknowledged"],
}


def test_nobody_reads_the_sensor_twice():
    """What was done before the crash is not done again."""
    path = ROOT / "examples" / "three_agents.py"
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=True)
    assert [done.stdout.count(line) for line in ("reads the sensor", "looks for anomalies", "A peak of 980")] == [1] * 3


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_runs_as_it_stands(path):
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    at = -1
    for line in EXAMPLES[path.stem]:
        at = done.stdout.find(line, at + 1)
        assert at >= 0, line


def test_decision_records_are_numbered_once_each_and_parse_as_decisions():
    numbers = [int(path.name[:4]) for path in ADRS]
    assert len(set(numbers)) == len(numbers)
    decisions = read_folder(ROOT / "docs" / "adr")
    assert set(decisions) == {path.name for path in ADRS}
    assert all(len(decision["alternatives"]) >= 2 for decision in decisions.values())


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_a_decision_record_has_the_parts_of_madr(path):
    text = path.read_text("utf-8")
    for heading in ("## Context and problem statement", "## Considered options", "## Decision outcome",
                    "### Consequences", "## What would change it"):  # fmt: skip
        assert heading in text, heading


def test_the_threats_name_every_attack_and_no_file_that_is_not_there():
    threats = (ROOT / "docs" / "THREATS.md").read_text("utf-8")
    named = set(re.findall(r"tests/[\w/]+\.py", threats))
    assert {name for name in named if not (ROOT / name).is_file()} == set()
    attacks = {f"tests/attacks/{path.name}" for path in (ROOT / "tests" / "attacks").glob("test_*.py")}
    assert attacks - named == set()


def test_decision_records_can_be_written_as_they_are(tmp_path):
    from memstore import admin, open_store
    from memstore.config import open_house

    init_store(tmp_path / "store")
    house = open_house(tmp_path / "store")
    admin.add_agent(house, "scribe")
    house.store.close()
    with open_store(tmp_path / "store", agent="scribe") as memory:
        for name, arguments in read_folder(ROOT / "docs" / "adr").items():
            assert memory.write(**arguments, key=name)["status"] == "stored"


def test_the_demo_shows_what_it_says():
    done = subprocess.run(
        [sys.executable, "-m", "memstore", "demo"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "0 found" in done.stdout
    assert "bad_signature" in done.stdout
    assert "last value, for what it is" in done.stdout
