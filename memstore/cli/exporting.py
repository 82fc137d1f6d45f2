"""`memstore export`: what a store holds, taken out in forms that other tools read."""

from __future__ import annotations

import click


@click.group()
def export_command() -> None:
    """Take out what a store holds, in forms that other tools read; what shows words is disclosed like any reading."""
