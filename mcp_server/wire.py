"""What leaves over HTTP where the SDK refuses a message: its words repeat the input, so others stand for them."""

from __future__ import annotations

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ECHOES = ("Validation error", "Parse error")
_PLAIN = "malformed: The message is no request of this protocol. Nothing was written. Send a smaller or correct one."


class Masked:
    """An ASGI application around another, whose refusals (400) lose what they repeat."""

    def __init__(self, app: ASGIApp, *, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != self._path:
            await self._app(scope, receive, send)
            return
        held: list[Message] = []

        async def masked(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 400:
                held.append(message)
            elif held:
                start, body = held.pop(), _plain(message.get("body", b""))
                headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
                await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
                await send({**message, "body": body})
            else:
                await send(message)

        await self._app(scope, receive, masked)


def _plain(body: bytes) -> bytes:
    try:
        said = json.loads(body)
        if said["error"]["message"].startswith(_ECHOES):
            said["error"] = {"code": said["error"]["code"], "message": _PLAIN}
            return json.dumps(said).encode()
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return body
