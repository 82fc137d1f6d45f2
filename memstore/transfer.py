"""The log as a file, and a read-only copy of a store made from it: same id, same records, same root (ADR 0051).

JSON lines, each checked by itself as it is read; at the end the root has to be the one that the store signed, and a
replay has to give every label anew. A file that is damaged, reordered, cut short or of another store is refused with
the number of a line, and nothing of it is kept. docs/OPERATIONS.md has the format.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memstore.admin import House, ignore_file
from memstore.config import DATABASE, folder_of, refuse_existing, system_clock
from memstore.core.entries import Logged
from memstore.core.merkle import Frontier, root_of
from memstore.errors import Conflict, InvalidInput, NotFound, read_only_copy
from memstore.log import Progress, checked_anew, silent
from memstore.log_lines import VERSION, Context, End, EntryLine, Reading, Shown, Start, entry_of, signed_over
from memstore.placing import in_our_words, placed, placed_file
from memstore.stores.loading import Loading, contexts, hidden, shown_from
from memstore.stores.sqlite import SqliteStore, SqliteUnit


def export_log(house: House, target: Path, *, since: int = -1, progress: Progress = silent) -> dict[str, Any]:
    """Write the log after position `since`, with what of contents is not erased, and every disclosure; no key.

    What leaked is left out. All of it is signed by the store, so a copy exports nothing. Gives {store_id, entries,
    last_seq, …}; the next file goes on with `--since last_seq`.
    """
    start = since + 1
    with house.store.read() as unit, placed_file(target) as file:
        assert isinstance(unit, SqliteUnit)
        head = unit.log.head()
        if head.copied:
            raise read_only_copy()
        if not 0 <= start <= head.size:
            raise InvalidInput("--since is no position in the log", next_call="Pass `last_seq` of the export before.")
        lines, digest = 0, hashlib.sha256()
        for line in _lines(unit, start, progress):
            file.write(line)
            digest.update(line)
            lines += 1
        signature = house.key.signer.sign(signed_over(digest.digest()))
        file.write(_line("end", End(lines=lines, signature=_text(signature)).model_dump()))
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
            reading = Reading(file)
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
    folder: Path, reading: Reading, first: Start, progress: Progress, clock: Callable[[], int]
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


def _loaded(path: Path, reading: Reading, first: Start, progress: Progress, clock: Callable[[], int]) -> dict[str, Any]:
    """Load all lines and check what they add up to, in one transaction: everything of the file is kept, or nothing."""
    store = SqliteStore.open(path, clock, loads=True)
    try:
        with store.write() as unit:
            loading = Loading(unit)
            # 1. Each line by itself, in its place.
            frontier, logged_at = _each(reading, first, loading, unit.log.head().frontier, progress)
            # 2. Together they are what the store signed.
            signed = reading.checkpoint(first)
            if (frontier.size, frontier.root()) != (signed.size, signed.root):
                raise reading.refusal("the entries are not those that the store's checkpoint signed")
            # 3. A replay gives every label, and what each context was shown is what its entries commit to.
            loading.finish(frontier, first.checkpoint, logged_at)
            problems = checked_anew(unit, progress=progress)
            if problems:
                line = loading.line_of(problems[0].seq)
                raise reading.refusal(f"{problems[0].code} at entry {problems[0].seq}: {problems[0].what}", line)
            # 4. The store signed the file. Looked at last: what went before says which line is wrong.
            reading.verify_signature(reading.key(first))
            loading.forget_leaked()
        store.empty_write_ahead_log()
    finally:
        store.close()
    return {"store_id": first.store_id, "entries": frontier.size, "added": frontier.size - first.start,
            "root": base64.b64encode(frontier.root()).decode()}  # fmt: skip


def _each(
    reading: Reading, first: Start, loading: Loading, frontier: Frontier, progress: Progress
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
                logged, content = entry_of(reading, reading.parsed(EntryLine, value), body)
                if logged.entry.seq != frontier.size:
                    raise reading.refusal(f"entry {frontier.size} is missing")
                loading.put_entry(logged, content, line=reading.number)
                frontier, logged_at = frontier.append(logged.leaf), max(logged_at, logged.entry.logged_at)
                progress(frontier.size - first.start, first.size - first.start)
            case _:
                raise reading.refusal("a line is of no known kind")
    return frontier, logged_at
