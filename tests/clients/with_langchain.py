"""langchain-mcp-adapters, which gives the tools to LangChain and LangGraph: one session for all calls."""

import json
from importlib.metadata import version
from typing import Any

from flow import main, work
from langchain_core.tools import ToolException
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools


async def session(place: dict[str, Any]) -> str:
    program, *arguments = place["command"]
    server: Any = {"transport": "stdio", "command": program, "args": arguments, "env": place["env"]}
    if place["url"]:
        headers = {"Authorization": f"Bearer {place['token']}"}
        server = {"transport": "http", "url": place["url"], "headers": headers}
    client = MultiServerMCPClient({"memstore": server})
    async with client.session("memstore") as opened:
        tools = {tool.name: tool for tool in await load_mcp_tools(opened)}

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[bool, str, Any]:
            # As a graph does: with a call's id, the answer is the message that the model is given.
            asked = {"type": "tool_call", "id": "1", "name": tool, "args": arguments}
            try:
                message = await tools[tool].ainvoke(asked)
            except ToolException as error:
                return True, str(error), None
            artifact = message.artifact or {}
            return message.status == "error", text_of(message.content), artifact.get("structured_content")

        await work(call, list(tools), place["marker"])
    return f"langchain-mcp-adapters {version('langchain-mcp-adapters')}"


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    [block] = content
    return str(block["text"]) if "text" in block else json.dumps(block)


main(session)
