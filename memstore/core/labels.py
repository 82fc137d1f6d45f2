"""Integrity labels: how far a statement may be relied on, and why (DESIGN T1, T2, T4).

A label is the lowest of what bounds it: author, kind, signature, declared sources and everything shown to its context.
It is computed from values alone, so the same log and disclosures always give the same label; whatever is missing or
unknown counts as the worst (T12). The order of labels is Biba's; the mark is the low-water mark of a context.
"""

from __future__ import annotations

import json
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


# Fallen records are worth no more than an agent's words about outside content (T2). What was retracted fell only if it
# was poisoned, which its status does not say.
FALLEN = frozenset({Status.SUSPECT, Status.REVOKED_AUTHOR})
NEVER_FELL = -1
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
    GRANT = "grant"
    ENDORSED = "endorsed"
    ENDORSED_BELOW = "endorsed_below"
    ADMITTED = "admitted"


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
    CauseCode.GRANT: "an endorsement by a lead above the author, or by a person",
    CauseCode.ENDORSED: "nothing: it stands as high as a label goes",
    CauseCode.ENDORSED_BELOW: "an endorsement by a person, or by a lead whose mark is at least attributed",
    CauseCode.ADMITTED: "an endorsement by a person or a registered checker: it rests on outside content",
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


def as_text(causes: Iterable[Cause]) -> str:
    """Causes as they are stored beside a record: JSON, which is read again only where somebody asks why."""
    return json.dumps([cause.as_dict() for cause in causes])


@dataclass(frozen=True, slots=True)
class Verdict:
    """A label and the bounds that made it, lowest first."""

    label: Label
    because: tuple[Cause, ...] = ()

    def raised(self, label: Label, code: CauseCode) -> Verdict:
        """The same with an endorsement on top, which stands first: it is what the label now hangs on."""
        return Verdict(label, (Cause(code, label), *self.because)) if label > self.label else self

    def what_would_raise_it(self) -> str:
        lowest = [cause for cause in self.because if cause.label == self.label]
        return RAISED_BY[lowest[0].code] if lowest else ""


@dataclass(frozen=True, slots=True)
class Source:
    """A record as something else rests on it.

    `fell_at` is the log position of the act by which it fell, `NEVER_FELL` while it stands; `admitted` says that it
    comes from outside (T6), `reviewed` that the context which was shown it had reviewed it (T2).
    """

    id: str
    label: Label
    status: Status
    fell_at: int = NEVER_FELL
    admitted: bool = False
    reviewed: bool = False

    @property
    def fallen(self) -> bool:
        return self.fell_at > NEVER_FELL or self.status in FALLEN

    @property
    def worth(self) -> Label:
        """What resting on it carries, before the floor that an agent's words have."""
        return min(self.label, Label.TAINTED) if self.fallen else self.label

    @property
    def from_outside(self) -> bool:
        """Whether what rests on it is admitted at best: outside content that nobody has made trusted yet (T6)."""
        return self.admitted and self.label < Label.TRUSTED

    @property
    def counts_not(self) -> bool:
        """T2: what a context has itself reviewed, either way, does not lower it, if it is merely attributed."""
        return self.reviewed and self.label is Label.ATTRIBUTED and not self.admitted and not self.fallen


@dataclass(frozen=True, slots=True)
class Mark:
    """The lowest worth that a context was shown, the first record that brought it there, and what else follows.

    `fallen` says that something shown has fallen, the last of it at position `fell_at`; `fooled`, that it was shown
    while it still stood; `admitted`, that something shown came from outside and is not trusted yet.
    """

    label: Label = Label.TRUSTED
    witness: str = ""
    fallen: bool = False
    fell_at: int = NEVER_FELL
    fooled: bool = False
    admitted: bool = False

    def after(self, shown: Source) -> Mark:
        if shown.counts_not:
            return self
        worth = max(shown.worth, Label.TAINTED)
        lower = worth < self.label
        return Mark(
            worth if lower else self.label,
            shown.id if lower else self.witness,
            self.fallen or shown.fallen,
            max(self.fell_at, shown.fell_at),
            self.fooled,
            self.admitted or shown.from_outside,
        )


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
