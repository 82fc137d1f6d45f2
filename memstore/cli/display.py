"""Answers as a person reads them on a terminal: titled sections, coloured labels, a timeline as lines.

Stored text stands behind a bar at its left and is escaped and wrapped, so that no record can draw a heading, move the
cursor or pass its words off as those of memstore. Ids stand whole, to be copied.
"""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import click

from memstore.render import escaped

COLOURS = {"trusted": "green", "attributed": "cyan", "tainted": "yellow", "untrusted": "red"}
SECTIONS = {
    "trusted": "TRUSTED",
    "attributed": "ATTRIBUTED  nobody vouches for it yet",
    "quarantined": "QUARANTINED  not to be relied on",
}
BAR = "│ "
MOST_OF_A_NAME = 50
_WORDS = ("title", "body", "text")
_LISTED = ("rationale", "caveats", "alternatives", "conditions", "evidence", "derived_from", "source", "args", "data")
_MARKERS = {"ok": ("✓", "green"), "wrong": ("✗", "red")}


def lines_of(answer: dict[str, Any]) -> Iterator[str]:
    """The lines of any answer; one of no known form goes out as names and values."""
    if "trusted" in answer and "quarantined" in answer:
        yield from _searched(answer)
    elif "records" in answer and "missing" in answer:
        yield from _got(answer)
    elif "entries" in answer and "warning" in answer:
        yield from _opened(answer)
    elif "events" in answer:
        yield from _timeline(answer)
    elif "brief" in answer:
        yield from _briefed(answer)
    else:
        yield from plain(answer)


def _line(value: object) -> str:
    """A value on one line: escaped, its own line ends made visible."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return escaped(text).replace("\n", "\\n").replace("\t", " ")


def _named(text: str) -> str:
    """A name that an agent chose, kept too short to run over the edge of a terminal."""
    return _line(text if len(text) <= MOST_OF_A_NAME else text[: MOST_OF_A_NAME - 1] + "…")


def _barred(value: object, indent: int = 2) -> Iterator[str]:
    """Stored text, each of its lines behind a bar; wrapped here, for a terminal would wrap to its left edge."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
    width = max(20, shutil.get_terminal_size().columns - indent - len(BAR))
    for line in escaped(text).split("\n"):
        for part in textwrap.wrap(line, width, replace_whitespace=False) or [""]:
            yield " " * indent + click.style(BAR, dim=True) + part


def _label(label: str) -> str:
    return click.style(_line(label), fg=COLOURS.get(label), bold=True)


def _heading(text: str, colour: str | None = None) -> str:
    return click.style(text, fg=colour, bold=True)


def plain(values: dict[str, Any], indent: int = 0) -> Iterator[str]:
    """Names and values, one a line; what is within is set in."""
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        head = " " * indent + click.style(_line(name), dim=True)
        if isinstance(value, dict) and value:
            yield head
            yield from plain(value, indent + 2)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield head
            for item in value:
                yield " " * (indent + 2) + "- " + _short(item)
        elif isinstance(value, str) and "\n" in value:
            yield head
            yield from _barred(value, indent + 2)
        else:
            shown = ", ".join(_line(item) for item in value) if isinstance(value, list) else _line(value)
            yield head + " " * (width - len(name) + 2) + (_label(shown) if shown in COLOURS else shown)


def _short(item: object) -> str:
    if not isinstance(item, dict):
        return _line(item)
    return "  ".join(f"{_line(name)}={_line(value)}" for name, value in item.items() if value not in ("", [], {}))


def _searched(answer: dict[str, Any]) -> Iterator[str]:
    for name, title in SECTIONS.items():
        section = answer[name]
        items = section.get("hits", section.get("entries", []))
        colour = "red" if name == "quarantined" else COLOURS[name]
        yield _heading(f"{title}  {len(items)} of {section['count']}", colour)
        for item in items:
            yield from _entry(item) if name == "quarantined" else _hit(item)
        if section["next_cursor"]:
            yield f"  more: --cursor {_line(section['next_cursor'])}"
        yield ""
    yield from _ended(answer)


def _ended(answer: dict[str, Any]) -> Iterator[str]:
    """What stands at the end of an answer: the mark, and what it has to say."""
    if answer.get("mark"):
        yield click.style("mark ", dim=True) + _label(answer["mark"])
    if answer.get("note"):
        yield _line(answer["note"])


def _hit(hit: dict[str, Any], indent: int = 2) -> Iterator[str]:
    edge = " " * indent
    yield f"{edge}{_label(hit['label'])} {_line(hit['kind'])}  {_line(hit['id'])}"
    for name in _WORDS:
        if hit.get(name):
            yield from _barred(hit[name], indent + 2)
    for name in _LISTED:
        if hit.get(name):
            yield from _listed(name, hit[name], indent + 2)
    about = [f"{hit['author']} ({hit['role']})" if hit.get("role") else str(hit["author"])]
    about += [f"task {_named(hit['task'])}"] if hit.get("task") else []
    about += [_age(hit["age_seconds"])] if "age_seconds" in hit else []
    about += [str(hit[name]) for name in ("verification", "posture") if hit.get(name)]
    about += [str(flag) for flag in hit.get("flags", [])]
    yield edge + "  " + click.style(" · ".join(_line(part) for part in about), dim=True)


def _listed(name: str, value: Any, indent: int) -> Iterator[str]:
    yield " " * indent + click.style(f"{name}:", dim=True)
    for item in value if isinstance(value, list) else [value]:
        yield from _barred(item, indent + 2)


def _age(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _entry(entry: dict[str, Any]) -> Iterator[str]:
    if "ref" not in entry:
        yield "  " + _short(entry)
        return
    reasons = click.style(" ".join(_line(reason) for reason in entry["reasons"]), fg="red")
    record = f"  {_line(entry['id'])}" if "id" in entry else ""
    yield f"  {reasons}  {_line(entry['kind'])} from {_line(entry['origin'])}, {entry['bytes']} bytes{record}"
    about = [entry["author"], entry["logged_at"], f"expires {entry['expires_at']}" if entry.get("expires_at") else ""]
    yield "    " + click.style(" · ".join(_line(part) for part in about if part), dim=True)
    yield f"    {_line(entry['ref'])}"
    if "stale" in entry:
        yield "    " + click.style("was, and is out of date:", dim=True)
        yield from _hit(entry["stale"], 6)


def _got(answer: dict[str, Any]) -> Iterator[str]:
    for record in answer["records"]:
        yield from _hit(record, 0)
    if answer["quarantined"]:
        yield _heading(SECTIONS["quarantined"], "red")
        for entry in answer["quarantined"]:
            yield from _entry(entry)
    if answer["missing"]:
        yield _heading("MISSING") + "  " + " ".join(_line(record) for record in answer["missing"])
    yield from _ended(answer)


def _opened(answer: dict[str, Any]) -> Iterator[str]:
    yield click.style(_line(answer["warning"]), fg="red", bold=True)
    for entry in answer["entries"]:
        yield f"{_label(entry['label'])} {_line(entry['id'])}  {' '.join(_line(r) for r in entry['reasons'])}"
        yield from _barred(entry["body"])
        if entry["next_offset"]:
            yield f"  more: --offset {entry['next_offset']}"
    yield from _ended(answer)


# What a line of a timeline says of an event after its name, as far as it has it.
TOLD = ("status", "outcome", "verdict", "reason", "action", "type", "to", "detail", "id", "replacement", "task")


def _timeline(answer: dict[str, Any]) -> Iterator[str]:
    if not answer["events"]:
        yield click.style("Nothing.", dim=True)
    for event in answer["events"]:
        if event["event"] == "gap":
            yield click.style(f"        … {_gap(event)}", fg="yellow")
            continue
        what = event["event"].replace("_", " ")
        parts = [_line(event.get("kind", what)) if event["event"] == "recorded" else _line(what)]
        parts += [_label(event["label"])] if "label" in event else []
        parts += [_named(event[name]) for name in TOLD if event.get(name)]
        parts += [_line(flag) for flag in event.get("flags", [])]
        parts += [_turned(event.get("was"), event["now"])] if "now" in event else []
        at = click.style(_line(event["at"])[:19].replace("T", " ") + "  ", dim=True) if "at" in event else ""
        yield f"{event['seq']:>6}  {at}{_line(event['author'])}: {'  '.join(parts)}"
        if event.get("title"):
            yield from _barred(event["title"], 8)
    if answer.get("next_cursor"):
        yield f"more: --cursor {_line(answer['next_cursor'])}"
    yield from _ended(answer)


def _gap(event: dict[str, Any]) -> str:
    """What is missing between two events, in words."""
    if event["reason"] == "silence":
        return f"nothing for {_age(event['seconds']).removesuffix(' ago')}"
    whose = f" of {_line(event['author'])}" if event.get("author") else ""
    return f"the lease of {_line(event['id'])}{whose} ran out, {_line(event['at'])[:19].replace('T', ' ')}"


def _turned(was: dict[str, str] | None, now: dict[str, str]) -> str:
    """How a record stood at two moments."""
    then = f"{_label(was['label'])} {_line(was['status'])} → " if was else ""
    return f"{then}{_label(now['label'])} {_line(now['status'])}"


def _briefed(answer: dict[str, Any]) -> Iterator[str]:
    yield f"{_heading('SESSION')}  {_line(answer['session'])}"
    if answer.get("expires_at"):
        yield click.style(f"until {_line(answer['expires_at'])}", dim=True)
    brief = answer["brief"]
    if brief["intent"]:
        yield _heading("INTENT")
        yield from _item(brief["intent"])
    for name in ("constraints", "decisions", "questions", "in_flight", "handoffs", "changed"):
        if brief[name]:
            yield _heading(name.replace("_", " ").upper())
            for item in brief[name]:
                yield from _item(item)
    yield from _ended(answer)


def _item(item: dict[str, Any]) -> Iterator[str]:
    """An item of a brief: with words where there are any, else as what is known of it."""
    if "label" in item and any(name in item for name in _WORDS):
        yield from _hit({"kind": "", **item})
    else:
        yield "  " + _short(item)


def checked(answer: dict[str, Any]) -> Iterator[str]:
    """What the doctor found, one check a line, and below it what to do."""
    for check in answer["checks"]:
        marker, colour = _MARKERS["ok" if check["ok"] else "wrong"]
        yield f"{click.style(marker, fg=colour)} {_line(check['name'])}: {_line(check['what'])}"
        if check["next"] and not check["ok"]:
            yield f"    {_line(check['next'])}"


def table(rows: Iterable[dict[str, Any]], columns: tuple[str, ...]) -> Iterator[str]:
    """Rows under their headings, each column as wide as its widest value."""
    texts = [columns, *(tuple(_cell(row.get(column, "")) for column in columns) for row in rows)]
    widths = [max(len(text[i]) for text in texts) for i in range(len(columns))]
    for number, text in enumerate(texts):
        line = "  ".join(cell.ljust(width) for cell, width in zip(text, widths, strict=True)).rstrip()
        yield _heading(line) if number == 0 else line


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return ", ".join(_line(item) for item in value) if isinstance(value, list) else _named(str(value))
