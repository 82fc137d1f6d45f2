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


class Diagnostic(Middleware):
    """Lists the tool and refuses each call of it as the protocol wants, before anything of ours is asked."""

    async def on_list_tools(
        self,
        context: MiddlewareContext[mcp.ListToolsRequest],
        call_next: CallNext[mcp.ListToolsRequest, Sequence[Tool]],
    ) -> Sequence[Tool]:
        needing = Tool(name=NAME, description="Needs sampling.", parameters={"type": "object", "properties": {}})
        return [*await call_next(context), needing]

    async def on_call_tool(
        self,
        context: MiddlewareContext[mcp.CallToolRequestParams],
        call_next: CallNext[mcp.CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        if context.message.name == NAME:
            raise REFUSED
        return await call_next(context)


_build = serving.build_server


def _with_the_tool(*told: Any, **named: Any) -> Any:
    server = _build(*told, **named)
    server.middleware.insert(0, Diagnostic())
    return server


# Before `mcp_server.http` is imported, which takes it by its name.
serving.build_server = _with_the_tool

if __name__ == "__main__":
    root(["serve", *sys.argv[1:]], prog_name="memstore")
