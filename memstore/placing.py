"""Files and folders that are there whole or not at all: made under another name beside, synced, and renamed.

What a crash leaves of one is removed by the next that goes to the same place. Nothing is ever overwritten.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO

from memstore.errors import Conflict, StoreUnavailable

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


def refuse_taken(target: Path) -> None:
    """Raise `Conflict` where something is already; an empty folder is nothing."""
    with _told():
        if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
            raise _taken()


@contextmanager
def placed(target: Path) -> Iterator[Path]:
    """A folder, its owner's alone, to be filled in the block: `target` once that ends well, and gone if it does not."""
    refuse_taken(target)
    with _told():
        target.parent.mkdir(parents=True, exist_ok=True)
        forget_unfinished(target)
        fresh = _name_beside(target)
        fresh.mkdir(mode=0o700)
    with ExitStack() as ended:
        ended.callback(shutil.rmtree, fresh, ignore_errors=True)
        with _told():
            ended.callback(os.close, _lock(fresh))
        yield fresh
        with _told():
            for path in [*sorted(fresh.rglob("*")), fresh]:
                _sync(path)
            fresh.rename(target)
            _sync(target.parent)


@contextmanager
def placed_file(target: Path) -> Iterator[BinaryIO]:
    """The same for a file that only its owner can read."""
    refuse_taken(target)
    with _told():
        target.parent.mkdir(parents=True, exist_ok=True)
        forget_unfinished(target)
        fresh = _name_beside(target)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with _told(), os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
            file.flush()
            os.fsync(file.fileno())
            _give_name(fresh, target)
        with _told():
            _sync(target.parent)
    finally:
        fresh.unlink(missing_ok=True)


def _give_name(fresh: Path, target: Path) -> None:
    try:
        # A link, unlike a renaming, never replaces what came there meanwhile.
        os.link(fresh, target)
    except PermissionError:  # a file system without links: the folder could be written just now
        refuse_taken(target)
        fresh.rename(target)


def unfinished(target: Path) -> list[Path]:
    """What interrupted runs left beside `target`; what a running one fills is not among it."""
    found = []
    for path in sorted(target.parent.glob(f".{escape(target.name)}.part-*")):
        with suppress(OSError):
            held = _lock(path)
            os.close(held)
            found.append(path)
    return found


def forget_unfinished(target: Path) -> None:
    for path in unfinished(target):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _name_beside(target: Path) -> Path:
    return target.parent / f".{target.name}.part-{secrets.token_hex(4)}"


def _lock(path: Path) -> int:
    """A lock that the system frees when its process ends, however that ends; `OSError` where another holds it."""
    held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise
    return held


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told() -> Iterator[None]:
    """What the system refuses, in our words."""
    try:
        yield
    except OSError as error:
        raise in_our_words(error) from error


def in_our_words(error: OSError) -> StoreUnavailable | Conflict:
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
        return _taken()
    if error.errno in _NO_ROOM:
        return StoreUnavailable("The disk is full", code="disk_full", next_call="Free some room, then try again.")
    if error.errno in _CLOSED:
        return StoreUnavailable(
            "The place cannot be read or written", code="read_only", next_call="Check its owner and permissions."
        )
    return StoreUnavailable("The system refused input or output", code="io", next_call="Check the disk.")


def _taken() -> Conflict:
    return Conflict(
        "Something is there already, and nothing is overwritten", code="exists", next_call="Name a new place."
    )
