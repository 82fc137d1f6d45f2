"""Retention: what tools and the outside said long ago loses its content, by erasures that the operator signs.

It is run by whoever keeps the store, as often as that is wanted (ADR 0052). Statements, labels and lineage stay, and
the log still verifies. What a record that stands names as its source, evidence or condition, and what an open handoff
carries, stays unless that is asked for.
"""

from __future__ import annotations

from typing import Any

from memstore.admin import House
from memstore.core.statements import Erased
from memstore.log import Progress, silent
from memstore.quotas import DAY
from memstore.write import append

AT_ONCE = 500  # erasures in one transaction: others write between two


def run(
    house: House, *, days: int, cited: bool = False, dry_run: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """Erase what expired or came from outside more than `days` ago: {erased, bytes, kept, cleared, …}."""
    with house.store.read() as unit:
        before = unit.now - days * DAY
        found = unit.quotas.droppable(before, cited=cited, most=-1)
        kept = unit.quotas.count_old(before) - len(found)
    told: dict[str, Any] = {"days": days, "kept_for_citations": kept}
    if dry_run:
        size = sum(size for _, _, size in found)
        return {"would_erase": len(found), "bytes": size, **told, "ids": [record for record, _, _ in found[:50]]}
    erased = size = 0
    operator = house.operator() if found else None
    while operator is not None:
        with house.store.write() as unit:
            # Looked for anew: meanwhile something may have come to rest on one of them.
            batch = unit.quotas.droppable(before, cited=cited, most=AT_ONCE)
            for record, _, length in batch:
                append(unit, house.key, operator, Erased, {"record": record})
                size += length
        erased += len(batch)
        progress(erased, max(len(found), erased))
        if len(batch) < AT_ONCE:
            break
    house.store.forget_copies()
    gone = house.store.empty_write_ahead_log()
    note = "" if gone else "Another process still reads an older state; run it again to clear the write-ahead log."
    return {"erased": erased, "bytes": size, **told, "cleared": gone, "note": note}
