"""Words and nearness make one list: each counts, neither drowns the other, and ties fall by id."""

from hypothesis import given
from hypothesis import strategies as st

from memstore.core.ranking import NEARNESS, ranked

IDS = {number: f"m-{number:03}" for number in range(20)}
scores = st.dictionaries(st.integers(0, 9), st.floats(0.1, 30.0), max_size=8)
cosines = st.dictionaries(st.integers(0, 9), st.floats(-1.0, 1.0), max_size=8)


def test_without_vectors_the_order_is_that_of_full_text():
    assert ranked({1: 2.0, 2: 9.0, 3: 4.0}, {}, IDS) == [2, 3, 1]


def test_without_words_the_order_is_that_of_nearness():
    assert ranked({}, {1: 0.2, 2: 0.9, 3: 0.4}, IDS) == [2, 3, 1]


def test_what_is_much_nearer_passes_what_matches_a_little_better():
    assert ranked({1: 10.0, 2: 9.0}, {1: 0.1, 2: 0.8}, IDS) == [2, 1]


def test_what_matches_far_better_stays_before_what_is_a_little_nearer():
    assert ranked({1: 10.0, 2: 1.0}, {1: 0.5, 2: 0.6}, IDS) == [1, 2]


def test_a_cosine_counts_as_much_as_was_measured():
    # The worse match is as good as the better one where its cosine is higher by the difference over NEARNESS.
    even = (1.0 - 0.4) / NEARNESS
    assert ranked({1: 10.0, 2: 4.0}, {1: 0.1, 2: 0.1 + even + 0.01}, IDS) == [2, 1]
    assert ranked({1: 10.0, 2: 4.0}, {1: 0.1, 2: 0.1 + even - 0.01}, IDS) == [1, 2]


def test_what_has_no_vector_yet_is_taken_for_as_near_as_the_others_are():
    assert ranked({1: 10.0, 2: 9.0, 3: 10.0}, {1: 0.9, 2: 0.1}, IDS) == [1, 3, 2]


@given(scores, cosines)
def test_every_record_stands_there_once(words, near):
    order = ranked(words, near, IDS)
    assert sorted(order) == sorted(words.keys() | near.keys())


@given(scores, st.integers(0, 9))
def test_ties_fall_by_id(words, record):
    flat = dict.fromkeys(words, 1.0)
    assert ranked(flat, {}, IDS) == sorted(flat, key=IDS.__getitem__)
