"""Keys of agents that are not where their store is (DESIGN 4.2)."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from memstore.cli.options import passphrase_for, store_folder, store_option
from memstore.cli.output import emit


@click.group()
def key_command() -> None:
    """Make the key of an agent beside that agent; only its public half leaves the machine."""


@key_command.command("new")
@click.argument("name")
@click.option("--store-id", metavar="ID", required=True, help="The store that it is for, as init and serve print it.")
@click.option("--out", metavar="FILE", default="", help="Where to write it [keys/NAME.key in the store's folder].")
@click.option("--passphrase", is_flag=True, help="Encrypt it with a passphrase, typed here: for the key of a person.")
@store_option
def new_key(name: str, store_id: str, out: str, passphrase: bool) -> None:
    """Make a key for NAME, for `memstore mcp --url`; prints what the operator registers.

    The operator runs `memstore agent add NAME --public-key K --proof P` with the public_key and proof that are printed.
    """
    from memstore.keyfiles import make_key

    path = Path(out) if out else store_folder() / "keys" / f"{name}.key"
    emit(make_key(path, name, store_id, passphrase_for(unprotected=not passphrase)()))
    if sys.stderr.isatty():
        click.echo("Give public_key and proof to the operator of the store; keep the file to yourself.", err=True)
