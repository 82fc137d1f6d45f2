"""Answers on their way out: JSON where stdout is no terminal, lines where it is one, and progress on stderr.

Neither form carries a character that a terminal would obey: in JSON it is escaped as JSON does, in lines as
`memstore.render` does.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click

_BEYOND_ASCII = re.compile(r"[^\n -~]")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

Lines = Callable[[dict[str, Any]], Iterable[str]]


def emit(answer: dict[str, Any], lines: Lines | None = None) -> None:
    """Print an answer, in lines on a terminal; `lines` lays out an answer that has a form of its own."""
    if not is_terminal(sys.stdout):
        click.echo(encodable(as_json(answer)))
        return
    from memstore.cli.display import lines_of

    for line in (lines or lines_of)(answer):
        click.echo(encodable(line))


def is_terminal(stream: Any) -> bool:
    return bool(stream is not None and stream.isatty())


def as_json(value: object) -> str:
    """JSON that is readable and, whatever was stored, harmless on a terminal that it is sent to after all."""
    return _BEYOND_ASCII.sub(_made_harmless, json.dumps(value, ensure_ascii=False, indent=2))


def _made_harmless(found: re.Match[str]) -> str:
    character = found[0]
    return json.dumps(character)[1:-1] if unicodedata.category(character) in _HIDDEN else character


def encodable(text: str) -> str:
    """What the stream can carry: where it speaks no UTF-8, the rest is escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A line on stderr that counts up, where stderr is a terminal; gone when the work is."""
    shown = ""

    def show(done: int, total: int) -> None:
        nonlocal shown
        reached = f"{100 * done // total:3d} %" if total else f"{done:,}"
        if reached != shown:
            shown = reached
            click.echo(f"\r{what} {reached}", err=True, nl=False)

    if not is_terminal(sys.stderr):
        yield lambda done, total: None
        return
    try:
        yield show
    finally:
        if shown:
            click.echo("\r\x1b[K", err=True, nl=False)
