"""`memstore serve` with the one tool more that the scenario `server-stateless` calls: it needs what no client has.

All else of the suite's fixtures is left out: what a scenario says of such a tool, it says of the fixture, not of us.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import mcp_types as mcp
from fastmcp.server.middleware.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools.base import Tool, ToolResult
from mcp.shared.exceptions import MCPError

from mcp_server import server as serving
from memstore.cli.root import root

NAME = "test_missing_capability"
REFUSED = MCPError(
    code=mcp.MISSING_REQUIRED_CLIENT_CAPABILITY,
    message="The client did not declare what this tool needs",
    data={"requiredCapabilities": {"sampling": {}}},
)


class Listed(Middleware):
    """Lists the tool beside ours."""

    async def on_list_tools(
        self,
        context: MiddlewareContext[mcp.ListToolsRequest],
        call_next: CallNext[mcp.ListToolsRequest, Sequence[Tool]],
    ) -> Sequence[Tool]:
        needing = Tool(name=NAME, description="Needs sampling.", parameters={"type": "object", "properties": {}})
        return [*await call_next(context), needing]


class Diagnostic(serving.Server):
    """Our server, which refuses each call of that tool as the protocol wants."""

    async def call_tool(self, name: str, *told: Any, **named: Any) -> ToolResult:
        if name == NAME:
            raise REFUSED
        return await super().call_tool(name, *told, **named)

    def __init__(self, *told: Any, **named: Any) -> None:
        super().__init__(*told, **named)
        self.middleware.insert(0, Listed())


serving.Server = Diagnostic  # type: ignore[misc]

if __name__ == "__main__":
    root(["serve", *sys.argv[1:]], prog_name="memstore")
