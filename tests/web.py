"""The HTTP server in memory: an application over a fleet's store, and clients that show a credential."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from mcp_server.http import BridgeAnswers, Settings, build_app
from memstore.config import Clock, open_engine

BASE = "http://127.0.0.1:8484"
LEGACY = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}


class Web:
    """Requests to one application; `credential` is shown unless a call brings another."""

    def __init__(self, client: httpx.AsyncClient, credential: str = "") -> None:
        self.client = client
        self.credential = credential

    def as_(self, credential: str) -> Web:
        return Web(self.client, credential)

    def headers(self, **more: str) -> dict[str, str]:
        shown = {"Authorization": f"Bearer {self.credential}"} if self.credential else {}
        return {**LEGACY, **shown, **more}

    async def post(self, content: Any, *, path: str = "/mcp", **headers: str) -> httpx.Response:
        body = content if isinstance(content, bytes | str) or hasattr(content, "__aiter__") else json.dumps(content)
        return await self.client.post(
            path, content=body, headers={"Content-Type": "application/json", **self.headers(**headers)}
        )

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=self.headers(**headers))

    async def call(self, tool: str, **arguments: Any) -> httpx.Response:
        return await self.post(request("tools/call", name=tool, arguments=arguments))

    async def ok(self, tool: str, **arguments: Any) -> Any:
        answer = await self.call(tool, **arguments)
        assert answer.status_code == 200, answer.text
        result = answer.json()["result"]
        assert not result.get("isError"), result["content"][0]["text"]
        return result["structuredContent"]

    async def refused(self, tool: str, **arguments: Any) -> str:
        answer = await self.call(tool, **arguments)
        result = answer.json()["result"]
        assert result["isError"]
        return str(result["content"][0]["text"])


def request(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@asynccontextmanager
async def serving(
    folder: Path, settings: Settings | None = None, *, clock: Clock, remote: BridgeAnswers | None = None
) -> AsyncIterator[Web]:
    """A server over the store in a folder, from its start to its end."""
    engine = open_engine(folder, clock=clock, model="none")
    try:
        app = build_app(engine, settings or Settings(), remote=remote)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with app.lifespan(app), httpx.AsyncClient(transport=transport, base_url=BASE, timeout=30) as client:
            yield Web(client)
    finally:
        engine.close()
