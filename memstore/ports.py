"""What the verbs ask of a store, as small interfaces over one transaction, and the values they speak in (DESIGN 4).

A `Unit` is one transaction at one moment; all that is read through it belongs together, and all that is applied through
it lands together or not at all. An adapter implements these and passes their contract suite; nothing above knows which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from memstore.core.contexts import Disclosure
from memstore.core.entries import Logged
from memstore.core.fold import Change
from memstore.core.labels import Label, Source, Status
from memstore.core.merkle import Frontier
from memstore.core.policy import Carry, KeyState, Principal, Tool
from memstore.core.records import Content
from memstore.core.state import GrantState, RecordState, SessionState, View
from memstore.core.statements import Stance
from memstore.core.trust import Standing, Web
from memstore.handoff_ports import Handoffs, Receipts
from memstore.past_ports import Causes, Past
from memstore.quota_ports import Quotas, Restorations
from memstore.token_ports import Tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Head:
    """Where the log ends: its Merkle frontier and the last signed checkpoint."""

    store: str
    public_key: bytes
    frontier: Frontier
    checkpoint: str
    epoch: int = 0  # how often the store was restored from a backup
    copied: bool = False  # a copy of a log that lives elsewhere, which is read and never written

    @property
    def size(self) -> int:
        return self.frontier.size


@dataclass(frozen=True, slots=True)
class StoredContent:
    """A record's content as it lies beside the log; the fingerprint finds the same words again."""

    salt: bytes
    content: bytes
    fingerprint: bytes


class Share(StrEnum):
    """Which part of a tier: what may be served as it is, or what may not (T4)."""

    IN_FORCE = "in_force"
    FALLEN = "fallen"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Filter:
    """What an answer may hold. Times are microseconds, positions are log positions; None means unbounded.

    `before` is the log size to look back to, with `now` the time of it; `since_seq` is exclusive, the others inclusive.
    """

    scope: str
    now: int
    task: str = ""
    kinds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    author: str = ""
    before: int | None = None
    since_seq: int | None = None
    since_at: int | None = None
    until_seq: int | None = None
    until_at: int | None = None
    include_superseded: bool = False
    unanswered: bool = False

    @property
    def narrows(self) -> bool:
        """Whether it leaves less than all that stands in a scope now."""
        return replace(self, scope="", now=0, include_superseded=False) != Filter(scope="", now=0)


@dataclass(frozen=True, slots=True)
class Found:
    """The ids of one part of a tier, best first, and how many there are in all."""

    ids: tuple[str, ...] = ()
    total: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """What full text finds: a record's position and id, and how well it matches (BM25, higher is better)."""

    record: int
    id: str
    score: float


@dataclass(frozen=True, slots=True)
class Matches:
    """The best matches of one part of a tier, best first, and how many there are in all."""

    best: tuple[Match, ...] = ()
    total: int = 0


@dataclass(frozen=True, slots=True)
class VectorState:
    """What the store's vectors are: model ("" before the first), precision, and how far they have come.

    `generation` rises when copies in memory have to be read anew, `last` is the number of the newest row.
    """

    model: str
    precision: str
    generation: int
    last: int


@dataclass(frozen=True, slots=True)
class VectorRow:
    """A passage's vector, or (None) that all vectors of its record have gone from where they were."""

    no: int
    record: int
    passage: int
    vector: bytes | None


@dataclass(frozen=True, slots=True)
class VectorCount:
    """How many records of one scope and tier have vectors, and how many vectors those are."""

    scope: str
    label: Label
    records: int
    vectors: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The record at position `claimant` would replace (`supersedes`) or close (`answers`) the record `target`."""

    how: str
    target: str
    claimant: int


@dataclass(frozen=True, slots=True)
class Review:
    """A review that stands, and what it can carry."""

    seq: int
    author: str
    launch: str
    stance: Stance
    carry: Carry


@dataclass(frozen=True, slots=True)
class Disclosed:
    """One disclosure as it is stored: to whom, of what, when, and how it stood then."""

    position: int
    at: int
    record: str
    principal: str
    label: int
    extent: int
    stale: bool


@dataclass(frozen=True, slots=True)
class RecordCount:
    """How many records are of one kind, label and status; erased ones are in none."""

    kind: str
    label: Label
    status: Status
    records: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes on disk."""

    database: int
    write_ahead_log: int


@dataclass(frozen=True, slots=True)
class WordGap:
    """By how many records a tier's full text and its records differ; false where they agree."""

    missing: int
    surplus: int

    def __bool__(self) -> bool:
        return bool(self.missing or self.surplus)


class Log(Protocol):
    """The append-only log."""

    def head(self) -> Head: ...
    def append_entry(self, logged: Logged) -> None: ...
    def move_head(self, frontier: Frontier, checkpoint: str, logged_at: int) -> None: ...
    def entry(self, seq: int) -> Logged | None: ...
    def entries(self, start: int = 0) -> Iterator[Logged]: ...
    def leaves(self, size: int, start: int = 0) -> list[bytes]: ...
    def size_at(self, micros: int) -> int: ...


class Contents(Protocol):
    """What lies beside the log and can be destroyed."""

    def put(self, seq: int, stored: StoredContent) -> None: ...
    def get(self, seq: int) -> StoredContent | None: ...
    def twin(self, fingerprint: bytes) -> str: ...


class Registry(Protocol):
    """Principals, keys and tools by other names than `View` knows them."""

    def principals(self) -> list[Principal]: ...
    def name_taken(self, name: str) -> bool: ...
    def key(self, keyid: str) -> KeyState | None: ...
    def keys_of(self, principal: str) -> list[KeyState]: ...
    def tools(self) -> list[Tool]: ...
    def chain(self, author: str, launch: str) -> tuple[int, str]: ...
    def epoch(self, principal: str, scope: str) -> int: ...


class Records(Protocol):
    """Records and sessions by what they have in common."""

    def id_at(self, seq: int) -> str: ...
    def at(self, seqs: Iterable[int]) -> list[RecordState]: ...
    def named(self, author: str, scope: str, name: str) -> str: ...
    def of_session(self, session: str) -> list[RecordState]: ...
    def written_from(self, seq: int) -> Iterator[RecordState]: ...
    def relabel(self, state: RecordState, label: Label, *, suspect: bool, content: Content | None) -> None: ...
    def sessions(self, scope: str, *, launch: str = "", most: int) -> list[SessionState]: ...
    def running(self, scope: str, task: str, *, most: int) -> list[SessionState]: ...
    def dead(self, scope: str, principal: str, *, most: int) -> list[SessionState]: ...
    def before(self, session: str, scope: str, principal: str) -> SessionState | None: ...
    def lease(self, session: str, until: int) -> None: ...


class DisclosureLog(Protocol):
    """Contexts and what they were shown: primary data, append-only."""

    def open_context(self, launch: str, *, principal: str, scope: str) -> None: ...
    def disclose(self, launch: str, disclosures: list[Disclosure]) -> None: ...
    def unseen(self, launch: str, disclosures: list[Disclosure]) -> list[Disclosure]: ...
    def shown_to(self, launch: str) -> Iterator[Source]: ...
    def replayed(self) -> Iterator[tuple[str, Disclosure]]: ...
    def replay(self, launch: str, disclosure: Disclosure) -> None: ...


class Trust(Protocol):
    """What rests on what: how far a change reaches, what judging that takes, and what follows."""

    def reach(self, seqs: Iterable[int]) -> list[int]: ...
    def declared_by(self, seqs: Iterable[int]) -> list[int]: ...
    def web(self, seqs: list[int]) -> Web: ...
    def put_standing(self, seq: int, standing: Standing) -> None: ...
    def remark(self, seqs: Iterable[int], launches: Iterable[str] = ()) -> None: ...
    def flag_revisit(self, seqs: Iterable[int]) -> None: ...
    def flag_contingent(self, seqs: Iterable[int]) -> set[int]: ...
    def claims(self, seqs: Iterable[int]) -> list[Claim]: ...
    def settle_claim(self, how: str, record: str, by: int | None) -> bool: ...


class Reviews(Protocol):
    """Reviews, retractions and grants by what they are about."""

    def standing(self, record: str) -> list[Review]: ...
    def disputed_up_to(self, record: str) -> int: ...
    def rivals(self, seq: int, record: str) -> list[str]: ...
    def readers(self, seq: int) -> list[Disclosed]: ...
    def shown_in(self, launch: str) -> list[Disclosed]: ...
    def of_task(self, scope: str, task: str, most: int) -> list[str]: ...
    def waiting(self, scope: str, most: int) -> list[str]: ...
    def touched_by_key(self, keyid: str, since: int) -> list[int]: ...
    def record_affected(self, act: int, seqs: Iterable[int]) -> None: ...
    def grants(self, principal: str = "") -> list[tuple[GrantState, bool]]: ...


class Retrieval(Protocol):
    """Candidates of one tier, and a timeline of all."""

    def newest(self, wanted: Filter, *, label: Label, share: Share, most: int, revisit: bool = False) -> Found: ...
    def matching(self, query: str, wanted: Filter, *, label: Label, share: Share, most: int) -> Matches: ...
    def matched(self, query: str, records: Sequence[int], *, label: Label) -> set[int]: ...
    def allowed(self, records: Sequence[int], wanted: Filter, *, label: Label, share: Share) -> dict[int, str]: ...
    def narrowed(self, wanted: Filter, *, label: Label, share: Share, most: int) -> list[int] | None: ...
    def timeline(
        self, scope: str, *, task: str, session: str, record: str, after: int, before: int, most: int
    ) -> list[int]: ...


class Vectors(Protocol):
    """Vectors beside the log, and the queue of records that have none yet."""

    def state(self) -> VectorState: ...
    def adopt(self, model: str, precision: str) -> None: ...
    def waiting(self, most: int) -> list[int]: ...
    def put(self, record: int, model: str, passages: Sequence[bytes]) -> bool: ...
    def since(self, no: int, scope: str, label: Label) -> Iterator[VectorRow]: ...
    def of(self, records: Sequence[int]) -> Iterator[tuple[int, int, bytes]]: ...
    def counted(self) -> list[VectorCount]: ...


class Counts(Protocol):
    """How much there is, and whether it agrees: for the operator, never for an answer to an agent."""

    def records(self) -> list[RecordCount]: ...
    def rows(self) -> dict[str, int]: ...
    def words(self) -> Iterator[tuple[Label, WordGap]]: ...
    def sizes(self) -> Sizes: ...
    def clock_floor(self) -> int: ...
    def schema_version(self) -> int: ...
    def damage(self) -> int: ...


class Embedder(Protocol):
    """A model that is at hand. The first use may be slow, and may refuse with `no_model` or `bad_model`.

    It turns each text into one vector of length 1, the same for the same text whatever else is embedded.
    """

    @property
    def model_id(self) -> str:
        """Model, precision and runner: what stands beside every vector; of two names nothing is ever compared."""

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""

    def embed(self, texts: list[str]) -> Vector:
        """One row of float32 and length 1 for each text: shape (len(texts), dimension)."""


class Unit(Protocol):
    """One transaction at one moment."""

    @property
    def now(self) -> int: ...
    @property
    def wall(self) -> int: ...
    @property
    def log(self) -> Log: ...
    @property
    def contents(self) -> Contents: ...
    @property
    def view(self) -> View: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def records(self) -> Records: ...
    @property
    def disclosures(self) -> DisclosureLog: ...
    @property
    def trust(self) -> Trust: ...
    @property
    def reviews(self) -> Reviews: ...
    @property
    def handoffs(self) -> Handoffs: ...
    @property
    def receipts(self) -> Receipts: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def retrieval(self) -> Retrieval: ...
    @property
    def past(self) -> Past: ...
    @property
    def causes(self) -> Causes: ...
    @property
    def vectors(self) -> Vectors: ...
    @property
    def counts(self) -> Counts: ...
    @property
    def quotas(self) -> Quotas: ...
    @property
    def restorations(self) -> Restorations: ...
    def act(self, seq: int) -> None: ...
    def apply(self, change: Change, content: Content | None) -> None: ...
    def foresee(self, ids: Iterable[str], *, whole: bool = True) -> None: ...
    def at(self, now: int) -> Unit: ...
    @property
    def changes(self) -> int: ...
    def attempt(self) -> AbstractContextManager[None]: ...
    def when_committed(self, act: Callable[[], None]) -> None: ...
    @property
    def is_sealed_at_commit(self) -> bool: ...
    def seal_at_commit(self, act: Callable[[], None]) -> None: ...
    def forget_projection(self) -> None: ...
    def projected(self) -> dict[str, str]: ...


class Store(Protocol):
    """A durable store: transactions, and what an operator does to it as a whole."""

    def write(self) -> AbstractContextManager[Unit]: ...
    def read(self) -> AbstractContextManager[Unit]: ...
    def copy(self) -> AbstractContextManager[Store]: ...
    def forget_copies(self) -> None: ...
    def empty_write_ahead_log(self) -> bool: ...
    def changes(self) -> int: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Near:
    """A record that lies near a question: its position, the passage that is nearest, and the cosine of the two."""

    record: int
    passage: int
    similarity: float


class VectorIndex(Protocol):
    """What proposes records by their vectors. It is never asked whether one may be shown: the store disposes."""

    def nearest(
        self, unit: Unit, scope: str, label: Label, vector: Vector, *, most: int, among: Sequence[int] | None = None
    ) -> list[Near]:
        """The `most` records of a tier (of `among` in it) that are nearest, best first; fewer where there are none."""

    def plan(self, unit: Unit, scope: str, label: Label) -> str:
        """How a question to this tier that nothing narrows is answered: for the operator to see."""

    def close(self) -> None: ...
