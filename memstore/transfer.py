"""The log as a file, and a read-only copy of a store made from it: same id, same records, same root (ADR 0051).

JSON lines, each checked by itself as it is read; at the end the root has to be the one that the store signed, and a
replay has to give every label anew. A file that is damaged, reordered, cut short or of another store is refused with
the number of a line, and nothing of it is kept. docs/OPERATIONS.md has the format.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memstore.admin import House, ignore_file
from memstore.config import DATABASE, folder_of, refuse_existing, system_clock
from memstore.core.entries import Entry, Logged, leaf_of
from memstore.core.labels import Cause, CauseCode, Label, SignatureState, Verdict
from memstore.core.merkle import Frontier, root_of
from memstore.core.notes import verify_checkpoint
from memstore.core.records import Content, content_digest
from memstore.core.statements import Recorded, digest_of, parse_statement
from memstore.errors import Conflict, IntegrityError, InvalidInput, MemStoreError, NotFound
from memstore.log import Progress, checked_anew, silent
from memstore.placing import in_our_words, placed, placed_file
from memstore.ports import StoredContent
from memstore.signing import origin_of_store, store_id
from memstore.stores.loading import Loading, contexts, hidden, shown_from
from memstore.stores.sqlite import SqliteStore, SqliteUnit

VERSION = 1
MOST_LINE = 8 << 20
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
L = TypeVar("L", bound="_Line")


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Start(_Line):
    """The first line: whose log, from which entry on, and the signed checkpoint that the last entry leads to."""

    memstore: Annotated[str, Field(pattern="^log$")]
    version: Annotated[int, Field(ge=VERSION, le=VERSION)]
    store_id: Annotated[str, Field(pattern="^[a-z2-7]{26}$")]
    public_key: str
    start: Count
    start_root: Hash
    size: Count
    checkpoint: str


class Context(_Line):
    launch: Annotated[str, Field(min_length=1, max_length=200)]
    principal: str
    scope: str


class Shown(_Line):
    """One disclosure: `record` and `position` are log positions."""

    launch: str
    n: Count
    record: Count
    position: Count
    at: Count
    label: Annotated[int, Field(ge=0, le=3)]
    extent: Annotated[int, Field(ge=1, le=2)]
    stale: bool


class EntryLine(_Line):
    seq: Count
    logged_at: Count
    payload_type: str
    payload: str
    keyid: str
    signature: str
    state: str
    label: str
    because: list[dict[str, str]]
    shown: Hash
    leaf: Hash


class Body(_Line):
    salt: str
    content: str


class End(_Line):
    """The last line: how many lines stand before it, so that a file that was cut is one."""

    lines: Count


def export_log(house: House, target: Path, *, since: int = -1, progress: Progress = silent) -> dict[str, Any]:
    """Write the log after position `since`, with what of contents is not erased, and every disclosure; no key.

    What leaked is left out. Gives {store_id, entries, last_seq, …}; the next file goes on with `--since last_seq`.
    """
    start = since + 1
    with house.store.read() as unit, placed_file(target) as file:
        assert isinstance(unit, SqliteUnit)
        head = unit.log.head()
        if not 0 <= start <= head.size:
            raise InvalidInput("--since is no position in the log", next_call="Pass `last_seq` of the export before.")
        lines = 0
        for line in _lines(unit, start, progress):
            file.write(line)
            lines += 1
        file.write(_line("end", End(lines=lines).model_dump()))
    told = {"file": str(target), "store_id": head.store, "entries": head.size - start}
    return {**told, "last_seq": head.size - 1, "bytes": target.stat().st_size}


def _line(kind: str, value: Any, **more: Any) -> bytes:
    return json.dumps({kind: value, **more}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _lines(unit: SqliteUnit, start: int, progress: Progress) -> Iterator[bytes]:
    head = unit.log.head()
    first = Start(
        memstore="log", version=VERSION, store_id=head.store, public_key=_text(head.public_key), start=start,
        start_root=root_of(unit.log.leaves(start)).hex(), size=head.size, checkpoint=head.checkpoint,
    )  # fmt: skip
    yield _line("log", first.model_dump())
    for launch, principal, scope in contexts(unit):
        yield _line("context", {"launch": launch, "principal": principal, "scope": scope})
    withheld, told = hidden(unit), shown_from(unit, start)
    waiting = next(told, None)
    for logged in unit.log.entries(start):
        while waiting is not None and waiting[1][2] <= logged.entry.seq:
            yield _shown_line(*waiting)
            waiting = next(told, None)
        stored = None if logged.entry.seq in withheld else unit.contents.get(logged.entry.seq)
        body = {"content": {"salt": _text(stored.salt), "content": _text(stored.content)}} if stored else {}
        yield _line("entry", _entry(logged), **body)
        progress(logged.entry.seq + 1 - start, head.size - start)
    while waiting is not None:
        yield _shown_line(*waiting)
        waiting = next(told, None)


def _shown_line(launch: str, shown: tuple[int, ...]) -> bytes:
    n, record, position, at, label, extent, stale = shown
    told = Shown(
        launch=launch, n=n, record=record, position=position, at=at, label=label, extent=extent, stale=bool(stale)
    )
    return _line("shown", told.model_dump())


def _entry(logged: Logged) -> dict[str, Any]:
    entry = logged.entry
    return {
        "seq": entry.seq,
        "logged_at": entry.logged_at,
        "payload_type": entry.payload_type,
        "payload": _text(logged.payload),
        "keyid": entry.keyid,
        "signature": _text(logged.signature),
        "state": str(entry.signature),
        "label": str(entry.verdict.label),
        "because": [{name: str(value) for name, value in cause.as_dict().items()} for cause in entry.verdict.because],
        "shown": entry.disclosures.hex(),
        "leaf": logged.leaf.hex(),
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def import_log(
    source: Path,
    store: str | Path | None = None,
    *,
    progress: Progress = silent,
    clock: Callable[[], int] = system_clock,
) -> dict[str, Any]:
    """Make a read-only copy of a log in an empty place, or go on with one: {store_id, entries, root, …}.

    All of the log is replayed before anything is kept.
    """
    folder = folder_of(store)
    try:
        with source.open("rb") as file:
            reading = _Reading(file)
            first = reading.first()
            if (folder / DATABASE).is_file():
                return _told(folder, _continued(folder, reading, first, progress, clock))
            refuse_existing(folder)
            if first.start:
                raise Conflict(
                    f"The file begins at entry {first.start}, and there is no copy here that ends there",
                    code="not_contiguous",
                    next_call="Import the files before it first.",
                )
            with placed(folder) as fresh:
                ignore_file(fresh)
                public = reading.key(first)
                SqliteStore.create(fresh / DATABASE, clock, store=first.store_id, public_key=public).close()
                (fresh / DATABASE).chmod(0o600)
                size = _loaded(fresh / DATABASE, reading, first, progress, clock)
            return _told(folder, size)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound("There is no such file", code="no_file", next_call="Name a file of export log.") from error
    except OSError as error:
        raise in_our_words(error) from error


def _told(folder: Path, done: dict[str, Any]) -> dict[str, Any]:
    note = "A copy: it is read, never written. It has no keys; people read it by name, agents not at all."
    return {"store": str(folder), **done, "note": note}


def _continued(
    folder: Path, reading: _Reading, first: Start, progress: Progress, clock: Callable[[], int]
) -> dict[str, Any]:
    """Go on with the copy that is here, if the file begins where it ends."""
    there = SqliteStore.open(folder / DATABASE, clock)
    try:
        with there.read() as unit:
            head = unit.log.head()
    finally:
        there.close()
    if not head.copied:
        raise Conflict(
            "A store that is written is here, and no copy", code="store_exists", next_call="Choose another folder."
        )
    if (first.store_id, first.start) != (head.store, head.size) or first.start_root != head.frontier.root().hex():
        raise Conflict(
            f"The file does not go on where the copy here ends, at entry {head.size}",
            code="not_contiguous",
            next_call=f"Export with --since {head.size - 1}.",
        )
    return _loaded(folder / DATABASE, reading, first, progress, clock)


def _loaded(
    path: Path, reading: _Reading, first: Start, progress: Progress, clock: Callable[[], int]
) -> dict[str, Any]:
    """Load all lines and check what they add up to, in one transaction: everything of the file is kept, or nothing."""
    store = SqliteStore.open(path, clock, loads=True)
    try:
        with store.write() as unit:
            loading = Loading(unit)
            # 1. Each line by itself, in its place.
            frontier, logged_at = _each(reading, first, loading, unit.log.head().frontier, progress)
            # 2. Together they are what the store signed.
            signed = verify_checkpoint(first.checkpoint, origin_of_store(first.store_id), reading.key(first))
            if (frontier.size, frontier.root()) != (signed.size, signed.root):
                raise reading.refusal("the entries are not those that the store's checkpoint signed")
            # 3. A replay gives every label, and what each context was shown is what its entries commit to.
            loading.finish(frontier, first.checkpoint, logged_at)
            problems = checked_anew(unit, progress=progress)
            if problems:
                line = loading.line_of(problems[0].seq)
                raise reading.refusal(f"{problems[0].code} at entry {problems[0].seq}: {problems[0].what}", line)
            loading.forget_leaked()
        store.empty_write_ahead_log()
    finally:
        store.close()
    return {"store_id": first.store_id, "entries": frontier.size, "added": frontier.size - first.start,
            "root": base64.b64encode(frontier.root()).decode()}  # fmt: skip


def _each(
    reading: _Reading, first: Start, loading: Loading, frontier: Frontier, progress: Progress
) -> tuple[Frontier, int]:
    logged_at = 0
    for kind, value, body in reading.lines():
        match kind:
            case "context":
                context = reading.parsed(Context, value)
                if not loading.put_context(context.launch, context.principal, context.scope):
                    raise reading.refusal("a context is another one's here")
            case "shown":
                shown = reading.parsed(Shown, value)
                in_place = shown.record < shown.position <= frontier.size and shown.position >= first.start
                told = (shown.n, shown.record, shown.position, shown.at, shown.label, shown.extent, int(shown.stale))
                if not in_place or not loading.put_shown(shown.launch, told):
                    raise reading.refusal("a disclosure is not in its place")
            case "entry":
                logged, content = _logged(reading, reading.parsed(EntryLine, value), body)
                if logged.entry.seq != frontier.size:
                    raise reading.refusal(f"entry {frontier.size} is missing")
                loading.put_entry(logged, content, line=reading.number)
                frontier, logged_at = frontier.append(logged.leaf), max(logged_at, logged.entry.logged_at)
                progress(frontier.size - first.start, first.size - first.start)
            case _:
                raise reading.refusal("a line is of no known kind")
    return frontier, logged_at


def _logged(reading: _Reading, line: EntryLine, body: Any) -> tuple[Logged, StoredContent | None]:
    """An entry whose hash is the leaf that is named, and its content, if that is what its statement commits to."""
    try:
        payload = reading.decoded(line.payload)
        causes = tuple(Cause(CauseCode(c["code"]), Label.named(c["label"]), c.get("id", "")) for c in line.because)
        entry = Entry(
            seq=line.seq,
            logged_at=line.logged_at,
            payload_type=line.payload_type,
            digest=digest_of(line.payload_type, payload),
            keyid=line.keyid,
            signature=SignatureState(line.state),
            verdict=Verdict(Label.named(line.label), causes),
            disclosures=bytes.fromhex(line.shown),
        )
        statement = parse_statement(line.payload_type, payload)
    except (ValueError, KeyError, MemStoreError) as error:
        raise reading.refusal("an entry is not well formed") from error
    logged = Logged(entry, payload, reading.decoded(line.signature), bytes.fromhex(line.leaf))
    if leaf_of(entry) != logged.leaf:
        raise reading.refusal("an entry is not what was hashed")
    if body is None:
        return logged, None
    parsed = reading.parsed(Body, body)
    # The fingerprint finds the same words again for who writes, and nobody writes here.
    stored = StoredContent(reading.decoded(parsed.salt), reading.decoded(parsed.content), b"")
    if not isinstance(statement, Recorded) or content_digest(stored.salt, stored.content) != statement.content:
        raise reading.refusal("a content is not what its author signed")
    try:
        Content.parse(stored.content)
    except MemStoreError as error:
        raise reading.refusal("a content is not well formed") from error
    return logged, stored


class _Reading:
    """A file read line by line; every refusal names the line that it is about."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0

    def refusal(self, what: str, line: int = 0) -> IntegrityError:
        return IntegrityError(
            f"Line {line or self.number}: {what}",
            code="bad_file",
            state="Nothing of the file was kept.",
            next_call="Export it anew, or copy it anew.",
        )

    def first(self) -> Start:
        found = self._next()
        if found is None or found[0] != "log":
            raise self.refusal("the file is no export of a log")
        return self.parsed(Start, found[1])

    def key(self, first: Start) -> bytes:
        """The key that the store is named by."""
        public = self.decoded(first.public_key)
        if len(public) != 32 or store_id(public) != first.store_id:
            raise self.refusal("the key is not the one that the store is named by", 1)
        return public

    def lines(self) -> Iterator[tuple[str, Any, Any]]:
        """(kind, value, content) of each line, up to the last, after which nothing may come."""
        while (found := self._next()) is not None:
            if found[0] == "end":
                if self.parsed(End, found[1]).lines != self.number - 1 or self._file.read(1):
                    raise self.refusal("the file does not end where it says")
                return
            yield found
        raise self.refusal("the file is cut short")

    def _next(self) -> tuple[str, Any, Any] | None:
        raw = self._file.readline(MOST_LINE)
        if not raw:
            return None
        self.number += 1
        if not raw.endswith(b"\n"):
            raise self.refusal("the file is cut short" if len(raw) < MOST_LINE else "the line is too long")
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise self.refusal("the line is no JSON") from error
        if not isinstance(value, dict) or len(value) not in (1, 2) or (len(value) == 2 and "content" not in value):
            raise self.refusal("the line is none of ours")
        content = value.pop("content", None)
        if len(value) != 1:
            raise self.refusal("the line is none of ours")
        ((kind, told),) = value.items()
        if content is not None and kind != "entry":
            raise self.refusal("the line is none of ours")
        return kind, told, content

    def parsed(self, model: type[L], value: Any) -> L:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise self.refusal("the line is not well formed") from error

    def decoded(self, text: str) -> bytes:
        try:
            return base64.b64decode(text, validate=True)
        except ValueError as error:
            raise self.refusal("the line is not well formed") from error
