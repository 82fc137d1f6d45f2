"""What each client does with a server: list the tools, then a session, a write, a search, a refusal and a handoff.

A client's script says how it connects and calls; `main` gives it where to connect and prints what came of it.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

# The tool's name and arguments; gives (is an error, the text, the structured content or None where a client hides it).
Call = Callable[[str, dict[str, Any]], Awaitable[tuple[bool, str, Any]]]
TOOLS = 14


async def work(call: Call, tools: list[str], marker: str) -> None:
    assert len(tools) == TOOLS, tools

    async def ok(tool: str, **arguments: Any) -> Any:
        failed, text, structured = await call(tool, arguments)
        assert not failed, text
        answer = json.loads(text)
        assert structured in (None, answer), structured
        return answer

    started = await ok("session_start", task="clients")
    assert started["session"].startswith("s-")
    written = await ok("memory_write", kind="finding", title=f"Client {marker}", body="It reaches the store.")
    assert written["status"] == "stored"
    found = await ok("memory_search", query=marker)
    assert [hit["id"] for hit in found["attributed"]["hits"]] == [written["id"]]
    failed, text, _ = await call("memory_write", {"kind": "decision", "title": "Without a reason"})
    assert failed, "a refusal was taken for an answer"
    assert "missing_field: " in text, text
    nothing = ["none"]
    offered = await ok(
        "handoff_offer", to="planner", type="report", outputs=[written["id"]], questions=nothing, caveats=nothing,
        rejected=nothing,
    )  # fmt: skip
    assert offered["state"] == "offered"
    sent = await ok("handoff_inbox", box="out")
    assert offered["handoff"] in [item["handoff"] for item in sent["items"]]
    ended = await ok("session_end", outcome="partial")
    assert ended["note"].startswith("Ended as partial.")


def main(*ways: Callable[[dict[str, Any]], Awaitable[str]]) -> None:
    """Run a client's ways to connect, one after another, on the place that stands as JSON on stdin."""
    place = json.load(sys.stdin)
    for number, way in enumerate(ways):
        print(asyncio.run(way({**place, "marker": f"{place['marker']}{number}"})))
