"""Quotas: how much a principal may store in a day, and how many sessions it may have open (ADR 0052).

They bound what a runaway agent costs, and say nothing of trust: only a write is measured, never a replay. A day is the
24 hours before now; what was erased since counts no more.
"""

from __future__ import annotations

from memstore.core.policy import Principal
from memstore.core.statements import Recorded, SessionStarted, Statement
from memstore.errors import Denied
from memstore.ports import Unit
from memstore.quota_ports import Quota

EVERY_AGENT = "*"
DAY = 24 * 3600 * 1_000_000


def quota_of(unit: Unit, principal: Principal) -> Quota | None:
    """Its own quota, else that of every agent; people, checkers and the operator have none unless they are named."""
    own = unit.quotas.quotas(principal.name)
    if own or not principal.has_mark:
        return own[0] if own else None
    return next(iter(unit.quotas.quotas(EVERY_AGENT)), None)


def refuse_beyond_quota(unit: Unit, principal: Principal, statement: Statement, size: int) -> None:
    """Raise `Denied` with code `quota_exceeded` where storing this, of `size` bytes, would be more than is allowed."""
    if not isinstance(statement, Recorded | SessionStarted):
        return
    quota = quota_of(unit, principal)
    if quota is None:
        return
    if isinstance(statement, SessionStarted):
        if quota.open_sessions and unit.quotas.sessions_running(principal.name) >= quota.open_sessions:
            raise _exceeded(f"{quota.open_sessions} sessions are open, which is all that this principal may have",
                            "End one with session_end.")  # fmt: skip
        return
    since = unit.now - DAY
    wait = "Wait until some of it is a day old, or have the operator raise it: memstore quota set NAME."
    if quota.records_per_day and unit.quotas.records_since(principal.name, since) >= quota.records_per_day:
        raise _exceeded(f"This principal may store {quota.records_per_day} records in 24 hours, and has", wait)
    if quota.bytes_per_day and unit.quotas.bytes_since(principal.name, since) + size > quota.bytes_per_day:
        raise _exceeded(f"This principal may store {quota.bytes_per_day} bytes in 24 hours; this would be more", wait)


def _exceeded(what: str, next_call: str) -> Denied:
    return Denied(what, code="quota_exceeded", next_call=next_call)
