"""fastmcp's client, in both eras of the protocol."""

from typing import Any

import fastmcp
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from flow import main, work


async def session(place: dict[str, Any], mode: str) -> str:
    if place["url"]:
        transport: Any = StreamableHttpTransport(place["url"], auth=place["token"])
    else:
        program, *arguments = place["command"]
        transport = StdioTransport(program, arguments, env=place["env"], keep_alive=False)
    async with Client(transport, mode=mode) as client:

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[bool, str, Any]:
            result = await client.call_tool(tool, arguments, raise_on_error=False)
            return result.is_error, result.content[0].text, result.structured_content

        await work(call, [tool.name for tool in await client.list_tools()], place["marker"])
    return f"fastmcp {fastmcp.__version__}, {mode}"


main(lambda place: session(place, "auto"), lambda place: session(place, "legacy"))
