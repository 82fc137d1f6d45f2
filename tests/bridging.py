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
from memstore.config import open_engine
from memstore.core.canonical import canonical_bytes
from memstore.core.records import Content, content_digest
from memstore.core.statements import Statement, digest_of, id_of, parse_statement, payload_of, payload_type
from memstore.remote_signing import salt_of
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
        self.engine = open_engine(self.folder, clock=self.clock, embeds_behind=False)
        self.house = self.engine.house
        self.remote = Remote(self.engine, **self.settings)

    def close(self) -> None:
        self.engine.close()

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


def restated(told: Sent, call: Sent, place: int, *, content: dict[str, Any] | None = None, **fields: Any) -> None:
    """Change a statement that a server asks to have signed, as a liar would: well formed, with the right digest."""
    for known in told["sign"]:
        known.setdefault("was", _id(known))
    one = told["sign"][place]
    payload = json.loads(one["payload"]) | fields
    if content is not None:
        one["content"] = Content(**(json.loads(one["content"]) | content)).to_bytes().decode()
        payload["content"] = content_digest(salt_of(call["nonce"], one["content"].encode()), one["content"].encode())
    one["payload"] = canonical_bytes(payload).decode()
    rechained(told)


def rechained(told: Sent) -> None:
    """Have each statement go on from the one before it, and name what was changed by its new id."""
    for place, one in enumerate(told["sign"]):
        if place:
            payload = json.loads(one["payload"]) | {"prev": _digest(told["sign"][place - 1]).hex()}
            one["payload"] = canonical_bytes(payload).decode()
        was, now = one.setdefault("was", _id(one)), _id(one)
        for later in told["sign"][place + 1 :]:
            later.setdefault("was", _id(later))
            later["payload"] = later["payload"].replace(was, now)
        one["was"] = now


def _digest(one: Sent) -> bytes:
    return digest_of(one["kind"], one["payload"].encode())


def _id(one: Sent) -> str:
    return id_of(parse_statement(one["kind"], one["payload"].encode()), _digest(one)) or "nothing"


def added(told: Sent, kind: type[Statement], **fields: Any) -> None:
    """Ask for one more statement, which goes on from the last one that is asked for."""
    last = told["sign"][-1]
    before = json.loads(last["payload"])
    own = {name: before[name] for name in ("store", "author", "launch", "asserted_at")}
    prev = digest_of(last["kind"], last["payload"].encode()).hex()
    statement = kind.build(**own, n=before["n"] + 1, prev=prev, **fields)
    told["sign"].append({"kind": payload_type(kind), "payload": payload_of(statement).decode(), "content": ""})
