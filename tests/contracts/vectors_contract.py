"""What every store must do with vectors and their queue: nothing is lost, nothing of an erased record is left."""

from __future__ import annotations

from typing import Any

from contracts.values import NOW, everything, put

from memstore.core.fold import EraseContent
from memstore.core.labels import Label
from memstore.core.records import Content
from memstore.ports import Share, Store, Unit, VectorRow

MODEL = "model-1"


def rows(unit: Unit, since: int = 0, *, label: Label = Label.ATTRIBUTED, scope: str = "main") -> list[VectorRow]:
    return list(unit.vectors.since(since, scope, label))


def records(unit: Unit, since: int = 0, *, label: Label = Label.ATTRIBUTED, scope: str = "main") -> list[int]:
    return [row.record for row in rows(unit, since, label=label, scope=scope) if row.vector is not None]


class VectorsContract:
    def test_what_is_written_waits_higher_tiers_first_then_the_older(self, store: Store):
        with store.write() as unit:
            for seq, label in enumerate((Label.UNTRUSTED, Label.ATTRIBUTED, Label.TRUSTED, Label.ATTRIBUTED)):
                put(unit, seq, label=label)
            assert unit.vectors.waiting(9) == [2, 1, 3, 0]
            assert unit.vectors.waiting(2) == [2, 1]
            assert unit.counts.rows()["unembedded"] == 4

    def test_what_has_vectors_waits_no_longer(self, store: Store):
        with store.write() as unit:
            unit.vectors.adopt(MODEL, "f16")
            put(unit, 0)
            assert unit.vectors.put(0, MODEL, [b"one", b"two"])
            assert unit.vectors.waiting(9) == []
            assert [(row.record, row.passage, row.vector) for row in rows(unit)] == [(0, 0, b"one"), (0, 1, b"two")]
            assert list(unit.vectors.of([0, 7])) == [(0, 0, b"one"), (0, 1, b"two")]

    def test_vectors_are_stored_once_and_only_for_what_waits(self, store: Store):
        with store.write() as unit:
            unit.vectors.adopt(MODEL, "f16")
            put(unit, 0)
            assert unit.vectors.put(0, MODEL, [b"one"])
            assert not unit.vectors.put(0, MODEL, [b"again"])
            assert not unit.vectors.put(9, MODEL, [b"of nothing"])
            assert [row.vector for row in rows(unit)] == [b"one"]

    def test_vectors_of_another_model_than_the_stores_are_not_taken(self, store: Store):
        with store.write() as unit:
            unit.vectors.adopt(MODEL, "f16")
            put(unit, 0)
            assert not unit.vectors.put(0, "another", [b"one"])
            assert unit.vectors.waiting(9) == [0]

    def test_a_state_tells_the_model_and_how_far_it_has_come(self, store: Store):
        with store.write() as unit:
            before = unit.vectors.state()
            assert (before.model, before.last) == ("", 0)
            unit.vectors.adopt(MODEL, "f16")
            put(unit, 0)
            unit.vectors.put(0, MODEL, [b"one", b"two"])
            after = unit.vectors.state()
            assert (after.model, after.precision) == (MODEL, "f16")
            assert after.generation > before.generation
            assert after.last == rows(unit)[-1].no

    def test_a_follower_gets_what_is_new_and_what_has_gone(self, store: Store):
        with store.write() as unit:
            unit.vectors.adopt(MODEL, "f16")
            first = put(unit, 0)
            unit.vectors.put(0, MODEL, [b"one"])
            seen = unit.vectors.state().last
            put(unit, 1)
            unit.vectors.put(1, MODEL, [b"two"])
            unit.apply(EraseContent(first), None)
            told = rows(unit, seen)
            assert [(row.record, row.vector) for row in told] == [(1, b"two"), (0, None)]
            assert unit.vectors.state().last == told[-1].no
            assert records(unit) == [1]

    def test_numbers_are_never_used_twice(self, store: Store):
        with store.write() as unit:
            unit.vectors.adopt(MODEL, "f16")
            record = put(unit, 0)
            unit.vectors.put(0, MODEL, [b"one"])
            unit.apply(EraseContent(record), None)
            last = unit.vectors.state().last
            put(unit, 1)
            unit.vectors.put(1, MODEL, [b"two"])
            assert rows(unit, last)[0].no > last

    def test_tiers_and_scopes_are_apart(self, store: Store):
        with store.write() as unit:
            unit.vectors.adopt(MODEL, "f16")
            put(unit, 0)
            put(unit, 1, scope="b")
            put(unit, 2, label=Label.TRUSTED)
            for seq in range(3):
                unit.vectors.put(seq, MODEL, [b"v"])
            assert records(unit) == [0]
            assert records(unit, scope="b") == [1]
            assert records(unit, label=Label.TRUSTED) == [2]
            assert [(c.scope, str(c.label), c.records, c.vectors) for c in unit.vectors.counted()] == [
                ("b", "attributed", 1, 1),
                ("main", "trusted", 1, 1),
                ("main", "attributed", 1, 1),
            ]

    def test_a_relabelled_record_takes_its_vectors_to_its_new_tier(self, store: Store):
        with store.write() as unit:
            unit.vectors.adopt(MODEL, "f16")
            told = unit.view.record(put(unit, 0))
            assert told is not None
            unit.vectors.put(0, MODEL, [b"one"])
            seen = unit.vectors.state().last
            unit.records.relabel(told, Label.TAINTED, suspect=False, content=Content(title="title 0", body="alpha"))
            assert [row.vector for row in rows(unit, seen)] == [None]
            assert [row.vector for row in rows(unit, seen, label=Label.TAINTED)] == [None, b"one"]
            assert (records(unit), records(unit, label=Label.TAINTED)) == ([], [0])

    def test_a_record_that_waits_waits_with_its_new_tier(self, store: Store):
        with store.write() as unit:
            told = unit.view.record(put(unit, 0))
            put(unit, 1)
            assert told is not None
            unit.records.relabel(told, Label.TAINTED, suspect=False, content=Content(title="title 0", body="alpha"))
            assert unit.vectors.waiting(9) == [1, 0]

    def test_what_is_erased_neither_waits_nor_has_vectors(self, store: Store):
        with store.write() as unit:
            unit.vectors.adopt(MODEL, "f16")
            embedded, waits = put(unit, 0), put(unit, 1)
            unit.vectors.put(0, MODEL, [b"one"])
            for record in (embedded, waits):
                unit.apply(EraseContent(record), None)
            assert (unit.vectors.waiting(9), records(unit), list(unit.vectors.of([0]))) == ([], [], [])
            assert not unit.vectors.put(1, MODEL, [b"late"])

    def test_another_model_has_everything_wait_and_the_first_one_back_only_the_rest(self, store: Store):
        with store.write() as unit:
            unit.vectors.adopt(MODEL, "f16")
            put(unit, 0)
            put(unit, 1)
            for seq in range(2):
                unit.vectors.put(seq, MODEL, [b"one"])
            unit.vectors.adopt("another", "f16")
            assert unit.vectors.waiting(9) == [0, 1]
            assert records(unit) == []
            unit.vectors.put(0, "another", [b"other"])
            unit.vectors.adopt(MODEL, "f16")
            assert unit.vectors.waiting(9) == [0]
            assert records(unit) == [1]

    def test_the_nearest_are_judged_by_the_store(self, store: Store):
        with store.write() as unit:
            put(unit, 0)
            put(unit, 1, expires_at=NOW)
            put(unit, 2, label=Label.TAINTED)
            put(unit, 3, scope="b")
            erased = put(unit, 4)
            unit.apply(EraseContent(erased), None)
            asked = [9, 4, 3, 2, 1, 0]
            stands = unit.retrieval.allowed(asked, everything(), label=Label.ATTRIBUTED, share=Share.IN_FORCE)
            fallen = unit.retrieval.allowed(asked, everything(), label=Label.ATTRIBUTED, share=Share.FALLEN)
            assert (list(stands), list(fallen)) == ([0], [1])

    def test_a_narrow_filter_gives_all_it_leaves_and_a_wide_one_nothing(self, store: Store):
        with store.write() as unit:
            for seq in range(6):
                put(unit, seq, task="u" if seq < 2 else "t")
            part: dict[str, Any] = {"label": Label.ATTRIBUTED, "share": Share.IN_FORCE}
            assert unit.retrieval.narrowed(everything(task="u"), most=2, **part) == [0, 1]
            assert unit.retrieval.narrowed(everything(task="t"), most=2, **part) is None

    def test_words_are_looked_for_in_some_records_only(self, store: Store):
        with store.write() as unit:
            put(unit, 0, "alpha")
            put(unit, 1, "beta")
            put(unit, 2, "alpha beta")
            assert unit.retrieval.matched("alpha", [1, 2], label=Label.ATTRIBUTED) == {2}
            assert unit.retrieval.matched("alpha", [], label=Label.ATTRIBUTED) == set()
            assert unit.retrieval.matched("☃", [0], label=Label.ATTRIBUTED) == set()

    def test_counts_of_a_tier_agree_whatever_way_they_are_made(self, store: Store):
        with store.write() as unit:
            for seq in range(8):
                put(unit, seq, expires_at=NOW if seq % 2 else None)
            wide, narrow = everything(), everything(until_seq=99)
            for share in Share:
                found = [
                    unit.retrieval.matching("alpha", wanted, label=Label.ATTRIBUTED, share=share, most=3)
                    for wanted in (wide, narrow)
                ]
                assert found[0] == found[1]
