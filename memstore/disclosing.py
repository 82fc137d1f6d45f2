"""Who was shown what: the disclosures of a session's context, and the readers of a record (DESIGN 3.1, 7).

Closed values and ids alone, so that looking lowers nothing. What was withheld is told as far as the store knows it: the
records of the session's task that stand in quarantine and that its context was not shown, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from memstore.answers import Page
from memstore.core.contexts import Extent
from memstore.core.labels import Label
from memstore.core.state import RecordState
from memstore.core.trust import END_OF_LOG
from memstore.errors import InvalidInput
from memstore.looking_back import Back
from memstore.ports import Disclosed, Unit
from memstore.render import timestamp
from memstore.requests import HistoryRequest
from memstore.serving import Caller, known_session, named

MOST_LISTED = 1_000_000

# One event, once it is asked for; None where it turns out to be none.
Candidate = Callable[[], dict[str, Any] | None]


def disclosures(
    unit: Unit, caller: Caller, request: HistoryRequest, page: Page, after: int, back: Back | None
) -> tuple[list[dict[str, Any]], int | None]:
    """Events from number `after` on, as many as the page holds, and the number to go on from, if any are left."""
    # The number is that of the candidate, and only what a page may hold is looked at: a walk costs the same at its end.
    candidates = _withheld_and_shown(unit, caller, request, back)
    taken: list[dict[str, Any]] = []
    for number in range(after + 1, len(candidates)):
        event = candidates[number]()
        if event is None:
            continue
        if len(taken) == request.limit or (taken and not page.budget.take(event)):
            return taken, number - 1
        taken.append(event)
    return taken, None


def _withheld_and_shown(unit: Unit, caller: Caller, request: HistoryRequest, back: Back | None) -> list[Candidate]:
    """What the view is made of, in order, each yet to be looked at: what is not withheld comes to nothing."""
    if request.id:
        record = named(unit, caller, request.id, back.before if back else END_OF_LOG)
        return [partial(_event, one) for one in unit.reviews.readers(record.seq) if _was_by_then(one, back)]
    if not request.of_session:
        raise InvalidInput(
            "The view disclosures is of a record or of a session",
            code="missing_field",
            next_call="Pass id for who saw a record, or of_session for what its context was shown.",
        )
    session = known_session(unit, caller, request.of_session)
    shown = [one for one in unit.reviews.shown_in(session.launch) if _was_by_then(one, back)]
    told: list[Candidate] = [partial(_event, one) for one in shown]
    seen = {one.record for one in shown}
    found = unit.reviews.of_task(session.scope, session.task, MOST_LISTED)
    return told + [partial(_withheld, unit, record, back) for record in found if record not in seen]


def _was_by_then(shown: Disclosed, back: Back | None) -> bool:
    # What was shown after the entry that a position names, or after a time, has no entry of its own to tell it by.
    return back is None or (shown.position <= back.before and shown.at <= back.now)


def _event(shown: Disclosed) -> dict[str, Any]:
    """One disclosure: `label` and `stale` are as they were when it was shown, not as they are now."""
    return {
        "seq": shown.position,
        "at": timestamp(shown.at),
        "event": "shown",
        "id": shown.record,
        "author": shown.principal,
        "label": str(Label(shown.label)),
        "detail": "full" if shown.extent == Extent.FULL else "concise",
        "stale": shown.stale,
    }


def _withheld(unit: Unit, record: str, back: Back | None) -> dict[str, Any] | None:
    state = (unit if back is None else unit.at(back.now)).view.record(record)
    if state is not None and back is not None:
        state = unit.past.standing(state, back.before) if state.seq < back.before else None
    reasons = _reasons(state, back.now if back else unit.now) if state is not None else []
    if state is None or not reasons:
        return None
    return {
        "seq": state.seq,
        "at": timestamp(state.logged_at),
        "event": "withheld",
        "id": state.id,
        "author": state.author,
        "label": str(state.label),
        "reasons": reasons,
    }


def _reasons(state: RecordState, now: int) -> list[str]:
    """Why a record is not among what may be relied on, as far as its projection says."""
    labels = {Label.UNTRUSTED: ["external"], Label.TAINTED: ["tainted"]}
    status = str(state.status(now))
    return labels.get(state.label, []) + ([status] if status != "in_force" else [])
