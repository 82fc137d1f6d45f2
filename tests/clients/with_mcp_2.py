"""The second version of the Python SDK, in both eras of the protocol."""

from importlib.metadata import version
from typing import Any

import httpx2
from flow import main, work
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


async def session(place: dict[str, Any], mode: Any) -> str:
    program, *arguments = place["command"]
    server: Any = StdioServerParameters(command=program, args=arguments, env=place["env"])
    if place["url"]:
        headers = {"Authorization": f"Bearer {place['token']}"}
        server = streamable_http_client(place["url"], http_client=httpx2.AsyncClient(headers=headers))
    async with Client(server, mode=mode) as client:

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[bool, str, Any]:
            result = await client.call_tool(tool, arguments)
            return bool(result.is_error), result.content[0].text, result.structured_content

        await work(call, [tool.name for tool in (await client.list_tools()).tools], place["marker"])
    return f"mcp {version('mcp')}, {mode}"


main(lambda place: session(place, "auto"), lambda place: session(place, "legacy"))
