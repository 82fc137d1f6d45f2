"""Servers as a client meets them: a process, JSON-RPC on its two streams, and what it keeps in memory."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_BARE = """
from fastmcp import FastMCP
server = FastMCP("bare")
@server.tool
def echo(text: str) -> str:
    return text
server.run(show_banner=False)
"""
BARE = [sys.executable, "-c", _BARE]
PROTOCOL = "2025-06-18"


def memstore_server(agent: str, store: Path) -> list[str] | None:
    """The command that serves a store to one agent; None where the server is not there."""
    if importlib.util.find_spec("mcp_server") is None:
        return None
    return [sys.executable, "-m", "mcp_server", "--agent", agent, "--store", str(store)]


def clean_environment() -> dict[str, str]:
    """This process's environment without what it says of memstore: another model would be another measurement."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MEMSTORE_")}


def megabytes(pid: int) -> float:
    """Resident memory of a process now."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


class Server:
    """A server in a process of its own, which starts with the block and ends with it."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._last = 0

    def __enter__(self) -> Self:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=quiet, env=clean_environment()
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)

    def list_tools(self) -> Any:
        """The first conversation: greet, then ask for the tools."""
        client = {"name": "bench", "version": "1"}
        self.ask("initialize", {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client})
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self.ask("tools/list", {})

    def call(self, tool: str, arguments: dict[str, Any]) -> Any:
        return self.ask("tools/call", {"name": tool, "arguments": arguments})

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        self._last += 1
        self._send({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer.get("id") == self._last:
                return answer["result"]
        raise RuntimeError(f"the server ended before it answered {method}")

    def megabytes(self) -> float:
        return megabytes(self._process.pid)

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()
