"""What came, fell and changed between two moments: positions, times or handoffs (DESIGN 7, `history --delta`).

Both ends are inclusive: how things stood as of the first is compared with how they stood as of the second. Closed
values, and a title where reading it lowers nothing.
"""

from __future__ import annotations

from typing import Any

from memstore.answers import Page
from memstore.core.contexts import Extent
from memstore.core.labels import Status
from memstore.core.state import RecordState
from memstore.errors import InvalidInput, NotFound
from memstore.looking_back import Back, look_back
from memstore.ports import Store, Unit
from memstore.render import Answer, Budget, timestamp
from memstore.serving import Caller, Served, disclosed, look_up, mark_label, readable

MOST = 500
MOST_TOKENS = 8000


def delta(store: Store, caller: Caller, start: str, end: str, *, max_tokens: int = MOST_TOKENS) -> Answer:
    """{since, until, events[], count, note}: each record that stands otherwise at `end` than it did at `start`."""

    def look(unit: Unit) -> tuple[Answer, Page]:
        page = Page(Budget(max_tokens - 120))
        first, last = _moment(unit, caller, start), _moment(unit, caller, end)
        if last.before < first.before:
            raise InvalidInput(
                "The second moment is before the first", code="out_of_range", next_call="Give A..B, the earlier first."
            )
        positions = unit.past.changed(
            caller.scope,
            after=first.before - 1,
            before=last.before,
            since=first.now,
            until=last.now,
            most=MOST + 1,
        )
        found = [told for seq in positions[:MOST] if (told := _told(unit, caller, seq, first, last))]
        # The higher tiers take their room first (T10); it is told in the order of the log.
        events = []
        for event, titled in found:
            if page.budget.take(event):
                events.append(event)
                if titled is not None:
                    page.show(titled, Extent.CONCISE)
        events.sort(key=lambda event: event["seq"])
        cut = len(positions) > MOST or len(events) < len(found)
        answer = {
            "since": {"seq": first.before - 1, "at": timestamp(first.now)},
            "until": {"seq": last.before - 1, "at": timestamp(last.now)},
            "events": events,
            "count": len(found),
            "note": "There is more; take moments nearer to each other." if cut else "",
        }
        return Answer(answer, page.lowest), page

    answer, mark = disclosed(store, caller, look)
    return Answer({**answer, "mark": mark_label(caller, mark)}, answer.lowest)


def _moment(unit: Unit, caller: Caller, text: str) -> Back:
    if text.startswith("h-"):
        handoff = unit.view.handoff(text)
        if handoff is None or handoff.scope != caller.scope:
            raise NotFound("There is no handoff of this id", code="unknown_id", next_call="handoff_inbox lists them.")
        return Back(handoff.seq + 1, handoff.logged_at)
    back = look_back(unit, text, "delta")
    return back or Back(unit.log.head().size, unit.now)


def _told(unit: Unit, caller: Caller, seq: int, first: Back, last: Back) -> tuple[dict[str, Any], Served | None] | None:
    """What became of one record between the two, and the record if its title is told; None if nothing shows."""
    record = unit.records.id_at(seq)
    was, now = _stood(unit, record, first), _stood(unit, record, last)
    event = _what(was, now)
    if now is None or not event:
        return None
    told: dict[str, Any] = {"seq": seq, "event": event, "id": record, "kind": str(now[0].kind), "author": now[0].author}
    if was is not None:
        told["was"] = {"label": str(was[0].label), "status": str(was[1])}
    told["now"] = {"label": str(now[0].label), "status": str(now[1])}
    served = look_up(unit.at(last.now), record, caller.scope, as_of=last.before)
    if served is None:
        return {**told, "erased": True}, None
    if served.reasons or served.fell_since or served.label < readable(unit, caller):
        return told, None
    return {**told, "title": served.title}, served


def _stood(unit: Unit, record: str, back: Back) -> tuple[RecordState, Status] | None:
    state = unit.at(back.now).view.record(record)
    if state is None or state.seq >= back.before:
        return None
    then = unit.past.standing(state, back.before)
    return then, then.status(back.now)


def _what(was: tuple[RecordState, Status] | None, now: tuple[RecordState, Status] | None) -> str:
    if now is None:
        return ""
    if was is None:
        return "came" if now[1] is Status.IN_FORCE else "came_and_fell"
    if was[1] is not now[1]:
        return "returned" if now[1] is Status.IN_FORCE else "fell" if was[1] is Status.IN_FORCE else "status_changed"
    if was[0].label is not now[0].label:
        return "raised" if now[0].label > was[0].label else "lowered"
    return "flagged" if now[0].needs_revisit and not was[0].needs_revisit else ""
