"""stdin and stdout as the protocol's wire: one JSON-RPC message a line.

Nothing but JSON-RPC leaves on stdout: other prints go to stderr. Every request gets an answer, those that cannot be
read too; an answer that cannot be written costs that answer alone. The process ends when stdin closes, after a moment
for calls under way, or when nobody reads stdout any more.

This stands in for fastmcp's own loop, which drops requests that it cannot read, ends at a lone surrogate, hangs at
SIGINT, and shares its worker threads with the tools. It needs, as that loop does, three private pieces of fastmcp 4.1:
`FastMCP._mcp_server`, `FastMCP._lifespan_manager` and `fastmcp.server.context.set_transport`.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.lowlevel import current_token
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from fastmcp.server.context import reset_transport, set_transport
from fastmcp.server.server import FastMCP
from mcp.shared.message import SessionMessage
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from mcp_server.errors import Told
from mcp_server.logs import log_to_stderr
from mcp_server.server import build_server
from mcp_server.tools import Serving, on_thread
from memstore.errors import InternalError, InvalidInput

log = logging.getLogger(__name__)

MAX_LINE = 8 << 20  # bytes; a request that keeps all limits has less than 2 MB, every character escaped
GRACE_SECONDS = 2.0
FIRST_RENEWAL = 20.0  # seconds; how long it is to the next, the store says

RequestId = int | str
Requests = MemoryObjectReceiveStream[SessionMessage | Exception]
Answers = MemoryObjectSendStream[SessionMessage]


def run(store: Serving, *, tools: str = "all", read_only: bool = False) -> None:
    """Serve the store on this process's stdin and stdout until the client is gone."""
    incoming, outgoing = take_streams()
    log_to_stderr()
    server = build_server(lambda: store, tools=tools, read_only=read_only)
    anyio.run(serve, server, store.renew, incoming, outgoing)


def take_streams() -> tuple[int, int]:
    """Descriptors of stdin and stdout for the protocol alone; who else reads finds nothing, prints go to stderr."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return incoming, outgoing


async def serve(server: FastMCP, renew: Callable[[], float], incoming: int, outgoing: int) -> None:
    """Serve one client on two descriptors, keeping its session alive while it is there (DESIGN 3.6)."""
    protocol = server._mcp_server
    transport = set_transport("stdio")
    try:
        async with (
            server._lifespan_manager(),
            open_wire(incoming, outgoing) as wire,
            anyio.create_task_group() as group,
        ):
            group.start_soon(keep_session, renew)
            await protocol.run(wire.requests, wire.answers, protocol.create_initialization_options())
            group.cancel_scope.cancel()
    finally:
        reset_transport(transport)


async def keep_session(renew: Callable[[], float], first: float = FIRST_RENEWAL) -> None:
    """Renew the session's leases, as often as they want it; a renewal that is refused is no reason to stop serving."""
    wait = first
    while True:
        await anyio.sleep(wait)
        wait = first
        with suppress(Told):
            wait = await on_thread(renew)


class Unanswered:
    """The requests that were read and not answered yet. At the end of input they get a moment: the SDK drops them."""

    def __init__(self) -> None:
        self._ids: set[RequestId] = set()
        self._changed = threading.Condition()
        self._nobody_reads = False

    def add(self, request: RequestId) -> None:
        with self._changed:
            self._ids.add(request)

    def discard(self, request: RequestId | None) -> None:
        with self._changed:
            self._ids.discard(request if request is not None else "")
            self._changed.notify_all()

    def give_up(self) -> None:
        with self._changed:
            self._nobody_reads = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._nobody_reads or not self._ids, seconds)


class Wire:
    """Both directions, as the SDK wants them: `requests` to receive from, `answers` to send to.

    Reading has a thread of its own and writing a limiter of its own, so that tools which keep every worker busy stop
    neither.
    """

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming = os.fdopen(incoming, "rb", closefd=False)
        self._outgoing = outgoing
        self._unanswered = Unanswered()
        self._loop = current_token()
        self._to_server, self.requests = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        self.answers, self._to_client = anyio.create_memory_object_stream[SessionMessage](0)
        self._refusals = self.answers.clone()

    def read(self) -> None:
        # The server may end first (nobody reads stdout): then its streams are closed, or the loop is gone.
        gone = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.RunFinishedError, OSError)
        with suppress(*gone):
            while line := self._next_line():
                self._pass_on(parse(line))
        self._unanswered.wait(GRACE_SECONDS)
        with suppress(*gone):
            anyio.from_thread.run_sync(self._refusals.close, token=self._loop)
            anyio.from_thread.run_sync(self._to_server.close, token=self._loop)

    def _next_line(self) -> bytes:
        """The next line; of one that is too long, its beginning, the rest passed over."""
        line = piece = self._incoming.readline(MAX_LINE + 1)
        while len(piece) > MAX_LINE and not piece.endswith(b"\n"):
            piece = self._incoming.readline(MAX_LINE + 1)
        return line

    def _pass_on(self, parsed: SessionMessage | JSONRPCError | None) -> None:
        match parsed:
            case SessionMessage():
                if isinstance(parsed.message, JSONRPCRequest):
                    self._unanswered.add(parsed.message.id)
                anyio.from_thread.run(self._to_server.send, parsed, token=self._loop)
            case JSONRPCError():
                anyio.from_thread.run(self._refusals.send, SessionMessage(parsed), token=self._loop)
            case None:
                pass

    async def write(self) -> None:
        alone = anyio.CapacityLimiter(1)
        async with self._to_client:
            async for sent in self._to_client:
                line = as_line(sent)
                try:
                    await anyio.to_thread.run_sync(self._put, line, limiter=alone, abandon_on_cancel=True)
                except OSError:
                    self._unanswered.give_up()
                    self.requests.close()  # the SDK takes it for the end of input
                    return
                if isinstance(sent.message, JSONRPCResponse | JSONRPCError):
                    self._unanswered.discard(sent.message.id)

    def _put(self, line: bytes) -> None:
        left = memoryview(line)
        while left:
            left = left[os.write(self._outgoing, left) :]


@asynccontextmanager
async def open_wire(incoming: int, outgoing: int) -> AsyncIterator[Wire]:
    """A wire that is being read and written while the block runs."""
    wire = Wire(incoming, outgoing)
    threading.Thread(target=wire.read, name="stdin", daemon=True).start()
    async with anyio.create_task_group() as group:
        group.start_soon(wire.write)
        yield wire


def as_line(sent: SessionMessage) -> bytes:
    """A message as a line; in place of one that cannot be written, an internal error with its id."""
    try:
        text = sent.message.model_dump_json(by_alias=True, exclude_unset=True)
    except ValueError as error:
        log.error("an answer cannot be written: %s", type(error).__name__)
        text = _refused(getattr(sent.message, "id", None), INTERNAL_ERROR, str(InternalError())).model_dump_json(
            by_alias=True, exclude_unset=True
        )
    return text.encode() + b"\n"


# In JSON text: a surrogate pair, a lone surrogate (group 1), any other escape.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_NOT_UTF8 = re.compile("[\udc80-\udcff]+")
_NUL = r"\\u0000"
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[{}\[\]]|[^"{}\[\]\s:,]++', re.DOTALL)


def parse(line: bytes) -> SessionMessage | JSONRPCError | None:
    """A line as a message; as a refusal to send at once where it is none but has an id; as nothing where it has none.

    Bytes that are not UTF-8 and lone surrogates become NUL, which every verb refuses: so such a call is answered as
    any other, where the SDK's parser would drop it or put other characters in their place.
    """
    text = _NOT_UTF8.sub(_NUL, line.decode("utf-8", "surrogateescape"))
    if len(line) <= MAX_LINE:
        for read in (text, _without_lone_surrogates(text)):
            with suppress(ValueError):
                return SessionMessage(jsonrpc_message_adapter.validate_json(read, by_name=False))
    request = _request_id(text)
    if request is None:
        return None
    refusal = InvalidInput(
        "The message is malformed, nested too deep or too large", code="malformed", next_call="Send a smaller one."
    )
    return _refused(request, INVALID_REQUEST, str(refusal))


def _without_lone_surrogates(text: str) -> str:
    return _ESCAPE.sub(lambda found: r"\u0000" if found[1] else found[0], text)


def _refused(request: RequestId | None, code: int, said: str) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=request, error=ErrorData(code=code, message=said))


def _request_id(text: str) -> RequestId | None:
    """The `id` of a message that does not parse, as far as it can be made out."""
    depth, before = 0, ""
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token in "{[":
            depth += 1
        elif token in "}]":
            depth -= 1
        elif depth == 1 and before == '"id"':
            return _as_id(token)
        before = token if depth == 1 else ""
    return None


def _as_id(token: str) -> RequestId | None:
    if re.fullmatch(r"-?\d{1,15}", token):
        return int(token)
    plain = re.fullmatch(r'"([^"\\\x00-\x1f\ud800-\udfff]{1,200})"', token)
    return plain[1] if plain else None
