"""Architecture decision records as arguments of `memory_write`: MADR, the form of this project's own.

A record becomes a decision with its title, its outcome as body and rationale, and its options as alternatives. A file
that is no decision record gives None; nothing is guessed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from memstore.core.records import MAX_ITEM, MAX_ITEMS, MAX_RATIONALE_BYTES, MAX_TITLE

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_HEADING = re.compile(r"^(#{1,3}) +(.+?)\s*$", re.MULTILINE)
_OPTION = re.compile(r"^[*-] +(.+(?:\n  .+)*)", re.MULTILINE)


def parse_madr(text: str) -> dict[str, Any] | None:
    """The arguments of a decision, or None if the text has no title or no outcome."""
    text = _FRONT_MATTER.sub("", text.replace("\r\n", "\n"))
    sections = _sections(text)
    title = next((heading for level, heading, _ in sections if level == 1), "")
    outcome = _section(sections, "decision outcome", "decision")
    if not title or not outcome:
        return None
    options = [" ".join(option.split()) for option in _OPTION.findall(_section(sections, "considered options"))]
    body = "\n\n".join(part for part in (_section(sections, "context"), _section(sections, "consequences")) if part)
    return {
        "kind": "decision",
        "title": title[:MAX_TITLE],
        "body": body,
        "rationale": outcome.encode()[:MAX_RATIONALE_BYTES].decode(errors="ignore"),
        "alternatives": [option[:MAX_ITEM] for option in options[:MAX_ITEMS]] or ["none"],
    }


def _sections(text: str) -> list[tuple[int, str, str]]:
    """(level, heading, text below it up to the next heading)."""
    found = list(_HEADING.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [(len(match[1]), match[2], text[match.end() : end].strip()) for match, end in zip(found, ends, strict=True)]


def _section(sections: list[tuple[int, str, str]], *names: str) -> str:
    for name in names:
        for level, heading, text in sections:
            if level > 1 and heading.lower().startswith(name) and text:
                return text
    return ""


def read_folder(folder: Path) -> dict[str, dict[str, Any]]:
    """Decisions by file name, in the order of names."""
    found = {path.name: parse_madr(path.read_text("utf-8")) for path in sorted(folder.glob("[0-9]*.md"))}
    return {name: arguments for name, arguments in found.items() if arguments is not None}
