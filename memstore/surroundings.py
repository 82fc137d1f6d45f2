"""What stands around a store and may be wrong: its folder, what crashes left, who holds its queue, its backups.

It looks and changes nothing, like `memstore.insight`, whose checks these are.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from memstore.insight import Check, made
from memstore.placing import unfinished
from memstore.ports import Unit

DRAIN_LOCK = "vectors.lock"
LAST_BACKUP = "last_backup.json"
DAY = 24 * 3600 * 1_000_000
OLDEST_BACKUP = 7 * DAY
_LEFT = ("copy-*", "new-*")


def examine_surroundings(folder: Path) -> list[Check]:
    """What can be said without opening the store."""
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("folder", lambda: _folder(folder)),
        ("leftovers", lambda: _leftovers(folder)),
        ("queue_lock", lambda: _queue_lock(folder / DRAIN_LOCK)),
        ("index", lambda: _index(folder / "chroma")),
    ]
    return [made(name, check) for name, check in checks]


def _folder(folder: Path) -> Check:
    if os.statvfs(folder).f_flag & os.ST_RDONLY or not os.access(folder, os.W_OK | os.X_OK):
        what = "The folder cannot be written: the store can be neither written nor opened."
        return Check("folder", False, what, "Check the folder's owner, its permissions, and how its disk is mounted.")
    # Who may enter the folder (x) and read a file in it (r), two bits to the left.
    enter = folder.stat().st_mode << 2
    if any(enter & path.stat().st_mode & 0o044 for path in folder.glob("*.db")):
        return Check("folder", False, "Others can read the database.", f"chmod 700 {folder.name}")
    return Check("folder", True, "The folder can be written, and is its owner's alone.")


def _leftovers(folder: Path) -> Check:
    left = [path.name for pattern in _LEFT for path in folder.glob(pattern)]
    left += [path.name for path in unfinished(folder)]
    if left:
        what = f"An interrupted audit or restoring left {', '.join(sorted(left)[:3])}."
        return Check("leftovers", False, what, "Where no memstore command runs on the store, remove it.")
    return Check("leftovers", True, "Nothing is left of interrupted work.")


def _queue_lock(lock: Path) -> Check:
    pid, state = holder_of(lock)
    if state in ("T", "t"):
        what = f"Process {pid} is stopped and holds the queue: nothing gets vectors."
        return Check("queue_lock", False, what, f"kill -CONT {pid}, or end it.")
    what = f"Process {pid} embeds what waits." if pid else "No process holds the queue; whoever comes next drains it."
    return Check("queue_lock", True, what)


def holder_of(lock: Path) -> tuple[int, str]:
    """(process, its state as /proc has it) of who holds a file lock; (0, "") where nobody does, or nobody can tell."""
    try:
        inode = lock.stat().st_ino
        lines = Path("/proc/locks").read_text("ascii").splitlines()
        held = [words for words in map(str.split, lines) if words[1] == "FLOCK"]
        pid = next(int(words[4]) for words in held if words[5].rpartition(":")[2] == str(inode))
        return pid, Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except (OSError, StopIteration, ValueError, IndexError):
        return 0, ""


def _index(chroma: Path) -> Check:
    file = chroma / "chroma.sqlite3"
    if not file.is_file():
        return Check("index", True, "There is no approximate index here; tiers are scanned.")
    try:
        conn = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        try:
            sound = conn.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        finally:
            conn.close()
    except sqlite3.Error:
        sound = False
    if sound:
        return Check("index", True, "The approximate index can be read.")
    what = "The approximate index cannot be read; tiers are scanned instead."
    return Check("index", False, what, "Stop the process that keeps it and remove the folder chroma: it is made anew.")


def backup_check(folder: Path, unit: Unit, now: int) -> Check:
    """How long ago the last backup was; a store that is younger than that needs none yet."""
    if unit.log.head().copied:
        return Check("backup", True, "A copy: the store that it is of is what is backed up.")
    first = unit.log.entry(0)
    begun = first.entry.logged_at if first else now
    last = _last_backup(folder)
    restored = unit.restorations.restored_at()
    age = max(0, now - max(begun, last, restored)) // DAY
    told = f"The last backup is {age} days old." if last else "No backup was ever made here."
    if age * DAY >= OLDEST_BACKUP:
        return Check("backup", False, told, "Run memstore backup PATH, and keep the folder elsewhere.")
    return Check("backup", True, told)


def _last_backup(folder: Path) -> int:
    try:
        found = json.loads((folder / LAST_BACKUP).read_bytes())
    except (OSError, ValueError):
        return 0
    at = found.get("at") if isinstance(found, dict) else None
    return at if isinstance(at, int) else 0
