"""What looking back, and looking for causes, ask of a store, beside `memstore.ports`, whose `Unit` holds both."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from memstore.core.causes import Fact, Link
from memstore.core.state import RecordState


@dataclass(frozen=True, slots=True)
class Step:
    """One act that changed how a record stands: its position, and the record as it stood until then."""

    act: int
    before: RecordState


@dataclass(frozen=True, slots=True)
class Span:
    """A part of one context, and the record at position `end` on whose behalf it is looked at.

    Of what it was shown: numbers after `low`, up to `high`. Of what was written in it: `low` is the least that had
    been shown by then, `high` the first number that was looked at before.
    """

    launch: str
    low: int
    high: int
    end: int


class Past(Protocol):
    """How records stood (ADR 0055). `before` is the log's size to look back to."""

    def standing(self, state: RecordState, before: int) -> RecordState: ...
    def story(self, state: RecordState) -> list[Step]: ...
    def named(self, prefix: str, scope: str, most: int) -> list[str]: ...
    def changed(self, scope: str, *, after: int, before: int, since: int, until: int, most: int) -> list[int]: ...
    def seen_by(self, seq: int, before: int, until: int, most: int) -> list[dict[str, Any]]: ...
    def lapsed(
        self, scope: str, *, task: str, session: str, since: int, until: int, most: int
    ) -> list[tuple[int, str, str]]: ...


class Causes(Protocol):
    """What led from record to record, a level at a time, in one scope, as of a size of the log (ADR 0056)."""

    def facts(self, seqs: Collection[int], *, before: int) -> dict[int, Fact]: ...
    def declared(self, seqs: Collection[int], scope: str, *, forward: bool, before: int, most: int) -> list[Link]: ...
    def shown(self, spans: Collection[Span], scope: str, *, before: int, most: int) -> list[Link]: ...
    def readers(self, seqs: Collection[int], *, before: int) -> list[Span]: ...
    def written(self, spans: Collection[Span], scope: str, *, before: int, most: int) -> list[Link]: ...
    def said(self, spans: Collection[Span], scope: str, *, forward: bool, before: int, most: int) -> list[Link]: ...
