"""Outside content over MCP: no 16 characters of it stand in any answer, error, log line or resource until opened."""

import json
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

pytestmark = pytest.mark.anyio


@pytest.fixture
async def poisoned(served, place, clock, outside):
    """A store in which outside text stands wherever a caller can put it; the ids of what holds it."""
    ids = {}
    async with served("researcher") as talk:
        page = await talk.ok("memory_observe", source=f"https://x.example/{outside}", title=outside, content=outside)
        ids["page"] = page["id"]
        await talk.ok("session_start", task="storage")
        note = await talk.ok(
            "memory_write",
            kind="decision",
            title=outside,
            body=outside,
            rationale=outside,
            caveats=[outside],
            alternatives=[outside],
            conditions=[outside],
            tags=[outside[:60]],
            key=outside,
            data={outside: outside},
        )
        ids["note"] = note["id"]
        assert note["label"] == "tainted"
        await talk.ok("memory_write", kind="hypothesis", title=outside)
        tool = await talk.ok(
            "memory_observe", source=f"tool:{outside}", content=outside, args={outside: outside}, ttl_seconds=9
        )
        ids["tool"] = tool["id"]
        await talk.ok("session_end", outcome="partial", summary=outside)
    clock.step(1)
    return ids


async def everything_said(talk: Any, ids: dict[str, str]) -> list[str]:
    """The text of every kind of answer a reader can ask for, opening apart."""
    said: list[str] = []

    async def ask(tool: str, **arguments: Any) -> None:
        result = await talk(tool, **arguments)
        said.append(json.dumps([result.structured_content, result.meta], ensure_ascii=False))
        said.extend(block.text for block in result.content)

    await ask("session_start", task="storage")
    for query in ("", "florins", "account"):
        for detail in ("ids", "concise", "full"):
            for trust in ("auto", "trusted", "attributed"):
                await ask("memory_search", query=query, detail=detail, min_trust=trust, max_tokens=20000, limit=100)
        await ask("memory_search", query=query, include_superseded=True)
    await ask("memory_search", as_of="100")
    for detail in ("ids", "concise", "full"):
        await ask("memory_get", ids=list(ids.values()), detail=detail)
    for record in ids.values():
        await ask("memory_history", id=record)
        for view in ("why", "blame", "impact"):
            await ask("memory_history", id=record, view=view, max_tokens=20_000)
        await ask("memory_write", kind="finding", title="t", body="b", answers=record)
        await ask("memory_write", kind="finding", title="t", body="b", supersedes=record, dry_run=True)
        said.append((await talk.client.read_resource(f"memstore://record/{record}"))[0].text)
    await ask("memory_history")
    await ask("memory_history", task="storage")
    session = (await talk.ok("session_start", task="storage"))["session"]
    said.append((await talk.client.read_resource(f"memstore://session/{session}/brief"))[0].text)
    said.append((await talk.client.read_resource("memstore://agents"))[0].text)
    await ask("session_end", outcome="completed", keep=[ids["note"]])
    return said


@pytest.mark.parametrize("reader", ["planner", "builder", "researcher"])
async def test_nothing_of_it_is_said(served, poisoned, leaks, logged, reader):
    async with served(reader) as talk:
        said = await everything_said(talk, poisoned)
    assert leaks("\n".join(said) + logged.text) is None
    assert any(poisoned["page"] in text for text in said)


async def test_the_one_who_wrote_it_is_refused_without_it(served, place, poisoned, leaks, outside):
    async with served("researcher") as talk:
        await talk.ok("memory_observe", source="https://x.example/", content="a page")
        said = await talk.refused(
            "memory_write", {"kind": "finding", "title": "t", "body": "b", "key": outside, "derived_from": [outside]}
        )
        with pytest.raises(MCPError) as refused:
            await talk.client.read_resource(f"memstore://record/{outside}")
    assert leaks(said + str(refused.value.error.model_dump())) is None


async def test_opening_shows_it_datamarked_and_lowers_the_mark(served, poisoned, leaks, outside):
    async with served("builder") as talk:
        found = await talk.ok("memory_search", query="florins")
        assert found["mark"] == "trusted"
        refs = {entry["kind"]: entry["ref"] for entry in found["quarantined"]["entries"]}
        opened = await talk.ok("memory_open", refs=[refs["external"]])
        [entry] = opened["entries"]
        assert opened["mark"] == "tainted"
        assert leaks(entry["body"]) is not None  # one long word of it: the check for leaks does see it
        assert entry["body"].replace(entry["marker"], " ").strip() == outside
        assert entry["marker"] in entry["body"]


async def test_a_ref_is_of_no_use_to_another_context(served, poisoned):
    async with served("builder") as one, served("builder") as two:
        [entry, *_] = (await one.ok("memory_search"))["quarantined"]["entries"]
        assert (await two.refused("memory_open", {"refs": [entry["ref"]]})).startswith("unknown_ref: ")


async def test_a_task_named_in_a_tainted_context_is_not_told_to_others(served, leaks, outside):
    async with served("researcher") as talk:
        await talk.ok("memory_observe", source="https://x.example/", content="a page")
        await talk("session_start", task=outside)
        await talk("memory_write", kind="finding", title="t", body="b")
    async with served("builder") as talk:
        said = [await talk("memory_history"), await talk("memory_search"), await talk("session_start", task="other")]
    assert leaks("\n".join(result.content[0].text for result in said)) is None
