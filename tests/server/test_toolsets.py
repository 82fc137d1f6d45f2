"""What each set of tools offers, word for word, and that a server speaks of nothing beyond it.

The lists stand in `offered.json`: a change to them is a change to what every client's model reads. After one that is
meant, `python tests/server/test_toolsets.py` writes the file anew.
"""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastmcp import Client

from mcp_server.instructions import instructions_for, tools_in
from mcp_server.server import build_server
from mcp_server.tools import TOOLS, TOOLSETS, offered
from memstore.config import DATABASE

VECTORS = Path(__file__).with_name("offered.json")
MOST_TOKENS = 3_000  # of names, descriptions and schemas, at four characters each (DESIGN 7)
NAMES = {offer.name for offer in TOOLS}
SETS: dict[str, dict[str, Any]] = {
    **{name: {"tools": name} for name in TOOLSETS},
    **{f"{name}, read-only": {"tools": name, "read_only": True} for name in TOOLSETS},
}
each_set = pytest.mark.parametrize("name", SETS)


async def listed(**offers: Any) -> dict[str, Any]:
    """What a client of such a server is told before it calls anything; nothing here opens a store."""
    async with Client(build_server(_no_store, **offers)) as client:
        tools = [[tool.name, tool.description, tool.input_schema] for tool in await client.list_tools()]
        prompts = {one.name: one.description for one in await client.list_prompts()}
        size = sum(len(n) + len(d or "") + len(compact(schema)) for n, d, schema in tools)
        return {"tokens": -(-size // 4), "instructions": client.instructions, "prompts": prompts, "tools": tools}


def _no_store() -> Any:
    raise AssertionError("listing asks no store")


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.anyio
@each_set
async def test_a_set_is_offered_word_for_word_as_it_was_agreed(name):
    kept = json.loads(VECTORS.read_text("utf-8"))
    assert set(kept) == set(SETS)
    told = await listed(**SETS[name])
    assert told == kept[name], "if this is meant: python tests/server/test_toolsets.py"
    assert told["tokens"] <= MOST_TOKENS


@pytest.mark.anyio
@each_set
async def test_nothing_that_a_server_says_names_a_tool_that_it_does_not_offer(name):
    async with Client(build_server(_no_store, **SETS[name])) as client:
        tools = await client.list_tools()
        there = {tool.name for tool in tools}
        said = [client.instructions or "", *(tool.description or "" for tool in tools)]
        for prompt in await client.list_prompts():
            given = {one.name: "x" for one in prompt.arguments or []}
            filled = await client.get_prompt(prompt.name, given)
            text = filled.messages[0].content.text
            steps = [int(number) for number in re.findall(r"^(\d+)\.", text, flags=re.MULTILINE)]
            assert steps == list(range(1, len(steps) + 1))
            said += [prompt.description or "", text]
    assert set().union(*map(tools_in, said)) <= there


def test_the_instructions_name_every_tool_but_the_one_that_looks_back():
    assert tools_in(instructions_for(frozenset(NAMES))) == NAMES - {"memory_history"}


def test_the_tools_of_a_text_are_found_whatever_they_are():
    assert tools_in(" ".join(sorted(NAMES))) == NAMES
    assert tools_in("of_session session_id handoffs memory memory_writer") == set()


def test_each_set_holds_the_one_before():
    names = {name: {offer.name for offer in offers} for name, offers in TOOLSETS.items()}
    assert names["core"] < names["review"] < names["all"] == NAMES


@pytest.mark.anyio
@each_set
async def test_a_tool_that_is_not_offered_is_as_unknown_as_one_that_is_not(served, place, name):
    there = {offer.name for offer in offered(**SETS[name])}
    async with served(**SETS[name]) as talk:
        unknown = await talk.refused("memory_nothing", {})
        before = place.log_size
        for absent in NAMES - there:
            assert await talk.refused(absent, ARGUMENTS[absent]) == unknown
    assert unknown.startswith("unknown_name: ")
    assert place.log_size == before


ARGUMENTS: dict[str, dict[str, Any]] = {
    "session_start": {"task": "t"},
    "session_end": {"outcome": "partial"},
    "memory_write": {"kind": "question", "title": "t"},
    "memory_observe": {"source": "tool:x", "content": "c", "ttl_seconds": 5},
    "memory_search": {"query": "alpha"},
    "memory_get": {"ids": ["m-aaaaaaaaaaaaaaaaaaaaaaaaaa"]},
    "memory_open": {"refs": ["r-x"]},
    "memory_review": {"ids": ["m-aaaaaaaaaaaaaaaaaaaaaaaaaa"], "verdict": "endorse"},
    "memory_retract": {"id": "m-aaaaaaaaaaaaaaaaaaaaaaaaaa", "reason": "wrong"},
    "memory_history": {},
    "handoff_offer": {"to": "builder", "type": "report"},
    "handoff_inbox": {},
    "handoff_receive": {"handoff": "h-aaaaaaaaaaaaaaaaaaaaaaaaaa"},
    "handoff_respond": {"handoff": "h-aaaaaaaaaaaaaaaaaaaaaaaaaa", "action": "cancel"},
}
# What a reader is shown is written down (T2); nothing else may differ after it.
DISCLOSING = {"contexts", "disclosures", "sqlite_sequence"}


def known(folder: Path) -> dict[str, list[Any]]:
    """All rows of all tables but those in which it is kept who was shown what."""
    with closing(sqlite3.connect(folder / DATABASE)) as conn:
        tables = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: sorted(map(repr, conn.execute(f'SELECT * FROM "{table}"')))
            for table in tables
            if table not in DISCLOSING
        }


@pytest.mark.anyio
async def test_a_server_that_only_reads_changes_nothing_of_what_the_store_knows(served, place, folder):
    builder = place.open("builder")
    builder.session_start("t")
    record = builder.write("finding", "alpha", "Something found")["id"]
    builder.observe("https://example.org/", "alpha outside")
    before = known(folder)
    async with served(tools="all", read_only=True) as talk:
        found = await talk.ok("memory_search", query="alpha")
        [entry] = found["quarantined"]["entries"]
        await talk.ok("memory_get", ids=[record])
        await talk.ok("memory_open", refs=[entry["ref"]])
        await talk.ok("memory_history")
        await talk.ok("memory_history", id=record, view="disclosures")
        await talk.ok("handoff_inbox")
        for document in ("memstore://agents", f"memstore://record/{record}"):
            assert await talk.client.read_resource(document)
    assert known(folder) == before


if __name__ == "__main__":

    async def _all() -> dict[str, Any]:
        return {name: await listed(**offers) for name, offers in SETS.items()}

    VECTORS.write_text(json.dumps(anyio.run(_all), indent=1, ensure_ascii=False) + "\n", "utf-8")
