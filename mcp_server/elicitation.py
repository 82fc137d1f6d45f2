"""Telling the person at the client that a handoff waits for them: an elicitation that decides nothing (ADR 0060).

Whoever answers it, and however, is not looked at: an agent could answer in the person's place, and no key signs what a
client says. A person decides with a key, at the command line. It is shown where the client has declared forms and its
connection carries requests of the server, and holds up one call for `ASKED_SECONDS` at most; elsewhere nothing differs.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from anyio import move_on_after
from fastmcp.server.dependencies import fastmcp_request_ctx
from fastmcp.tools.base import ToolResult
from mcp.server.session import ServerSession

from mcp_server.errors import Told, telling
from mcp_server.results import tool_result
from mcp_server.tools import VerbTool, on_thread
from memstore.core.forms import ID_PATTERN
from memstore.core.state import HandoffStatus
from memstore.render import Answer

ASKED_SECONDS = 45.0  # clients give a call up after a minute, and its answer has to arrive

# Words of ours and the id, which is a hash: nothing that an agent phrased, nor a server behind a bridge (T11).
MESSAGE = """\
The handoff {id} waits for a person's decision. Nothing that you answer here decides it. \
A person with a key decides, in a terminal (NAME is that person):
memstore handoff show {id} --agent NAME
memstore handoff approve {id} --agent NAME
memstore handoff deny {id} --agent NAME"""

# Some clients cannot show a form without a field.
FORM = {
    "type": "object",
    "properties": {"seen": {"type": "boolean", "title": "Seen", "description": "Decides nothing."}},
}


class GatedTool(VerbTool):
    """`handoff_offer`: the person at the client is told of what waits at its gate; the answer is as it stands then."""

    async def run(self, arguments: dict[str, Any]) -> ToolResult:
        answer = await on_thread(self.answered, arguments)
        session = _who_can_be_told()
        if session is not None and _waits(answer):
            await _tell(session, answer["handoff"])
            with suppress(Told):  # the offer is made: whatever happens now, its answer is given
                answer = await on_thread(self.as_it_stands, answer)
        with telling():
            return tool_result(answer)

    def as_it_stands(self, answer: Answer) -> Answer:
        state = self.store_of().handoff_item(answer["handoff"]).get("state", answer["state"])
        if state == answer["state"]:
            return answer
        return Answer({**answer, "state": state, "note": f"It waited for a person, and is {state} now."}, answer.lowest)


def _who_can_be_told() -> ServerSession | None:
    """The session of the call, where its client shows forms and can be asked (not so over HTTP, nor in 2026-07-28)."""
    request = fastmcp_request_ctx.get()
    if request is None or not request.session.can_send_request:
        return None
    declared = request.session.client_capabilities
    offers = declared.elicitation if declared else None
    # Empty it means forms, as it did before there were addresses.
    return request.session if offers and (offers.form or not offers.url) else None


def _waits(answer: Answer) -> bool:
    known = re.fullmatch(ID_PATTERN, str(answer.get("handoff"))) is not None
    return known and answer.get("state") == HandoffStatus.AWAITING_APPROVAL


async def _tell(session: ServerSession, handoff: str) -> None:
    # A refusal, an error, an answer of another form, a client that is gone: all the same.
    with suppress(Exception), move_on_after(ASKED_SECONDS):
        await session.elicit_form(MESSAGE.format(id=handoff), FORM)
