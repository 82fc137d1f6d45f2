"""What every store must do to find candidates: tiers apart, filters before ranking, ties by id (ports.Retrieval)."""

from __future__ import annotations

import time
from typing import Any

import pytest
from contracts.values import NOW, SECOND, everything, key, put, put_session, record_id

from memstore.core.fold import CompromiseKey, EndSession, EraseContent, PutKey, Supersede
from memstore.core.labels import Label
from memstore.core.records import Content
from memstore.core.statements import Kind
from memstore.ports import Matches, Share, Store, Unit
from memstore.stores.retrieval import match_expression


def sought(
    unit: Unit,
    query: str = "alpha",
    *,
    label: Label = Label.ATTRIBUTED,
    share: Share = Share.IN_FORCE,
    most: int = 50,
    **filters: Any,
) -> list[int]:
    """The positions of the candidates, in their order."""
    wanted = everything(**filters)
    if query:
        matches = unit.retrieval.matching(query, wanted, label=label, share=share, most=most)
        assert [match.id for match in matches.best] == [record_id(match.record) for match in matches.best]
        return [match.record for match in matches.best]
    found = unit.retrieval.newest(wanted, label=label, share=share, most=most)
    return [seq for record in found.ids for seq in range(60) if record_id(seq) == record]


def sought_ids(unit: Unit, most: int, **filters: Any) -> list[str]:
    part: dict[str, Any] = {"label": Label.ATTRIBUTED, "share": Share.IN_FORCE, "most": most}
    return [match.id for match in unit.retrieval.matching("alpha", everything(**filters), **part).best]


def _seconds(query: str) -> float:
    start = time.process_time()
    match_expression.__wrapped__(query)
    return time.process_time() - start


class RetrievalContract:
    def test_only_the_tier_that_is_asked_is_searched(self, store: Store):
        with store.write() as unit:
            for seq, label in enumerate(Label):
                put(unit, seq, label=label)
            for seq, label in enumerate(Label):
                assert sought(unit, label=label) == sought(unit, "", label=label) == [seq]

    def test_another_tier_moves_no_rank_and_no_count(self, store: Store):
        texts = ["alpha", "alpha beta", "beta beta alpha", "gamma beta", "alpha alpha gamma delta"]
        with store.write() as unit:
            for seq, text in enumerate(texts):
                put(unit, seq, text)
            asked: dict[str, Any] = {"label": Label.ATTRIBUTED, "share": Share.ANY, "most": 3}
            before = unit.retrieval.matching("alpha beta", everything(), **asked)
            for seq in range(10, 50):
                put(unit, seq, "alpha alpha beta " * 9, label=Label.UNTRUSTED)
            after = unit.retrieval.matching("alpha beta", everything(), **asked)
            assert before == after
            assert (len(after.best), after.total) == (3, 5)

    def test_without_a_query_the_newest_comes_first(self, store: Store):
        with store.write() as unit:
            for seq in range(4):
                put(unit, seq, "beta")
            assert sought(unit, "") == [3, 2, 1, 0]
            assert sought(unit, "", most=2) == [3, 2]

    def test_the_better_match_comes_first_and_ties_fall_by_id(self, store: Store):
        with store.write() as unit:
            put(unit, 0, "beta gamma delta epsilon zeta eta theta alpha")
            put(unit, 1, "alpha alpha alpha")
            for seq in (30, 29, 28):
                put(unit, seq, "omega")
            assert sought(unit) == [1, 0]
            assert sought(unit, "omega") == sorted([30, 29, 28], key=record_id)

    @pytest.mark.parametrize("query", ['"', "*", "NEAR(", "-", "col:", "(", "AND OR NOT", "  ", "☃"])
    def test_syntax_is_no_syntax(self, store: Store, query: str):
        with store.write() as unit:
            put(unit, 0)
            assert unit.retrieval.matching(
                query, everything(), label=Label.ATTRIBUTED, share=Share.IN_FORCE, most=5
            ) == Matches((), 0)

    @pytest.mark.parametrize("query", ["alpha", ""])
    @pytest.mark.parametrize(
        ("filters", "wanted"),
        [
            ({}, {1, 2, 3}),
            ({"scope": "b"}, {4}),
            ({"task": "u"}, {2}),
            ({"author": "ben"}, {3}),
            ({"kinds": ("question", "decision")}, {2, 3}),
            ({"tags": ("x",)}, {1, 2}),
            ({"tags": ("x", "y")}, {2}),
            ({"since_seq": 1}, {2, 3}),
            ({"until_seq": 2}, {1, 2}),
            ({"since_at": NOW + 2 * SECOND}, {2, 3}),
            ({"until_at": NOW + 2 * SECOND}, {1, 2}),
            ({"until_at": NOW + 2 * SECOND - 1}, {1}),
            ({"before": 3}, {1, 2}),
            ({"before": 0}, set()),
            ({"task": "u", "author": "ben"}, set()),
        ],
    )
    def test_each_filter_narrows(self, store: Store, query: str, filters: dict[str, Any], wanted: set[int]):
        with store.write() as unit:
            put(unit, 1, content={"tags": ["x"]})
            put(unit, 2, content={"tags": ["x", "y"]}, task="u", kind=Kind.QUESTION)
            put(unit, 3, author="ben", kind=Kind.DECISION)
            put(unit, 4, scope="b", content={"tags": ["x", "y"]})
            assert set(sought(unit, query, **filters)) == wanted

    @pytest.mark.parametrize("query", ["alpha", ""])
    def test_what_stands_and_what_has_fallen_are_apart(self, store: Store, query: str):
        with store.write() as unit:
            put(unit, 0)
            put(unit, 1, expires_at=NOW)
            put(unit, 2, expires_at=NOW + 1)
            put(unit, 3)
            unit.apply(PutKey(key("key3")), None)
            unit.apply(CompromiseKey("key3", 3), None)
            suspect = unit.view.record(put(unit, 4))
            assert suspect is not None
            unit.records.relabel(suspect, Label.ATTRIBUTED, suspect=True, content=None)
            assert set(sought(unit, query)) == {0, 2}
            assert set(sought(unit, query, share=Share.FALLEN)) == {1, 3, 4}
            assert set(sought(unit, query, share=Share.ANY)) == {0, 1, 2, 3, 4}

    def test_what_is_superseded_shows_only_when_asked_for_and_only_as_fallen(self, store: Store):
        with store.write() as unit:
            old = put(unit, 0)
            put(unit, 1)
            unit.apply(Supersede(old, 1), None)
            for share in Share:
                assert 0 not in sought(unit, share=share)
            assert sought(unit, include_superseded=True) == [1]
            assert sought(unit, share=Share.FALLEN, include_superseded=True) == [0]

    def test_before_its_supersession_a_record_stood(self, store: Store):
        with store.write() as unit:
            old = put(unit, 0)
            put(unit, 5)
            unit.apply(Supersede(old, 5), None)
            assert sought(unit, before=5) == [0]
            assert sought(unit, before=6) == [5]

    def test_a_hypothesis_stands_while_its_session_does(self, store: Store):
        with store.write() as unit:
            names = ["s-" + letter * 26 for letter in "abc"]
            put_session(unit, names[0], 10)
            put_session(unit, names[1], 11)
            put_session(unit, names[2], 12, until=NOW)
            unit.apply(EndSession(names[1], 13, NOW, "partial"), None)
            for seq, name in enumerate(names):
                put(unit, seq, kind=Kind.HYPOTHESIS, session=name)
            put(unit, 3, kind=Kind.HYPOTHESIS, session="s-" + "z" * 26)
            assert sought(unit) == [0]
            assert set(sought(unit, share=Share.FALLEN)) == {1, 2, 3}
            assert set(sought(unit, now=NOW - 1)) == {0, 1, 2}

    def test_what_is_erased_is_found_nowhere(self, store: Store):
        with store.write() as unit:
            record = put(unit, 0, content={"tags": ["x"]})
            unit.apply(EraseContent(record), None)
            for share in Share:
                for query in ("", "alpha"):
                    assert sought(unit, query, share=share) == []
            assert sought(unit, "", tags=("x",)) == []

    def test_a_relabelled_record_is_found_in_its_new_tier_only(self, store: Store):
        with store.write() as unit:
            told = unit.view.record(put(unit, 0))
            assert told is not None
            content = Content(title="title 0", body="alpha")
            unit.records.relabel(told, Label.TAINTED, suspect=False, content=content)
            assert sought(unit) == sought(unit, "") == []
            assert sought(unit, label=Label.TAINTED, share=Share.ANY) == [0]

    @pytest.mark.parametrize("most", [5, 100, 140])
    def test_ties_fall_by_id_however_many_there_are_and_whatever_else_is_in_the_store(self, store: Store, most: int):
        with store.write() as unit:
            for seq in range(400):
                put(unit, seq, "alpha")
            alone = sought_ids(unit, most)
            put(unit, 500, "alpha", scope="b", label=Label.UNTRUSTED)
            beside = sought_ids(unit, most)
            narrowed = sought_ids(unit, most, until_seq=450)
        assert alone == beside == narrowed == sorted(record_id(seq) for seq in range(400))[:most]

    def test_an_identifier_counts_twice_and_an_ordinary_word_once(self):
        asked = match_expression("Where is retry_limit of httpClient 484 and foo.bar set, or Not")
        for word in ("retry_limit", "httpclient", "484", "foo.bar"):
            assert asked.count(f'"{word}"') == 2 - ("." in word), word
        for word in ("where", "is", "of", "set", "or", "not", "foo", "bar"):
            assert asked.count(f'"{word}"') == 1, word

    @pytest.mark.parametrize("query", ["a" * 4096, "a." * 2048, "_" * 4096, "aA" * 2048, "a_" * 2048])
    def test_a_long_query_is_read_once(self, query: str):
        # Quadratic, this took seconds; the steps of a scan are counted by its time against one ten times shorter.
        whole, part = _seconds(query), _seconds(query[:410])
        assert whole < 0.05 or whole < 40 * part

    def test_a_timeline_has_records_and_starts_and_ends_in_order(self, store: Store):
        with store.write() as unit:
            name = put_session(unit, "s-" + "a" * 26, 1)
            put(unit, 2, session=name)
            put(unit, 3, task="u")
            put(unit, 4, scope="b")
            put(unit, 6, label=Label.UNTRUSTED, session=name)
            unit.apply(EndSession(name, 7, NOW, "partial"), None)
            assert self._times(unit) == [1, 2, 3, 6, 7]
            assert self._times(unit, task="t") == [1, 2, 6, 7]
            assert self._times(unit, session=name) == [1, 2, 6, 7]
            assert self._times(unit, record=record_id(3)) == [3]
            assert self._times(unit, after=2, before=7) == [3, 6]
            assert self._times(unit, most=2) == [1, 2]

    def _times(self, unit: Unit, **asked: Any) -> list[int]:
        given: dict[str, Any] = {
            "task": "",
            "session": "",
            "record": "",
            "after": -1,
            "before": 100,
            "most": 50,
            **asked,
        }
        return unit.retrieval.timeline("main", **given)
