"""What quotas and retention ask of a store: how much each may keep and does, and what is old enough to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Quota:
    """How much a principal may store; 0 is without a bound."""

    principal: str
    records_per_day: int
    bytes_per_day: int
    open_sessions: int


class Quotas(Protocol):
    """How much each may keep and has stored, what may be dropped by its age, and what restoring a backup ends."""

    def quotas(self, principal: str = "") -> list[Quota]: ...
    def records_since(self, principal: str, since: int) -> int: ...
    def bytes_since(self, principal: str, since: int) -> int: ...
    def sessions_running(self, principal: str) -> int: ...
    def droppable(self, before: int, *, cited: bool, most: int) -> list[tuple[str, str, int]]: ...
    def count_old(self, before: int) -> int: ...


class Restorations(Protocol):
    """When a store was restored from a backup, and what ends then."""

    def restored_at(self) -> int: ...
    def lapse_leases(self) -> None: ...
