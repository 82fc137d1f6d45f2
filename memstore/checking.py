"""The built-in checker `typed`: it endorses what holds nothing but data of a contract of closed types (T6).

Such data can carry no words of the outside, so it is admitted as far as `attributed` without anybody reading it. The
operator registers it like any checker, by the name `typed`, and says which contract holds.
"""

from __future__ import annotations

from typing import Any

from memstore.answers import Page
from memstore.core.closed import holds_only_data, refuse_open
from memstore.core.contexts import Extent
from memstore.core.policy import TYPED
from memstore.errors import Denied
from memstore.ports import Store, Unit
from memstore.render import Answer, Budget
from memstore.requests import ReviewRequest
from memstore.reviewing import review
from memstore.serving import Caller, Served, disclosed, look_up
from memstore.signing import StoreKey


def check_typed(store: Store, key: StoreKey, caller: Caller, ids: list[str], contract: dict[str, Any]) -> Answer:
    """Endorse those of `ids` that are data of the contract alone; the others are refused as `not_of_contract`."""
    refuse_open(contract)
    if caller.name != TYPED:
        raise Denied("Only the checker `typed` checks by contract", next_call="Register it: agent add typed.")
    request = ReviewRequest.parse({"ids": ids, "verdict": "endorse", "method": "tested"})

    def look(unit: Unit) -> tuple[list[Served], Page]:
        page = Page(Budget(0))
        found = [look_up(unit, record, caller.scope) for record in dict.fromkeys(request.ids)]
        good = [one for one in found if one is not None and one.statement is not None]
        valid = [one for one in good if holds_only_data(one.content, contract) and not one.state.task]
        for one in valid:
            page.show(one, Extent.FULL)
        return valid, page

    valid, _ = disclosed(store, caller, look)
    passed = [one.id for one in valid]
    others = [record for record in dict.fromkeys(request.ids) if record not in passed]
    answer = (
        review(store, key, caller, ReviewRequest.parse({**request.model_dump(), "ids": passed})) if passed else None
    )
    results = list(answer["results"]) if answer else []
    results += [{"id": record, "label": "", "needs": [], "refused": "not_of_contract"} for record in others]
    return Answer({"results": results, "mark": "trusted", "note": answer["note"] if answer else ""})
