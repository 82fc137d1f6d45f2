"""Architecture decision records as arguments of `memory_write`: MADR, the form of this project's own, and Nygard's.

A record becomes a decision with its title, its outcome as rationale, its context and consequences as body, and its
options as alternatives; what its status says it was superseded by becomes a link. A file that is no decision record
gives None; nothing is guessed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from memstore.core.records import MAX_BODY_BYTES, MAX_ITEM, MAX_ITEMS, MAX_RATIONALE_BYTES, MAX_TITLE

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_HEADING = re.compile(r"^(#{1,3}) +(.+?)\s*$", re.MULTILINE)
_OPTION = re.compile(r"^[*-] +(.+(?:\n  .+)*)", re.MULTILINE)
_NUMBER = re.compile(r"^\s*(?:ADR[- ]?)?\d+\s*[.:]\s*", re.IGNORECASE)
_SUPERSEDED_BY = re.compile(r"superseded\s+by\D{0,40}?(\d{1,4})", re.IGNORECASE)
_FILE_NUMBER = re.compile(r"^\D{0,12}?(\d{1,4})")

Section = tuple[int, str, str]


def parse_adr(text: str) -> dict[str, Any] | None:
    """The arguments of a decision, or None if the text has no title or no outcome."""
    sections = _sections(_body_of(text))
    title = next((heading for level, heading, _ in sections if level == 1), "")
    outcome = _section(sections, "decision outcome", "decision")
    if not title or not outcome:
        return None
    options = [" ".join(option.split()) for option in _OPTION.findall(_section(sections, "considered options"))]
    body = "\n\n".join(part for part in (_section(sections, "context"), _section(sections, "consequences")) if part)
    return {
        "kind": "decision",
        "title": _NUMBER.sub("", title)[:MAX_TITLE],
        "body": _cut(body, MAX_BODY_BYTES),
        "rationale": _cut(outcome, MAX_RATIONALE_BYTES),
        "alternatives": [option[:MAX_ITEM] for option in options[:MAX_ITEMS]] or ["none"],
    }


def superseded_by(text: str) -> int | None:
    """The number of the record that a record's status, in front matter or in a section, says it was superseded by."""
    front = _FRONT_MATTER.match(text.replace("\r\n", "\n"))
    status = _section(_sections(_body_of(text)), "status")
    found = _SUPERSEDED_BY.search(f"{front[1] if front else ''}\n{status}")
    return int(found[1]) if found else None


def _body_of(text: str) -> str:
    return _FRONT_MATTER.sub("", text.replace("\r\n", "\n"))


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")


def _sections(text: str) -> list[Section]:
    """(level, heading, text below it up to the next heading)."""
    found = list(_HEADING.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [(len(match[1]), match[2], text[match.end() : end].strip()) for match, end in zip(found, ends, strict=True)]


def _section(sections: list[Section], *names: str) -> str:
    for name in names:
        for level, heading, text in sections:
            if level > 1 and heading.lower().startswith(name) and text:
                return text
    return ""


def read_folder(folder: Path) -> dict[str, dict[str, Any]]:
    """Decisions by file name, in the order of names; a successor carries `supersedes` as the older one's `key:`.

    A record that would replace several keeps the link to the first: a statement supersedes one record.
    """
    texts = {path.name: path.read_text("utf-8", errors="replace") for path in sorted(folder.glob("*.md"))}
    found = {name: arguments for name, text in texts.items() if (arguments := parse_adr(text)) is not None}
    numbers = {int(match[1]): name for name in found if (match := _FILE_NUMBER.match(name))}
    for name in list(found):
        successor = numbers.get(superseded_by(texts[name]) or -1)
        # The older has to be there first; a link back in the numbers would be a circle.
        if successor is not None and list(found).index(successor) > list(found).index(name):
            found[successor].setdefault("supersedes", f"key:{name}")
    return found
