"""What an operator does so that a store lasts: backups, restoring, quotas, retention."""

from __future__ import annotations

from pathlib import Path

import click

from memstore.cli.display import plain
from memstore.cli.options import named_store, opened_house, store_folder, store_option
from memstore.cli.output import emit, progress


@click.command()
@click.argument("path", metavar="PATH")
@click.option("--without-keys", is_flag=True, help="Leave the keys out; restoring then wants --keys.")
@click.option("--verify", is_flag=True, help="Check every entry of the copy as well, as log verify does.")
@store_option
def backup_command(path: str, without_keys: bool, verify: bool) -> None:
    """Copy the store, keys and all, into the folder PATH, while it is in use; what is there is not overwritten.

    Whoever has the backup can act as everybody in it. What was erased before is not in it.
    """
    from memstore.backups import backup

    with opened_house() as house, progress("Backing up") as show:
        emit(backup(house, Path(path).absolute(), keys=not without_keys, verify=verify, progress=show), plain)


@click.command()
@click.argument("path", metavar="PATH")
@click.option("--keys", "keys", metavar="FOLDER", help="Where the keys are, of a backup --without-keys.")
@click.option("--no-verify", is_flag=True, help="Check only files and head, not every entry.")
@store_option
def restore_command(path: str, keys: str | None, no_verify: bool) -> None:
    """Make a store of the backup in the folder PATH, in an empty place, and go on with it in a new epoch.

    Every launch, lease and ref of before is over then. An older checkpoint still verifies; of a later one
    log verify --against says which entries were lost.
    """
    from memstore.backups import restore

    apart = Path(keys).absolute() if keys else None
    with progress("Restoring") as show:
        emit(restore(Path(path).absolute(), named_store(), keys=apart, verify=not no_verify, progress=show), plain)


@click.group()
def quota_command() -> None:
    """How much a principal may store in 24 hours, and how many sessions it may have open."""


_BOUND = click.IntRange(0, 2**53 - 1)


@quota_command.command("set")
@click.argument("name")
@click.option("--records-per-day", type=_BOUND, default=0, help="Records in 24 hours; 0: no bound.")
@click.option("--bytes-per-day", type=_BOUND, default=0, help="Bytes of content in 24 hours; 0: no bound.")
@click.option("--open-sessions", type=_BOUND, default=0, help="Sessions that are not over; 0: no bound.")
@store_option
def quota_set(name: str, records_per_day: int, bytes_per_day: int, open_sessions: int) -> None:
    """Bound what NAME stores, in place of its quota before; '*' is every agent that has none of its own."""
    from memstore import admin

    with opened_house() as house:
        told = admin.set_quota(
            house, name, records_per_day=records_per_day, bytes_per_day=bytes_per_day, open_sessions=open_sessions
        )
    emit(told, plain)


@quota_command.command("list")
@store_option
def quota_list() -> None:
    """Show all quotas, and how much of each is used."""
    from memstore import admin

    with opened_house() as house:
        emit({"quotas": admin.list_quotas(house)})


@click.group()
def retention_command() -> None:
    """Destroy the contents of what tools and the outside said long ago; the log keeps that it was said."""


@retention_command.command("run")
@click.option("--days", type=click.IntRange(1, 36500), required=True, help="How long ago it expired or was fetched.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option("--cited", is_flag=True, help="Also what a record that stands was derived from, or an open handoff has.")
@store_option
def retention_run(days: int, dry_run: bool, cited: bool) -> None:
    """Erase tool results that expired, and external content that was stored, more than --days ago.

    Kept is what a record that stands names as source, evidence or condition, and what an open handoff carries.
    """
    from memstore.config import forget_index
    from memstore.retention import run

    with opened_house() as house, progress("Erasing") as show:
        told = run(house, days=days, cited=cited, dry_run=dry_run, progress=show)
    if not dry_run and told["erased"] and not forget_index(store_folder()):
        told |= {"cleared": False, "note": "A process keeps an index of vectors open; stop it and run this again."}
    emit(told, plain)
