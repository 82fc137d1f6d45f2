"""What every Store must do with transactions: all or nothing, one moment, durable, and time that never steps back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from contracts.values import NOW, SECOND, Clock, logged, put, put_session, record_id

from memstore.core.fold import ExtendChain, PutTool
from memstore.core.merkle import Frontier
from memstore.core.policy import Tool
from memstore.errors import MemStoreError
from memstore.ports import Store, Unit

Again = Callable[[], Store]


class StoreContract:
    """Inherit with fixtures `store` (empty), `clock` (its clock) and `again` (opens the same data once more)."""

    def test_what_is_written_in_a_block_is_there_after_it(self, store: Store):
        with store.write() as unit:
            record = put(unit, 0)
        with store.read() as unit:
            assert unit.view.record(record) is not None

    def test_what_is_written_is_seen_by_whoever_opens_the_store_again(self, store: Store, again: Again):
        with store.write() as unit:
            record = put(unit, 0)
        with again().read() as unit:
            assert unit.view.record(record) is not None

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_a_block_that_ends_in_an_error_leaves_nothing(self, store: Store, error: type[BaseException]):
        def fail(unit: Unit) -> None:
            put(unit, 0, content={"key": "k", "tags": ["x"]})
            unit.log.move_head(Frontier(1, (bytes(32),)), "note", NOW)
            unit.disclosures.open_context("l", principal="ada", scope="main")
            unit.apply(PutTool(Tool("t", False)), None)
            raise error

        with pytest.raises(error), store.write() as unit:
            fail(unit)
        with store.read() as unit:
            assert unit.view.record(record_id(0)) is None
            assert (unit.log.head().size, unit.log.entry(0), unit.contents.get(0)) == (0, None, None)
            assert (unit.registry.tools(), unit.view.context("l"), unit.records.named("ada", "main", "k")) == (
                [],
                None,
                "",
            )

    def test_writing_goes_on_after_a_block_that_failed(self, store: Store):
        with pytest.raises(ValueError, match="x"), store.write() as unit:
            raise ValueError("x")
        with store.write() as unit:
            record = put(unit, 0)
        with store.read() as unit:
            assert unit.records.id_at(0) == record

    def test_a_reader_sees_one_moment_while_another_writes(self, store: Store, again: Again):
        other = again()
        with store.read() as reading:
            assert reading.records.id_at(0) == ""
            with other.write() as unit:
                put(unit, 0)
            assert reading.records.id_at(0) == ""
        with store.read() as unit:
            assert unit.records.id_at(0)

    def test_a_reader_does_not_see_what_is_not_finished(self, store: Store, again: Again):
        other = again()
        with store.write() as unit:
            put(unit, 0)
            with other.read() as reading:
                assert reading.records.id_at(0) == ""

    def test_writers_take_turns(self, store: Store, again: Again):
        stores = [store, again(), again()]

        def count(one: Store) -> None:
            for _ in range(10):
                with one.write() as unit:
                    n, _ = unit.registry.chain("ada", "l")
                    unit.apply(ExtendChain("ada", "l", n + 1, f"{n + 1:064}"), None)

        threads = [threading.Thread(target=count, args=(one,)) for one in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with store.read() as unit:
            assert unit.registry.chain("ada", "l") == (30, f"{30:064}")

    def test_now_is_the_clock_and_one_moment_within_a_block(self, store: Store, clock: Clock):
        for block in (store.write, store.read):
            with block() as unit:
                clock.micros += SECOND
                assert unit.now == clock.micros - SECOND

    def test_time_in_a_write_is_never_before_that_of_the_last_entry(self, store: Store, clock: Clock):
        with store.write() as unit:
            unit.log.append_entry(logged(0, at=NOW + 5 * SECOND))
            unit.log.move_head(Frontier(1, (bytes(32),)), "note", NOW + 5 * SECOND)
        clock.micros = NOW - 100 * SECOND
        for block in (store.write, store.read):
            with block() as unit:
                assert unit.now == NOW + 5 * SECOND

    def test_an_expiry_that_was_seen_stays_seen_when_the_clock_steps_back(
        self, store: Store, clock: Clock, again: Again
    ):
        with store.write() as unit:
            put(unit, 0, expires_at=NOW + SECOND)
        clock.micros = NOW + SECOND
        with store.read() as unit:
            assert unit.now == NOW + SECOND
        clock.micros = NOW
        for one in (store, again()):
            with one.read() as unit:
                assert unit.now == NOW + SECOND

    def test_a_lease_that_was_seen_to_run_out_stays_so_when_the_clock_steps_back(self, store: Store, clock: Clock):
        with store.write() as unit:
            put_session(unit, "s-1", 0, until=NOW + SECOND)
        clock.micros = NOW + SECOND
        with store.read() as unit:
            found = unit.view.session("s-1")
            assert found is not None
            assert found.ended
        clock.micros = NOW
        with store.read() as unit:
            found = unit.view.session("s-1")
            assert found is not None
            assert found.ended

    def test_a_unit_can_be_judged_at_another_time(self, store: Store):
        with store.write() as unit:
            record = put(unit, 0, expires_at=NOW + SECOND)
            later = unit.at(NOW + SECOND)
            assert (unit.now, later.now) == (NOW, NOW + SECOND)
            early, late = unit.view.source(record), later.view.source(record)
            assert early is not None
            assert late is not None
            assert [early.status, late.status] == ["in_force", "expired"]

    def test_a_copy_is_of_this_moment_and_what_is_done_to_it_stays_in_it(self, store: Store):
        with store.write() as unit:
            put(unit, 0)
        with store.copy() as copied:
            with store.write() as unit:
                put(unit, 1)
            with copied.write() as unit:
                assert unit.records.id_at(1) == ""
                put(unit, 2)
        with store.read() as unit:
            assert unit.records.id_at(2) == ""
            assert unit.records.id_at(1)

    def test_a_copy_is_gone_after_its_block(self, store: Store):
        with store.copy() as copied:
            pass
        with pytest.raises(MemStoreError), copied.read():
            pass

    def test_equal_projections_have_equal_digests_and_a_changed_one_another(self, store: Store):
        with store.write() as unit:
            put(unit, 0, content={"tags": ["x"]})
            before = unit.projected()
            put(unit, 1)
            after = unit.projected()
        changed = {table for table in before if before[table] != after[table]}
        assert changed
        assert {table for table in before if before[table] == after[table]}

    def test_forgetting_the_projection_keeps_log_contents_and_disclosures(self, store: Store):
        with store.write() as unit:
            record = put(unit, 0)
            unit.disclosures.open_context("l", principal="ada", scope="main")
            unit.forget_projection()
            assert unit.view.record(record) is None
            assert unit.log.entry(0) is not None
            assert unit.contents.get(0) is not None
            assert unit.view.context("l") is not None

    def test_emptying_what_was_written_ahead_loses_nothing(self, store: Store):
        with store.write() as unit:
            record = put(unit, 0)
        assert store.empty_write_ahead_log() is True
        with store.read() as unit:
            assert unit.records.id_at(0) == record
