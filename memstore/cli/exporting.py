"""`memstore export`: what a store holds, taken out in forms that other tools read."""

from __future__ import annotations

from pathlib import Path

import click

from memstore.cli.display import plain
from memstore.cli.options import opened_house, store_option
from memstore.cli.output import emit, progress


@click.group()
def export_command() -> None:
    """Take out what a store holds, in forms that other tools read; what shows words is disclosed like any reading."""


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
