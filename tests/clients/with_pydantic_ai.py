"""pydantic-ai: an agent whose model is a script, so that the tools are called as a model calls them."""

import json
from importlib.metadata import version
from typing import Any

from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from flow import main, work
from pydantic_ai import ModelRetry
from pydantic_ai.mcp import MCPToolset


async def session(place: dict[str, Any]) -> str:
    if place["url"]:
        transport: Any = StreamableHttpTransport(place["url"], auth=place["token"])
    else:
        program, *arguments = place["command"]
        transport = StdioTransport(program, arguments, env=place["env"], keep_alive=False)
    async with MCPToolset(transport) as toolset:

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[bool, str, Any]:
            try:
                given = await toolset.direct_call_tool(tool, arguments)
            except ModelRetry as error:  # what the model is told of a refusal
                return True, error.message, None
            return False, given if isinstance(given, str) else json.dumps(given), None

        await work(call, [tool.name for tool in await toolset.list_tools()], place["marker"])
    return f"pydantic-ai {version('pydantic-ai-slim')}"


main(session)
