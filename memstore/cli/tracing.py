"""Causes and explanations as a person reads them on a terminal: a ranked list, counts, and the chains as a tree.

Ids of records are shortened to a beginning that the commands take; the whole ones stand in the JSON, and in a `why`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import click

from memstore.cli.display import _barred, _ended, _heading, _label, _line

_ID = re.compile(r"\b(m-[a-z2-7]{10})[a-z2-7]{16}\b")
MOST_LINES = 60
HOWS = {"declared": "named", "shown": "shown", "said": "same context"}


def _short(text: str) -> str:
    return _ID.sub(r"\1", _line(text))


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count:,} steps"


def _what(item: dict[str, Any], *, whole: bool = False) -> str:
    if "kind" not in item:
        return _short(item["id"])
    parts = [item["id"] if whole else _short(item["id"]), f"{_line(item['kind'])} by {_line(item['author'])}"]
    parts += [_label(item["label"])] if "label" in item else []
    parts += [_line(item["status"]).replace("_", " ")] if item.get("status", "in_force") != "in_force" else []
    parts += ["erased"] if item.get("erased") else []
    return "  ".join(parts)


def traced(answer: dict[str, Any]) -> Iterator[str]:
    """A blame or an impact: what was asked about, what was found by rank, how much there is, and the chains."""
    yield f"{_heading('OF')}  {_what(answer['of'])}"
    yield from _barred(answer["of"]["title"]) if answer["of"].get("title") else ()
    yield f"{_heading('FOUND')}  {len(answer['nodes'])} of {answer['count']:,}"
    for number, node in enumerate(answer["nodes"], start=1):
        how = HOWS[node["how"]]
        hint = node.get("hint", {}).get("words_shared_percent")
        told = [how, _steps(node["distance"])] + ([f"hint: {hint} % of the words alike"] if hint else [])
        yield f"{number:>3}  {_what(node)}  {click.style(' · '.join(told), dim=True)}"
        yield from _barred(node["title"], 5) if node.get("title") else ()
        # Of one step the line above has said all.
        if node["distance"] > 1 and node.get("told"):
            yield from (f"     {click.style(line, dim=True)}" for line in _sentences(node["told"]))
    groups = answer.get("groups", [])
    if answer["count"] > len(answer["nodes"]) and groups:
        yield _heading("IN ALL")
        yield from (_counted(group) for group in groups)
    if answer["edges"]:
        yield _heading("CHAINS")
        yield from _tree(answer)
    if answer["next_cursor"]:
        yield f"more: --cursor {_line(answer['next_cursor'])}"
    yield from _ended(answer)


def _sentences(told: str) -> list[str]:
    return [_short(sentence) for sentence in re.split(r"(?<=\.) (?=[mT])", told)]


def _counted(group: dict[str, Any]) -> str:
    if "groups" in group:
        return f"{group['count']:>7,}  {_label(group['label'])} in {group['groups']} more groups"
    what = f"{_line(group['kind'])} by {_line(group['author'])}"
    near = f"nearest {_steps(group['nearest'])}"
    return f"{group['count']:>7,}  {HOWS[group['how']]}: {_label(group['label'])} {what}, {near}"


def _tree(answer: dict[str, Any]) -> Iterator[str]:
    """The chains as a tree that begins at the record asked about; each record once, each line one."""
    root = answer["of"]["id"]
    known = {node["id"]: node for node in [answer["of"], *answer["nodes"]]}
    behind: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for edge in answer["edges"]:
        behind[edge["from"]].append((edge["to"], edge["how"]))
        behind[edge["to"]].append((edge["from"], edge["how"]))
    seen = {root}

    def below(record: str, edge: str) -> Iterator[str]:
        found = [(other, how) for other, how in behind[record] if other not in seen]
        seen.update(other for other, _ in found)
        for place, (other, how) in enumerate(found, start=1):
            last = place == len(found)
            branch, more = ("└─ ", "   ") if last else ("├─ ", "│  ")
            yield f"{edge}{branch}{HOWS[how]}: {_what(known.get(other, {'id': other}))}"
            if len(edge) < 3 * MOST_LINES:
                yield from below(other, edge + more)

    yield "  " + _what(answer["of"])
    for number, line in enumerate(below(root, "  ")):
        if number == MOST_LINES:
            yield "  …"
            return
        yield line


def explained(answer: dict[str, Any]) -> Iterator[str]:
    """A `why`, in its sentences."""
    record = answer["record"]
    yield f"{_heading('OF')}  {_what(record, whole=True)}"
    yield from _barred(record["title"]) if record.get("title") else ()
    yield from (f"  {_short(sentence)}" for sentence in answer["told"])
    yield from _ended(answer)
