"""Many records at once: JSON lines, and folders of decision records (DESIGN 8, `import`).

Each line is the arguments of `memory_write` or `memory_observe`, with `task` beside them, and is judged like any call;
one that is refused is skipped with its reason and stops nothing. Importing again stores nothing twice. What a line says
is repeated by no refusal and no summary.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from memstore.adr import read_pages
from memstore.errors import InvalidInput, MemStoreError, NotFound
from memstore.ports import Store, Unit
from memstore.recording import observe_in, write_in
from memstore.render import Answer
from memstore.requests import ObserveRequest, WriteRequest
from memstore.serving import Caller
from memstore.signing import StoreKey

BATCH = 200
MAX_LINE_BYTES = 1024 * 1024
MOST_SKIPPED = 100
MAX_NAME = 200

_BEFORE = "; retract it if an earlier import stored it"
NO_DECISION = {
    "no_file": "It is no regular file",
    "unreadable": "The file cannot be read",
    "not_text": "The file is not text in UTF-8",
    "too_long": f"The file is longer than 1 MiB, or its name than {MAX_NAME} characters",
    "no_record": "It has no title or no decision, so it is no decision record",
    "template": "It is a template, not a record",
    "not_decided": "Nothing is decided yet: it is proposed, a draft or on hold",
    "deprecated": f"It is deprecated and names no successor{_BEFORE}",
    "unknown_status": "Its status is none that is known here",
    "superseded": f"It is superseded, and by no record that is imported{_BEFORE}",
    "link_lost": f"Its successor replaces another record already, and a record replaces one{_BEFORE}",
    "circle": f"Those that it is superseded by go round in a circle{_BEFORE}",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One record to import, by its number or name; or why it cannot be."""

    name: str
    arguments: dict[str, Any]
    refusal: MemStoreError | None = None


def lines_of(path: Path) -> Iterator[Line]:
    """The lines of a JSONL file, read one by one; empty ones are passed over, overlong ones never held whole."""
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    while raw and not raw.endswith(b"\n"):
                        raw = file.readline(MAX_LINE_BYTES)
                    yield Line(str(number), {}, InvalidInput("The line is longer than 1 MiB", code="too_long"))
                    continue
                raw = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                if raw.strip():
                    yield _line(str(number), raw)
    except OSError as error:
        raise NotFound("The file cannot be read", code="no_file", next_call="Check its name.") from error


def _line(name: str, raw: bytes) -> Line:
    try:
        found = json.loads(raw.decode(), object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return Line(name, {}, InvalidInput("The line is not JSON, or says one key twice", code="bad_line"))
    if not isinstance(found, dict):
        return Line(name, {}, InvalidInput("The line is no object", code="bad_line"))
    return Line(name, found)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; one that says a key twice means nothing that could be signed."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def decisions_in(folder: Path) -> list[Line]:
    """A folder's decision records, each named by its file, the older before what replaces it; then what is none."""
    texts, refused = _texts_in(folder)
    found, passed = read_pages(texts)
    refused |= passed
    if not found and all(code in ("no_record", "template") for code in refused.values()):
        raise NotFound("The folder holds no decision records", code="no_records", next_call="MADR and Nygard are read.")
    lines = [Line(name, {**arguments, "key": name}) for name, arguments in found.items()]
    return lines + [
        Line(name, {}, InvalidInput(NO_DECISION[code], code=code)) for name, code in sorted(refused.items())
    ]


def _texts_in(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The text of each markdown file of a folder; and for those that have none, the code of why."""
    try:
        if not folder.is_dir():
            raise NotFound("There is no such folder", code="no_file", next_call="Name a folder of decision records.")
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".md", ".markdown"))
    except OSError as error:
        raise NotFound("The folder cannot be read", code="no_file", next_call="Check who may read it.") from error
    texts: dict[str, str] = {}
    refused: dict[str, str] = {}
    for path in paths:
        text, code = _text_of(path)
        if code:
            refused[path.name] = code
        else:
            texts[path.name] = text
    return texts, refused


def _text_of(path: Path) -> tuple[str, str]:
    """(text, code of why there is none)."""
    try:
        if not path.is_file():
            return "", "no_file"
        with path.open("rb") as file:
            raw = file.read(MAX_LINE_BYTES + 1)
    except OSError:
        return "", "unreadable"
    if len(raw) > MAX_LINE_BYTES or len(path.name) > MAX_NAME:
        return "", "too_long"
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "", "not_text"
    return (text, "") if "\0" not in text else ("", "not_text")


def import_lines(
    store: Store, key: StoreKey, caller: Caller, lines: Iterable[Line], *, progress: Callable[[int, int], None]
) -> Answer:
    """Store what can be stored, a batch to a transaction: {stored, duplicate, skipped[{line, code, what}], note}."""
    counts = {"stored": 0, "duplicate": 0}
    skipped: list[dict[str, str]] = []
    rest, done = iter(lines), 0
    while batch := list(islice(rest, BATCH)):
        for outcome in _batch_stored(store, key, caller, batch):
            if isinstance(outcome, str):
                counts[outcome] += 1
            else:
                skipped.append(outcome)
        done += len(batch)
        progress(done, 0)
    note = f"{len(skipped)} were skipped." if skipped else ""
    return Answer({**counts, "skipped": skipped[:MOST_SKIPPED], "skipped_in_all": len(skipped), "note": note})


Outcome = str | dict[str, str]


class _HalfDone(Exception):
    """A line was refused when a part of it was stored already."""


def _batch_stored(store: Store, key: StoreKey, caller: Caller, batch: list[Line]) -> list[Outcome]:
    """What became of each line: its status, or why it was skipped.

    Nearly all refusals come before anything is stored. Only after one that did not is the batch done again with a
    savepoint for each line, which costs more than the line itself.
    """
    try:
        with store.write() as unit:
            return [_outcome(unit, key, caller, line, guarded=False) for line in batch]
    except _HalfDone:
        with store.write() as unit:
            return [_outcome(unit, key, caller, line, guarded=True) for line in batch]


def _outcome(unit: Unit, key: StoreKey, caller: Caller, line: Line, *, guarded: bool) -> Outcome:
    before = unit.changes
    try:
        with unit.attempt() if guarded else nullcontext():
            return _stored(unit, key, caller, line)
    except MemStoreError as error:
        if not guarded and unit.changes != before:
            raise _HalfDone from error
        return {"line": line.name, "code": error.code, "what": error.what}


def _stored(unit: Unit, key: StoreKey, caller: Caller, line: Line) -> str:
    """Store one line by itself; its status."""
    if line.refusal is not None:
        raise line.refusal
    arguments = dict(line.arguments)
    task = arguments.pop("task", "")
    if not isinstance(task, str):
        raise InvalidInput("`task` is not of its type", next_call="Expected: string.")
    if "source" in arguments:
        answer = observe_in(unit, key, caller, ObserveRequest.parse(arguments), task=task)
    else:
        answer = write_in(unit, key, caller, _own_words(arguments), task=task)
    return str(answer["status"])


def _own_words(arguments: dict[str, Any]) -> WriteRequest:
    if arguments.get("dry_run"):
        raise InvalidInput("An import stores; `dry_run` is for single calls", code="unknown_field")
    return WriteRequest.parse(arguments)
