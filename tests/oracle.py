"""The rules of trust as a small model, written from DESIGN 3.3 alone: labels and status over any history.

It keeps the whole history and computes everything anew, from the worst case upward, until no rule changes anything. It
shares no code with memstore and knows nothing of how memstore keeps or finds what it needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

UNTRUSTED, TAINTED, ATTRIBUTED, TRUSTED = range(4)
NAMES = ("untrusted", "tainted", "attributed", "trusted")
NEVER, ALWAYS = -1, 10**9


@dataclass(frozen=True)
class Person:
    """A principal: its ceiling, whether it is an agent (which has a mark), and who stands above it."""

    ceiling: int
    role: str
    under: str = ""
    open_world: bool = False

    @property
    def is_agent(self) -> bool:
        return self.role in ("worker", "lead")


@dataclass(frozen=True)
class Record:
    time: int
    author: str
    context: str
    declared: tuple[str, ...]
    kind: int = TRUSTED
    own_words: bool = True
    supersedes: str = ""
    expires: int | None = None


@dataclass(frozen=True)
class Show:
    time: int
    context: str
    record: str
    full: bool


@dataclass(frozen=True)
class Review:
    time: int
    author: str
    context: str
    record: str
    endorses: bool


@dataclass(frozen=True)
class Retraction:
    time: int
    author: str
    record: str
    reason: str


@dataclass
class Stand:
    """How a record stands: label, whether it comes from outside, the time of the fall that it rests on."""

    label: int = UNTRUSTED
    outside: bool = True
    hit: int = ALWAYS
    suspect: bool = True


@dataclass
class Model:
    """Everything that was done, and what the rules make of it. `time` counts what was done, whatever it was."""

    people: dict[str, Person]
    time: int = 0
    records: dict[str, Record] = field(default_factory=dict)
    shows: list[Show] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    retractions: list[Retraction] = field(default_factory=list)
    stolen: dict[str, tuple[int, int]] = field(default_factory=dict)  # name: (void from, said at)

    def tick(self) -> int:
        self.time += 1
        return self.time

    # What is void (T5, T9), and what fell by itself.

    def is_void(self, author: str, time: int) -> bool:
        """Under the stolen key, that is: what follows the theft's being said is under another."""
        return author in self.stolen and self.stolen[author][0] <= time < self.stolen[author][1]

    def is_above(self, name: str, below: str) -> bool:
        while below := self.people[below].under:
            if below == name:
                return True
        return False

    def retracted(self, record: str) -> str:
        reasons = [r.reason for r in self.retractions if r.record == record and not self.is_void(r.author, r.time)]
        leaked = any(r.record == record and r.reason == "leaked" for r in self.retractions)
        return "leaked" if leaked else reasons[0] if reasons else ""

    def own_fall(self, name: str) -> int:
        """T5: when this record itself fell: its author's key was stolen, or it was retracted as poisoned from above."""
        record = self.records[name]
        falls = [self.stolen[record.author][1]] if self.is_void(record.author, record.time) else []
        falls += [
            r.time
            for r in self.retractions
            if r.record == name
            and r.reason == "poisoned"
            and self.people[r.author].role in ("lead", "human", "operator")
            and not self.is_void(r.author, r.time)
        ]
        return max(falls, default=NEVER)

    # What a context was shown (T2).

    def shown(self, context: str, time: int) -> list[Show]:
        """The first showing of each record before `time`."""
        found: dict[str, Show] = {}
        for show in self.shows:
            if show.context == context and show.time < time:
                found.setdefault(show.record, show)
        return list(found.values())

    def had_reviewed(self, context: str, record: str, time: int) -> bool:
        return any(
            r.context == context and r.record == record and r.time < time and not self.is_void(r.author, r.time)
            for r in self.reviews
            if r.author != self.records[record].author
        )

    # The rules.

    def stands(self) -> dict[str, Stand]:
        now = {name: Stand() for name in self.records}
        while True:
            after = {name: self._judged(name, now) for name in self.records}
            if after == now:
                return now
            now = after

    def fell(self, name: str, now: dict[str, Stand]) -> int:
        return max(self.own_fall(name), now[name].hit if now[name].suspect else NEVER)

    def worth(self, name: str, now: dict[str, Stand]) -> int:
        return min(now[name].label, TAINTED) if self.fell(name, now) > NEVER else now[name].label

    def counts(self, show: Show, time: int, now: dict[str, Stand]) -> bool:
        """T2: not what is merely attributed, not admitted, standing, and was reviewed by this very context before."""
        stand = now[show.record]
        exempt = stand.label == ATTRIBUTED and not stand.outside and self.fell(show.record, now) == NEVER
        return not (exempt and self.had_reviewed(show.context, show.record, time))

    def mark(self, author: str, context: str, time: int, now: dict[str, Stand]) -> int:
        if not self.people[author].is_agent:
            return TRUSTED
        worths = [self.worth(s.record, now) for s in self.shown(context, time) if self.counts(s, time, now)]
        return max(TAINTED, min(worths, default=TRUSTED))

    def _judged(self, name: str, now: dict[str, Stand]) -> Stand:
        record = self.records[name]
        agent = self.people[record.author].is_agent
        shows = self.shown(record.context, record.time) if agent else []
        rests = {*record.declared, *(show.record for show in shows)}
        # T1
        mark = self.mark(record.author, record.context, record.time, now)
        declared = [self.worth(source, now) for source in record.declared]
        lowest = min([self.people[record.author].ceiling, record.kind, mark, *declared])
        label = max(lowest, TAINTED) if record.own_words else lowest
        # T6: admitted
        outside = label <= TAINTED or any(now[n].outside and now[n].label < TRUSTED for n in rests)
        # T5
        hit = max((self.fell(n, now) for n in rests), default=NEVER)
        carried = [
            how_far
            for review in self.standing_reviews(name)
            if review.endorses and review.time > hit and (how_far := self.carries(review, outside, now)) is not None
        ]
        if label > UNTRUSTED:
            label = max([label, *carried])
        return Stand(label, outside, hit, hit > NEVER and not carried)

    def standing_reviews(self, record: str) -> list[Review]:
        newest: dict[str, Review] = {}
        for review in self.reviews:
            if review.record == record and not self.is_void(review.author, review.time):
                newest[review.author] = review
        return list(newest.values())

    def is_entitled(self, review: Review) -> bool:
        reviewer, record = self.people[review.author], self.records[review.record]
        saw = any(
            s.context == review.context and s.record == review.record and s.full and s.time < review.time
            for s in self.shows
        )
        if review.author == record.author or reviewer.open_world or not saw:
            return False
        above = reviewer.role == "lead" and self.is_above(review.author, record.author)
        return above or reviewer.role in ("human", "checker")

    def carries(self, review: Review, outside: bool, now: dict[str, Stand]) -> int | None:
        if not self.is_entitled(review):
            return None
        if self.people[review.author].role != "lead":
            return TRUSTED
        for show in self.shown(review.context, review.time):
            if show.time < self.fell(show.record, now):
                return None
        mark = self.mark(review.author, review.context, review.time, now)
        return TRUSTED if mark >= ATTRIBUTED and not outside else ATTRIBUTED

    # What is asked of it.

    def may_retract(self, name: str, by: str, context: str, reason: str) -> bool:
        """T7, as things stand now."""
        now, record, who = self.stands(), self.records[name], self.people[by]
        if by == record.author and reason == "leaked":
            return True
        entitled = (
            by == record.author
            or who.role in ("human", "operator")
            or (who.role == "lead" and self.is_above(by, record.author))
        )
        clean = self.mark(by, context, self.time + 1, now) >= ATTRIBUTED
        return entitled and clean and now[name].label <= who.ceiling

    def superseded(self, name: str, now: dict[str, Stand]) -> bool:
        """T8: by who may replace it, with a label at least as high, while that stands."""
        old = self.records[name]
        for other, record in self.records.items():
            if record.supersedes != name or now[other].label < now[name].label:
                continue
            who = self.people[record.author]
            may = record.author == old.author or who.role == "human" or (
                who.role == "lead" and self.is_above(record.author, old.author)
            )  # fmt: skip
            falls = now[other].suspect or self.retracted(other) or self.is_void(record.author, record.time)
            if may and not falls:
                return True
        return False

    def marks(self, authors: dict[str, str]) -> dict[str, str]:
        """T2: the mark of each of these contexts of agents as it is now, in words."""
        now = self.stands()
        return {
            context: NAMES[self.mark(author, context, self.time + 1, now)]
            for context, author in authors.items()
            if self.people[author].is_agent
        }

    def told(self, clock: int) -> dict[str, str]:
        """Label and status of every record, in words."""
        now = self.stands()
        return {name: f"{NAMES[stand.label]} {self._status(name, now, clock)}" for name, stand in now.items()}

    def _status(self, name: str, now: dict[str, Stand], clock: int) -> str:
        record = self.records[name]
        if self.is_void(record.author, record.time):
            return "revoked_author"
        if self.retracted(name):
            return "retracted"
        if now[name].suspect:
            return "suspect"
        if self.superseded(name, now):
            return "superseded"
        expired = record.expires is not None and clock >= record.expires
        return "expired" if expired else "in_force"
