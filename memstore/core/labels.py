"""Integrity labels: how far a statement may be relied on, and why (DESIGN T1, T2, T4).

A label is the lowest of what bounds it: author, kind, signature, declared sources and everything shown to its context.
It is computed from values alone, so the same log and disclosures always give the same label; whatever is missing or
unknown counts as the worst (T12). The order of labels is Biba's; the mark is the low-water mark of a context.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum


class Label(IntEnum):
    """How far something may be relied on; a lower label never counts for more than a higher one."""

    UNTRUSTED = 0
    TAINTED = 1
    ATTRIBUTED = 2
    TRUSTED = 3

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def named(cls, name: str) -> Label:
        return cls[name.upper()]


class Status(StrEnum):
    """What became of a record; it says nothing of integrity (T4)."""

    IN_FORCE = "in_force"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    SUSPECT = "suspect"
    RETRACTED = "retracted"
    REVOKED_AUTHOR = "revoked_author"


class SignatureState(StrEnum):
    """What is known of a signature; the four are never merged."""

    VALID = "valid"
    ATTESTED = "attested"
    INVALID = "invalid"
    UNKNOWN_KEY = "unknown_key"


# Fallen records are worth no more than an agent's words about outside content (T2).
FALLEN = frozenset({Status.SUSPECT, Status.RETRACTED, Status.REVOKED_AUTHOR})
STALE = frozenset({Status.EXPIRED, Status.SUPERSEDED})


class CauseCode(StrEnum):
    """Why a label is no higher. Closed, so that no free text can ride along."""

    AUTHOR_WORKER = "author_worker"
    AUTHOR_OPEN_WORLD = "author_open_world"
    AUTHOR_TOOL = "author_tool"
    AUTHOR_UNKNOWN = "author_unknown"
    KIND_EXTERNAL = "kind_external"
    TOOL_REGISTERED = "tool_registered"
    TOOL_UNREGISTERED = "tool_unregistered"
    TOOL_OPEN_WORLD = "tool_open_world"
    SIGNATURE_INVALID = "signature_invalid"
    SIGNATURE_UNKNOWN_KEY = "signature_unknown_key"
    DECLARED = "declared"
    SHOWN = "shown"
    MISSING_ANCESTOR = "missing_ancestor"
    REVOKED = "revoked_author"


RAISED_BY: dict[CauseCode, str] = {
    CauseCode.AUTHOR_WORKER: "an endorsement by a lead above the author, or by a person",
    CauseCode.AUTHOR_OPEN_WORLD: "an endorsement by a lead above the author, or by a person",
    CauseCode.AUTHOR_TOOL: "an endorsement by a person",
    CauseCode.AUTHOR_UNKNOWN: "nothing: the author is not registered",
    CauseCode.KIND_EXTERNAL: "nothing: write a finding about it and have that reviewed",
    CauseCode.TOOL_REGISTERED: "an endorsement by a lead above the author, or by a person",
    CauseCode.TOOL_UNREGISTERED: "registering the tool, then observing again",
    CauseCode.TOOL_OPEN_WORLD: "nothing: write a finding about it and have that reviewed",
    CauseCode.SIGNATURE_INVALID: "nothing: have the author write it again",
    CauseCode.SIGNATURE_UNKNOWN_KEY: "nothing: have the author write it again with a registered key",
    CauseCode.DECLARED: "a review of this record, or of the source named",
    CauseCode.SHOWN: "a review of this record",
    CauseCode.MISSING_ANCESTOR: "nothing: write it again from sources that are here",
    CauseCode.REVOKED: "nothing: have it written again under a sound key",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One upper bound of a label: what bounds it, how high, and by which record."""

    code: CauseCode
    label: Label
    id: str = ""

    def as_dict(self) -> dict[str, str]:
        found = {"code": str(self.code), "label": str(self.label)}
        return {**found, "id": self.id} if self.id else found


@dataclass(frozen=True, slots=True)
class Verdict:
    """A label and the bounds that made it, lowest first."""

    label: Label
    because: tuple[Cause, ...] = ()

    def what_would_raise_it(self) -> str:
        lowest = [cause for cause in self.because if cause.label == self.label]
        return RAISED_BY[lowest[0].code] if lowest else ""


@dataclass(frozen=True, slots=True)
class Source:
    """A record as something else rests on it."""

    id: str
    label: Label
    status: Status
    in_scope: bool = True

    @property
    def worth(self) -> Label:
        """What resting on it carries, before the floor that an agent's words have."""
        return min(self.label, Label.TAINTED) if self.status in FALLEN else self.label


@dataclass(frozen=True, slots=True)
class Mark:
    """The lowest worth that a context was shown, the first record that brought it there, and whether any had fallen."""

    label: Label = Label.TRUSTED
    witness: str = ""
    fallen: bool = False

    def after(self, shown: Source) -> Mark:
        worth, fallen = max(shown.worth, Label.TAINTED), self.fallen or shown.status in FALLEN
        if worth < self.label:
            return Mark(worth, shown.id, fallen)
        return self if fallen == self.fallen else replace(self, fallen=fallen)


NO_MARK = Mark()


def mark_of(shown: Iterable[Source]) -> Mark:
    """The mark of a context that was shown these, in this order."""
    mark = Mark()
    for source in shown:
        mark = mark.after(source)
    return mark


def judge(*, bounds: Iterable[Cause], declared: Iterable[Source | str], mark: Mark, own_words: bool) -> Verdict:
    """The label of a record (T1): the lowest of its bounds, its declared sources and its context's mark.

    `declared` holds a `Source`, or the bare id of one that the store does not have (T12). `own_words` is true for what
    an agent phrases itself; that is never below `tainted`, save for a bad signature, which is a bound of its own.
    """
    causes = [cause for cause in bounds if cause.label < Label.TRUSTED]
    for source in declared:
        match source:
            case Source():
                causes.append(Cause(CauseCode.DECLARED, source.worth, source.id))
            case str():
                causes.append(Cause(CauseCode.MISSING_ANCESTOR, Label.UNTRUSTED, source))
    if mark.label < Label.TRUSTED:
        causes.append(Cause(CauseCode.SHOWN, mark.label, mark.witness))
    if own_words:
        causes = [c if c.code in WORTHLESS else replace(c, label=max(c.label, Label.TAINTED)) for c in causes]
    kept = sorted((c for c in causes if c.label < Label.TRUSTED), key=lambda c: c.label)
    return Verdict(min((c.label for c in kept), default=Label.TRUSTED), _shortened(kept))


def _shortened(causes: list[Cause]) -> tuple[Cause, ...]:
    """All that does not depend on other records, which a recomputation needs, and the lowest few that do."""
    resting = [cause for cause in causes if cause.code in RESTING][:MAX_CAUSES]
    return tuple(cause for cause in causes if cause.code not in RESTING or cause in resting)


MAX_CAUSES = 8
# What depends on other records, and so may change after the fact.
RESTING = frozenset({CauseCode.DECLARED, CauseCode.SHOWN, CauseCode.MISSING_ANCESTOR})
# Below the floor of an agent's own words: nobody is known to have said it.
WORTHLESS = frozenset({CauseCode.SIGNATURE_INVALID, CauseCode.SIGNATURE_UNKNOWN_KEY, CauseCode.AUTHOR_UNKNOWN})
