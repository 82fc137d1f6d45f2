"""What led to what: the shortest chains from one record over what was declared, shown and said before (ADR 0056).

A walk goes out level by level, first over declared links alone, then over those and what was shown, then over all; so
each record is found by the strongest kind of chain that there is, and by the shortest of that kind. It keeps what it
has found and never goes through a record twice, so that a cycle ends; and it stops at a number of levels, and of
records of each tier, and says so: what lies below, however much, takes no room from what stands above (T10).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from memstore.core.labels import Label, Source, Status

MOST_RECORDS = 10_000  # of a tier
MOST_LEVELS = 1_000
MOST_LINKS = 4 * MOST_RECORDS  # of one kind, from one level, to one tier
MOST_GROUPS = 4  # of a tier


class How(IntEnum):
    """How one record led to another, the strongest first."""

    DECLARED = 0  # the later one names the earlier one as what it rests on or is conditional on
    SHOWN = 1  # the earlier one was shown to the context before it wrote the later one
    SAID = 2  # the same context had written the earlier one before, on the same task

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Link:
    """`found` was come to from `end`, both as log positions; `label` is the tier that it stands in today."""

    end: int
    found: int
    label: int


@dataclass(frozen=True, slots=True)
class Fact:
    """What a walk has to know of a record: closed values, as of the moment that is looked back to.

    `launch` is "" where its author has no mark: what people and checkers were shown leads to nothing (T2).
    """

    seq: int
    id: str
    kind: str
    author: str
    label: Label
    fell_at: int
    launch: str
    task: str
    shown: int

    @property
    def worth(self) -> Label:
        return Source(self.id, self.label, Status.IN_FORCE, fell_at=self.fell_at).worth


@dataclass(frozen=True, slots=True)
class Reached:
    """A record that a walk came to: by the weakest kind of link on its chain, how far, and the record before it."""

    how: How
    distance: int


# From the records of one level to those that lie behind them, by one kind of link; at most so many of each tier.
Expand = Callable[[Collection[int], int], Sequence[Link]]


@dataclass(slots=True)
class Walk:
    """What was reached from `root`. `cut` says that there was more than a walk takes in."""

    root: int
    reached: dict[int, Reached] = field(default_factory=dict)
    cut: bool = False
    _parents: dict[How, dict[int, tuple[int, How]]] = field(default_factory=dict)

    def take(self, weakest: How, expand: Mapping[How, Expand], most: int = MOST_RECORDS) -> None:
        """Walk over all links up to `weakest`; what a stronger kind of chain has reached stays as it is."""
        parents: dict[int, tuple[int, How]] = {self.root: (self.root, weakest)}
        frontier: list[int] = [self.root]
        counted: Counter[int] = Counter()
        distance = 0
        while frontier and distance < MOST_LEVELS:
            distance += 1
            fresh: list[int] = []
            for how in list(How)[: weakest + 1]:
                links = expand[how](frontier, MOST_LINKS)
                of_tiers = Counter(link.label for link in links)
                self.cut = self.cut or max(of_tiers.values(), default=0) >= MOST_LINKS
                for link in links:
                    if link.found in parents:
                        continue
                    if counted[link.label] == most:
                        self.cut = True
                        continue
                    counted[link.label] += 1
                    parents[link.found] = link.end, how
                    fresh.append(link.found)
                    self.reached.setdefault(link.found, Reached(weakest, distance))
            frontier = fresh
        self.cut = self.cut or bool(frontier)
        self._parents[weakest] = parents

    def chain(self, seq: int) -> list[tuple[int, How, int]]:
        """(nearer, how, farther) from the root to this record."""
        parents = self._parents[self.reached[seq].how]
        steps: list[tuple[int, How, int]] = []
        while seq != self.root:
            nearer, how = parents[seq]
            steps.append((nearer, how, seq))
            seq = nearer
        return steps[::-1]


def in_order(walk: Walk, facts: Mapping[int, Fact]) -> list[int]:
    """What was reached, ranked: declared before shown before said, lower worth first, then nearest."""

    def rank(seq: int) -> tuple[int, int, int, int, str]:
        found, fact = walk.reached[seq], facts[seq]
        # Of equals, the one that is nearer in time to where the question came from.
        return found.how, fact.worth, found.distance, abs(walk.root - seq), fact.id

    return sorted((seq for seq in walk.reached if seq in facts), key=rank)


@dataclass(frozen=True, slots=True)
class Group:
    """Records that were reached alike: how, of which worth and kind, by whom, how many, and how near the nearest is."""

    how: How
    label: Label
    kind: str
    author: str
    count: int
    nearest: int


def groups_of(order: Iterable[int], walk: Walk, facts: Mapping[int, Fact]) -> list[Group]:
    """What was reached, grouped and counted, in the order in which the first of each group is ranked."""
    counted: Counter[tuple[How, Label, str, str]] = Counter()
    nearest: dict[tuple[How, Label, str, str], int] = {}
    for seq in order:
        fact, found = facts[seq], walk.reached[seq]
        key = found.how, fact.worth, fact.kind, fact.author
        counted[key] += 1
        nearest[key] = min(nearest.get(key, found.distance), found.distance)
    return [Group(*key, count, nearest[key]) for key, count in counted.items()]


Runs = frozenset[tuple[str, ...]]
MOST_WORDS = 1000


def runs_of(text: str) -> Runs:
    """The runs of four words of a text, of its beginning if it is long."""
    words = text.casefold().split()[:MOST_WORDS]
    return frozenset(zip(words, words[1:], words[2:], words[3:], strict=False))


def overlap(mine: Runs, others: Runs) -> int:
    """How much of the shorter of two texts stands in the other, in per cent of its runs: a hint, and no more."""
    least = min(len(mine), len(others))
    return 100 * len(mine & others) // least if least else 0
