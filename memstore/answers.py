"""What one answer gives of each record: a hit in the form there is room for, or a quarantined entry with a sealed ref.

A `Page` keeps the token budget and the list of what will have been shown; nothing reaches a caller that is not on that
list, so that it can be disclosed before it leaves (T2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from memstore.core.contexts import Extent
from memstore.core.labels import Label
from memstore.ports import Unit
from memstore.render import LISTED, Budget, Found, cut, hit, listing, quarantined_entry
from memstore.serving import Caller, Served, Shown
from memstore.signing import StoreKey

REF_SECONDS = 3600


@dataclass(slots=True)
class Page:
    """An answer in the making: the tokens left, what it will have shown, and the lowest label of words of no record."""

    budget: Budget
    shown: list[Shown] = field(default_factory=list)
    told: Label = Label.TRUSTED

    def show(self, served: Served, extent: Extent) -> None:
        self.shown.append(Shown(served, extent))

    def tell(self, label: Label) -> None:
        """Words stand in the answer that are of no record: a session's task."""
        self.told = min(self.told, label)

    @property
    def lowest(self) -> Label:
        return min(lowest_of(self.shown), self.told)


def lowest_of(shown: list[Shown]) -> Label:
    """The lowest worth of any body in an answer; `trusted` for an answer without bodies."""
    return min((item.served.source.worth for item in shown), default=Label.TRUSTED)


@dataclass(frozen=True, slots=True)
class Giver:
    """Gives records to one caller on one page, as of the moment of `unit`; refs run from `now`."""

    unit: Unit
    key: StoreKey
    caller: Caller
    page: Page
    now: int

    def hit(self, served: Served, *, detail: str, found: Found = LISTED, first: bool = False) -> dict[str, Any] | None:
        """The record's words at this detail, or shorter where that does not fit; None where nothing fits.

        The `first` of a section comes as its title where no more fits, so that no record bars the way to the rest.
        """
        if detail == "ids" or served.fell_since:
            item = listing(served, self.unit.now, found.rank)
            return item if self.page.budget.take(item) else None
        for tried in ("full", "concise") if detail == "full" else ("concise",):
            item = hit(served, tried, self.unit.now, found)
            if self.page.budget.take(item):
                self.page.show(served, Extent.FULL if tried == "full" else Extent.CONCISE)
                return item
        item = {**listing(served, self.unit.now, found.rank), "title": served.title, "cut": cut(served)}
        if first and self.page.budget.take(item):
            self.page.show(served, Extent.CONCISE)
            return item
        return None

    def entry(self, served: Served, *, listed: bool) -> dict[str, Any] | None:
        """An entry for what may not be served; if only stale, with its last value or (`listed`) a line about it."""
        entry = quarantined_entry(served, self.ref(served))
        if served.only_stale and served.label >= Label.ATTRIBUTED and not served.fell_since:
            stale = listing(served, self.unit.now) if listed else hit(served, "concise", self.unit.now)
            with_value = {**entry, "stale": stale}
            if self.page.budget.take(with_value):
                if not listed:
                    self.page.show(served, Extent.CONCISE)
                return with_value
        return entry if self.page.budget.take(entry) else None

    def ref(self, served: Served) -> str:
        """A name for the record that only this caller, in this context, can open, and not for long."""
        until = self.now + REF_SECONDS * 1_000_000
        return self.key.seal(served.state.seq.to_bytes(8, "big") + until.to_bytes(8, "big"), self.caller.binding)
