"""What happened, and why: the views of `memory_history` (DESIGN 7).

The timeline is here: records, reviews, retractions, handoffs, starts and ends of sessions, across agents, and the gaps
between them. The other views are `memstore.disclosing`, `memstore.explaining` and `memstore.causes`. Events are closed
values; a title stands beside one only where reading it lowers nothing, and what is shown is put on record first.
"""

from __future__ import annotations

from typing import Any, assert_never

from memstore.answers import Page
from memstore.causes import causes
from memstore.core.contexts import Extent
from memstore.core.epochs import epoch_of
from memstore.core.labels import Label
from memstore.core.trust import END_OF_LOG
from memstore.cursors import decode_cursor, encode_cursor
from memstore.disclosing import disclosures
from memstore.errors import InvalidInput
from memstore.events import event_at
from memstore.explaining import why
from memstore.looking_back import Back, look_back
from memstore.moments import Instant, Position, parse_moment
from memstore.ports import Store, Unit
from memstore.render import Answer, Budget, timestamp
from memstore.requests import HistoryRequest
from memstore.serving import Caller, disclosed, known_session, mark_label, named

SILENCE = 3600 * 1_000_000  # microseconds without an event of the kind asked for that are a gap
MOST_GAPS = 200


def history(store: Store, caller: Caller, request: HistoryRequest) -> Answer:
    """One view of what happened, in pages."""
    told = {**request.model_dump(exclude={"cursor", "max_tokens", "limit"}), "epoch": epoch_of(caller.launch)}

    def look(unit: Unit) -> tuple[Answer, Page]:
        page = Page(Budget(request.max_tokens - 40))
        back = look_back(unit, request.as_of)
        match request.view:
            case "timeline" | "disclosures":
                answer = _listed(unit, caller, request, page, back, told)
            case "why":
                answer = why(unit if back is None else unit.at(back.now), caller, request, page, back)
            case "blame" | "impact":
                answer = causes(unit if back is None else unit.at(back.now), caller, request, page, back)
            case _:
                assert_never(request.view)
        return Answer(answer, page.lowest), page

    answer, mark = disclosed(store, caller, look)
    answer["mark"] = mark_label(caller, mark)
    return answer


def _listed(
    unit: Unit, caller: Caller, request: HistoryRequest, page: Page, back: Back | None, told: object
) -> dict[str, Any]:
    after, before = _bounds(unit, request, back)
    if request.cursor:
        after = max(after, _position(request.cursor, told))
    if request.view == "disclosures":
        events, last = disclosures(unit, caller, request, page, after, back)
    else:
        events, last = _events(unit, caller, request, page, after, before, back)
    next_cursor = encode_cursor(told, "timeline", [last.to_bytes(5, "big")]) if last is not None else ""
    return {"events": events, "next_cursor": next_cursor}


def _position(text: str, told: object) -> int:
    cursor = decode_cursor(text, told, ["timeline"])
    if len(cursor.served) != 1:
        raise InvalidInput("The cursor is not of this query", code="bad_cursor", next_call="Leave cursor out.")
    return int.from_bytes(next(iter(cursor.served)), "big")


def _bounds(unit: Unit, request: HistoryRequest, back: Back | None) -> tuple[int, int]:
    """(exclusive, exclusive) log positions that the events lie between."""
    after, before = -1, back.before if back else END_OF_LOG
    match parse_moment(request.since, "since"):
        case Position(seq):
            after = seq
        case Instant(micros):
            after = unit.log.size_at(micros - 1) - 1
    match parse_moment(request.until, "until"):
        case Position(seq):
            before = min(before, seq + 1)
        case Instant(micros):
            before = min(before, unit.log.size_at(micros))
    return after, before


def _events(
    unit: Unit, caller: Caller, request: HistoryRequest, page: Page, after: int, before: int, back: Back | None
) -> tuple[list[dict[str, Any]], int | None]:
    record = named(unit, caller, request.id, back.before if back else END_OF_LOG).id if request.id else ""
    if request.of_session:
        known_session(unit, caller, request.of_session)
    positions = unit.retrieval.timeline(
        caller.scope,
        task=request.task,
        session=request.of_session,
        record=record,
        after=after,
        before=before,
        most=request.limit + 1,
    )
    last = after if request.cursor else -1
    gaps = None if record else _Gaps(unit, caller, request, last=last, before=before)
    moment = unit if back is None else unit.at(back.now)
    events: list[dict[str, Any]] = []
    for shown, seq in enumerate(positions):
        event, served, told = event_at(moment, caller, seq, as_of=back.before if back else None)
        if shown == request.limit or (events and not page.budget.take(event)):
            return events, int(events[-1]["seq"])
        if not events and not page.budget.take(event):
            # One event a page at least, or a walk would end here.
            event = {name: event[name] for name in ("seq", "event", "id") if name in event}
            served, told = None, Label.TRUSTED
        if gaps is not None and "at" in event:
            events += [gap for gap in gaps.up_to(event) if page.budget.take(gap)]
        if served is not None:
            page.show(served, Extent.CONCISE)
        page.tell(told)
        events.append(event)
    if gaps is not None:
        events += [gap for gap in gaps.at_the_end() if page.budget.take(gap)]
    return events, None


class _Gaps:
    """Where something is missing between events: a lease that ran out, or a silence of an hour or more.

    A gap stands at the position of the event before it. That an entry of a chain is missing is no gap but damage, which
    `memstore log verify` finds.
    """

    def __init__(self, unit: Unit, caller: Caller, request: HistoryRequest, *, last: int, before: int) -> None:
        """`last` is the position of the event that the page before ended with, -1 on the first page."""
        self._unit = unit
        self._ask = {"task": request.task, "session": request.of_session}
        self._scope = caller.scope
        end = unit.log.entry(min(before, unit.log.head().size) - 1) if request.until or request.as_of else None
        self._until = end.entry.logged_at if end else unit.now
        self._seq = last
        self._at: int | None = None
        self._lapsed: list[tuple[int, str, str]] = []
        if (before_this := unit.log.entry(last)) is not None:
            self._begin(before_this.entry.logged_at)

    def _begin(self, at: int) -> None:
        self._at = at
        found = self._unit.past.lapsed(self._scope, **self._ask, since=at, until=self._until, most=MOST_GAPS)
        self._lapsed = found[::-1]

    def up_to(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """The gaps between the event before and this one."""
        when = parse_moment(event["at"], "at")
        at = when.micros if isinstance(when, Instant) else 0
        gaps: list[dict[str, Any]] = []
        if self._at is None:
            self._begin(at)
        else:
            gaps = self._ran_out(at)
            if at - self._at >= SILENCE:
                gaps.append(self._gap("silence", self._at, seconds=(at - self._at) // 1_000_000))
        self._at, self._seq = at, event["seq"]
        return gaps

    def at_the_end(self) -> list[dict[str, Any]]:
        return self._ran_out(self._until)

    def _ran_out(self, at: int) -> list[dict[str, Any]]:
        gaps = []
        while self._lapsed and self._lapsed[-1][0] <= at:
            when, one, whose = self._lapsed.pop()
            gaps.append(self._gap("lease_lapsed", when, id=one, author=whose))
        return gaps

    def _gap(self, reason: str, at: int, **more: Any) -> dict[str, Any]:
        return {"seq": self._seq, "at": timestamp(at), "event": "gap", "reason": reason, **more}
