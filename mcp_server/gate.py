"""What stands before every endpoint but `/health`: who calls, how often, how much, how long (DESIGN 4.2).

One function authenticates all of them, and whatever is not right gets one same answer. What passes runs with its caller
in `calling`, in a lane of its own, so that nobody's calls wait for anybody else's; what is refused has no part of the
request in any answer, log line or count.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.caller import calling
from mcp_server.metrics import Meters
from mcp_server.tools import Lane, lane
from memstore.credentials import Authenticated, Fault, How, Unauthenticated, verify_credential
from memstore.errors import MemStoreError
from memstore.issuers import Issuer
from memstore.ports import Store
from memstore.tokens import may_be_attested

log = logging.getLogger(__name__)

MOST_KNOWN = 4096
KNOWN_MICROS = 60 * 1_000_000  # then it is looked at again: an issuer's key may have been withdrawn
OPEN = frozenset({"/health"})
WELL_KNOWN = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller, and one request, may take. `rate` is requests a second, 0 for no limit."""

    rate: float = 1000.0
    body_bytes: int = 2 << 20  # a request that keeps all limits has less, every character escaped
    request_seconds: float = 60.0  # from head to answer; an inbox waits 25 at most
    at_once: int = 2  # calls of one principal that run at the same time: more only pass the interpreter to and fro
    threads: int = 32  # of all principals; more of them are slower, and each has a connection with its own cache


@dataclass(frozen=True, slots=True)
class _Known:
    """Whom a credential was found to be, at which state of the store, until when that is believed (microseconds)."""

    caller: Authenticated
    seen: int
    until: int


class Authority:
    """Says who calls: by a credential, or `dev`, whom a request without one speaks for."""

    def __init__(self, store: Store, *, issuer: Issuer | None = None, dev: Callable[[], Authenticated] | None = None):
        self._store = store
        self._issuer = issuer
        self._dev = dev
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._refreshing = asyncio.Lock()

    async def authenticate(self, headers: Headers) -> Authenticated:
        """Who makes a request with these headers; raises `Unauthenticated` for whatever is not right."""
        shown = headers.getlist("authorization")
        if not shown and self._dev is not None:
            return await to_thread.run_sync(self._dev)
        scheme, _, credential = shown[0].partition(" ") if len(shown) == 1 else ("", "", "")
        if scheme.lower() != "bearer":
            raise Unauthenticated(Fault.MISSING)
        # What was found is kept as long as nobody writes: keys, tokens and principals are as they were.
        seen, digest = self._store.changes(), hashlib.sha256(credential.encode("latin-1")).digest()
        known = self._known.get(digest)
        if known is not None and known.seen == seen and _now() < known.until:
            return known.caller
        found = await self._verified(credential.strip(" "))
        self._known[digest] = _Known(found, seen, min(found.until, _now() + KNOWN_MICROS))
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return found

    async def _verified(self, credential: str) -> Authenticated:
        try:
            return await to_thread.run_sync(self._looked_up, credential)
        except Unauthenticated as error:
            if error.fault is not Fault.ISSUER_KEY or self._issuer is None:
                raise
        # The issuer may have a new key. Asked for once for all who wait, outside any transaction, on one thread: an
        # issuer that does not answer holds up nobody whose credential is another.
        async with self._refreshing:
            await to_thread.run_sync(self._issuer.refresh)
        return await to_thread.run_sync(self._looked_up, credential)

    def _looked_up(self, credential: str) -> Authenticated:
        with self._store.read() as unit:
            return verify_credential(unit, credential, self._issuer)


@dataclass
class Share:
    """What one principal has left of its rate, and the lane of its calls."""

    lane: Lane
    left: float
    at: float = field(default_factory=time.monotonic)

    def wait(self, rate: float) -> float:
        """Seconds until another request is due; 0 where it is due now, which takes it."""
        now = time.monotonic()
        self.left = min(2 * rate, self.left + (now - self.at) * rate)
        self.at = now
        if self.left >= 1:
            self.left -= 1
            return 0.0
        return (1 - self.left) / rate


class Gate:
    """An ASGI application around another: authenticates, limits, measures."""

    def __init__(
        self, app: ASGIApp, *, authority: Authority, limits: Limits, meters: Meters, challenge: str = "Bearer"
    ) -> None:
        self._app = app
        self._authority = authority
        self._limits = limits
        self._meters = meters
        self._challenge = {"WWW-Authenticate": challenge, "Connection": "close"}
        self._threads = CapacityLimiter(limits.threads)
        self._shares: dict[str, Share] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path in OPEN or path.startswith(WELL_KNOWN):
            await self._app(scope, receive, send)
            return
        started, answered = time.perf_counter(), _Answered(send)
        try:
            async with asyncio.timeout(self._limits.request_seconds):
                await self._passed(scope, receive, answered)
        except TimeoutError:
            if answered.status:  # half an answer: the connection is of no use any more
                raise
            await _refused(408, "timeout: The request took too long.")(scope, receive, answered)
        finally:
            self._meters.answered(path, answered.status, time.perf_counter() - started)

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        # 1. Who calls.
        headers = Headers(scope=scope)
        try:
            caller = await self._authority.authenticate(headers)
            if not _may_call(scope["path"], caller):
                raise Unauthenticated(Fault.PRINCIPAL)
        except Unauthenticated as error:
            self._meters.unauthenticated(error.fault)
            await _refused(401, str(error), self._challenge)(scope, receive, send)
            return
        except MemStoreError as error:  # a store that is full or busy
            await _refused(503, str(error), {"Retry-After": "1"})(scope, receive, send)
            return
        # 2. How often.
        own = self._share(caller.name)
        wait = own.wait(self._limits.rate) if self._limits.rate else 0.0
        if wait:
            self._meters.held_back()
            told = "rate: Too many requests. Nothing was written. Wait as Retry-After says."
            await _refused(429, told, {"Retry-After": str(math.ceil(wait))})(scope, receive, send)
            return
        # 3. How much: the whole body is here before anything looks at it.
        body = await self._body(headers, receive)
        if body is None:
            told = "too_large: The request is too large. Nothing was written. Send a smaller one."
            await _refused(413, told, {"Connection": "close"})(scope, receive, send)
            return
        # 4. As this caller: the context is copied to whatever task and thread answers.
        tokens = calling.set(caller), lane.set(own.lane)
        try:
            await self._app(scope, _replayed(body, receive), send)
        finally:
            calling.reset(tokens[0])
            lane.reset(tokens[1])

    def _share(self, name: str) -> Share:
        found = self._shares.get(name)
        if found is None:
            found = Share(Lane(CapacityLimiter(self._limits.at_once), self._threads), 2 * self._limits.rate)
            self._shares[name] = found
        return found

    async def _body(self, headers: Headers, receive: Receive) -> bytes | None:
        """The body, whatever it is cut into; None where there is more of it than may be."""
        declared = headers.get("content-length", "0")
        if not (declared.isascii() and declared.isdigit()) or int(declared[:18]) > self._limits.body_bytes:
            return None
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":  # gone: nobody is answered
                return bytes(body)
            body += message.get("body", b"")
            if len(body) > self._limits.body_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)


def _now() -> int:
    return time.time_ns() // 1000


def _may_call(path: str, caller: Authenticated) -> bool:
    """A bridge sends what its principal signed; at the tools the store attests, which it does not for people (T3)."""
    if path.startswith("/bridge"):
        return caller.how is How.BRIDGE
    return may_be_attested(caller.principal)


class _Answered:
    """Passes an answer on and remembers its status; 0 before there is one."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, then whatever comes after it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return left.pop() if left else await receive()

    return replay


def _refused(status: int, told: str, headers: dict[str, str] | None = None) -> Response:
    content: dict[str, Any] = {"error": told}
    return JSONResponse(content, status_code=status, headers=headers)
