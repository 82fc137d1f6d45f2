"""The way from a bridge to its server: one JSON object there, one back, over HTTP/1.1 on connections that are kept.

Certificates are verified; without TLS only this machine is talked to, unless that is asked for by an ugly name. What
gets no answer is sent again, less and less often, for a bounded time: whoever sends sees to it that this is safe.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mcp_server.bridge import Unreachable
from memstore.addresses import is_loopback
from memstore.errors import Denied, InvalidInput, StoreUnavailable

PATH = "/bridge"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 45.0  # an inbox waits up to 25
PATIENCE_SECONDS = 20.0  # for a server that is being started anew
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
MOST_BYTES = 16 << 20
MOST_IDLE = 8
_BUSY = frozenset({429, 502, 503, 504})


class Link:
    """Sends calls to one server, from any thread."""

    def __init__(
        self,
        url: str,
        credential: Callable[[], str],
        *,
        ca: str | Path | None = None,
        insecure_http: bool = False,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """`credential` gives what shows who calls, made anew for each; `patience` is in seconds."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise InvalidInput("`url` is no address of a server", code="bad_url", next_call="As in https://HOST:PORT.")
        if parts.scheme == "http" and not is_loopback(parts.hostname) and not insecure_http:
            raise InvalidInput(
                "`url` is not encrypted, and leads to another machine",
                code="insecure_url",
                next_call="Use https; --insecure-http is for networks that nobody else is on.",
            )
        try:
            port = parts.port
        except ValueError:
            raise InvalidInput("`url` has no valid port", code="bad_url") from None
        self._host, self._port = parts.hostname, port
        self._path = re.sub(r"/(mcp)?/?$", "", parts.path) + PATH
        self._tls = _tls(ca) if parts.scheme == "https" else None
        self._credential = credential
        self._patience = patience
        self._idle: list[HTTPConnection] = []
        self._lock = threading.Lock()

    def ask(self, call: dict[str, Any]) -> dict[str, Any]:
        """The answer to a call; raises `Unreachable` when there was none for as long as it was waited for."""
        body = json.dumps(call, ensure_ascii=False, separators=(",", ":")).encode()
        until, pause = time.monotonic() + self._patience, FIRST_PAUSE
        while True:
            try:
                status, answer = self._sent(body)
            except ssl.SSLCertVerificationError as error:
                raise StoreUnavailable(
                    "The server's certificate does not verify",
                    code="bad_certificate",
                    next_call="Name the certificate of its authority with --ca FILE.",
                ) from error
            except (OSError, HTTPException):
                status, answer = 503, b""
            if status not in _BUSY:
                return _read(status, answer)
            if time.monotonic() + pause > until:
                raise _given_up(status)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def close(self) -> None:
        """Give up the connections that are kept."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _sent(self, body: bytes) -> tuple[int, bytes]:
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        connection = kept or self._new()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._credential()}"}
        try:
            if not kept:
                connection.connect()
                connection.sock.settimeout(ANSWER_SECONDS)
            connection.request("POST", self._path, body=body, headers=headers)
            response = connection.getresponse()
            answer = response.read(MOST_BYTES + 1)
            if response.length and len(answer) <= MOST_BYTES:
                raise IncompleteRead(answer)  # which a read of so many bytes at most does not say itself
        except BaseException:
            connection.close()
            raise
        self._put_back(connection, response)
        return response.status, answer

    def _put_back(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        with self._lock:
            if response.isclosed() and not response.will_close and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _new(self) -> HTTPConnection:
        if self._tls is not None:
            return HTTPSConnection(self._host, self._port, timeout=CONNECT_SECONDS, context=self._tls)
        return HTTPConnection(self._host, self._port, timeout=CONNECT_SECONDS)


def _tls(ca: str | Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise InvalidInput("`ca` is no file of certificates", code="bad_ca", next_call="Pass a PEM file.") from error


def _read(status: int, answer: bytes) -> dict[str, Any]:
    match status:
        case 200:
            pass
        case 401 | 403:
            raise Denied(
                "The server does not know this agent's key",
                code="unauthenticated",
                next_call="Have the operator run memstore agent add, or rekey, --public-key; and compare the clocks.",
            )
        case 413:
            raise InvalidInput("The call is larger than the server takes", code="too_long")
        case 404 | 405:
            raise StoreUnavailable(
                "There is no memstore server at this address",
                code="not_a_server",
                next_call="Check --url: it names the host and port of memstore serve.",
            )
        case _:
            raise StoreUnavailable("The server failed", code="server_failed", next_call="Try again.")
    try:
        told = json.loads(answer) if len(answer) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise StoreUnavailable("The server's answer cannot be read", code="bad_answer")
    return told


def _given_up(status: int) -> Unreachable:
    if status == 429:
        return Unreachable("The server has had too many calls of this agent", code="rate_limited")
    return Unreachable()
