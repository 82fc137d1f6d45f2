"""Eight servers that start at once on one store, and eight bare ones: what having it in common costs them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from bench.figures import Bench, Bound, Row, Skipped, taken
from bench.loads import READER
from bench.servers import BARE, Server, memstore_server

TOGETHER = 8


def together(bench: Bench) -> Iterator[Row | Skipped]:
    """From the start of the first process to the answer to the last `tools/list`, by turns with bare servers."""
    command = memstore_server(READER, bench.folder / "together")
    if command is None:
        yield Skipped(f"{TOGETHER} servers start at once", "there is no mcp_server package")
        return
    store = bench.store("together")
    store.fill(1000)
    store.settle()
    store.close()
    pairs = [(_until_listed(command), _until_listed(BARE)) for _ in range(bench.repeats)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    n = f"{len(pairs)} × {TOGETHER}"
    yield Row(f"{TOGETHER} servers start at once", ours, "ms", n, theirs, f"{TOGETHER} bare fastmcp", Bound(1.5))


def _until_listed(command: list[str]) -> float:
    """Milliseconds; how they end is not counted."""
    servers = [Server(command) for _ in range(TOGETHER)]
    with ExitStack() as running, ThreadPoolExecutor(TOGETHER) as pool:

        def all_at_once() -> None:
            for server in servers:
                running.enter_context(server)
            list(pool.map(Server.list_tools, servers))

        return taken(all_at_once)
