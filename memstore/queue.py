"""What waits for a reviewer: records that nobody who could raise them has judged, and what each would raise (T6).

The higher tier comes first, so that nothing from below keeps anything waiting (T10), and within it authors take turns.
What an endorsement would raise is not estimated: it is carried out and taken back, on a copy, so that no writer waits.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from memstore.core.labels import Label
from memstore.core.policy import Carry
from memstore.core.reviews import PutReview
from memstore.core.statements import Stance
from memstore.errors import InternalError
from memstore.ports import Store, Unit
from memstore.relabel import carry_out
from memstore.render import Answer, timestamp
from memstore.reviewing import needs

MOST_WAITING = 50
MOST_TRIED = 20  # what more than these would raise is not found out
NOT_TRIED = -1
MOST_COUNTED = 1_000_000
NOBODY = "-"  # no principal has this name, so a trial replaces nobody's review


def queue(store: Store, scope: str, most: int = MOST_WAITING) -> Answer:
    """What waits in a scope, of that which comes first those first that would raise most: {waiting[], count, note}."""
    with store.read() as unit:
        if not unit.reviews.waiting(scope, 1):
            return Answer({"waiting": [], "count": 0, "note": ""})
    with store.copy() as copied, copied.write() as unit:
        waiting = unit.reviews.waiting(scope, MOST_COUNTED)
        items = [_item(unit, record) for record in waiting[:most]]
        for item in items[:MOST_TRIED]:
            item["raises"] = _raised_by(unit, item["id"])
    items.sort(key=lambda item: -item["raises"])
    notes = []
    if len(waiting) > most:
        notes.append(f"{len(waiting) - most} more wait: of a lower label, or by authors of whom others are shown.")
    if len(items) > MOST_TRIED:
        notes.append(f"raises is {NOT_TRIED} where it was not tried: {MOST_TRIED} are.")
    return Answer({"waiting": items, "count": len(waiting), "note": " ".join(notes)})


def _item(unit: Unit, record: str) -> dict[str, Any]:
    state = unit.view.record(record)
    if state is None:
        raise InternalError("The store is not as it says it is", code="damaged", next_call="Run log verify.")
    return {
        "id": state.id,
        "kind": str(state.kind),
        "author": state.author,
        "label": str(state.label),
        "status": str(state.status(unit.now)),
        "admitted": state.admitted,
        "logged_at": timestamp(state.logged_at),
        "needs": needs(unit, state),
        "raises": NOT_TRIED,
    }


class _Undone(Exception):
    """Ends a trial: everything in it is taken back."""


def _raised_by(unit: Unit, record: str) -> int:
    """How many records a person's endorsement of this one would raise, itself among them."""
    raised = 0
    with suppress(_Undone), unit.attempt():
        size = unit.log.head().size
        review = PutReview(
            seq=size,
            record=record,
            author=NOBODY,
            launch=NOBODY,
            stance=Stance.ENDORSE,
            carry=Carry.PERSON,
            shown=0,
            label=Label.TRUSTED,
        )
        raised = len(carry_out(unit, [review], None, act=review.seq))
        raise _Undone
    return raised
