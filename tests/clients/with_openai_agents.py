"""The OpenAI Agents SDK: tools as its agents are given them, strict schemas and all."""

import json
from importlib.metadata import version
from typing import Any

from agents import Agent, RunContextWrapper
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp, MCPUtil
from agents.tool_context import ToolContext
from flow import main, work


def server_of(place: dict[str, Any]) -> Any:
    if place["url"]:
        headers = {"Authorization": f"Bearer {place['token']}"}
        return MCPServerStreamableHttp({"url": place["url"], "headers": headers}, client_session_timeout_seconds=30)
    program, *arguments = place["command"]
    parameters: Any = {"command": program, "args": arguments, "env": place["env"]}
    return MCPServerStdio(parameters, client_session_timeout_seconds=30)


async def session(place: dict[str, Any]) -> str:
    async with server_of(place) as server:
        agent = Agent(name="coder", mcp_servers=[server])
        context: Any = RunContextWrapper(None)
        found = await MCPUtil.get_function_tools(server, False, context, agent)
        tools: Any = {tool.name: tool for tool in found}

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[bool, str, Any]:
            told = json.dumps(arguments)
            asked = ToolContext(None, tool_name=tool, tool_call_id="1", tool_arguments=told)
            given = await tools[tool].on_invoke_tool(asked, told)
            text = given["text"] if isinstance(given, dict) else str(given)
            return not text.startswith("{"), text, None  # what the model sees; it marks no error

        await work(call, list(tools), place["marker"])
    return f"openai-agents {version('openai-agents')}"


main(session)
