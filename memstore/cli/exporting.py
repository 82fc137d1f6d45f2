"""`memstore export` and `memstore verify-bundle`: what a store holds, in forms that other tools read, and evidence.

What shows words is made for one agent, whose reading it counts as. A file that is there is never written over unless
that is asked for, and what cannot be written is found out before anything is read.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import click

from memstore.cli.display import plain
from memstore.cli.options import F, agent_option, opened_as, opened_house, scope_option, store_option
from memstore.cli.output import as_json, emit, encodable, progress
from memstore.errors import Conflict, InvalidInput

MOST_BUNDLE_BYTES = 64 * 1024 * 1024
MOST_KEY_BYTES = 4096


def _output_options(command: F) -> F:
    command = click.option("--force", is_flag=True, help="Write over a file that is there.")(command)
    return click.option("--output", metavar="FILE", default="", help="Where to write it [stdout].")(command)


def _subject_options(command: F) -> F:
    command = click.option("--task", metavar="T", default="", help="All of this task, instead of one record.")(command)
    return click.argument("record", metavar="[ID]", required=False, default="")(command)


@click.group()
def export_command() -> None:
    """Take out what a store holds, in forms that other tools read; what shows words is disclosed like any reading."""


@export_command.command("bundle")
@click.argument("record", metavar="ID")
@click.option("--without-content", is_flag=True, help="Leave the record's words out: what was said, not what it says.")
@click.option("--quarantined", is_flag=True, help="Take a quarantined record as evidence; lowers the mark.")
@_output_options
@agent_option
@scope_option
@store_option
def bundle(
    record: str, without_content: bool, quarantined: bool, agent: str, scope: str, output: str, force: bool
) -> None:
    """Export the record or handoff ID as evidence that verifies offline: statements, reviews, keys, proofs.

    \b
    memstore export bundle m-… --agent ann --output evidence.json
    memstore verify-bundle evidence.json --store-id ID
    """
    with _written(output, force) as write, opened_as(agent, scope) as memory:
        if record.startswith("h-"):
            write(as_json(memory.handoff_bundle(record)))
        else:
            write(as_json(memory.export_bundle(record, content=not without_content, quarantined=quarantined)))


@export_command.command("prov")
@_subject_options
@click.option("--depth", metavar="N", type=int, default=2, help="How many steps around the record [2].")
@_output_options
@agent_option
@scope_option
@store_option
def prov(record: str, task: str, depth: int, agent: str, scope: str, output: str, force: bool) -> None:
    """Export a task, or what is around the record ID, as W3C PROV-JSON: who made what, from what, shown what.

    \b
    memstore export prov --task storage --agent ann --output storage.prov.json
    """
    with _written(output, force) as write, opened_as(agent, scope) as memory:
        write(as_json(memory.export_prov(task=task, record=record, depth=depth)))


@export_command.command("intoto")
@_subject_options
@click.option("--depth", metavar="N", type=int, default=0, help="How many steps around the record as well [0].")
@_output_options
@agent_option
@scope_option
@store_option
def intoto(record: str, task: str, depth: int, agent: str, scope: str, output: str, force: bool) -> None:
    """Export in-toto attestations, one a line, of the record ID or of a task: signed by the store's checkpoint key.

    \b
    memstore export intoto m-… --agent ann --output record.intoto.jsonl
    """
    with _written(output, force) as write, opened_as(agent, scope) as memory:
        found = memory.export_intoto(task=task, record=record, depth=depth)
        write("\n".join(json.dumps(one) for one in found["attestations"]))
        if not found["complete"]:
            click.echo("There is more than one export holds; it was cut.", err=True)


@export_command.command("report")
@click.argument("task", metavar="TASK")
@click.option(
    "--min-trust",
    type=click.Choice(["auto", "trusted", "attributed"]),
    default="auto",
    help="Whose words: what lowers nothing, only what is trusted, or all that stands [auto].",
)
@_output_options
@agent_option
@scope_option
@store_option
def report(task: str, min_trust: str, agent: str, scope: str, output: str, force: bool) -> None:
    """Export the report of a TASK as Markdown: who, what was decided and why, found, rejected, open, handed on.

    \b
    memstore export report storage --agent ann --output report.md
    """
    with _written(output, force) as write, opened_as(agent, scope) as memory:
        write(memory.export_report(task, min_trust=min_trust)["markdown"])


@contextmanager
def _written(output: str, force: bool) -> Iterator[Callable[[str], None]]:
    """What takes the text of an export: stdout, or a file, which appears under its name only when it is whole."""
    if not output:
        yield lambda text: click.echo(encodable(text))
        return
    target = Path(output)
    if target.is_symlink() or target.exists():
        if not force:
            raise _file_exists()
        if target.is_symlink() or not target.is_file():
            raise InvalidInput("--output is no plain file", code="unwritable")
    fresh = target.with_name(f".{secrets.token_hex(8)}.new")
    written = 0

    def write(text: str) -> None:
        nonlocal written
        written += file.write(text.encode() + b"\n")

    try:
        with _opened(fresh) as file:
            yield write
            file.flush()
            os.fsync(file.fileno())
        _settle(fresh, target, force)
    finally:
        with suppress(OSError, ValueError):
            fresh.unlink(missing_ok=True)
    emit({"file": target.name, "bytes": written}, plain)


@contextmanager
def _opened(fresh: Path) -> Iterator[IO[bytes]]:
    """A new file that its owner alone may read: an export holds what the store's folder keeps from others."""
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except (OSError, ValueError) as error:
        raise _unwritable() from error
    with os.fdopen(descriptor, "wb") as file:
        yield file


def _settle(fresh: Path, target: Path, force: bool) -> None:
    """Give a file its name; where nothing was to be written over, nothing is, even if it appeared meanwhile."""
    try:
        if not force:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        fresh.replace(target)
    except FileExistsError as error:
        raise _file_exists() from error
    except OSError as error:
        raise _unwritable() from error


def _file_exists() -> Conflict:
    return Conflict("There is a file of that name", code="file_exists", next_call="--force writes over it.")


def _unwritable() -> InvalidInput:
    return InvalidInput("--output cannot be written", code="unwritable", next_call="Check folder and permissions.")


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option("--store-id", metavar="ID", default="", help="The id of the store that the bundle has to be from.")
@click.option("--key", metavar="KEY|FILE", default="", help="That store's public checkpoint key, instead of its id.")
def verify_bundle_command(file: str, store_id: str, key: str) -> None:
    """Verify the bundle in FILE (- reads stdin) offline, of a record or of a handoff, and that nothing is left out.

    It needs no store: only the id of the one that is trusted, or its public checkpoint key, as `memstore log
    checkpoint` prints them. Exit status 6 where it proves nothing.
    """
    from memstore.bundles import store_of_key

    if bool(store_id) == bool(key):
        raise InvalidInput(
            "One of --store-id and --key is needed",
            code="missing_field",
            next_call="Take it from somebody you trust, not from the bundle.",
        )
    emit(verified_in(file, store_id or store_of_key(_key_in(key))), plain)


def verified_in(file: str, store: str) -> dict[str, Any]:
    """What the bundle in a file proves, if it is of this store."""
    from memstore.bundles import read_bundle, verify_bundle

    return verify_bundle(read_bundle(_bytes_of(file, MOST_BUNDLE_BYTES, "FILE")), store=store)


def _bytes_of(file: str, most: int, where: str) -> bytes:
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(most + 1)
        else:
            with Path(file).open("rb") as source:
                raw = source.read(most + 1)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{where} cannot be read", code="no_file") from error
    if len(raw) > most:
        raise InvalidInput(f"{where} is too long", code="too_long", next_call=f"At most {most} bytes.")
    return raw


def _key_in(text: str) -> str:
    """The key as it was given, or as a file holds it: alone, or as `public_key` of a JSON object."""
    if "." not in text and "/" not in text and not Path(text).is_file():
        return text
    raw = _bytes_of(text, MOST_KEY_BYTES, "--key").decode(errors="replace").strip()
    try:
        found: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return raw
    return str(found.get("public_key", "")) if isinstance(found, dict) else raw


@export_command.command("log")
@click.argument("path", metavar="PATH")
@click.option("--since", metavar="SEQ", type=click.IntRange(-1), default=-1, help="Only what follows this position.")
@store_option
def export_log(path: str, since: int) -> None:
    """Write the log into the file PATH, with contents and disclosures and without a key, for import log elsewhere.

    What was erased or leaked is not in it. --since takes the last_seq of the file before.
    """
    from memstore import transfer

    with opened_house() as house, progress("Exporting") as show:
        emit(transfer.export_log(house, Path(path).absolute(), since=since, progress=show), plain)
