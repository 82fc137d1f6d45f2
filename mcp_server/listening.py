"""Connections of the HTTP server: how long a client may take to say something, and who goes when there are too many.

uvicorn waits for ever for the head of a request and for a reader that reads nothing, and counts both against its limit.
Here a head has to come within seconds and be small, an answer that nobody reads costs the connection, and where there
are too many connections the one that has been silent longest makes room.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds and sizes that a connection has."""

    head_seconds: float = 10.0
    head_bytes: int = 64 << 10
    reader_seconds: float = 30.0
    idle_seconds: int = 75
    connections: int = 512


class Bounded(HttpToolsProtocol):
    """One connection; it is among the `silent` while no request of it is being answered."""

    patience: ClassVar[Patience]
    silent: ClassVar[OrderedDict[Any, None]]

    _head: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None
    _read = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.silent[self] = None
        self._expect_head()
        if len(self.connections) > self.patience.connections:
            first = next(iter(self.silent))
            first.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.silent.pop(self, None)
        self._stop_head()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        reads_head = self in self.silent
        super().data_received(data)
        if reads_head and self in self.silent:  # the head is not complete yet
            self._read += len(data)
            if self._read > self.patience.head_bytes:
                self.transport.abort()
                return
        # Bytes that begin no request end the wait that uvicorn has between two of them.
        if self in self.silent and self._head is None and not self.transport.is_closing():
            self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        # RFC 9110, 5.5: the space around a value is no part of it, and the parser leaves what follows it.
        super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        self._stop_head()
        self._read = 0
        self.silent.pop(self, None)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.pipeline and not self.transport.is_closing():
            self.silent[self] = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reader is None:
            self._reader = self.loop.call_later(self.patience.reader_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(self.patience.head_seconds, self.transport.abort)

    def _stop_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


def protocol_with(patience: Patience) -> type[Bounded]:
    """The protocol class of one server, whose connections know of each other."""
    return type("BoundedOfOne", (Bounded,), {"patience": patience, "silent": OrderedDict()})
