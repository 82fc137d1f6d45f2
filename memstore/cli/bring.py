"""`memstore import`: many records at once, each judged like a call of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from memstore.cli.options import agent_option, named_store, opened_as, scope_option, store_option
from memstore.cli.output import emit, progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memstore.importing import Line


@click.group()
def import_command() -> None:
    """Store many records at once; what is refused is skipped, with the reason, and nothing is stored twice."""


@import_command.command("jsonl")
@click.argument("path", metavar="PATH")
@agent_option
@scope_option
@store_option
def jsonl(path: str, agent: str, scope: str) -> None:
    """Import JSON lines: each the arguments of write or observe, with `task` beside them."""
    from memstore.importing import lines_of

    _import(agent, scope, lines_of(Path(path)))


@import_command.command("adr")
@click.argument("path", metavar="PATH")
@agent_option
@scope_option
@store_option
def adr(path: str, agent: str, scope: str) -> None:
    """Import a folder of decision records (MADR or Nygard), each under its file's name; links between them are kept.

    Accepted and superseded ones become decisions, rejected ones are kept as rejected; drafts, templates and what is no
    record are skipped, with the reason.
    """
    from memstore.importing import decisions_in

    _import(agent, scope, decisions_in(Path(path)))


@import_command.command("log")
@click.argument("path", metavar="PATH")
@store_option
def log(path: str) -> None:
    """Make a read-only copy of a log in an empty place, or go on with one: same store id, records and root.

    PATH is a file of export log. All of it is checked before anything is kept.
    """
    from memstore.cli.display import plain
    from memstore.transfer import import_log

    with progress("Importing") as show:
        emit(import_log(Path(path).absolute(), named_store(), progress=show), plain)


def _import(agent: str, scope: str, lines: Iterable[Line]) -> None:
    with opened_as(agent, scope) as memory, progress("Importing") as show:
        emit(memory.import_lines(lines, show))
