"""Bridges without a network: each call goes as JSON to a server's side that is in this process, or to a liar's.

`Far` is a store that only its server opens; `Far.bridge` a principal beside its key. `between` sees every call and may
answer in the server's place, lose what it is told, or change it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcp_server.bridge import RemoteStore
from mcp_server.remote import Remote
from memstore import log
from memstore.config import embedding_of, open_house
from memstore.index.exact import ExactIndex
from memstore.signing import Keyring, Signer

Sent = dict[str, Any]
Between = Callable[[Sent, Callable[[Sent], Sent]], Sent]


def straight(call: Sent, send: Callable[[Sent], Sent]) -> Sent:
    return send(call)


class Far:
    """The server's side over the store in `folder`, and bridges to it."""

    def __init__(self, folder: Path, clock: Callable[[], int], **settings: Any) -> None:
        self.folder = folder
        self.clock = clock
        self.settings = settings
        self.restart()

    def restart(self) -> None:
        """Another process: what the one before kept in memory is gone."""
        self.house = open_house(self.folder, clock=self.clock)
        self.remote = Remote(
            self.house, embedding_of(self.house.store, self.folder, "none"), ExactIndex(), **self.settings
        )

    def close(self) -> None:
        self.house.store.close()

    def signer(self, agent: str) -> Signer:
        return Keyring(self.folder / "keys").load(agent)

    def send(self, agent: str, call: Sent) -> Sent:
        """What the server answers to a call of somebody who has shown to be `agent`."""
        told = asyncio.run(self.remote.answer(agent, json.loads(json.dumps(call))))
        answer: Sent = json.loads(json.dumps(told))
        return answer

    def bridge(self, agent: str, between: Between = straight, **settings: Any) -> RemoteStore:
        def ask(call: Sent) -> Sent:
            return between(call, lambda sent: self.send(agent, sent))

        return RemoteStore(ask, self.signer(agent), self.house.key.store, clock=self.clock, **settings)

    @property
    def size(self) -> int:
        with self.house.store.read() as unit:
            return unit.log.head().size

    def signatures(self) -> list[str]:
        """How each entry of the log is signed."""
        with self.house.store.read() as unit:
            return [str(logged.entry.signature) for logged in unit.log.entries()]

    def assert_sound(self) -> None:
        found = log.audit(self.house.store)
        assert found["ok"], found["problems"]
