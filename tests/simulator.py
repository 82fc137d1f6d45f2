"""A fleet of agents on one real store in a folder, with a movable clock: an attack is a few lines on it.

`Fleet` gives each agent its own contexts, the operator's house, and the hands of an intruder: `sql` writes to the file
behind the store's back, `forge` logs an entry that nobody admitted, as someone who has the store's key could. It
guarantees nothing by itself; `assert_sound` asks the audit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from memstore import admin, log
from memstore.config import DATABASE, embedding_of, init_store, open_house, open_store
from memstore.core.entries import Entry, Logged, leaf_of
from memstore.core.fold import fold, judge_entry
from memstore.core.labels import SignatureState
from memstore.core.records import Content, content_digest
from memstore.core.statements import (
    Kind,
    Origin,
    Recorded,
    Role,
    Statement,
    digest_of,
    parse_statement,
    payload_of,
    payload_type,
    pre_authentication_encoding,
)
from memstore.index.exact import ExactIndex
from memstore.ports import Embedder, StoredContent
from memstore.service import MemStore
from memstore.signing import Signer

START = 1_750_000_000_000_000
RUN = 16
SALT = bytes(16)


@dataclass(frozen=True)
class Envelope:
    """A signed statement before anybody logged it; `content` is what a record's statement commits to, under SALT."""

    kind: str
    payload: bytes
    keyid: str
    signature: bytes
    content: Content | None = None


class Clock:
    """Microseconds since 1970, moved by hand."""

    def __init__(self, micros: int = START) -> None:
        self.micros = micros

    def __call__(self) -> int:
        return self.micros

    def advance(self, *, seconds: int = 0, micros: int = 0) -> None:
        self.micros += seconds * 1_000_000 + micros

    def set_back(self, *, seconds: int = 0, micros: int = 0) -> None:
        self.micros -= seconds * 1_000_000 + micros


class Fleet:
    """A store in `folder`, made where there is none, and everybody who uses it; use it in a `with` block."""

    def __init__(self, folder: Path, clock: Clock | None = None, *, model: str | Embedder = "none") -> None:
        """`model` is what its members embed with, when `embed` is called; by itself nothing does."""
        self.folder = folder
        self.model = model
        self.clock = clock or Clock()
        if not (folder / DATABASE).exists():
            init_store(folder, clock=self.clock)
        self.house = open_house(folder, clock=self.clock, check=False)
        self._open: list[MemStore] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        for member in self._open:
            member.close()
        self.house.store.close()

    def agent(
        self,
        name: str,
        *,
        role: str = "worker",
        under: str = "",
        open_world: bool = False,
        scopes: tuple[str, ...] = (),
        scope: str = "",
        capabilities: tuple[str, ...] = (),
        accepts: tuple[str, ...] = (),
    ) -> MemStore:
        """Register a principal and open the store as it, in a context of its own."""
        admin.add_agent(
            self.house,
            name,
            role=Role(role),
            under=under,
            open_world=open_world,
            scopes=scopes,
            capabilities=capabilities,
            accepts=accepts,
        )
        return self.fresh(name, scope)

    def fresh(self, name: str, scope: str = "", **more: Any) -> MemStore:
        """Another launch of a principal: a new context."""
        return self._opened(name, scope, **more)

    def continuing(self, name: str, scope: str = "") -> MemStore:
        """What a command of the CLI opens: the principal's one continuing context."""
        return self._opened(name, scope, continuing=True)

    def launched(self, name: str, launch: str, *, signer: Signer | None = None) -> MemStore:
        """A context whose launch, or whose signer, is named here, for tests that need the same ids twice."""
        signer = signer or self.house.keyring.load(name)
        return MemStore(
            self.house.store,
            self.house.key,
            signer,
            embedding=embedding_of(self.house.store, self.folder, self.model),
            index=ExactIndex(),
            launch_of=lambda unit, scope: launch,
        )

    def _opened(self, name: str, scope: str, **more: Any) -> MemStore:
        member = open_store(
            self.folder, agent=name, scope=scope, clock=self.clock, model=self.model, embeds_behind=False, **more
        )
        self._open.append(member)
        return member

    def erase(self, record: str) -> None:
        admin.erase_content(self.house, record)

    def embed(self) -> int:
        """Drain the queue; how many records got vectors."""
        return embedding_of(self.house.store, self.folder, self.model).drain()

    def tool(self, pattern: str, *, open_world: bool = False, max_ttl: int = 0) -> None:
        admin.add_tool(self.house, pattern, open_world=open_world, max_ttl=max_ttl)

    def size(self) -> int:
        """How many entries the log has; the position of the next."""
        with self.house.store.read() as unit:
            return unit.log.head().size

    def audit(self) -> dict[str, Any]:
        return log.audit(self.house.store)

    def found(self) -> set[str]:
        """The codes of what the audit finds."""
        return {problem["code"] for problem in self.audit()["problems"]}

    def assert_sound(self) -> None:
        report = self.audit()
        assert report["ok"], report["problems"]

    def sql(self, statement: str, *values: object) -> list[Any]:
        """What somebody with the file does to it, past the store."""
        conn = sqlite3.connect(self.folder / DATABASE)
        try:
            with conn:
                return conn.execute(statement, values).fetchall()
        finally:
            conn.close()

    def signed(self, signer: Signer, kind: type[Statement], **fields: Any) -> Envelope:
        """A statement that `signer` signs, whoever it says the author is; n and prev are those that come next."""
        author, launch = fields.pop("author", signer.name), fields.pop("launch", "forged")
        with self.house.store.read() as unit:
            n, prev = unit.registry.chain(author, launch)
        chain = {"store": self.house.key.store, "n": n + 1, "prev": prev, "asserted_at": self.clock()}
        content = None
        if kind is Recorded:
            content = Content(title="Forged", body="Nobody admitted this")
            fields = {
                "kind": Kind.FINDING, "scope": "main", "task": "", "session": "", "origin": Origin.AGENT,
                "content": content_digest(SALT, content.to_bytes()), **fields,
            }  # fmt: skip
        payload = payload_of(kind.build(**{**chain, "author": author, "launch": launch, **fields}))
        signature = signer.sign(pre_authentication_encoding(payload_type(kind), payload))
        return Envelope(payload_type(kind), payload, signer.keyid, signature, content)

    def forge(self, envelope: Envelope) -> int:
        """Log an entry that `write.append` would refuse, label, tree, checkpoint and all; its position."""
        kind, payload, content = envelope.kind, envelope.payload, envelope.content
        statement = parse_statement(kind, payload)
        with self.house.store.write() as unit:
            head, context = unit.log.head(), unit.view.context(statement.launch)
            verdict = judge_entry(statement, SignatureState.VALID, unit.view)
            shown = context.head if context else bytes(32)
            digest = digest_of(kind, payload)
            entry = Entry(head.size, unit.now, kind, digest, envelope.keyid, SignatureState.VALID, verdict, shown)
            logged = Logged(entry, payload, envelope.signature, leaf_of(entry))
            frontier = head.frontier.append(logged.leaf)
            changes = fold(entry, statement, unit.view)
            unit.log.append_entry(logged)
            unit.log.move_head(frontier, self.house.key.checkpoint(frontier), unit.now)
            if content is not None:
                unit.contents.put(entry.seq, StoredContent(SALT, content.to_bytes(), bytes(32)))
            for change in changes:
                unit.apply(change, content)
        return entry.seq


def ids(answer: dict[str, Any], section: str) -> list[str]:
    """The ids of a section's hits."""
    return [hit["id"] for hit in answer[section]["hits"]]


def entries(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The quarantined entries of a search."""
    found: list[dict[str, Any]] = answer["quarantined"]["entries"]
    return found


def refs(answer: dict[str, Any]) -> list[str]:
    return [entry["ref"] for entry in entries(answer)]


def words_in(answer: object) -> str:
    """All text of an answer, keys and values, as a reader sees it and as it goes over the wire."""
    return "\n".join([*_texts(answer), json.dumps(answer, default=str), json.dumps(answer, ensure_ascii=False)])


def _texts(value: object) -> Iterator[str]:
    match value:
        case dict():
            for key, item in value.items():
                yield from (str(key), *_texts(item))
        case list() | tuple():
            for item in value:
                yield from _texts(item)
        case _:
            yield str(value)


def leaked(secret: str, *answers: object) -> str:
    """The first run of 16 characters of `secret` that stands in one of the answers, or ""."""
    told = "\n".join(words_in(answer) for answer in answers)
    runs = (secret[at : at + RUN] for at in range(max(1, len(secret) - RUN + 1)))
    return next((run for run in runs if run in told), "")


def codes(answer: dict[str, Any]) -> list[str]:
    """The codes of the problems of a handoff."""
    return [problem["code"] for problem in answer["problems"]]


def taken(member: MemStore, handoff: str) -> str:
    """Receive a handoff and accept it with every problem it has; the lease."""
    found = member.handoff_receive(handoff)
    answer = member.handoff_respond(handoff, "accept", receipt=found["receipt"], acknowledge=codes(found))
    assert answer["state"] == "accepted", answer
    return str(answer["lease"])
