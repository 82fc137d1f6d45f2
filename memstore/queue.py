"""What waits for a reviewer: records that nobody who could raise them has judged, and what each would raise (T6).

What an endorsement would raise is not estimated: it is carried out and taken back, one record at a time.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from memstore.core.labels import Label
from memstore.core.policy import Carry
from memstore.core.reviews import PutReview
from memstore.core.state import RecordState
from memstore.core.statements import Stance
from memstore.ports import Store, Unit
from memstore.relabel import carry_out
from memstore.render import Answer, timestamp
from memstore.reviewing import needs

MOST_WAITING = 50
MOST_COUNTED = 1_000_000
NOBODY = "-"  # no principal has this name, so a trial replaces nobody's review


def queue(store: Store, scope: str, most: int = MOST_WAITING) -> Answer:
    """What waits in a scope, that first which would raise most: {waiting[], count, note}."""
    with store.write() as unit:
        waiting = unit.reviews.waiting(scope, MOST_COUNTED)
        items = [_item(unit, record) for record in waiting[:most]]
    items.sort(key=lambda item: (-item["raises"], item["logged_at"]))
    note = "" if len(waiting) <= most else f"The newest {most} of {len(waiting)} are shown."
    return Answer({"waiting": items, "count": len(waiting), "note": note})


def _item(unit: Unit, record: str) -> dict[str, Any]:
    state = unit.view.record(record)
    if state is None:
        return {}
    return {
        "id": state.id,
        "kind": str(state.kind),
        "author": state.author,
        "label": str(state.label),
        "status": str(state.status(unit.now)),
        "admitted": state.admitted,
        "logged_at": timestamp(state.logged_at),
        "needs": needs(unit, state),
        "raises": _raised_by(unit, state),
    }


class _Undone(Exception):
    """Ends a trial: everything in it is taken back."""


def _raised_by(unit: Unit, state: RecordState) -> int:
    """How many records a person's endorsement of this one would raise, itself among them."""
    raised = 0
    with suppress(_Undone), unit.attempt():
        size = unit.log.head().size
        review = PutReview(
            seq=size,
            record=state.id,
            author=NOBODY,
            launch=NOBODY,
            stance=Stance.ENDORSE,
            carry=Carry.PERSON,
            shown=0,
            label=Label.TRUSTED,
        )
        raised = len(carry_out(unit, [review], None))
        raise _Undone
    return raised
