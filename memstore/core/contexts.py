"""Contexts: one launch of one principal, and what it has been shown (DESIGN 3.1, T2).

Disclosures are append-only and hash-chained per context, so an entry commits to all that its author had seen. The mark
is the low-water mark over them; showing never raises it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import IntEnum

from memstore.core.canonical import canonical_bytes
from memstore.core.labels import NO_MARK, STALE, Mark, Source


@dataclass(frozen=True, slots=True)
class ContextState:
    """What a context has been shown so far: how many disclosures, the head of their chain, and the mark they leave."""

    launch: str
    principal: str
    scope: str
    shown: int = 0
    head: bytes = bytes(32)
    mark: Mark = NO_MARK
    stale: bool = False


class Extent(IntEnum):
    """How much of a record was shown."""

    CONCISE = 1
    FULL = 2


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One body shown to one context: the record, the log's size and the time then, its label then, and how much."""

    record: int
    position: int
    at: int
    source: Source
    extent: Extent


def extended(head: bytes, disclosure: Disclosure) -> bytes:
    """The hash chain's next head: SHA-256 over the head before and what was shown."""
    told = [
        disclosure.source.id,
        disclosure.position,
        disclosure.at,
        int(disclosure.source.label),
        int(disclosure.extent),
        disclosure.source.status in STALE,
    ]
    return hashlib.sha256(head + canonical_bytes(told)).digest()


def after(context: ContextState, disclosure: Disclosure) -> ContextState:
    """What a context is once it was shown this."""
    return replace(
        context,
        shown=context.shown + 1,
        head=extended(context.head, disclosure),
        mark=context.mark.after(disclosure.source),
        stale=context.stale or disclosure.source.status in STALE,
    )
