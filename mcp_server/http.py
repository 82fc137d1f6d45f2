"""The shared server as an ASGI application: `/mcp`, `/bridge`, `/metrics`, `/health` (DESIGN 4.1, 4.2).

Streamable HTTP without sessions and with JSON answers: each request stands by itself, so a client goes on after a
restart. Everything but `/health` and the RFC 9728 metadata passes the gate, and all of it the check of Host and Origin.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from anyio import to_thread
from fastmcp.server.http import StarletteWithLifespan
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mcp_server.caller import Callers, calling
from mcp_server.errors import translated
from mcp_server.gate import WELL_KNOWN, Authority, Gate, Limits
from mcp_server.metrics import CONTENT_TYPE, Meters
from mcp_server.server import build_server
from mcp_server.wire import Masked
from memstore.config import Engine
from memstore.credentials import Authenticated, Fault, How, Unauthenticated
from memstore.errors import InternalError, InvalidInput
from memstore.issuers import Issuer
from memstore.tokens import may_be_attested, standing_key

MCP = "/mcp"
FOREVER = 2**62
# What the bridge's endpoint does: whose call it is, and the call, to an answer.
BridgeAnswers = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is to be: what it offers, whom it believes, and under which names it is reached."""

    tools: str = "all"
    read_only: bool = False
    lockdown: bool = False
    require_grant: bool = False
    dev: str = ""
    issuer: Issuer | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


def build_app(engine: Engine, settings: Settings, *, remote: BridgeAnswers | None = None) -> StarletteWithLifespan:
    """The application over an open store, which stays the caller's to close; `remote` answers `POST /bridge`."""
    callers = Callers(engine, require_grant=settings.require_grant, lockdown=settings.lockdown)
    server = build_server(callers.current, tools=settings.tools, read_only=settings.read_only)
    # Without it the SDK lists all tools at each call, to see whether one of them has headers of its own.
    server._mcp_server.get_tool_input_schema = {name: tool.parameters for name, tool in server.tools.items()}.get
    dev = (lambda: _developer(engine, settings.dev)) if settings.dev else None
    meters, issuer = Meters(), settings.issuer
    gate = Middleware(
        Gate,
        authority=Authority(engine.house.store, issuer=issuer, dev=dev),
        limits=settings.limits,
        meters=meters,
        challenge=challenge_of(issuer),
    )
    app = server.http_app(
        path=MCP,
        middleware=[gate, Middleware(Masked, path=MCP)],
        json_response=True,
        stateless_http=True,
        host_origin_protection=True,
        allowed_hosts=list(settings.allowed_hosts),
        allowed_origins=list(settings.allowed_origins),
    )
    app.router.routes += [
        Route("/health", _health, methods=["GET"]),
        Route("/metrics", _metrics_of(engine, meters), methods=["GET"]),
        *_metadata_of(issuer),
    ]
    if remote is not None:
        app.router.routes.append(Route("/bridge", _bridge_to(remote), methods=["POST"]))
    return app


def _developer(engine: Engine, name: str) -> Authenticated:
    """Whom a request without a credential speaks for, where the operator said so."""
    with engine.house.store.read() as unit:
        principal, key = unit.view.principal(name), standing_key(unit, name)
    if principal is None or key is None or not may_be_attested(principal):
        raise Unauthenticated(Fault.PRINCIPAL)
    return Authenticated(principal, key.keyid, How.TOKEN, FOREVER)


async def _health(request: Request) -> Response:
    return PlainTextResponse("ok")


def _metrics_of(engine: Engine, meters: Meters) -> Callable[[Request], Awaitable[Response]]:
    def pending() -> int:
        with engine.house.store.read() as unit:
            return unit.counts.rows()["unembedded"]

    async def metrics(request: Request) -> Response:
        return Response(meters.text(pending_vectors=await to_thread.run_sync(pending)), media_type=CONTENT_TYPE)

    return metrics


def _bridge_to(remote: BridgeAnswers) -> Callable[[Request], Awaitable[Response]]:
    async def bridge(request: Request) -> Response:
        try:
            call = json.loads(await request.body())
            if not isinstance(call, dict):
                raise ValueError
        except (ValueError, RecursionError):
            return _told(InvalidInput("The call is no JSON object", code="malformed"), status=400)
        try:
            answer = await remote(calling.get().name, call)
            text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            return Response(text.encode(), media_type="application/json")
        except Exception as error:  # noqa: BLE001 - an error of any kind may carry input
            refusal = translated(error)
            return _told(refusal, status=500 if isinstance(refusal, InternalError) else 400)

    return bridge


def _told(error: Exception, *, status: int) -> Response:
    return JSONResponse({"error": str(error)}, status_code=status)


def challenge_of(issuer: Issuer | None) -> str:
    """`WWW-Authenticate`: where a client learns whom to ask for a token (RFC 9728, section 5.1)."""
    found = _metadata_url(issuer)
    return f'Bearer resource_metadata="{found}"' if found else "Bearer"


def _metadata_url(issuer: Issuer | None) -> str:
    """Where the metadata of a resource stands (RFC 9728, section 3.1); "" where the audience is no address."""
    told = urlsplit(issuer.audience if issuer else "")
    if told.scheme not in ("http", "https") or not told.hostname:
        return ""
    return f"{told.scheme}://{told.netloc}{WELL_KNOWN}{told.path.rstrip('/')}"


def _metadata_of(issuer: Issuer | None) -> Sequence[Route]:
    if issuer is None or not _metadata_url(issuer):
        return ()
    said = {
        "resource": issuer.audience,
        "authorization_servers": [issuer.url],
        "bearer_methods_supported": ["header"],
        "resource_name": "memstore",
    }

    async def metadata(request: Request) -> Response:
        return JSONResponse(said, headers={"Cache-Control": "max-age=3600"})

    return [Route(path, metadata, methods=["GET"]) for path in (WELL_KNOWN, f"{WELL_KNOWN}{MCP}")]
