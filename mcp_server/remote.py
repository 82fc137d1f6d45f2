"""The server's side of a bridge: one call of somebody who signs elsewhere, and what it is answered (ADR 0045).

A call names a verb or a document, the caller's launch and scope, and brings the signatures it was asked for. It is
answered {answer, lowest, chain}, {sign, evidence} or {error, chain}. Who calls was found out before, from the
credential; the server signs nothing in that name, and a call that is sent again has one effect.
"""

from __future__ import annotations

import re
import threading
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcp_server.asked import SKEW_SECONDS
from mcp_server.errors import translated
from mcp_server.tools import in_lane, inbox_awaited
from memstore.config import Engine, granted
from memstore.core.canonical import refuse_not_canonical
from memstore.core.epochs import launch_at
from memstore.core.forms import ID_PATTERN
from memstore.core.reviews import GRANTED
from memstore.core.statements import short_id
from memstore.errors import Denied, InvalidInput, MemStoreError, NotFound
from memstore.ports import Unit
from memstore.remote_signing import AlreadyDone, RemoteSigner, SignatureNeeded
from memstore.render import Answer, timestamp
from memstore.service import VERBS, MemStore
from memstore.signing import Unsigned, encode
from memstore.write import Author, restored_since

LAUNCH = re.compile(r"c-[a-z2-7]{16,52}(@[1-9]\d{0,5})?|grant/g-[a-z2-7]{26}(@[1-9]\d{0,5})?")
MOST_SIGNATURES = 512
MOST_KEPT = 1024  # launches whose last answer is kept in case it has to be given again
OPEN = "launch"  # the call by which a bridge asks in which context it acts
_IDS = re.compile(ID_PATTERN.strip("^$"))
# The verbs whose statements name what only its own words make plain: for these the bridge is given them.
_SHOWN = frozenset({"session_start", "session_end", "handoff_offer", "handoff_respond"})


class BridgeCall(BaseModel):
    """One call of a bridge. `nonce` is its own; `asserted_at` is in microseconds; signatures are by hex digest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    verb: Annotated[str, Field(max_length=40)]
    arguments: dict[str, Any] = {}
    launch: Annotated[str, Field(max_length=80)] = ""
    scope: Annotated[str, Field(max_length=64)] = ""
    require_grant: bool = False
    nonce: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{22}$")]
    asserted_at: Annotated[int, Field(ge=0, le=2**53 - 1)]
    signatures: Annotated[
        dict[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{86}$")]],
        Field(max_length=MOST_SIGNATURES),
    ] = {}

    @classmethod
    def parse(cls, given: object) -> Self:
        try:
            call = cls.model_validate(given)
        except ValidationError:
            raise InvalidInput("The call is not one of a bridge", code="malformed_call") from None
        refuse_not_canonical(call.arguments, nfc=False)
        return call


Document = Callable[[MemStore, dict[str, Any]], Answer]

# What is read beside the verbs: the resources, and the renewing of a session's lease.
DOCUMENTS: dict[str, Document] = {
    "brief": lambda memory, given: memory.brief(_text(given, "session")),
    "handoff_item": lambda memory, given: memory.handoff_item(_text(given, "handoff")),
    "agents": lambda memory, _: Answer({"agents": memory.agents()}),
    "renew": lambda memory, _: _renewed(memory),
}


def _text(given: dict[str, Any], name: str) -> str:
    return str(given.get(name, ""))[:64]


def _renewed(memory: MemStore) -> Answer:
    return Answer({"again_in": int(memory.renew())})


@dataclass(frozen=True, slots=True)
class _Kept:
    nonce: str
    answer: dict[str, Any]


class Remote:
    """Answers the calls of bridges from one store; whoever opened the engine closes it."""

    def __init__(
        self,
        engine: Engine,
        *,
        verbs: frozenset[str] = frozenset(VERBS),
        lockdown: bool = False,
        require_grant: bool = False,
    ) -> None:
        """`verbs` are those that are answered; `require_grant` serves only contexts that were given (T3)."""
        self._verbs = verbs
        self._engine = engine
        self._house = engine.house
        self._lockdown = lockdown
        self._require_grant = require_grant
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._keeping = threading.Lock()

    async def answer(self, name: str, given: object) -> dict[str, Any]:
        """What `name`, who has shown who it is, is answered to a call. Raises nothing."""
        try:
            call = BridgeCall.parse(given)
            if call.verb == "handoff_inbox" and call.verb in self._verbs:
                memory = await in_lane(self._opened, name, call)
                return _told(await inbox_awaited(memory, call.arguments))
            return await in_lane(self._answered, name, call)
        except Exception as error:  # noqa: BLE001 whatever it is becomes an answer, without input
            return _refused(translated(error))

    def _answered(self, name: str, call: BridgeCall) -> dict[str, Any]:
        if call.verb == OPEN:
            return self._launched(name, call)
        kept = self._kept.get((name, call.launch))
        if kept is not None and kept.nonce == call.nonce:
            return kept.answer
        try:
            answer = self._run(self._opened(name, call), call)
        except SignatureNeeded as needed:
            return self._asked(name, call, needed.statements)
        except AlreadyDone:
            answer = self._done_before(name, call)
        except MemStoreError as error:
            if not self._is_done(name, call):
                return _refused(error) | self._chain(name, call)
            answer = self._done_before(name, call)
        told = _told(_as_first_told(answer, call)) | self._chain(name, call)
        if call.signatures:
            self._keep(name, call, told)
        return told

    def _run(self, memory: MemStore, call: BridgeCall) -> Answer:
        document = DOCUMENTS.get(call.verb)
        if document is not None:
            return document(memory, call.arguments)
        if call.verb not in self._verbs:
            raise NotFound("This server has no such verb", code="unknown_name", next_call="Ask its operator.")
        answer: Answer = getattr(memory, call.verb)(**call.arguments)
        return answer

    def _keep(self, name: str, call: BridgeCall, answer: dict[str, Any]) -> None:
        with self._keeping:
            self._kept[name, call.launch] = _Kept(call.nonce, answer)
            self._kept.move_to_end((name, call.launch))
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)

    def _launched(self, name: str, call: BridgeCall) -> dict[str, Any]:
        """The context and scope that a bridge acts in: its own launch, or one that was given to it and is taken now."""
        kept = self._kept.get((name, call.launch))
        if kept is not None and kept.nonce == call.nonce:
            return kept.answer
        if call.require_grant or self._require_grant:
            launch = granted(self._house, Author(self._signer(name, call), call.launch), call.scope)
            memory = self._opened(name, call.model_copy(update={"launch": launch}))
        else:
            memory = self._opened(name, call)
        told = _told(Answer({"launch": memory.launch, "scope": memory.scope}))
        self._keep(name, call, told)
        return told

    def _signer(self, name: str, call: BridgeCall) -> RemoteSigner:
        with self._house.store.read() as unit:
            keys = unit.registry.keys_of(name)
        if not keys:
            raise Denied("The caller is not registered in this store", code="unknown_principal")
        given = {digest: urlsafe_b64decode(signature + "==") for digest, signature in call.signatures.items()}
        return RemoteSigner(name, keys[-1].public, keys[-1].keyid, call.nonce, call.asserted_at, given)

    def _opened(self, name: str, call: BridgeCall) -> MemStore:
        """The store as this caller uses it, in its launch: of nobody else, and in the scope that it began in."""
        if not LAUNCH.fullmatch(call.launch):
            raise InvalidInput("The call names no launch", code="malformed_call")
        if self._require_grant and not call.launch.startswith(GRANTED) and call.verb != OPEN:
            raise Denied("This server serves only contexts that were given", code="no_grant")
        with self._house.store.read() as unit:
            context = unit.view.context(call.launch)
            if context is not None and context.principal != name:
                raise Denied("This context belongs to another principal or scope", code="wrong_context")
            if call.verb != OPEN and call.launch != launch_at(call.launch, unit.log.head().epoch):
                raise restored_since()
            if abs(unit.wall - call.asserted_at) > SKEW_SECONDS * 1_000_000 and not _is_past(unit, name, call):
                raise InvalidInput(
                    "The clocks of server and bridge differ by more than ten minutes",
                    code="clock_skew",
                    next_call="Set the clock of the agent's machine.",
                )
        return self._engine.as_seen_by(
            self._signer(name, call),
            scope=context.scope if context is not None else call.scope,
            launch_of=lambda _, __: call.launch,
            lockdown=self._lockdown,
        )

    def _asked(self, name: str, call: BridgeCall, statements: tuple[Unsigned, ...]) -> dict[str, Any]:
        """What has to be signed, and of what it names, as far as that is the caller's own, the words."""
        asked = [
            {"kind": one.kind, "payload": one.payload.decode(), "content": one.content.decode()} for one in statements
        ]
        named: dict[str, None] = {}
        for one in statements:
            found = _IDS.findall(one.payload.decode()) if call.verb in _SHOWN else []
            found = [id for id in found if call.verb == "handoff_respond" or not id.startswith("h-")]
            named |= dict.fromkeys([*found, getattr(one.statement, "session", "")])
        with self._house.store.read() as unit:
            evidence = {one: told for one in named if one and (told := _evidence(unit, name, one))}
        return {"sign": asked, "evidence": evidence}

    def _chain(self, name: str, call: BridgeCall) -> dict[str, Any]:
        with self._house.store.read() as unit:
            return {"chain": list(unit.registry.chain(name, call.launch))}

    def _is_done(self, name: str, call: BridgeCall) -> bool:
        with self._house.store.read() as unit:
            return _is_past(unit, name, call)

    def _done_before(self, name: str, call: BridgeCall) -> Answer:
        """The answer to a call whose statements are on record, and whose answer was lost with the process that had it.

        Verbs that say themselves that this was done before are asked once more, and sign nothing.
        """
        if call.verb == "session_start":
            return self._started_before(name, call)
        try:
            return self._run(self._opened(name, call), call)
        except (SignatureNeeded, AlreadyDone, MemStoreError):
            ids = self._on_record(call)
            note = "This was done, once; its answer was lost. What it wrote is on record under ids."
            return Answer({"status": "already_done", "ids": ids, "note": note})

    def _on_record(self, call: BridgeCall) -> list[str]:
        with self._house.store.read() as unit:
            return [one for one in _ids_of(call) if _seq_of(unit, one) >= 0]

    def _started_before(self, name: str, call: BridgeCall) -> Answer:
        [session, *_] = [one for one in self._on_record(call) if one.startswith("s-")]
        answer = self._opened(name, call).brief(session)
        with self._house.store.read() as unit:
            found = unit.view.session(session)
            held = unit.view.handoff(_text(call.arguments, "resume_handoff"))
        answer["expires_at"] = timestamp(found.expires_at if found else None)
        mine = held is not None and held.holder_launch == call.launch
        answer["note"] = f"You hold the handoff again, under lease {held.token}." if held and mine else ""
        return answer


def _is_past(unit: Unit, name: str, call: BridgeCall) -> bool:
    """Whether what was signed for this call is the last that its author has on record in this launch."""
    return unit.registry.chain(name, call.launch)[1] in call.signatures


def _ids_of(call: BridgeCall) -> list[str]:
    """Under which ids what was signed for a call would be on record."""
    return [short_id(prefix, bytes.fromhex(one)) for one in call.signatures for prefix in ("m-", "s-", "h-")]


def _seq_of(unit: Unit, one: str) -> int:
    """Where the record, session or handoff of this id stands in the log; -1 where there is none."""
    view = unit.view
    found = view.record(one) or view.session(one) or view.handoff(one)
    return found.seq if found is not None else -1


def _evidence(unit: Unit, name: str, one: str) -> dict[str, str]:
    """A statement that the caller's own signature names, and the words where they are its own: it checks the ids."""
    record = unit.view.record(one)
    if record is not None and (record.author != name or record.erased):
        return {}
    logged = unit.log.entry(_seq_of(unit, one)) if _seq_of(unit, one) >= 0 else None
    if logged is None:
        return {}
    told = {"kind": logged.entry.payload_type, "payload": logged.payload.decode()}
    stored = unit.contents.get(record.seq) if record is not None else None
    if stored is not None:
        told |= {"content": stored.content.decode(), "salt": encode(stored.salt)}
    return told


def _as_first_told(answer: Answer, call: BridgeCall) -> Answer:
    """What was stored for this very call is no duplicate of itself."""
    if answer.get("status") == "duplicate" and answer.get("id") in _ids_of(call):
        return Answer({**answer, "status": "stored", "note": ""}, answer.lowest)
    return answer


def _told(answer: Answer) -> dict[str, Any]:
    return {"answer": dict(answer), "lowest": str(answer.lowest)}


def _refused(error: MemStoreError) -> dict[str, Any]:
    """A refusal, of which the bridge makes the same error again."""
    told = {"what": error.what, "code": error.code, "state": error.state, "next_call": error.next_call}
    return {"error": {"family": _family(error), **told}}


def _family(error: MemStoreError) -> str:
    """The name of the family that an error belongs to: of the class right below the root."""
    return next(kind.__name__ for kind in type(error).__mro__ if MemStoreError in kind.__bases__)
