"""Labels and standing as one least fixpoint over what rests on what (DESIGN T1, T2, T5, T6).

What a record rests on is older than the record; only an endorsement reaches back, and what it carries depends on what
its author had been shown. So the log is swept in its order, with every endorsement carrying nothing at first, until no
endorsement carries more than before. All rules are monotone, so this ends, in the same place whatever the order, and
nothing lifts itself: an endorsement that rests on its own effect carries nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from memstore.core.labels import NEVER_FELL, NO_MARK, Cause, CauseCode, Label, Mark, Source, Status, Verdict, judge
from memstore.core.policy import Carry

END_OF_LOG = 2**62


@dataclass(frozen=True, slots=True)
class Subject:
    """A record to be judged anew. `launch` is "" where its author has no mark; `fell_at` is of the record itself."""

    id: str
    seq: int
    bounds: tuple[Cause, ...]
    declared: tuple[str, ...]
    launch: str
    shown: int
    own_words: bool
    fell_at: int = NEVER_FELL


@dataclass(frozen=True, slots=True)
class Endorsement:
    """A standing endorsement, made at log position `seq` by a context that had had `shown` disclosures."""

    seq: int
    record: str
    carry: Carry
    launch: str
    shown: int


@dataclass(frozen=True, slots=True)
class Sight:
    """The first time that a context was shown a record: its number there, and the log's size then."""

    record: str
    n: int
    position: int


@dataclass(frozen=True, slots=True)
class Past:
    """What a context was shown, in order, and the records that it reviewed, each with the position of that."""

    sights: tuple[Sight, ...] = ()
    reviewed: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Web:
    """What is judged together: the subjects, what endorses them, the contexts behind both, and what stays as it is."""

    subjects: tuple[Subject, ...]
    endorsements: tuple[Endorsement, ...] = ()
    pasts: dict[str, Past] = field(default_factory=dict)
    known: dict[str, Source] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a record stands: its label and why, whether it comes from outside, whether what it rests on has fallen."""

    verdict: Verdict
    admitted: bool
    suspect: bool
    fell_at: int


class _Tally:
    """One context on the way through its past: what it has been shown so far, by what that is worth."""

    def __init__(self, past: Past, source: _Sources) -> None:
        self._past = past
        self._source = source
        self._sights = 0
        self._reviews = 0
        self._reviewed: set[str] = set()
        self._attributed: dict[str, None] = {}
        self._tainted = ""
        self._fell_at = NEVER_FELL
        self._fooled = False
        self._admitted = False

    def at(self, shown: int, seq: int) -> Mark:
        """The mark once it was shown so many, of what it says at log position `seq`."""
        self._take_reviews(seq)
        while self._sights < len(self._past.sights) and self._past.sights[self._sights].n <= shown:
            self._take(self._past.sights[self._sights])
            self._sights += 1
        label, witness = Label.TRUSTED, ""
        if self._tainted:
            label, witness = Label.TAINTED, self._tainted
        elif self._attributed:
            label, witness = Label.ATTRIBUTED, next(iter(self._attributed))
        fallen = self._fell_at > NEVER_FELL
        return Mark(label, witness, fallen, self._fell_at, self._fooled, self._admitted)

    def _take_reviews(self, seq: int) -> None:
        reviewed = self._past.reviewed
        while self._reviews < len(reviewed) and reviewed[self._reviews][0] < seq:
            record = reviewed[self._reviews][1]
            self._reviewed.add(record)
            if record in self._attributed and self._seen(record).counts_not:
                del self._attributed[record]
            self._reviews += 1

    def _seen(self, record: str) -> Source:
        found = self._source.of(record)
        # T12: what the store does not have is worth nothing.
        source = found or Source(record, Label.UNTRUSTED, Status.IN_FORCE)
        return _as_reviewed(source) if record in self._reviewed else source

    def _take(self, sight: Sight) -> None:
        source = self._seen(sight.record)
        if source.fallen:
            self._fell_at = max(self._fell_at, source.fell_at)
            self._fooled = self._fooled or sight.position <= source.fell_at
        self._admitted = self._admitted or source.from_outside
        if source.worth <= Label.TAINTED:
            self._tainted = self._tainted or sight.record
        elif source.worth is Label.ATTRIBUTED and not source.counts_not:
            self._attributed[sight.record] = None


def _as_reviewed(source: Source) -> Source:
    return Source(
        source.id,
        source.label,
        source.status,
        fell_at=source.fell_at,
        admitted=source.admitted,
        reviewed=True,
    )


@dataclass(slots=True)
class _Judged:
    """A record as it stands without its endorsements, and the position of the fall that it rests on, if any."""

    subject: Subject
    base: Verdict
    admitted: bool
    hit: int


class _Sources:
    """Records as sources, as far as this sweep has come; a subject counts only once it was reached."""

    def __init__(self, known: dict[str, Source]) -> None:
        self._found = dict(known)

    def of(self, record: str) -> Source | None:
        return self._found.get(record)

    def put(self, record: str, standing: Standing) -> None:
        label, fell_at = standing.verdict.label, standing.fell_at
        self._found[record] = Source(record, label, Status.IN_FORCE, fell_at=fell_at, admitted=standing.admitted)


class _Sweep:
    """All sweeps over one web. `_carried` goes on from one to the next and only ever rises."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._events: list[Subject | Endorsement] = sorted(
            [*web.subjects, *web.endorsements], key=lambda event: event.seq
        )
        self._of: defaultdict[str, list[Endorsement]] = defaultdict(list)
        for endorsement in web.endorsements:
            self._of[endorsement.record].append(endorsement)
        self._carried: dict[int, tuple[Label, CauseCode]] = {}
        self.standing: dict[str, Standing] = {}

    def run(self) -> dict[str, Standing]:
        while True:
            before = dict(self._carried)
            self._once()
            if self._carried == before:
                return self.standing

    def _once(self) -> None:
        self._sources = _Sources(self._web.known)
        self._tallies = {launch: _Tally(past, self._sources) for launch, past in self._web.pasts.items()}
        self._judged: dict[str, _Judged] = {}
        for event in self._events:
            match event:
                case Subject():
                    self._judge(event)
                case Endorsement():
                    self._weigh(event)

    def _mark(self, launch: str, shown: int, seq: int) -> Mark:
        tally = self._tallies.get(launch)
        return tally.at(shown, seq) if tally else NO_MARK

    def _judge(self, subject: Subject) -> None:
        found = [self._sources.of(record) for record in subject.declared]
        sources = [source for source in found if source is not None]
        mark = self._mark(subject.launch, subject.shown, subject.seq)
        base = judge(
            bounds=subject.bounds,
            declared=[source or record for source, record in zip(found, subject.declared, strict=True)],
            mark=mark,
            own_words=subject.own_words,
        )
        admitted = comes_from_outside(base.label, sources, mark)
        self._judged[subject.id] = _Judged(subject, base, admitted, fell_with(sources, mark))
        self._stand(subject.id)

    def _stand(self, record: str) -> None:
        """T6: raised to what its endorsements carry; those before the fall that it rests on are void (T5)."""
        judged = self._judged[record]
        carried = [
            self._carried[endorsement.seq]
            for endorsement in self._of[record]
            if endorsement.seq in self._carried and endorsement.seq > judged.hit
        ]
        verdict = judged.base
        if carried and verdict.label > Label.UNTRUSTED:
            verdict = verdict.raised(*max(carried))
        suspect = judged.hit > NEVER_FELL and not carried
        fell_at = max(judged.subject.fell_at, judged.hit if suspect else NEVER_FELL)
        self.standing[record] = Standing(verdict, judged.admitted, suspect, fell_at)
        self._sources.put(record, self.standing[record])

    def _weigh(self, endorsement: Endorsement) -> None:
        judged = self._judged.get(endorsement.record)
        if judged is None:
            return
        mark = self._mark(endorsement.launch, endorsement.shown, endorsement.seq)
        carried = carried_by(endorsement.carry, mark=mark, admitted=judged.admitted)
        if carried is not None and carried != self._carried.get(endorsement.seq):
            self._carried[endorsement.seq] = carried
            self._stand(endorsement.record)


def comes_from_outside(base: Label, sources: Iterable[Source], mark: Mark) -> bool:
    """T6: tainted by T1 alone, or resting, declared or shown, on such that is not yet trusted."""
    return base <= Label.TAINTED or mark.admitted or any(source.from_outside for source in sources)


def fell_with(sources: Iterable[Source], mark: Mark) -> int:
    """The position of the last fall among what a record rests on; `NEVER_FELL` if all of that stands (T5)."""
    return max([mark.fell_at, *(source.fell_at for source in sources)])


def carried_by(carry: Carry, *, mark: Mark, admitted: bool) -> tuple[Label, CauseCode] | None:
    """How far an endorsement carries (T6); None for one that is void or carries nothing."""
    match carry:
        case Carry.NOTHING:
            return None
        case Carry.PERSON | Carry.CHECKER:
            return Label.TRUSTED, CauseCode.ENDORSED
        case Carry.TYPED:
            return Label.ATTRIBUTED, CauseCode.ADMITTED
        case Carry.BELOW:
            return Label.ATTRIBUTED, CauseCode.ENDORSED_BELOW
        case Carry.LEAD | Carry.LEAD_BELOW:
            if mark.fooled:
                return None
            if admitted:
                return Label.ATTRIBUTED, CauseCode.ADMITTED
            if mark.label < Label.ATTRIBUTED or carry is Carry.LEAD_BELOW:
                return Label.ATTRIBUTED, CauseCode.ENDORSED_BELOW
            return Label.TRUSTED, CauseCode.ENDORSED


def mark_of_past(past: Past, known: dict[str, Source]) -> Mark:
    """The mark of a context now, from all that it was shown and reviewed."""
    return _Tally(past, _Sources(known)).at(END_OF_LOG, END_OF_LOG)


def settle(web: Web) -> dict[str, Standing]:
    """How each subject stands, by id: the least fixpoint of the rules over the web."""
    return _Sweep(web).run()
