"""The store as one SQLite file, opened by any number of processes (DESIGN 4.1).

Writers begin IMMEDIATE and commit with synchronous=FULL, so what was acknowledged is on disk; readers see one moment.
Time never steps back: `now` is at least the clock's floor, which is moved, durably, before an expiry is first seen.
Files of other programs, of newer versions and damaged ones are refused before anything is read from them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from memstore.core.fold import Change
from memstore.core.records import Content
from memstore.errors import MemStoreError, StoreUnavailable, read_only_copy
from memstore.stores.acting import Acting
from memstore.stores.counts import CountTables
from memstore.stores.disclosures import DisclosureTables
from memstore.stores.foreseen import foresee
from memstore.stores.handoffs import HandoffTables, ReceiptTables
from memstore.stores.log_tables import ContentTable, LogTables
from memstore.stores.lookups import Lookups, RecordTables, RegistryTables
from memstore.stores.memo import Memo
from memstore.stores.past import CauseTables, PastTables
from memstore.stores.projection import PROJECTED, apply, digest_of_table, forget_projection, hides, merge_words
from memstore.stores.quotas import QuotaTables, RestorationTables
from memstore.stores.retrieval import RetrievalTables
from memstore.stores.sql import QUERIES
from memstore.stores.tokens import TokenTable
from memstore.stores.trust import ReviewTables, TrustTables
from memstore.stores.turns import Turns
from memstore.stores.vectors import VectorTables

APPLICATION_ID = 0x6D656D73  # "mems"
SCHEMA_VERSION = 9
BUSY_SECONDS = 30.0
COPY = "copy-"
BACKUP_PAGES = 2048  # copied between two reports of progress
CACHE_KIB = 16_000  # a search of a big store reads more than SQLite's two megabytes

_FULL = {sqlite3.SQLITE_FULL}
# A quota or a limit on the file's size is reported as a write that failed.
_NO_ROOM = {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMOPEN}
_READ_ONLY = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class SqliteUnit:
    """One transaction on one connection, judged at `now` (ports.Unit)."""

    def __init__(
        self, conn: sqlite3.Connection, now: int, *, wall: int, memo: Memo | None = None, acting: Acting | None = None
    ) -> None:
        """`now` never steps back; `wall` is what the clock says, which may."""
        self.conn = conn
        self.now = now
        self.wall = wall
        self.acts: list[Callable[[], None]] = []
        self.seal: Callable[[], None] | None = None
        self._memo = memo or Memo(conn)
        self._acting = acting or Acting()
        self.log = LogTables(conn, self._memo)
        self.contents = ContentTable(conn, self._memo)
        self.view = Lookups(conn, now, self._memo)
        self.registry = RegistryTables(conn, self._memo)
        self.records = RecordTables(conn, now, self._acting)
        self.disclosures = DisclosureTables(conn, now)
        self.trust = TrustTables(conn, self._acting)
        self.reviews = ReviewTables(conn, now, self._memo)
        self.handoffs = HandoffTables(conn, now)
        self.receipts = ReceiptTables(conn)
        self.tokens = TokenTable(conn)
        self.retrieval = RetrievalTables(conn, self._memo)
        self.vectors = VectorTables(conn)
        self.counts = CountTables(conn, now)
        self.past = PastTables(conn)
        self.causes = CauseTables(conn)
        self.quotas = QuotaTables(conn, now)
        self.restorations = RestorationTables(conn)

    def apply(self, change: Change, content: Content | None) -> None:
        apply(self.conn, change, content, self._acting)
        self._memo.hides = self._memo.hides or hides(change)

    def foresee(self, ids: Iterable[str], *, whole: bool = True) -> None:
        """Read at once what looking these records up will ask for, or no more than their states."""
        foresee(self.conn, self._memo, self.now, ids, whole=whole)

    def at(self, now: int) -> SqliteUnit:
        """The same transaction, judged at another time."""
        return SqliteUnit(self.conn, now, wall=self.wall, memo=self._memo, acting=self._acting)

    def act(self, seq: int) -> None:
        """Say which entry of the log is being carried out: what it changes is kept as it stood until then."""
        self._acting.seq = seq

    @property
    def changes(self) -> int:
        """How many rows were changed so far; the same number again: nothing was, in between."""
        return self.conn.total_changes

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part of the transaction that is undone by itself if it raises."""
        self.conn.execute("SAVEPOINT attempt")
        before = len(self.acts)
        try:
            yield
        except BaseException:
            self.conn.execute("ROLLBACK TO attempt")
            self._memo.forget()
            del self.acts[before:]
            raise
        finally:
            self.conn.execute("RELEASE attempt")

    def when_committed(self, act: Callable[[], None]) -> None:
        """Have `act` called once all this is on disk, and not where it is taken back."""
        self.acts.append(act)

    @property
    def is_sealed_at_commit(self) -> bool:
        """Whether something is done before this transaction is committed."""
        return self.seal is not None

    def seal_at_commit(self, act: Callable[[], None]) -> None:
        """Have `act` done as the last thing before the commit; one act, the last that was given."""
        self.seal = act

    def settle(self) -> None:
        """The last of a transaction: words that were taken away leave the segments, and the log is sealed."""
        if self._memo.hides:
            merge_words(self.conn)
        if self.seal is not None:
            self.seal()

    def forget_projection(self) -> None:
        """Empty everything that `fold` fills; what it is folded from stays."""
        forget_projection(self.conn)

    def projected(self) -> dict[str, str]:
        """A digest of each projected table, and of what the disclosures left behind."""
        return {table: digest_of_table(self.conn, table) for table in (*PROJECTED, "contexts")}


class SqliteStore:
    """Connections to one database file; `write` and `read` give a `Unit` each."""

    def __init__(self, path: Path | str, clock: Callable[[], int], *, loads: bool = False) -> None:
        """`loads`: by this object even the copy of a log that lives elsewhere is written."""
        self.path = path
        self._loads = loads
        self.clock = clock
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False
        self._watching: sqlite3.Connection | None = None
        self._watch_lock = threading.Lock()
        self._file: tuple[int, int] | None = None
        self._turns = Turns.of(path)

    @classmethod
    def create(cls, path: Path, clock: Callable[[], int], *, store: str, public_key: bytes) -> SqliteStore:
        """A new, empty store; an existing file is refused."""
        if path.exists():
            raise StoreUnavailable("A store is there already", code="store_exists", next_call="Choose another folder.")
        found = cls(path, clock)
        with found._borrowed() as conn:
            found._migrate(conn)
            conn.execute(QUERIES["create_head"], (store, public_key))
        return found

    @classmethod
    def open(cls, path: Path, clock: Callable[[], int], *, loads: bool = False) -> SqliteStore:
        """An existing store, brought to the current schema."""
        try:
            there = path.is_file()
        except OSError as error:
            raise StoreUnavailable(
                "The store's folder cannot be read", code="read_only", next_call="Check its owner and permissions."
            ) from error
        if not there:
            raise StoreUnavailable("There is no store here", code="no_store", next_call="Run `memstore init`.")
        found = cls(path, clock, loads=loads)
        with ExitStack() as refused:
            refused.callback(found.close)
            with found._borrowed() as conn:
                found._check_kind(conn)
            refused.pop_all()
        return found

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        with self._watch_lock:
            idle += [self._watching] if self._watching is not None else []
            self._watching = None
        for conn in idle:
            conn.close()

    @contextmanager
    def write(self) -> Iterator[SqliteUnit]:
        """A write transaction. BEGIN IMMEDIATE: a deferred one fails when it turns into a writer beside another."""
        with self._borrowed() as conn:
            with self._turns.taken(BUSY_SECONDS):
                conn.execute("BEGIN IMMEDIATE")
                try:
                    head = conn.execute(QUERIES["head"]).fetchone()
                    if head["copied"] and not self._loads:
                        raise read_only_copy()
                    wall = self.clock()
                    unit = SqliteUnit(conn, max(wall, head["clock_floor"]), wall=wall)
                    yield unit
                    unit.settle()
                    conn.execute("COMMIT")
                except BaseException:
                    if conn.in_transaction:
                        conn.execute("ROLLBACK")
                    raise
            for act in unit.acts:
                act()

    @contextmanager
    def read(self) -> Iterator[SqliteUnit]:
        """A read transaction over one moment."""
        now = self._now_for_reading()
        with self._borrowed() as conn:
            conn.execute("BEGIN")
            try:
                yield SqliteUnit(conn, now, wall=self.clock())
            finally:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")

    def _now_for_reading(self) -> int:
        """The time to judge by. Before an expiry is seen for the first time the floor moves past it, for good."""
        with self._borrowed() as conn:
            floor = conn.execute(QUERIES["head"]).fetchone()["clock_floor"]
            now = max(self.clock(), floor)
            if conn.execute(QUERIES["passes_an_expiry"], {"floor": floor, "now": now}).fetchone()[0]:
                conn.execute(QUERIES["raise_clock_floor"], (now,))
        return int(now)

    @contextmanager
    def copy(self) -> Iterator[SqliteStore]:
        """A private copy of this moment, gone when the block ends: for work that must not hold up writers."""
        # Beside the store, where an erasure finds what a crash leaves of it.
        with tempfile.TemporaryDirectory(prefix=COPY, dir=Path(self.path).parent) as folder:
            path = Path(folder) / "copy.db"
            with self._borrowed() as conn:
                target = sqlite3.connect(path)
                conn.backup(target)
                target.close()
            copied = SqliteStore(path, self.clock, loads=True)
            try:
                yield copied
            finally:
                copied.close()

    def back_up(self, path: Path, *, meanwhile: Callable[[], None], progress: Callable[[int, int], None]) -> None:
        """Copy one moment into the file `path`, while others read and write on.

        `meanwhile` is called while nobody can write, for what lies beside: keys are changed within transactions.
        """
        with self._borrowed() as conn:
            conn.execute("BEGIN")
            try:
                with self._borrowed() as writer:
                    writer.execute("BEGIN IMMEDIATE")
                    try:
                        conn.execute(QUERIES["head"]).fetchone()  # from here on this connection sees this moment
                        meanwhile()
                    finally:
                        writer.execute("ROLLBACK")
                target = sqlite3.connect(path)
                try:
                    conn.backup(target, pages=BACKUP_PAGES, progress=lambda _, left, of: progress(of - left, of))
                finally:
                    target.close()
            finally:
                conn.execute("ROLLBACK")

    def forget_copies(self) -> None:
        """Remove the copies that interrupted audits left."""
        for left in Path(self.path).parent.glob(f"{COPY}*"):
            shutil.rmtree(left, ignore_errors=True)

    def empty_write_ahead_log(self) -> bool:
        """Fold the WAL into the file and cut it to nothing; False where another process still reads from it."""
        with self._borrowed() as conn:
            busy, _, _ = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def changes(self) -> int:
        """SQLite's `data_version` on a connection of its own: another number once anybody has committed. No lock."""
        with self._watch_lock:
            try:
                if self._watching is None:
                    self._watching = self._connect()
                return int(self._watching.execute("PRAGMA data_version").fetchone()[0])
            except sqlite3.Error as error:
                raise _translated(error) from error

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        conn = None
        try:
            with self._lock:
                conn = self._idle.pop() if self._idle else None
            if conn is None:
                conn = self._connect()
            self._refuse_moved()
            yield conn
        except sqlite3.Error as error:
            raise _translated(error) from error
        finally:
            if conn is not None:
                with self._lock:
                    if not self._closed:
                        self._idle.append(conn)
                        conn = None
                if conn is not None:
                    conn.close()

    def _refuse_moved(self) -> None:
        """What is written to a file that was moved away, or restored over, is lost to whoever comes after."""
        try:
            found = os.stat(self.path)
        except OSError:
            found = None
        there = (found.st_dev, found.st_ino) if found else None
        self._file = self._file or there
        if there is None or there != self._file:
            raise StoreUnavailable(
                "The store was moved, or restored over, since it was opened",
                code="moved",
                next_call="Start this process anew.",
            )

    def _connect(self) -> sqlite3.Connection:
        conn = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        conn.row_factory = sqlite3.Row
        conn.execute("PRAGMA synchronous = FULL")
        # Freed pages are overwritten, so that nothing erased or merged away stays readable in the file.
        conn.execute("PRAGMA secure_delete = ON")
        conn.execute("PRAGMA temp_store = MEMORY")
        conn.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        return conn

    def _check_kind(self, conn: sqlite3.Connection) -> None:
        application = conn.execute("PRAGMA application_id").fetchone()[0]
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            raise StoreUnavailable(
                "The database belongs to another program", code="not_a_store", next_call="Name another folder."
            )
        if version > SCHEMA_VERSION:
            raise StoreUnavailable(
                "The store was written by a newer memstore", code="newer_store", next_call="Upgrade memstore."
            )
        if version < SCHEMA_VERSION:
            self._migrate(conn)

    def _migrate(self, conn: sqlite3.Connection) -> None:
        # Imported where it is used: it costs a third of a server's start, and only a new or an old store needs it.
        from memstore.stores.migrations import migrate

        migrate(conn, application_id=APPLICATION_ID, version=SCHEMA_VERSION)


def _translated(error: sqlite3.Error) -> MemStoreError:
    """A database failure in our own words; the extended code's low byte is the family."""
    extended = getattr(error, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if code in _FULL or extended in _NO_ROOM:
        return StoreUnavailable("The disk is full", code="disk_full", next_call="Free some room, then try again.")
    if code in _READ_ONLY:
        return StoreUnavailable(
            "The store cannot be written", code="read_only", next_call="Check the folder's owner and permissions."
        )
    if code in _DAMAGED:
        return StoreUnavailable("The database is damaged", code="damaged", next_call="Restore a backup.")
    if code in _BUSY:
        return StoreUnavailable("Another process holds the store", code="busy", next_call="Try again.")
    return StoreUnavailable("The database failed", code="database", next_call="Run `memstore doctor`.")
