"""The SQLite adapter keeps every contract of memstore.ports."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from contracts.log_contract import ContentsContract, LogContract
from contracts.past_contract import CausesContract, PastContract
from contracts.records_contract import DisclosuresContract, RecordsContract, RegistryContract
from contracts.retrieval_contract import RetrievalContract
from contracts.transactions_contract import StoreContract
from contracts.values import PUBLIC, STORE, Clock
from contracts.vectors_contract import VectorsContract

from memstore.errors import StoreUnavailable
from memstore.ports import Store
from memstore.stores import sqlite, turns
from memstore.stores.sqlite import SqliteStore


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty store's file; making one costs more than a test."""
    path = tmp_path_factory.mktemp("empty") / "made.db"
    made = SqliteStore.create(path, Clock(), store=STORE, public_key=PUBLIC)
    made.empty_write_ahead_log()
    made.close()
    return path.read_bytes()


class Sqlite:
    """The fixtures that the suites ask for; another adapter brings its own."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def store(self, empty: bytes, tmp_path: Path, clock: Clock) -> Iterator[Store]:
        (tmp_path / "store.db").write_bytes(empty)
        opened = SqliteStore.open(tmp_path / "store.db", clock)
        yield opened
        opened.close()

    @pytest.fixture
    def again(self, tmp_path: Path, clock: Clock) -> Iterator[Callable[[], Store]]:
        """Opens the same data once more, as another process would."""
        opened: list[SqliteStore] = []

        def one_more() -> Store:
            opened.append(SqliteStore.open(tmp_path / "store.db", clock))
            return opened[-1]

        yield one_more
        for store in opened:
            store.close()


class TestSqliteTransactions(Sqlite, StoreContract):
    def test_writers_of_one_process_take_turns_and_wait_no_longer_than_they_say(
        self, store: Store, again: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = again()
        with store.write():
            monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
            with pytest.raises(StoreUnavailable, match="busy"), other.write():
                pass
            with other.read() as unit:
                assert unit.log.head().size == 0
        with other.write() as unit:
            assert unit.log.head().size == 0

    def test_a_writer_that_waits_goes_on_as_soon_as_the_other_has_ended(
        self, store: Store, again: Callable[[], Store]
    ) -> None:
        other, wrote = again(), threading.Event()

        def write() -> None:
            with other.write():
                wrote.set()

        waiting = threading.Thread(target=write)
        with store.write():
            waiting.start()
            assert not wrote.wait(0.02)
        assert wrote.wait(10)
        waiting.join()

    def test_a_writer_waits_for_the_turn_of_another_process(self, store: SqliteStore) -> None:
        wrote = threading.Event()

        def write() -> None:
            with store.write():
                wrote.set()

        waiting = threading.Thread(target=write)
        with turn_of_another(store):
            waiting.start()
            assert not wrote.wait(0.02)
        assert wrote.wait(turns.PATIENCE_SECONDS / 2)
        waiting.join()

    def test_a_process_that_was_stopped_with_its_turn_stops_nobody(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.01)
        with turn_of_another(store):
            for _ in range(3):
                with store.write() as unit:
                    assert unit.log.head().size == 0
        with store.write() as unit:
            assert unit.log.head().size == 0
        # Those that came too late let go of it.
        for thread in threading.enumerate():
            if thread.name == "memstore-turn":
                thread.join(10)
                assert not thread.is_alive()

    def test_where_no_lock_can_be_had_sqlite_alone_decides(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: object) -> None:
            raise OSError(errno.ENOLCK, "no locks")

        monkeypatch.setattr(fcntl, "flock", refused)
        monkeypatch.setattr(turns, "_Waiting", refused)
        with store.write() as unit:
            assert unit.log.head().size == 0


@contextmanager
def turn_of_another(store: SqliteStore) -> Iterator[None]:
    """The turn, as another process has it: by a file description of its own."""
    file = os.open(f"{store.path}{turns.TURN}", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(file)


class TestSqliteLog(Sqlite, LogContract):
    pass


class TestSqliteContents(Sqlite, ContentsContract):
    pass


class TestSqliteRegistry(Sqlite, RegistryContract):
    pass


class TestSqliteRecords(Sqlite, RecordsContract):
    pass


class TestSqliteDisclosures(Sqlite, DisclosuresContract):
    pass


class TestSqliteRetrieval(Sqlite, RetrievalContract):
    pass


class TestSqliteVectors(Sqlite, VectorsContract):
    pass


class TestSqlitePast(Sqlite, PastContract):
    pass


class TestSqliteCauses(Sqlite, CausesContract):
    pass
