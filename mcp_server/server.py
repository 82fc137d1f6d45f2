"""The server, whoever calls: tools, resources, and the prompts and instructions that go with the tools it offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastmcp.exceptions import NotFoundError
from fastmcp.resources.base import ResourceResult
from fastmcp.server.server import FastMCP
from fastmcp.tools.base import ToolResult
from fastmcp.utilities.versions import VersionSpec

from mcp_server.elicitation import GatedTool
from mcp_server.errors import Translator, telling, translated
from mcp_server.instructions import instructions_for
from mcp_server.prompts import RecipePrompt, prompts_for
from mcp_server.results import JSON_TYPE, resource_result, tool_error
from mcp_server.tools import Serving, StoreOf, VerbTool, WaitingTool, offered, on_thread
from memstore.errors import NotFound
from memstore.render import Answer


@dataclass(frozen=True, slots=True)
class Document:
    """One resource: its address, and how it is read from the store; `{id}` in the address is what `read` is given."""

    uri: str
    name: str
    description: str
    read: Callable[[Serving, str], Answer]


def _record(store: Serving, record: str) -> Answer:
    answer = store.get([record])
    if answer["missing"]:
        raise NotFound("There is no record of this id", code="unknown_id", next_call="memory_search finds records.")
    return answer


RESOURCES = (
    Document("memstore://record/{id}", "record", "A record, as memory_get gives it.", _record),
    Document(
        "memstore://session/{id}/brief",
        "brief",
        "The brief of a session: what stands for its task now.",
        lambda store, session: store.brief(session),
    ),
    Document(
        "memstore://handoff/{id}",
        "handoff",
        "A handoff: how it stands and what was done about it, without the words in it.",
        lambda store, handoff: store.handoff_item(handoff),
    ),
    Document(
        "memstore://agents",
        "agents",
        "Who shares this scope: names, roles, whom they are under, capabilities, contracts they accept.",
        lambda store, _: Answer({"agents": store.agents()}),
    ),
)


def _add_resource(server: FastMCP, store_of: StoreOf, document: Document) -> None:
    async def read(id: str = "") -> ResourceResult:  # fastmcp binds the address's `{id}` by this name
        answer = await on_thread(lambda: document.read(store_of(), id))
        with telling():
            return resource_result(answer)

    async def read_fixed() -> ResourceResult:
        return await read()

    add = server.resource(document.uri, name=document.name, description=document.description, mime_type=JSON_TYPE)
    add(read if "{id}" in document.uri else read_fixed)


# The tools that do more than call their verb.
KINDS = {"handoff_inbox": WaitingTool, "handoff_offer": GatedTool}


class Server(FastMCP):
    """fastmcp's server, which calls its tools straight.

    Its own way to a tool asks at each call for versions, mounted servers and what a session hides, none of which are
    here, and takes longer than the tool.
    """

    tools: dict[str, VerbTool]

    def offer(self, tool: VerbTool) -> None:
        self.tools[tool.name] = tool
        self.add_tool(tool)

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        version: VersionSpec | None = None,
        run_middleware: bool = True,
    ) -> ToolResult:
        try:
            if name not in self.tools:
                raise NotFoundError
            return await self.tools[name].run(arguments or {})
        except Exception as error:  # noqa: BLE001 - an error of any kind may carry input
            return tool_error(translated(error))


def build_server(store_of: StoreOf, *, tools: str = "all", read_only: bool = False) -> Server:
    """The server that answers each call from the store as `store_of` gives it then; `tools` is a set of `TOOLSETS`."""
    offers = offered(tools, read_only=read_only)
    names = frozenset(offer.name for offer in offers)
    server = Server(
        "memstore",
        instructions=instructions_for(names),
        version=_version(),
        middleware=[Translator()],
        mask_error_details=True,
        dereference_schemas=False,
        on_duplicate="error",
    )
    server.tools = {}
    for offer in offers:
        server.offer(KINDS.get(offer.verb, VerbTool).of(offer, store_of))
    for document in RESOURCES:
        _add_resource(server, store_of, document)
    for recipe in prompts_for(names):
        server.add_prompt(RecipePrompt.of(recipe))
    return server


def _version() -> str:
    try:
        return version("memstore")
    except PackageNotFoundError:  # run from a checkout
        return "0"
