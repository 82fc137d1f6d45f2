"""What an operator does to a store as a whole: audit, checkpoints, proofs, rebuilding, diagnosis, counts, erasure.

What finds something wrong says so by its exit status: 6 where the log does not verify, 1 where the doctor has advice.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from memstore.cli.display import checked, plain
from memstore.cli.options import opened_house, store_folder, store_option
from memstore.cli.output import emit, progress
from memstore.errors import IntegrityError, InvalidInput, MemStoreError, StoreUnavailable

WRONG = 1


@click.group()
def log_command() -> None:
    """The log as evidence: that nothing in it was changed, and that a record stands in it."""


@log_command.command("verify")
@click.option(
    "--against", metavar="FILE", help="An older checkpoint, kept elsewhere: that nothing before it was changed or lost."
)
@store_option
def verify(against: str | None) -> None:
    """Check every signature, digest and label, and replay the whole log; exit status 6 if anything differs."""
    from memstore import log

    older = _checkpoint_in(against) if against else ""
    with opened_house(check=False) as house, progress("Verifying") as show:
        found = log.audit(house.store, against=older, progress=show)
    _ended(found)


def _checkpoint_in(file: str) -> str:
    """The signed note in a file: as `log checkpoint` prints it on a terminal, or as its JSON."""
    try:
        text = Path(file).read_bytes().decode()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InvalidInput("--against names no file that can be read", code="no_file") from error
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return str(found.get("checkpoint", "")) if isinstance(found, dict) else text


def _ended(found: dict[str, Any]) -> None:
    emit(found)
    if not found["ok"]:
        click.get_current_context().exit(IntegrityError.exit_status)


@log_command.command("checkpoint")
@store_option
def checkpoint() -> None:
    """Print the signed checkpoint of the log as it is; keep it elsewhere, for `log verify --against`."""
    from memstore import log
    from memstore.signing import encode

    with opened_house() as house:
        note = log.checkpoint(house.store)
        with house.store.read() as unit:
            public = unit.log.head().public_key
    told = {"store_id": house.key.store, "public_key": encode(public), "checkpoint": note}
    emit(told, lambda answer: answer["checkpoint"].splitlines())


@log_command.command("prove")
@click.argument("record")
@store_option
def prove(record: str) -> None:
    """Prove that RECORD stands in the log: its entry, the path to the root, and the checkpoint with that root."""
    from memstore import log

    with opened_house() as house:
        emit(log.prove(house.store, record))


@click.command()
@click.option("--vectors", is_flag=True, help="Embed what waits for it; after a change of model, everything anew.")
@store_option
def rebuild_command(vectors: bool) -> None:
    """Make everything that is projected anew, from log, contents and disclosures; signatures are checked on the way.

    Vectors are kept. With --vectors they are what is made: interrupted, it goes on where it was.
    """
    from memstore import log

    if vectors:
        _embed()
        return
    with opened_house() as house, progress("Rebuilding") as show:
        found = log.rebuild(house.store, progress=show)
    _ended(found)


def _embed() -> None:
    """Drain the queue with this process's model, which becomes the store's."""
    from memstore.config import embedding_of, forget_index

    with opened_house() as house, progress("Embedding") as show:
        embedding = embedding_of(house.store, store_folder())
        done = embedding.drain(anew=True, progress=show)
        with house.store.read() as unit:
            state, waiting = unit.vectors.state(), unit.counts.rows()["unembedded"]
    forget_index(store_folder())  # made anew from the vectors by the process that keeps one
    if embedding.without:
        raise StoreUnavailable(
            "There is no embedding model to use",
            code=embedding.without,
            next_call="Run `memstore doctor`, which says why.",
        )
    ok = state.model == embedding.model and not waiting
    note = "" if ok else "Another process holds the queue; run it again once that has ended."
    emit({"ok": ok, "model": state.model, "embedded": done, "pending_vectors": waiting, "note": note}, plain)
    if not ok:
        click.get_current_context().exit(WRONG)


@click.command()
@store_option
def doctor_command() -> None:
    """Say what is wrong with a store, and what to do; exit status 1 if anything is.

    It changes nothing. `log verify` looks at every entry; this looks at everything else.
    """
    from memstore import insight, surroundings
    from memstore.config import NO_MODEL, embedding_of, system_clock

    folder, now, keys = store_folder(), system_clock(), True
    try:
        with opened_house(check=False) as house:
            with house.store.read() as unit:
                keys = not unit.log.head().copied
                backed_up = surroundings.backup_check(folder, unit, now)
            embedding = embedding_of(house.store, folder, None if keys else NO_MODEL)
            found = insight.examine(house, now=now, embedding=embedding, keys=keys)
            checks = [insight.Check("store", True, "It opens."), *found, backed_up]
    except MemStoreError as error:
        checks = [insight.Check("store", False, f"{error.code}: {error.what}.", error.next_call)]
    if folder.is_dir():
        checks += [*insight.examine_folder(folder, keys=keys), *surroundings.examine_surroundings(folder)]
    ok = all(check.ok for check in checks)
    emit({"ok": ok, "folder": str(folder), "checks": [check.as_dict() for check in checks]}, checked)
    if not ok:
        click.get_current_context().exit(WRONG)


@click.command()
@click.option(
    "--detail", type=click.Choice(["concise", "full"]), default="concise", help="full: vectors too, and plans."
)
@store_option
def stats_command(detail: str) -> None:
    """Count what is in a store: records by kind, label and status, disclosures, contexts, sessions, bytes."""
    from memstore import insight

    with opened_house() as house:
        emit(insight.stats(house.store, plans=detail == "full"), plain)


@click.command()
@click.argument("record")
@store_option
def erase_command(record: str) -> None:
    """Destroy RECORD's content everywhere in the store, for good; its statement stays, and the log still verifies."""
    from memstore import admin
    from memstore.config import forget_index

    with opened_house() as house:
        erased = admin.erase_content(house, record)
    if not forget_index(store_folder()):
        # Chroma marks what it deletes and keeps it.
        note = "A process keeps an index of vectors open; stop it and run erase again."
        erased |= {"cleared": False, "note": f"{erased['note']} {note}".strip()}
    emit(erased)
