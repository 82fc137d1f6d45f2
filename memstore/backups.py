"""Backups: a store in a folder, taken while it is in use, and made a store again in a new epoch (ADR 0050).

A backup holds the database of one moment, every key that was there then, and a list of both with their digests. It is
there whole or not at all, and so is what is restored from it; a damaged one is refused, and nothing is overwritten.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memstore import log
from memstore.admin import OPERATOR_LAUNCH, House, ignore_file
from memstore.config import DATABASE, folder_of, open_house, refuse_existing, system_clock
from memstore.core.epochs import launch_at
from memstore.core.statements import OPERATOR_NAME, Restored
from memstore.errors import IntegrityError, InvalidInput, MemStoreError, NotFound, read_only_copy
from memstore.log import Progress, silent, verify_head
from memstore.placing import in_our_words, placed, refuse_taken
from memstore.render import timestamp
from memstore.signing import STORE_KEY
from memstore.stores.sqlite import SqliteStore
from memstore.surroundings import LAST_BACKUP
from memstore.write import Author, append

if TYPE_CHECKING:
    from collections.abc import Iterator

COPIED = "backup.db"  # not the name of a store's database: two stores of one key are not to be opened by mistake
LIST = "backup.json"
CHUNK = 1 << 20
MOST_LISTED = 4 * CHUNK


class Listed(BaseModel):
    """One file of a backup."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bytes: int
    sha256: str


class Listing(BaseModel):
    """What a backup says of itself (`backup.json`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    memstore: str = Field(pattern="^backup$")
    version: int = Field(ge=1, le=1)
    store_id: str
    made_at: str
    entries: int
    epoch: int
    checkpoint: str
    files: dict[str, Listed]


def backup(
    house: House, target: Path, *, keys: bool = True, verify: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """Copy the store as it is at one moment into the folder `target`: {store_id, entries, …}.

    Writers are held up only while the keys are read. The copy's head is checked before it gets its name, with `verify`
    all of it.
    """
    store = house.store
    if not isinstance(store, SqliteStore):
        raise InvalidInput("Only a store in a file is backed up this way")
    with store.read() as unit:
        if unit.log.head().copied:
            raise read_only_copy()
    with placed(target) as fresh:
        store.back_up(fresh / COPIED, meanwhile=lambda: _copy_keys(house, fresh, wanted=keys), progress=progress)
        (fresh / COPIED).chmod(0o600)
        told = _checked(fresh / COPIED, store, verify=verify, progress=progress)
        files = {
            path.relative_to(fresh).as_posix(): _listed(path) for path in sorted(fresh.rglob("*")) if path.is_file()
        }
        listing = Listing(memstore="backup", version=1, files=files, **told)
        _write(fresh / LIST, listing.model_dump_json(indent=1).encode())
    _note(Path(store.path).parent, store)
    return {
        "backup": str(target),
        **{name: told[name] for name in ("store_id", "entries", "epoch", "made_at")},
        "keys": sum(name.startswith("keys/") for name in files),
        "bytes": sum(file.bytes for file in files.values()),
    }


def _copy_keys(house: House, fresh: Path, *, wanted: bool) -> None:
    if not wanted:
        return
    (fresh / "keys").mkdir(mode=0o700)
    for path in sorted(house.keyring.folder.iterdir()):
        if path.is_file():
            _write(fresh / "keys" / path.name, path.read_bytes())


def _write(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)


def _checked(file: Path, store: SqliteStore, *, verify: bool, progress: Progress) -> dict[str, Any]:
    """What the copy is of; raises `IntegrityError` where it is not sound."""
    copy = SqliteStore(file, store.clock, loads=True)
    try:
        with copy.read() as unit:
            verify_head(unit)
            if unit.counts.damage():
                raise IntegrityError("The database is damaged", code="damaged", next_call="Run `memstore doctor`.")
            head = unit.log.head()
        if verify:
            _audited(copy, "The store", progress)
        copy.empty_write_ahead_log()
    finally:
        copy.close()
    made_at = timestamp(store.clock())
    return {
        "store_id": head.store, "entries": head.size, "epoch": head.epoch, "checkpoint": head.checkpoint,
        "made_at": made_at,
    }  # fmt: skip


def _audited(store: SqliteStore, what: str, progress: Progress) -> None:
    found = log.audit(store, progress=progress)
    if not found["ok"]:
        first, many = found["problems"][0], found["problems_in_all"]
        raise IntegrityError(
            f"{what} does not verify: {first['code']} at entry {first['seq']}, {many} problems in all",
            code="not_verified",
            next_call="Run `memstore log verify` on the store, or take an older backup.",
        )


def _listed(path: Path) -> Listed:
    with path.open("rb") as file:
        return Listed(bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _note(folder: Path, store: SqliteStore) -> None:
    """Leave a note of when, for the doctor; a store that cannot be written is backed up all the same."""
    try:
        _write(folder / LAST_BACKUP, json.dumps({"at": store.clock()}).encode())
    except OSError:
        return


def restore(
    source: Path,
    store: str | Path | None = None,
    *,
    keys: Path | None = None,
    verify: bool = True,
    progress: Progress = silent,
    clock: Callable[[], int] = system_clock,
) -> dict[str, Any]:
    """Make a store of a backup, in an empty place, that goes on in a new epoch; `keys` is where they lie apart.

    Every file has to be what was backed up, and all of the log has to verify unless `verify` is turned off.
    """
    folder = folder_of(store)
    refuse_existing(folder)
    refuse_taken(folder)
    listing = _listing(source)
    with placed(folder) as fresh:
        # 1. The files are those that were listed, and the keys are there.
        for name, listed in listing.files.items():
            _take(source / name, fresh / (DATABASE if name == COPIED else name), listed)
        if keys is not None:
            _take_keys(keys, fresh / "keys")
        if not (fresh / "keys" / f"{STORE_KEY}.key").is_file():
            raise NotFound(
                "The backup holds no keys", code="no_key", next_call="Name the folder they lie in: --keys FOLDER."
            )
        ignore_file(fresh)
        # 2. The database is of the log that the list names, and all of it verifies.
        with _opened(fresh, clock) as house:
            made = house.store
            with made.read() as unit:
                head = unit.log.head()
            if (head.store, head.size, head.checkpoint) != (listing.store_id, listing.entries, listing.checkpoint):
                raise _damaged("the database is not the one that the list is of")
            if verify and isinstance(made, SqliteStore):
                _audited(made, "The backup", progress)
            # 3. A new epoch begins: launches, leases and sessions of before are over.
            epoch = _begin_epoch(house)
            made.empty_write_ahead_log()
    return {
        "store": str(folder),
        "store_id": listing.store_id,
        "entries": listing.entries,
        "epoch": epoch,
        "made_at": listing.made_at,
        "note": "What was written after the backup is not here; start the processes anew that had the store open.",
    }


@contextmanager
def _opened(folder: Path, clock: Callable[[], int]) -> Iterator[House]:
    house = open_house(folder, clock=clock)
    try:
        yield house
    finally:
        house.store.close()


def _begin_epoch(house: House) -> int:
    signer = house.signer(OPERATOR_NAME)
    with house.store.write() as unit:
        head = unit.log.head()
        epoch = head.epoch + 1
        author = Author(signer, launch_at(OPERATOR_LAUNCH, epoch))
        fields = {"epoch": epoch, "size": head.size, "root": head.frontier.root().hex()}
        append(unit, house.key, author, Restored, fields)
        unit.restorations.lapse_leases()
    return epoch


def _listing(source: Path) -> Listing:
    try:
        with (source / LIST).open("rb") as file:
            listing = Listing.model_validate_json(file.read(MOST_LISTED))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(
            "There is no backup here", code="not_a_backup", next_call="Name a folder that memstore backup made."
        ) from error
    except OSError as error:
        raise in_our_words(error) from error
    except ValidationError as error:
        raise IntegrityError("The list of the backup cannot be read", code="damaged_backup") from error
    # A list that names other places than the backup's own is none of ours.
    if COPIED not in listing.files or not all(_is_ours(name) for name in listing.files):
        raise _damaged("its list names files that no backup has")
    return listing


def _is_ours(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return name == COPIED or (folder == "keys" and file not in ("", ".", "..") and "\0" not in file)


def _take(source: Path, target: Path, listed: Listed) -> None:
    """Copy a file of the backup; what was copied is what is looked at."""
    digest, size = hashlib.sha256(), 0
    try:
        target.parent.mkdir(mode=0o700, exist_ok=True)
        target.touch(mode=0o600)
        with source.open("rb") as read, target.open("wb") as written:
            while chunk := read.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                written.write(chunk)
    except FileNotFoundError as error:
        raise _damaged("a file is missing") from error
    except OSError as error:
        raise in_our_words(error) from error
    if (size, digest.hexdigest()) != (listed.bytes, listed.sha256):
        raise _damaged("a file is not what was backed up")


def _take_keys(keys: Path, target: Path) -> None:
    if not keys.is_dir():
        raise NotFound("There is no such folder of keys", code="no_key", next_call="Name the folder they lie in.")
    target.mkdir(mode=0o700, exist_ok=True)
    for path in sorted(keys.glob("*.key*")):
        (target / path.name).touch(mode=0o600)
        shutil.copyfile(path, target / path.name)


def _damaged(why: str) -> MemStoreError:
    return IntegrityError(
        f"The backup is damaged: {why}", code="damaged_backup", next_call="Copy it anew, or take an older one."
    )
