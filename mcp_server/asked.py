"""What a bridge checks before it signs: that a statement says what its agent asked for, and nothing else (ADR 0045).

Each verb has a list of statements that it may come to, in order. A statement is not searched for what is wrong with it:
the one that the call's arguments amount to is built here, and the two have to be equal in every field. Only closed
values that no argument could say (a position, a lease, what a server found) are taken from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from memstore.core.policy import Tool
from memstore.core.records import Content, ids_among, origin_of
from memstore.core.statements import (
    Kind,
    Method,
    Origin,
    Outcome,
    Recorded,
    Retracted,
    Reviewed,
    SessionEnded,
    SessionStarted,
    Stance,
    Statement,
    Verification,
    Withdrawal,
)
from memstore.errors import IntegrityError, MemStoreError
from memstore.moments import Instant, parse_moment
from memstore.recording import content_of
from memstore.render import snippet
from memstore.requests import (
    ObserveRequest,
    RetractRequest,
    ReviewRequest,
    SessionEndRequest,
    SessionStartRequest,
    WriteRequest,
)
from memstore.sessions import LEASE_SECONDS, MICROS

S = TypeVar("S", bound=Statement)
SKEW_SECONDS = 600  # between the clocks of a bridge and its server, at most


class Unasked(IntegrityError):
    """The server asked for a signature under something that was not asked for."""

    code = "unasked"
    state = "Nothing of it was signed."
    next_call = "Do not go on with this server before a person has looked at it."


@dataclass(frozen=True, slots=True)
class Item:
    """A statement that is to be signed, with the content that it commits to ("" where it has none), and its id."""

    statement: Statement
    content: bytes
    id: str


@dataclass(frozen=True, slots=True)
class Proven:
    """A statement that its own id vouches for, and its content where that was shown."""

    statement: Statement
    content: Content


@dataclass(frozen=True, slots=True)
class Ground:
    """What a bridge knows for itself: who signs, where, and which sessions of this launch run, by their ids.

    `proven` has what the server showed of statements that are named, by ids that hash to them.
    """

    name: str
    launch: str
    scope: str
    asserted_at: int
    running: Mapping[str, SessionStarted]
    proven: Mapping[str, Proven]

    def shown(self, one: str, kind: type[S]) -> tuple[S, Content]:
        """The statement of this id; raises `Unasked` where it was not shown or is of another kind."""
        found = self.proven.get(one)
        if found is None or not isinstance(found.statement, kind):
            raise Unasked
        return found.statement, found.content

    def own(self, one: str, kind: type[S]) -> tuple[S, Content]:
        """The same, where it is by the agent itself."""
        found = self.shown(one, kind)
        if found[0].author != self.name:
            raise Unasked
        return found


class Queue:
    """The statements of one transaction, taken in their order."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = list(items)

    def next_is(self, kind: type[Statement]) -> bool:
        return bool(self._items) and isinstance(self._items[0].statement, kind)

    def peek(self) -> Item:
        if not self._items:
            raise Unasked
        return self._items[0]

    def take(self, kind: type[S]) -> tuple[S, Item]:
        item = self.peek()
        if not isinstance(item.statement, kind):
            raise Unasked
        del self._items[0]
        return item.statement, item

    def last(self, kind: type[S]) -> S:
        """The last statement of this kind, which stays where it is."""
        found = [item.statement for item in self._items if isinstance(item.statement, kind)]
        if not found:
            raise Unasked
        return found[-1]

    def end(self) -> None:
        if self._items:
            raise Unasked


def refuse_other(item: Item, kind: type[Statement], fields: Mapping[str, Any], content: bytes = b"") -> None:
    """Raise `Unasked` unless the statement is the one of this kind with just these fields, and this content."""
    own = ("store", "author", "launch", "n", "prev", "asserted_at", *(["content"] if kind is Recorded else []))
    try:
        expected = kind.build(**{name: getattr(item.statement, name) for name in own}, **fields)
    except MemStoreError:
        raise Unasked from None
    if expected != item.statement or item.content != content:
        raise Unasked


def same_id(asked: str, got: str) -> str:
    """The id that a statement has for what was asked for. A name (`key:…`) stands for what the server knows by it."""
    if asked == got or (asked.startswith("key:") and got.startswith("m-")):
        return got
    raise Unasked


def same_ids(asked: Sequence[str], got: Sequence[str]) -> list[str]:
    wanted = list(dict.fromkeys(asked))
    if len(wanted) != len(got):
        raise Unasked
    return [same_id(*pair) for pair in zip(wanted, got, strict=True)]


def session_of(ground: Ground, asked: str, got: str) -> tuple[str, str]:
    """(session, task) of what is written: the session that was named, or one that runs in this launch."""
    if asked:
        if got != asked:
            raise Unasked
        started = ground.running.get(got) or ground.own(got, SessionStarted)[0]
        return got, started.task
    if got:
        if got not in ground.running:
            raise Unasked
        return got, ground.running[got].task
    if any(not may_be_over(ground, one) for one in ground.running.values()):
        raise Unasked
    return "", ""


def may_be_over(ground: Ground, started: SessionStarted) -> bool:
    """Whether a session's lease may have run out, which it does not before as long as a lease after it began."""
    return started.asserted_at + LEASE_SECONDS * MICROS <= ground.asserted_at


def written(ground: Ground, item: Item, request: WriteRequest) -> None:
    """A record in the agent's own words."""
    got = item.statement
    if not isinstance(got, Recorded):
        raise Unasked
    session, task = session_of(ground, request.session, got.session)
    fields = {
        "kind": Kind(request.kind),
        "scope": ground.scope,
        "task": task,
        "session": session,
        "origin": Origin.AGENT,
        "verification": Verification(request.verification),
        "derived_from": same_ids(request.derived_from, got.derived_from),
        "evidence": same_ids(ids_among(request.evidence), got.evidence),
        "conditions": same_ids(ids_among(request.conditions), got.conditions),
        "supersedes": same_id(request.supersedes, got.supersedes),
        "answers": same_id(request.answers, got.answers),
    }
    refuse_other(item, Recorded, fields, content_of(request).to_bytes())


def _write(ground: Ground, request: WriteRequest, queue: Queue) -> None:
    if request.dry_run:
        raise Unasked
    _, item = queue.take(Recorded)
    written(ground, item, request)


def _observe(ground: Ground, request: ObserveRequest, queue: Queue) -> None:
    got, item = queue.take(Recorded)
    session, task = session_of(ground, request.session, got.session)
    origin, name = origin_of(request.source), request.source.removeprefix("tool:")
    is_tool = origin is Origin.TOOL
    # Which registration a tool falls under, and that it cuts its time, is the store's to say; never another tool's.
    if got.tool and not (is_tool and Tool(got.tool, open_world=False).covers(name)):
        raise Unasked
    if is_tool and not 1 <= got.ttl_seconds <= request.ttl_seconds:
        raise Unasked
    told = parse_moment(request.fetched_at, "fetched_at")
    # Where it was not said, it is now, or counted from when the store's clock had stepped back.
    is_now = told is None and 0 <= ground.asserted_at - got.fetched_at <= SKEW_SECONDS * MICROS
    if got.fetched_at != (told.micros if isinstance(told, Instant) else 0) and not is_now:
        raise Unasked
    fields = {
        "kind": Kind.TOOL_RESULT if is_tool else Kind.EXTERNAL,
        "scope": ground.scope,
        "task": task,
        "session": session,
        "origin": origin,
        "tool": got.tool,
        "ttl_seconds": got.ttl_seconds if is_tool else 0,
        "fetched_at": got.fetched_at,
    }
    refuse_other(item, Recorded, fields, content_of(request).to_bytes())


def _session_end(ground: Ground, request: SessionEndRequest, queue: Queue) -> None:
    keep = list(dict.fromkeys(request.keep))
    asked = [queue.take(Recorded) for _ in keep]
    summary = queue.take(Recorded) if request.summary.strip() else None
    ended, last = queue.take(SessionEnded)
    session, task = session_of(ground, request.session, ended.session)
    if not session:
        raise Unasked
    about = {"scope": ground.scope, "task": task, "session": session, "origin": Origin.AGENT}
    for hypothesis, (_, item) in zip(keep, asked, strict=True):
        guess, said = ground.own(hypothesis, Recorded)
        if guess.kind is not Kind.HYPOTHESIS:
            raise Unasked
        content = Content(title=said.title, body=said.body, tags=said.tags)
        refuse_other(item, Recorded, {**about, "kind": Kind.QUESTION, "derived_from": [hypothesis]}, content.to_bytes())
    if summary is not None:
        title = f"Summary of the session: {request.outcome}"
        content = Content(title=title, body=request.summary, tags=["session-summary"])
        refuse_other(summary[1], Recorded, {**about, "kind": Kind.FINDING}, content.to_bytes())
    refuse_other(last, SessionEnded, {"session": session, "outcome": Outcome(request.outcome), "kept": keep})


def session_started(ground: Ground, request: SessionStartRequest, queue: Queue) -> None:
    """The session, before it the ends of the agent's own that died, after it the goal as the task's intent."""
    if request.scope not in ("", ground.scope):
        raise Unasked
    while queue.next_is(SessionEnded):
        ended, item = queue.take(SessionEnded)
        started, _ = ground.own(ended.session, SessionStarted)
        if not may_be_over(ground, started):
            raise Unasked
        refuse_other(item, SessionEnded, {"session": ended.session, "outcome": Outcome.ABANDONED})
    _, started_as = queue.take(SessionStarted)
    refuse_other(started_as, SessionStarted, {"scope": ground.scope, "task": request.task})
    if request.goal.strip() and queue.next_is(Recorded):
        _, item = queue.take(Recorded)
        title = snippet(request.goal.strip().split("\n")[0])[:200]
        fields = {"kind": Kind.INTENT, "scope": ground.scope, "task": request.task, "session": started_as.id}
        content = Content(title=title, body=request.goal).to_bytes()
        refuse_other(item, Recorded, {**fields, "origin": Origin.AGENT}, content)


def _review(ground: Ground, request: ReviewRequest, queue: Queue) -> None:
    left = list(dict.fromkeys(request.ids))
    while queue.next_is(Reviewed):
        got, item = queue.take(Reviewed)
        while left and not _is_same(left[0], got.record):
            del left[0]  # the store refused that one, or has it already
        if not left:
            raise Unasked
        del left[0]
        said = {"verdict": Stance(request.verdict), "method": Method(request.method)}
        fields = {"record": got.record, **said, "evidence": same_ids(request.evidence, got.evidence)}
        refuse_other(item, Reviewed, fields)


def _is_same(asked: str, got: str) -> bool:
    try:
        return bool(same_id(asked, got))
    except Unasked:
        return False


def _retract(ground: Ground, request: RetractRequest, queue: Queue) -> None:
    if request.dry_run:
        raise Unasked
    if queue.next_is(Reviewed):  # what a retraction by somebody who may not retract amounts to (T7)
        dispute, item = queue.take(Reviewed)
        record = same_id(request.id, dispute.record)
        refuse_other(item, Reviewed, {"record": record, "verdict": Stance.DISPUTE})
        return
    got, item = queue.take(Retracted)
    fields = {"record": same_id(request.id, got.record), "reason": Withdrawal(request.reason)}
    refuse_other(item, Retracted, {**fields, "replacement": same_id(request.replacement, got.replacement)})


Check = Callable[[Ground, Any, Queue], None]

CHECKS: dict[str, Check] = {
    "write": _write,
    "observe": _observe,
    "session_end": _session_end,
    "review": _review,
    "retract": _retract,
}
