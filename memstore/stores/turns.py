"""Turns of writers to one file, among threads and among processes.

SQLite has whoever finds the file locked sleep, longer each time, and wakes nobody when it is free. So a writer takes a
turn first: a lock in the process, then a file lock, both of which wake who waits. A turn is a courtesy: SQLite's own
lock decides, and who waited too long for a turn asks it without one, so that a process that was stopped stops nobody.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakValueDictionary, finalize

from memstore.errors import StoreUnavailable

TURN = "-turn"  # beside the database file, empty
PATIENCE_SECONDS = 2.0  # for the turn of another process

# Among all stores that this process has open on one file.
_known: WeakValueDictionary[str, Turns] = WeakValueDictionary()


class Turns:
    """Who writes to one file next."""

    def __init__(self, path: str) -> None:
        self._threads = threading.Lock()
        self._path = path + TURN
        self._file = -1

    @classmethod
    def of(cls, path: Path | str) -> Turns:
        real = os.path.realpath(path)
        found = _known.get(real)
        return found if found is not None else _known.setdefault(real, cls(real))

    @contextmanager
    def taken(self, seconds: float) -> Iterator[None]:
        """The turn of this thread; raises `busy` where another of the process has it for so long."""
        if not self._threads.acquire(timeout=seconds):
            raise StoreUnavailable("Another thread holds the store", code="busy", next_call="Try again.")
        try:
            self._open()
            held = self._file >= 0 and _locked(self._file)
            try:
                yield
            finally:
                if held:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def _open(self) -> None:
        """Made by the first who writes: what is only read, as a backup is, has nothing laid beside it."""
        # A folder that cannot be written has no writers to wait for.
        with suppress(OSError):
            if self._file < 0:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                finalize(self, os.close, self._file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _Waiting(file).has_it()
    except OSError:  # a file system without locks
        return False
    return True


class _Waiting:
    """Waits for a file lock on a thread of its own, since the system knows no end of waiting for one."""

    def __init__(self, file: int) -> None:
        self._file = os.dup(file)
        self._settled = threading.Condition()
        self._locked = False
        self._given_up = False
        threading.Thread(target=self._wait, name="memstore-turn", daemon=True).start()

    def has_it(self) -> bool:
        """Whether the lock was had in time; if not, it is let go as soon as it comes."""
        with self._settled:
            self._settled.wait_for(lambda: self._locked, PATIENCE_SECONDS)
            self._given_up = not self._locked
            return self._locked

    def _wait(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError:
            return  # without a turn, then
        else:
            with self._settled:
                self._locked = True
                self._settled.notify()
                if self._given_up:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            os.close(self._file)
