"""The one place where an error gets the form in which a client sees it.

A refusal of memstore keeps its text; whatever else goes wrong becomes `InternalError`, and of it only the type and the
place are logged. Nothing of the input is in any answer or log line: fastmcp and the SDK would repeat names, URIs and
values, so what they raise is replaced by words of ours.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mcp_types as mcp
from fastmcp.exceptions import DisabledError, NotFoundError, PromptError, ResourceError, ToolError
from fastmcp.server.middleware.middleware import CallNext, Middleware, MiddlewareContext
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from mcp_server.results import protocol_error
from memstore.errors import InternalError, MemStoreError, NotFound

log = logging.getLogger(__name__)

INNERMOST = 5


class Told(ToolError, ResourceError, PromptError):
    """A refusal on its way through fastmcp, which would log any other exception with its traceback."""

    def __init__(self, error: MemStoreError) -> None:
        super().__init__(str(error), log_level=logging.DEBUG)
        self.error = error


@contextmanager
def telling() -> Iterator[None]:
    """Whatever is raised within leaves as `Told`."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - an error of any kind may carry input
        raise Told(translated(error)) from None


def translated(error: Exception) -> MemStoreError:
    """The refusal that a client is shown for `error`."""
    match error:
        case MemStoreError():
            return error
        case Told():
            return error.error
        case NotFoundError() | DisabledError():
            return NotFound(
                "There is no tool, resource or prompt of that name",
                code="unknown_name",
                next_call="tools/list, resources/templates/list and prompts/list show what there is.",
            )
        case _:
            log.error("%s at %s", type(error).__name__, _places(error))
            return InternalError()


def _places(error: Exception) -> str:
    """The innermost frames, as file:line; an exception's text may hold what the caller sent."""
    frames = traceback.extract_tb(error.__traceback__)[-INNERMOST:]
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames) or "?"


class Translator(Middleware):
    """Gives every error its form, whatever raised it: a verb, a lookup by name, or the protocol itself."""

    async def on_message(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]) -> Any:
        try:
            return await call_next(context)
        except MCPError as error:
            if error.error.code == mcp.METHOD_NOT_FOUND:  # the SDK names the method in `data`
                raise MCPError(code=mcp.METHOD_NOT_FOUND, message="Method not found") from None
            raise
        except ValidationError:
            raise  # the SDK answers "Invalid request parameters" and nothing more
        except Exception as error:  # noqa: BLE001 - as in `telling`
            raise protocol_error(translated(error)) from None
