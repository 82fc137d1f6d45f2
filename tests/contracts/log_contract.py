"""What every store must do with the log, and with the contents beside it (ports.Log, ports.Contents)."""

from __future__ import annotations

import pytest
from contracts.values import CAUSES, NOW, PUBLIC, SECOND, STORE, logged, put

from memstore.core.fold import EraseContent
from memstore.core.merkle import Frontier
from memstore.errors import MemStoreError
from memstore.ports import Store, StoredContent


class LogContract:
    """Inherit with a fixture `store` that is empty, made for `STORE` and `PUBLIC`."""

    def test_an_empty_log_names_its_store_and_has_no_checkpoint(self, store: Store):
        with store.read() as unit:
            head = unit.log.head()
            assert (head.store, head.public_key, head.size, head.checkpoint) == (STORE, PUBLIC, 0, "")
            assert unit.log.entry(0) is None
            assert list(unit.log.entries()) == []

    def test_an_entry_comes_back_as_it_was_appended(self, store: Store):
        told = [logged(0), logged(1, because=CAUSES, disclosures=b"\x01" * 32), logged(2)]
        with store.write() as unit:
            for one in told:
                unit.log.append_entry(one)
        with store.read() as unit:
            assert [unit.log.entry(seq) for seq in range(4)] == [*told, None]
            assert unit.log.entry(-1) is None

    def test_entries_come_in_order_from_where_they_are_asked_for(self, store: Store):
        with store.write() as unit:
            for seq in range(5):
                unit.log.append_entry(logged(seq))
            assert [one.entry.seq for one in unit.log.entries()] == [0, 1, 2, 3, 4]
            assert [one.entry.seq for one in unit.log.entries(3)] == [3, 4]
            assert list(unit.log.entries(5)) == []

    def test_a_position_is_taken_once(self, store: Store):
        with store.write() as unit:
            unit.log.append_entry(logged(0))
        with pytest.raises(MemStoreError), store.write() as unit:
            unit.log.append_entry(logged(0, because=CAUSES))
        with store.read() as unit:
            assert unit.log.entry(0) == logged(0)

    def test_the_head_moves_when_it_is_moved(self, store: Store):
        frontier = Frontier()
        with store.write() as unit:
            for seq in range(5):
                one = logged(seq)
                frontier = frontier.append(one.leaf)
                unit.log.append_entry(one)
            assert unit.log.head().size == 0
            unit.log.move_head(frontier, "the note — é", NOW)
        with store.read() as unit:
            head = unit.log.head()
            assert (head.frontier, head.checkpoint, head.size) == (frontier, "the note — é", 5)

    def test_leaves_are_those_of_the_first_entries(self, store: Store):
        with store.write() as unit:
            for seq in range(4):
                unit.log.append_entry(logged(seq))
            assert unit.log.leaves(3) == [logged(seq).leaf for seq in range(3)]
            assert unit.log.leaves(0) == []

    def test_size_at_counts_the_entries_of_that_very_microsecond(self, store: Store):
        with store.write() as unit:
            for seq in range(3):
                unit.log.append_entry(logged(seq, at=NOW + seq * SECOND))
            times = [NOW - 1, NOW, NOW + SECOND - 1, NOW + SECOND, NOW + 9 * SECOND]
            assert [unit.log.size_at(micros) for micros in times] == [0, 1, 1, 2, 3]


class ContentsContract:
    def test_a_content_comes_back_byte_for_byte(self, store: Store):
        told = StoredContent(bytes(16), b'{"body":"\xc3\xa9"}', b"f" * 32)
        with store.write() as unit:
            unit.contents.put(7, told)
        with store.read() as unit:
            assert unit.contents.get(7) == told
            assert unit.contents.get(8) is None

    def test_a_twin_is_the_newest_record_with_the_fingerprint(self, store: Store):
        with store.write() as unit:
            assert unit.contents.twin(b"same") == ""
            first, second = put(unit, 0), put(unit, 1)
            assert unit.contents.twin(b"fingerprint 0") == first
            assert unit.contents.twin(b"fingerprint 1") == second
            unit.contents.put(5, StoredContent(b"", b"{}", b"of no record"))
            assert unit.contents.twin(b"of no record") == ""

    def test_what_is_erased_is_not_there_and_has_no_twin(self, store: Store):
        with store.write() as unit:
            record = put(unit, 0)
            unit.apply(EraseContent(record), None)
            assert unit.contents.get(0) is None
            assert unit.contents.twin(b"fingerprint 0") == ""
            unit.apply(EraseContent(record), None)
            found = unit.view.record(record)
            assert found is not None
            assert found.erased
