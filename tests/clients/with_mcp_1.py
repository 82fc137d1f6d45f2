"""The first version of the Python SDK."""

from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from flow import main, work
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamablehttp_client


@asynccontextmanager
async def streams(place: dict[str, Any]) -> Any:
    if place["url"]:
        headers = {"Authorization": f"Bearer {place['token']}"}
        async with streamablehttp_client(place["url"], headers=headers) as (reading, writing, _):
            yield reading, writing
    else:
        program, *arguments = place["command"]
        async with stdio_client(StdioServerParameters(command=program, args=arguments, env=place["env"])) as both:
            yield both


async def session(place: dict[str, Any]) -> str:
    async with streams(place) as (reading, writing), ClientSession(reading, writing) as client:
        await client.initialize()

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[bool, str, Any]:
            result = await client.call_tool(tool, arguments)
            return bool(result.isError), result.content[0].text, result.structuredContent

        await work(call, [tool.name for tool in (await client.list_tools()).tools], place["marker"])
    return f"mcp {version('mcp')}"


main(session)
