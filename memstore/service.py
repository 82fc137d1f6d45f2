"""MemStore: the facade, one method per verb of DESIGN 7, for one caller in one context.

Arguments are those of `memstore.requests`, by name or in their order; answers are JSON objects. The caller is fixed
when the store is opened and judged anew at every call, so a key that is withdrawn stops counting at once.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Concatenate, Self, TypeVar

from memstore import (
    attestations,
    briefs,
    bundling,
    checking,
    contracts,
    delta,
    gates,
    grants,
    handoffs,
    history,
    importing,
    inbox,
    offering,
    prov,
    query,
    queue,
    reading,
    receiving,
    recording,
    report,
    reviewing,
    sessions,
)
from memstore.core.epochs import launch_at
from memstore.core.policy import TYPED, Principal
from memstore.core.reviews import acts_by_grant
from memstore.core.statements import Role
from memstore.embedding import Drainer, Embedding
from memstore.errors import Conflict, Denied, InvalidInput
from memstore.exporting import ExportRequest
from memstore.importing import Line
from memstore.log import Progress, silent
from memstore.ports import Store, Unit, VectorIndex
from memstore.render import Answer
from memstore.requests import (
    GetRequest,
    HandoffInboxRequest,
    HandoffOfferRequest,
    HandoffReceiveRequest,
    HandoffRespondRequest,
    HistoryRequest,
    ObserveRequest,
    OpenRequest,
    Request,
    RetractRequest,
    ReviewRequest,
    SearchRequest,
    SessionEndRequest,
    SessionStartRequest,
    WriteRequest,
)
from memstore.serving import Caller
from memstore.signing import Signatory, StoreKey
from memstore.write import Author, restored_since

R = TypeVar("R", bound=Request)
Verb = Callable[Concatenate["MemStore", R, ...], Answer]

# The name of the context that a principal acts in, in a scope, as the log says now.
LaunchOf = Callable[[Unit, str], str]

VERBS: dict[str, type[Request]] = {}
HANDOFF_LEASE_SECONDS = 900
RENEW_SECONDS = 300.0
LOOK_EVERY = 0.05  # seconds between two looks at whether anything was written, while an inbox waits
LOOK_ANYWAY = 1.0  # a lease that runs out writes nothing


def verb(model: type[R]) -> Callable[[Verb[R]], Callable[..., Answer]]:
    """A method that takes the arguments of `model`, checks them as such, and shows them as its signature."""
    VERBS[model.verb] = model

    def made(method: Verb[R]) -> Callable[..., Answer]:
        @functools.wraps(method)
        def call(self: MemStore, /, *args: Any, **arguments: Any) -> Answer:
            names = list(model.model_fields)
            if len(args) > len(names) or set(names[: len(args)]) & set(arguments):
                raise InvalidInput(f"{model.verb} was given too many arguments")
            answer = method(self, model.parse({**dict(zip(names, args, strict=False)), **arguments}))
            self._embed_behind()
            return answer

        call.__signature__ = _signature(model)  # type: ignore[attr-defined]
        return call

    return made


def _signature(model: type[Request]) -> inspect.Signature:
    own = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for name, field in model.model_fields.items():
        default = inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True)
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        own.append(inspect.Parameter(name, kind, default=default, annotation=field.annotation))
    return inspect.Signature(own, return_annotation=Answer)


def _reader(principal: Principal | None, author: Author, scope: str) -> Caller:
    """Who reads the copy of a log: a person. What an agent is shown has to be put on record, and here it cannot be."""
    if principal is None or principal.role is not Role.HUMAN or scope not in principal.scopes:
        raise Denied(
            "A copy of a log is read by people alone: nothing can be put on record in it",
            code="read_only_copy",
            next_call="Name a person of this store that has the scope, or use the store itself.",
        )
    return Caller(author, principal, scope)


class MemStore:
    """A store as one principal uses it from one context. Close it, or use it in a `with` block."""

    def __init__(
        self,
        store: Store,
        key: StoreKey,
        signer: Signatory,
        *,
        embedding: Embedding,
        index: VectorIndex,
        scope: str = "",
        launch_of: LaunchOf,
        lockdown: bool = False,
        drainer: Drainer | None = None,
        lease_seconds: int = HANDOFF_LEASE_SECONDS,
    ) -> None:
        """`launch_of` names the context in a scope; `scope` "" is the principal's first; `lockdown` opens nothing.

        `drainer` embeds what waits, on its thread; without one, `embedding.drain` is the caller's to call. Store, index
        and drainer are closed with this; who shares them among several does not close those.
        `lease_seconds` is how long a handoff that was accepted is held without a heartbeat.
        """
        self._lockdown = lockdown
        self._lease_seconds = lease_seconds
        self._store = store
        self._key = key
        self._signer = signer
        self._launch_of = launch_of
        self.embedding = embedding
        self._index = index
        self._drainer = drainer
        with store.read() as unit:
            principal = unit.view.principal(signer.name)
            self._epoch = unit.log.head().epoch
        scopes = principal.scopes if principal else ()
        self.scope = scope or next(iter(scopes), "")
        self._caller()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._drainer is not None:
            self._drainer.close()
        self._index.close()
        self._store.close()

    @property
    def name(self) -> str:
        return self._signer.name

    @property
    def launch(self) -> str:
        """The context that this caller acts in, if it may act now."""
        return self._caller().launch

    def _caller(self, scope: str = "") -> Caller:
        with self._store.read() as unit:
            return self._caller_in(unit, scope or self.scope)

    def _caller_in(self, unit: Unit, scope: str) -> Caller:
        """The caller as the log says now: registered, with a key that stands, in a scope of its own (T9, T13)."""
        principal = unit.view.principal(self._signer.name)
        key = unit.registry.key(self._signer.keyid)
        head = unit.log.head()
        launch = launch_at(self._launch_of(unit, scope), self._epoch)
        granted = acts_by_grant(launch, self._signer.name, scope, unit.view, unit.now)
        if head.epoch != self._epoch:
            raise restored_since()
        if head.copied:
            return _reader(principal, Author(self._signer, launch), scope)
        if principal is None or key is None or key.principal != principal.name:
            raise Denied("The caller is not registered in this store", code="unknown_principal")
        if key.retired is not None or not key.stands_at(head.size):
            raise Denied(
                "The caller's key does not stand",
                code="key_revoked",
                next_call="Have the operator rekey this principal.",
            )
        if scope not in principal.scopes:
            raise Denied("There is no such scope for this principal", code="unknown_scope")
        if not granted:
            raise Denied(
                "The grant of this context does not stand",
                next_call="A person, the operator or a lead above gives another: memstore agent grant NAME.",
            )
        return Caller(Author(self._signer, launch), principal, scope)

    @verb(WriteRequest)
    def write(self, request: WriteRequest) -> Answer:
        """Store a record in your own words: {id, status, label, because[], seq, note}."""
        return recording.write(self._store, self._key, self._renewed(), request)

    @verb(ObserveRequest)
    def observe(self, request: ObserveRequest) -> Answer:
        """Store what a tool or the outside said: {id, kind, status, label, because[], expires_at, mark, note}."""
        return recording.observe(self._store, self._key, self._renewed(), request)

    def write_for(self, task: str, **arguments: Any) -> Answer:
        """`write` for a named task where no session says it: for imports and the command line."""
        request = WriteRequest.parse(arguments)
        answer = recording.write(self._store, self._key, self._renewed(), request, task=task)
        self._embed_behind()
        return answer

    def observe_for(self, task: str, **arguments: Any) -> Answer:
        """`observe` for a named task where no session says it."""
        request = ObserveRequest.parse(arguments)
        answer = recording.observe(self._store, self._key, self._renewed(), request, task=task)
        self._embed_behind()
        return answer

    def import_lines(self, lines: Iterable[Line], progress: Progress = silent) -> Answer:
        """Store many records, a few hundred to a transaction: {stored, duplicate, skipped[], note}."""
        answer = importing.import_lines(self._store, self._key, self._renewed(), lines, progress=progress)
        self._embed_behind()
        return answer

    @verb(SearchRequest)
    def search(self, request: SearchRequest) -> Answer:
        """What stands for a query: {trusted, attributed, quarantined, mark, note} (DESIGN 3.4)."""
        caller, question = self._renewed(), self.embedding.question(request.query)
        return query.search(self._store, self._key, caller, request, question=question, index=self._index)

    @verb(GetRequest)
    def get(self, request: GetRequest) -> Answer:
        """Records by id or `key:NAME`: {records[], quarantined[], missing[], mark}."""
        return reading.get(self._store, self._key, self._renewed(), request)

    @verb(OpenRequest)
    def open(self, request: OpenRequest) -> Answer:
        """Quarantined bodies, datamarked: {entries[], warning, mark}; lowers the mark."""
        self._refuse_locked(True)
        return reading.open_refs(self._store, self._key, self._renewed(), request)

    @verb(ReviewRequest)
    def review(self, request: ReviewRequest) -> Answer:
        """Endorse or dispute records that this context was shown whole: {results[], mark, note}."""
        caller = self._renewed()
        if caller.name == TYPED and request.verdict == "endorse":
            raise Denied(
                "The checker `typed` endorses by contract only",
                next_call="memstore review --checker typed --contract FILE",
            )
        return reviewing.review(self._store, self._key, caller, request)

    @verb(RetractRequest)
    def retract(self, request: RetractRequest) -> Answer:
        """Withdraw a record for good: {id, status, affected[], note}."""
        return reviewing.retract(self._store, self._key, self._renewed(), request)

    @verb(HistoryRequest)
    def history(self, request: HistoryRequest) -> Answer:
        """What happened, oldest first: {events[], next_cursor}."""
        return history.history(self._store, self._renewed(), request)

    def delta(self, start: str, end: str, *, max_tokens: int = delta.MOST_TOKENS) -> Answer:
        """What came, fell and changed between two positions, times or handoffs: {since, until, events[], count}."""
        return delta.delta(self._store, self._renewed(), start, end, max_tokens=max_tokens)

    @verb(SessionStartRequest)
    def session_start(self, request: SessionStartRequest) -> Answer:
        """Start a session on a task: {session, expires_at, mark, brief, note}."""
        self._move_to(request.scope)
        return sessions.start(self._store, self._key, self._caller(), request, lease_seconds=self._lease_seconds)

    @verb(SessionEndRequest)
    def session_end(self, request: SessionEndRequest) -> Answer:
        """End a session; its hypotheses expire: {expired[], kept[], problems[], note}."""
        return sessions.end(self._store, self._key, self._renewed(), request)

    @verb(HandoffOfferRequest)
    def handoff_offer(self, request: HandoffOfferRequest) -> Answer:
        """Offer work to a principal or a capability: {handoff, state, problems[], hop, receiver, note}."""
        return offering.offer(self._store, self._key, self._renewed(), request)

    @verb(HandoffInboxRequest)
    def handoff_inbox(self, request: HandoffInboxRequest) -> Answer:
        """Handoffs of one box: {items[], next_cursor}; waits up to `wait_seconds` for the first where there is none."""
        caller = self._renewed()
        until = time.monotonic() + request.wait_seconds
        while True:
            seen, looked = self.changes(), time.monotonic()
            answer = inbox.inbox(self._store, caller, request)
            if answer["items"] or time.monotonic() >= until:
                return answer
            while self.changes() == seen and time.monotonic() < min(until, looked + LOOK_ANYWAY):
                time.sleep(LOOK_EVERY)

    @verb(HandoffReceiveRequest)
    def handoff_receive(self, request: HandoffReceiveRequest) -> Answer:
        """The verdict on a handoff, and a receipt: {valid, problems[], delta, outputs, receipt, posture, mark, …}."""
        return receiving.receive(self._store, self._key, self._renewed(), request)

    @verb(HandoffRespondRequest)
    def handoff_respond(self, request: HandoffRespondRequest) -> Answer:
        """Answer for a handoff: {handoff, state, lease, expires_at, note}."""
        caller = self._renewed()
        return handoffs.respond(self._store, self._key, caller, request, lease_seconds=self._lease_seconds)

    def handoff_item(self, handoff: str) -> Answer:
        """A handoff in closed values and what was done about it, as `memstore://handoff/{id}` gives it."""
        return gates.handoff_item(self._store, self._caller(), handoff)

    def handoff_show(self, handoff: str, max_tokens: int = 8000) -> Answer:
        """A handoff for people: {summary[], decide, acts[], payload, …}."""
        return gates.show(self._store, self._key, self._renewed(), handoff, max_tokens=max_tokens)

    def handoff_decide(self, handoff: str, *, approved: bool) -> Answer:
        """Decide at a gate, as a person, from the command line: no verb, so that no tool leads here."""
        return gates.decide(self._store, self._key, self._caller(), handoff, approved=approved)

    def handoff_bundle(self, handoff: str) -> Answer:
        """What both sides signed, with proofs, to be verified offline (`memstore.bundles.verify_bundle`)."""
        caller = self._caller()
        gates.handoff_item(self._store, caller, handoff)  # whether it is the caller's to see
        return bundling.handoff_bundle(self._store, self._key, caller, handoff)

    def export_bundle(self, record: str, *, content: bool = True, quarantined: bool = False) -> Answer:
        """A record with what it stands on, to be verified offline (`memstore.bundles.verify_bundle`)."""
        self._refuse_locked(quarantined)
        caller = self._renewed()
        return bundling.record_bundle(self._store, self._key, caller, record, content=content, quarantined=quarantined)

    def export_prov(self, *, task: str = "", record: str = "", depth: int = 2) -> Answer:
        """A task, or what is around a record, as W3C PROV-JSON."""
        request = ExportRequest.parse({"task": task, "record": record, "depth": depth})
        return prov.export_prov(self._store, self._renewed(), request)

    def export_intoto(self, *, task: str = "", record: str = "", depth: int = 0) -> Answer:
        """in-toto attestations of records, in DSSE envelopes: {attestations[], complete}."""
        request = ExportRequest.parse({"task": task, "record": record, "depth": depth})
        return attestations.export_intoto(self._store, self._key, self._renewed(), request)

    def export_report(self, task: str, *, min_trust: str = "auto") -> Answer:
        """A task as a page of Markdown, for a post-mortem: {markdown, complete, mark}."""
        request = ExportRequest.parse({"task": task, "min_trust": min_trust})
        return report.export_report(self._store, self._renewed(), request)

    def changes(self) -> int:
        """A number that is another once anything was written to the store, by whichever process."""
        return self._store.changes()

    def check_typed(self, ids: list[str], contract: dict[str, Any]) -> Answer:
        """As the checker `typed`: endorse what holds nothing but data of a contract of closed types."""
        return checking.check_typed(self._store, self._key, self._renewed(), ids, contract)

    def queue(self) -> Answer:
        """What waits for a reviewer in this scope, and what each would raise: {waiting[], count, note}."""
        return queue.queue(self._store, self._caller().scope)

    def grant(self, name: str, **bounds: Any) -> dict[str, Any]:
        """Give `name` one fresh context, bounded by `scopes`, `ceiling`, `ttl_seconds` and `depth` (T3)."""
        return grants.give(self._store, self._key, self._caller().author, name, **bounds)

    def revoke(self, grant: str) -> dict[str, Any]:
        """Revoke a grant, and all that were given under it."""
        return grants.revoke(self._store, self._key, self._caller().author, grant)

    def brief(self, session: str, max_tokens: int = 1500) -> Answer:
        """The brief of a session of this scope, as the resource `memstore://session/{id}/brief` gives it."""
        return briefs.brief_again(self._store, self._caller(), session, max_tokens)

    def renew(self) -> float:
        """Extend the leases of the current session and of the handoffs that this context holds.

        What a server does while its client is there (3.6). Gives the seconds after which to do it again: a third of
        a handoff's lease.
        """
        handoffs.renew_held(self._store, self._renewed(), lease_seconds=self._lease_seconds)
        return min(RENEW_SECONDS, self._lease_seconds / 3)

    def agents(self) -> list[dict[str, Any]]:
        """The principals that share this caller's scope: names, roles, whom they are under, what they can and take."""
        return contracts.takers(self._store, self._caller().scope)

    def _refuse_locked(self, opens: bool) -> None:
        if self._lockdown and opens:
            raise Denied(
                "Nothing is opened here: this server runs locked down",
                code="lockdown",
                next_call="Fetch afresh what you need, or ask a person to look at it.",
            )

    def _embed_behind(self) -> None:
        """Have what waits for vectors embedded, by a thread of its own, where that was asked for."""
        if self._drainer is not None:
            self._drainer.wake()

    def _move_to(self, scope: str) -> None:
        """Take another scope, which only a context that did nothing yet may: a launch is one context (T3)."""
        if not scope or scope == self.scope:
            return
        caller = self._caller(scope)
        with self._store.read() as unit:
            context = unit.view.context(caller.launch)
        if context is not None and context.scope != scope:
            raise Conflict(
                "This context belongs to another scope already",
                code="scope_fixed",
                next_call="Leave scope out, or start another server for that scope.",
            )
        self.scope = scope

    def _renewed(self) -> Caller:
        """The caller, its session's lease extended where a part of it has run."""
        with self._store.read() as unit:
            caller = self._caller_in(unit, self.scope)
            due = sessions.due(unit, caller)
        if due:
            sessions.renew(self._store, due)
        return caller
