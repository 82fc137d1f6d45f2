"""The shared server: calls from many clients at once, beside a bare fastmcp tool that returns the same, and memory."""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.figures import Bench, Bound, Row, Skipped, taken
from bench.floors import percentile
from bench.loads import READER, WORKER, Loaded
from bench.servers import BARE, Server, clean_environment, megabytes
from memstore import tokens
from memstore.config import open_house

CLIENTS = 16
TURN_SECONDS = 1.5
RECORDS = 10_000
AT_LEAST = 0.7  # of the calls a second that the bare server answers
_BARE = """
import json, sys
from fastmcp import FastMCP
server, answer = FastMCP("bare"), json.load(open(sys.argv[1]))
@server.tool
def memory_get(ids: list[str]) -> dict:
    return answer
server.run(transport="http", port=int(sys.argv[2]), stateless_http=True, json_response=True, show_banner=False)
"""
ERAS = ("2025-11-25", "2026-07-28")


class HttpServer:
    """A server process that listens on `port` of this machine; it ends with the block."""

    def __init__(self, command: list[str], port: int) -> None:
        self._command = command
        self.port = port

    def __enter__(self) -> Self:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdout=quiet, stderr=quiet, env=clean_environment())
        late = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > late:
                    raise
                time.sleep(0.05)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(60)

    def megabytes(self) -> float:
        return megabytes(self._process.pid)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Call:
    """One tool call as bytes, sent again and again on connections that are kept."""

    def __init__(self, port: int, tool: str, arguments: dict[str, Any], *, era: str, token: str = "") -> None:
        self.port = port
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        headers = {"Host": f"127.0.0.1:{port}", "Content-Type": "application/json", "MCP-Protocol-Version": era}
        headers["Accept"] = "application/json, text/event-stream"
        if era == ERAS[1]:
            client = {"name": "bench", "version": "1"}
            told = {"protocolVersion": era, "clientInfo": client, "clientCapabilities": {}}
            params["_meta"] = {f"io.modelcontextprotocol/{name}": value for name, value in told.items()}
            headers |= {"Mcp-Method": "tools/call", "Mcp-Name": tool}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
        headers["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._request = f"POST /mcp HTTP/1.1\r\n{lines}\r\n".encode() + body

    def once(self) -> Any:
        """The answer to one call."""
        return asyncio.run(self._one())

    async def _one(self) -> Any:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answer = await self._exchange(reader, writer)
        writer.close()
        return json.loads(answer)["result"]["structuredContent"]

    def by_many(self, clients: int, seconds: float) -> list[float]:
        """Milliseconds of each of the calls that so many clients make in this time."""

        async def turn() -> list[float]:
            until = time.perf_counter() + seconds
            found = await asyncio.gather(*(self._until(until) for _ in range(clients)))
            return [one for taken in found for one in taken]

        return asyncio.run(turn())

    async def _until(self, until: float) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        taken: list[float] = []
        while (start := time.perf_counter()) < until:
            await self._exchange(reader, writer)
            taken.append((time.perf_counter() - start) * 1000)
        writer.close()
        return taken

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        answer = await reader.readexactly(size)
        if b" 200 " not in head.partition(b"\r\n")[0] or b'"isError":true' in answer:
            raise RuntimeError(f"a call was refused: {answer[:200]!r}")
        return answer


def serving(store: Loaded) -> tuple[HttpServer, str]:
    """`memstore serve` over a store, and a token of its reader."""
    house = open_house(store.folder)
    token = tokens.make(house, READER)["token"]
    house.store.close()
    port = free_port()
    command = [sys.executable, "-m", "memstore", "serve", "--store", str(store.folder), "--port", str(port)]
    return HttpServer([*command, "--rate", "0"], port), token


def http(bench: Bench) -> Iterator[Row]:
    """`memory_get` of one record by sixteen clients that wait for nothing, by turns with the bare server."""
    store = bench.store("http")
    store.fill(1000)
    ours, token = serving(store)
    record = {"ids": [store.ids[0]]}
    with ours:
        answer = bench.folder / "answer.json"
        answer.write_text(json.dumps(Call(ours.port, "memory_get", record, era=ERAS[0], token=token).once()), "utf-8")
        with _bare(answer) as bare:
            for era in ERAS:
                mine = Call(ours.port, "memory_get", record, era=era, token=token)
                floor = Call(bare.port, "memory_get", record, era=era)
                yield from _by_turns(bench, mine, floor, era)
    store.close()


def _bare(answer: Path) -> HttpServer:
    port = free_port()
    return HttpServer([sys.executable, "-c", _BARE, str(answer), str(port)], port)


def _by_turns(bench: Bench, mine: Call, floor: Call, era: str) -> Iterator[Row]:
    for call in (mine, floor):
        call.by_many(CLIENTS, TURN_SECONDS)
    ours: list[float] = []
    theirs: list[float] = []
    shares: list[float] = []
    for _ in range(2 * bench.repeats):
        turns = [call.by_many(CLIENTS, TURN_SECONDS) for call in (mine, floor)]
        ours += turns[0]
        theirs += turns[1]
        shares.append(100 * len(turns[0]) / len(turns[1]))
    n = f"{len(ours):,} calls, {len(ours) / (2 * bench.repeats * TURN_SECONDS):,.0f}/s"
    name = f"HTTP {era}, {CLIENTS} clients, memory_get"
    yield Row(
        f"{name}: share", statistics.median(shares), "%", n, 100, "bare fastmcp calls/s", Bound(least=100 * AT_LEAST)
    )
    yield Row(f"{name}: p99", percentile(ours, 99), "ms", n, percentile(theirs, 99), "bare fastmcp")


def serve_memory(bench: Bench) -> Iterator[Row | Skipped]:
    """What `memstore serve` keeps in memory over ten thousand records, its model and vectors loaded by a search."""
    name = f"serve with {RECORDS:,} records, after its first search"
    if isinstance(bench.model, str):
        yield Skipped(name, bench.model)
        return
    store = bench.embedded(min(RECORDS, bench.records), bench.model)
    server, token = serving(store)
    with server:
        call = Call(server.port, "memory_search", {"query": "retry backoff queue"}, era=ERAS[0], token=token)
        wrong = "it searched without its model" if "full text alone" in json.dumps(call.once()) else ""
        call.by_many(CLIENTS, TURN_SECONDS)
        yield Row(name, server.megabytes(), "MB", f"{store.count:,} records", bound=Bound(value=450), wrong=wrong)


def bridge(bench: Bench) -> Iterator[Row]:
    """What a bridge keeps in memory after calls, and how long a read and a signed write take through it."""
    store = bench.store("bridge")
    store.fill(1000)
    texts = store.words.texts()
    server, _ = serving(store)
    command = [sys.executable, "-m", "mcp_server", "--agent", WORKER, "--store", str(store.folder)]
    reads: list[float] = []
    writes: list[float] = []
    with server, Server(BARE) as bare, Server([*command, "--url", f"http://127.0.0.1:{server.port}"]) as agent:
        bare.list_tools()
        agent.list_tools()
        for _ in range(20 * bench.repeats):
            text = next(texts)
            told = {"kind": "finding", "title": text.title, "body": text.body}
            writes.append(taken(lambda: agent.call("memory_write", told)))  # noqa: B023
            reads.append(taken(lambda: agent.call("memory_get", {"ids": [store.ids[0]]})))
        value, floor = agent.megabytes(), bare.megabytes()
    store.close()
    n = f"{len(writes)} calls each"
    yield Row("bridge, after reads and writes", value, "MB", n, floor, "bare fastmcp", Bound(value=100))
    yield Row("signed write through a bridge", statistics.median(writes), "ms", n)
    yield Row("memory_get through a bridge", statistics.median(reads), "ms", n)
