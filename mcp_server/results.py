"""The shapes in which answers and refusals leave the server.

An answer is a JSON object, given as structured content and, compactly, as text, because clients differ in which of the
two the model sees. Every result says in `_meta.ifc` whether all words in it are trusted (DESIGN 3.4). What cannot be
written as JSON is refused here: further out it would cost the connection.
"""

from __future__ import annotations

import json
from typing import Any

from fastmcp.resources.base import ResourceContent, ResourceResult
from fastmcp.tools.base import ToolResult
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, TextContent

from memstore.core.labels import Label
from memstore.errors import InternalError, MemStoreError
from memstore.render import Answer

JSON_TYPE = "application/json"


def flow(lowest: Label = Label.TRUSTED) -> dict[str, Any]:
    """`_meta` of a result whose lowest words have this label."""
    integrity = "trusted" if lowest is Label.TRUSTED else "untrusted"
    return {"ifc": {"integrity": integrity, "confidentiality": "private"}}


def tool_result(answer: Answer) -> ToolResult:
    return ToolResult(content=_text(_as_json(answer)), structured_content=dict(answer), meta=flow(answer.lowest))


def resource_result(answer: Answer) -> ResourceResult:
    return ResourceResult([ResourceContent(_as_json(answer), mime_type=JSON_TYPE)], meta=flow(answer.lowest))


def tool_error(error: MemStoreError) -> ToolResult:
    """A refusal as tools give it: `isError`, and `code: what. state. next call`."""
    return ToolResult(content=_text(str(error)), meta=flow(), is_error=True)


def protocol_error(error: MemStoreError) -> MCPError:
    """A refusal where the protocol has no `isError`: of resources, prompts and whole messages."""
    code = INTERNAL_ERROR if isinstance(error, InternalError) else INVALID_PARAMS
    return MCPError(code=code, message=str(error))


def _text(text: str) -> list[TextContent]:
    return [TextContent(type="text", text=text)]


def _as_json(answer: Answer) -> str:
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text.encode()  # a lone surrogate fails here, where it costs one answer
    return text
