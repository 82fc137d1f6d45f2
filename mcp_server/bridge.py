"""The store as an agent uses it through a server, with its key beside it: `memstore mcp --url` (ADR 0045).

The server builds each statement by the same verbs as everywhere; it is checked here against what the agent asked for,
signed here, and sent back. A call that may have been lost is sent again with the same nonce and signatures and has one
effect. Calls that sign go one at a time, reads beside them; nothing of the store is in this process.
"""

from __future__ import annotations

import secrets
import threading
from base64 import b32encode, urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from mcp_server.asked import Ground, Item, Proven, Unasked
from mcp_server.asked_handoffs import SIGNING, refuse_unasked
from memstore import errors
from memstore.core.labels import Label
from memstore.core.records import Content, content_digest
from memstore.core.statements import (
    Recorded,
    SessionEnded,
    SessionStarted,
    digest_of,
    id_of,
    parse_statement,
    payload_type,
)
from memstore.errors import Denied, InternalError, MemStoreError, StoreUnavailable
from memstore.remote_signing import salt_of
from memstore.render import Answer
from memstore.requests import Request
from memstore.service import RENEW_SECONDS, VERBS
from memstore.signing import Signer, Unsigned, encode

ROUNDS = 8
AGAIN_MICROS = 300 * 1_000_000  # how long a call whose answer was lost is taken up again when it is made again

Ask = Callable[[dict[str, Any]], dict[str, Any]]


class Unreachable(StoreUnavailable):
    """The server cannot be reached."""

    code = "server_unreachable"
    next_call = "Try again in a minute; a person looks after the server (memstore serve)."


@dataclass(frozen=True, slots=True)
class Head:
    """A place where this launch's chain may stand: how many statements it has, its scope, and the sessions that run."""

    n: int
    scope: str
    running: dict[str, SessionStarted]


@dataclass
class Call:
    """One call as it is sent, until it is answered."""

    verb: str
    arguments: dict[str, Any]
    nonce: str
    asserted_at: int
    signatures: dict[str, str] = field(default_factory=dict)


class RemoteStore:
    """A store behind a server, for one principal in one launch: the verbs of `MemStore`, and what resources read.

    `ask` sends one call and gives its answer, or raises `Unreachable`. `scope` "" is the principal's first, fixed at
    the first call; with `require_grant` the launch is one that was given.
    """

    def __init__(
        self,
        ask: Ask,
        signer: Signer,
        store: str,
        *,
        clock: Callable[[], int],
        close: Callable[[], None] = lambda: None,
        scope: str = "",
        require_grant: bool = False,
        lockdown: bool = False,
    ) -> None:
        self._ask = ask
        self._signer = signer
        self._store = store
        self._clock = clock
        self._close = close
        self._require_grant = require_grant
        self._lockdown = lockdown
        self._own = "c-" + b32encode(secrets.token_bytes(20)).decode().lower()
        self._launch = ""
        self.scope = scope
        self._heads = {"": Head(0, scope, {})}
        self._acting = threading.Lock()
        self._opening = threading.Lock()
        self._lost: Call | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def name(self) -> str:
        return self._signer.name

    def __getattr__(self, verb: str) -> Callable[..., Answer]:
        if verb not in VERBS:
            raise AttributeError(verb)
        return lambda *given, **arguments: self.call(verb, *given, **arguments)

    def call(self, verb: str, *given: Any, **arguments: Any) -> Answer:
        """A verb of section 7, with its arguments by name or in their order."""
        model = VERBS[verb]
        arguments = {**dict(zip(model.model_fields, given, strict=False)), **arguments}
        if verb == "open" and self._lockdown:
            raise Denied(
                "Nothing is opened here: this bridge runs locked down",
                code="lockdown",
                next_call="Fetch afresh what you need, or ask a person to look at it.",
            )
        if verb in SIGNING:
            return self._signed(verb, model.parse(arguments), arguments)
        return self.read(verb, **arguments)

    def get(self, *given: Any, **arguments: Any) -> Answer:
        return self.call("get", *given, **arguments)

    def brief(self, session: str) -> Answer:
        return self.read("brief", session=session)

    def handoff_item(self, handoff: str) -> Answer:
        return self.read("handoff_item", handoff=handoff)

    def agents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.read("agents")["agents"]
        return found

    def renew(self) -> float:
        """Extend the leases of this context; the seconds to the next time, within bounds whatever the server says."""
        again = self.read("renew").get("again_in")
        return float(min(max(again, 1), RENEW_SECONDS)) if isinstance(again, int) else RENEW_SECONDS

    def read(self, verb: str, **arguments: Any) -> Answer:
        """What signs nothing: sent as it came, and judged there."""
        self._open()
        return _answer(self._ask(self._wire(self._made(verb, arguments))))

    def _made(self, verb: str, arguments: dict[str, Any]) -> Call:
        return Call(verb, arguments, secrets.token_urlsafe(16), self._clock())

    def _wire(self, call: Call, *, launch: str = "") -> dict[str, Any]:
        told = {"verb": call.verb, "arguments": call.arguments, "nonce": call.nonce, "asserted_at": call.asserted_at}
        told |= {"launch": launch or self._launch, "scope": self.scope, "signatures": call.signatures}
        return {**told, "require_grant": self._require_grant}

    def _open(self) -> None:
        """Find out, at the first call that reaches the server, in which context and scope this launch acts."""
        with self._opening:
            if self._launch:
                return
            told = _answer(self._ask(self._wire(self._made("launch", {}), launch=self._own)))
            launch, scope = str(told.get("launch", "")), str(told.get("scope", ""))
            name, _, epoch = launch.partition("@")
            given = name.startswith("grant/g-") if self._require_grant else name == self._own
            if not given or (epoch and not epoch.isdigit()) or not scope or self.scope not in ("", scope):
                raise Unasked("The server has this launch act in another context or scope")
            self.scope, self._launch = scope, launch
            self._heads = {"": Head(0, scope, {})}

    def _signed(self, verb: str, request: Request, arguments: dict[str, Any]) -> Answer:
        """A call that may sign: asked, checked, signed and sent again, until the server is through with it."""
        with self._acting:
            self._open()
            call = self._taken_up(verb, arguments)
            for _ in range(ROUNDS):
                try:
                    told = self._ask(self._wire(call))
                    if told.keys().isdisjoint(("sign", "answer", "error")):
                        raise StoreUnavailable("The server answered what no server of ours does", code="bad_answer")
                except (StoreUnavailable, Denied) as error:
                    self._keep(call, error)
                    raise
                if "sign" in told:
                    self._sign(call, request, told)
                    continue
                if "chain" in told or "error" not in told:
                    self._settle(told)
                return _answer(told)
        raise InternalError("The store kept changing while this was signed", code="busy", next_call="Try again.")

    def _taken_up(self, verb: str, arguments: dict[str, Any]) -> Call:
        """The call; the one that was lost where it is just that one again, which then has one effect."""
        lost, self._lost = self._lost, None
        same = lost is not None and (lost.verb, lost.arguments) == (verb, arguments)
        if lost is not None and same and 0 <= self._clock() - lost.asserted_at < AGAIN_MICROS:
            return lost
        return self._made(verb, arguments)

    def _keep(self, call: Call, error: StoreUnavailable | Denied) -> None:
        """What was sent signed and not answered as it should be may have been done; whoever makes it again, once."""
        if not call.signatures:
            return
        self._lost = call
        error.state = "It may have been done."
        if isinstance(error, StoreUnavailable):
            error.next_call = "Make the same call again within five minutes: it is done once."

    def _sign(self, call: Call, request: Request, told: dict[str, Any]) -> None:
        """Sign the statements that the server asks for, if they are what this call comes to; else nothing at all."""
        # 1. They are well formed, and of this agent, store, launch and call.
        statements = [_unsigned(one) for one in _list(told["sign"])]
        items = [self._item(call, one) for one in statements]
        # 2. They go on from where this launch's chain stands, or may stand.
        digests = [digest_of(one.kind, one.payload).hex() for one in statements]
        head = self._followed(items, digests)
        # 3. They say what the agent asked for.
        # A launch that has done nothing may be taken to another scope of its agent's, by the first session.
        scope = (getattr(request, "scope", "") or head.scope) if head.n == 0 else head.scope
        proven = _proven(told.get("evidence"))
        ground = Ground(self.name, self._launch, scope, call.asserted_at, head.running, proven)
        refuse_unasked(call.verb, ground, request, items)
        # 4. Signed, all of them.
        for unsigned, digest in zip(statements, digests, strict=True):
            call.signatures[digest] = encode(self._signer.sign(unsigned.message))
        self._heads[digests[-1]] = Head(head.n + len(items), scope, _running_after(head.running, items))

    def _item(self, call: Call, unsigned: Unsigned) -> Item:
        statement = unsigned.statement
        own = (self._store, self.name, self._launch, call.asserted_at)
        if (statement.store, statement.author, statement.launch, statement.asserted_at) != own:
            raise Unasked
        if isinstance(statement, Recorded):
            salt = salt_of(call.nonce, unsigned.content)
            if content_digest(salt, unsigned.content) != statement.content:
                raise Unasked
        return Item(statement, unsigned.content, id_of(statement, digest_of(unsigned.kind, unsigned.payload)))

    def _followed(self, items: list[Item], digests: list[str]) -> Head:
        """The head that these statements go on from, each from the one before it."""
        head = self._heads.get(items[0].statement.prev) if items else None
        if head is None:
            raise Unasked("The server asked for a statement that forks this launch's chain")
        for place, (item, prev) in enumerate(zip(items, [items[0].statement.prev, *digests], strict=False)):
            if (item.statement.n, item.statement.prev) != (head.n + 1 + place, prev):
                raise Unasked("The server asked for a statement that forks this launch's chain")
        return head

    def _settle(self, told: dict[str, Any]) -> None:
        """Take note of where the server says that the chain stands: at one of the places where it may."""
        n, digest = _list(told.get("chain"))[:2] or (None, None)
        head = self._heads.get(digest) if isinstance(digest, str) else None
        if head is None or head.n != n:
            raise Unasked("The server has this launch's chain end where it cannot", state="It may have been done.")
        self._heads = {str(digest): head}
        self.scope = head.scope


def _running_after(running: dict[str, SessionStarted], items: list[Item]) -> dict[str, SessionStarted]:
    """The sessions of this launch that run after these statements, by their ids."""
    after = dict(running)
    for item in items:
        match item.statement:
            case SessionStarted() as started:
                after[item.id] = started
            case SessionEnded(session=session):
                after.pop(session, None)
    return after


def _list(given: object) -> list[Any]:
    return given if isinstance(given, list) else []


def _unsigned(given: object) -> Unsigned:
    """A statement as the server sends it to be signed; `Unasked` where it is none."""
    match given:
        case {"kind": str(kind), "payload": str(payload), "content": str(content)}:
            raw = payload.encode()
            statement = parse_statement(kind, raw)
            if payload_type(type(statement)) == kind:
                return Unsigned(statement, kind, raw, content.encode())
    raise Unasked


def _proven(given: object) -> dict[str, Proven]:
    """What the server shows of statements that are named, each only if its id is the hash of it."""
    found: dict[str, Proven] = {}
    for one, told in given.items() if isinstance(given, dict) else ():
        match told:
            case {"kind": str(kind), "payload": str(payload)}:
                raw = payload.encode()
                statement = parse_statement(kind, raw)
                if id_of(statement, digest_of(kind, raw)) != one:
                    raise Unasked
                found[one] = Proven(statement, _content(statement, told))
    return found


def _content(statement: object, told: dict[str, Any]) -> Content:
    content, salt = told.get("content"), told.get("salt")
    if not isinstance(statement, Recorded) or not isinstance(content, str) or not isinstance(salt, str):
        return Content()
    raw = content.encode()
    if content_digest(urlsafe_b64decode(salt + "=="), raw) != statement.content:
        raise Unasked
    return Content.parse(raw)


def _answer(told: dict[str, Any]) -> Answer:
    """The answer, or the refusal, as the server gave it."""
    match told:
        case {"answer": dict(answer), "lowest": str(lowest)} if lowest in {str(label) for label in Label}:
            return Answer(answer, Label.named(lowest))
        case {"error": dict(error)}:
            raise _error(error)
    raise StoreUnavailable("The server answered what no server of ours does", code="bad_answer")


def _error(told: dict[str, Any]) -> MemStoreError:
    families = {kind.__name__: kind for kind in MemStoreError.__subclasses__() if kind.__module__ == errors.__name__}
    family = families.get(str(told.get("family")), StoreUnavailable)
    what, code, state, next_call = (str(told.get(name, "")) for name in ("what", "code", "state", "next_call"))
    return family(what, code=code, state=state, next_call=next_call)
