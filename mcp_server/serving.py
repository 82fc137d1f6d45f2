"""The process that serves a team: it listens, says where, and ends when it is told to (DESIGN 8).

SIGTERM and SIGINT end it with status 0, after the calls under way are answered. It listens beyond this machine only
with a certificate, or where the operator says that a proxy stands before it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from mcp_server.http import MCP, Settings, build_app
from mcp_server.listening import Patience, protocol_with
from mcp_server.logs import log_to_stderr
from mcp_server.remote import Remote
from mcp_server.tools import offered
from memstore.addresses import is_loopback
from memstore.config import Engine, open_engine
from memstore.errors import InvalidInput, StoreUnavailable, read_only_copy
from memstore.tokens import may_be_attested

GRACE_SECONDS = 30  # an inbox may wait 25
BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen, and how that is protected; `believed` are the proxies whose X-Forwarded headers count."""

    host: str = "127.0.0.1"
    port: int = 8484
    cert: str = ""
    key: str = ""
    behind_proxy: bool = False
    believed: tuple[str, ...] = ()
    patience: Patience = field(default_factory=Patience)

    @property
    def scheme(self) -> str:
        return "https" if self.cert else "http"


def serve(store: str | Path | None, place: Place, settings: Settings, *, say: Callable[[str], None]) -> int:
    """Serve a store until a signal comes; the exit status. `say` is given one line once the server listens."""
    _refuse_exposed(place, settings)
    # Before the store is opened: what may fail says so at once.
    listener = _listener(place)
    engine = open_engine(store, index="chroma")
    try:
        if engine.is_copy:
            raise read_only_copy()
        with engine.house.store.read() as unit:
            developer = unit.view.principal(settings.dev) if settings.dev else None
        if settings.dev and (developer is None or not may_be_attested(developer)):
            raise InvalidInput("--dev names no agent of this store", next_call="`memstore agent list` shows them.")
        log_to_stderr()
        # Whoever connects, without a credential, could else fill the log: each request that is none is a warning.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        if engine.drainer is not None:
            engine.drainer.wake()
        port = listener.getsockname()[1]
        host = f"[{place.host}]" if ":" in place.host else place.host
        line = json.dumps({"url": f"{place.scheme}://{host}:{port}{MCP}", "store_id": engine.house.key.store})
        config = _config(build_app(engine, settings, remote=_remote(engine, settings).answer), place)
        _Server(config, say=lambda: say(line)).run(sockets=[listener])
    finally:
        engine.close()
    return 0


def _remote(engine: Engine, settings: Settings) -> Remote:
    verbs = frozenset(offer.verb for offer in offered(settings.tools, read_only=settings.read_only))
    return Remote(engine, verbs=verbs, lockdown=settings.lockdown, require_grant=settings.require_grant)


def _refuse_exposed(place: Place, settings: Settings) -> None:
    if bool(place.cert) != bool(place.key):
        raise InvalidInput("A certificate and its key go together", next_call="Pass --cert and --key.")
    if settings.dev and not is_loopback(place.host):
        raise InvalidInput("--dev is for this machine alone", next_call="Leave --host out, or make tokens.")
    if not (is_loopback(place.host) or place.cert or place.behind_proxy):
        raise InvalidInput(
            "Tokens would cross the network unprotected",
            code="exposed",
            next_call="Pass --cert and --key, or --behind-proxy where a proxy ends TLS.",
        )


def _listener(place: Place) -> socket.socket:
    """A socket that is bound, so that a port that is taken is said before anything else happens."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, OverflowError):
        raise StoreUnavailable(
            "The address cannot be listened on", code="no_port", next_call="Choose another --port or --host."
        ) from None
    return listener


def _config(app: ASGIApp, place: Place) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=protocol_with(place.patience),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(place.believed),
        forwarded_allow_ips=list(place.believed),
        ssl_certfile=place.cert or None,
        ssl_keyfile=place.key or None,
        backlog=BACKLOG,
        timeout_keep_alive=place.patience.idle_seconds,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError):
        raise InvalidInput("The certificate or its key cannot be read", next_call="Check --cert and --key.") from None
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config


class _Server(uvicorn.Server):
    """uvicorn's server, which says where it listens and takes a signal for a request, not for its end."""

    def __init__(self, config: uvicorn.Config, *, say: Callable[[], None]) -> None:
        super().__init__(config)
        self._say = say

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signal_number, self._asked_to_end)
        try:
            yield
        finally:
            for signal_number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(signal_number)

    def _asked_to_end(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def say_on_stdout(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
