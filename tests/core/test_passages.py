"""Passages: nothing of a text is lost, no piece is too long, and an excerpt shows what was asked for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memstore.core.passages import MOST_PASSAGES, PASSAGE, excerpt, passages, pieces
from memstore.core.records import Content

SENTENCE = "The queue drains in order, and nothing of it is lost. "
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5000)


def bare(text: str) -> str:
    return re.sub(r"\s+", "", text)


@given(texts)
def test_pieces_hold_the_whole_text_and_none_is_too_long(text):
    found = pieces(text)
    assert bare("".join(found)) == bare(text)
    assert all(0 < len(piece) <= PASSAGE for piece in found)


def test_pieces_end_where_a_paragraph_does_else_a_sentence_else_a_word():
    paragraphs = "\n\n".join([SENTENCE * 9] * 4)
    assert all(piece.endswith("lost.") and piece.startswith("The") for piece in pieces(paragraphs))
    assert all(piece.endswith("lost.") for piece in pieces(SENTENCE * 40))
    assert all(piece.split()[-1] in ("queue", "drains") for piece in pieces("queue drains " * 300))


@pytest.mark.parametrize("text", ["x" * 60_000, "数据库" * 5000, "🚀" * 3000], ids=["one word", "CJK", "emoji"])
def test_a_text_without_ends_is_cut_all_the_same(text):
    assert "".join(pieces(text)) == text


def test_each_passage_says_what_it_is_about():
    found = passages(Content(title="Queues", body=SENTENCE * 40, rationale="Because they are lists."))
    assert len(found) > 2
    assert all(passage.startswith("Queues\n") for passage in found)
    assert found[-1].endswith("Because they are lists.")


def test_names_of_a_record_are_searched_as_words_and_not_embedded():
    content = Content(title="Queues", body="They drain.", tags=["urgent"], key="my-key", source="https://example.org/")
    assert passages(content) == ["Queues\nThey drain."]


def test_what_says_nothing_still_has_one_passage():
    assert passages(Content()) == [""]
    assert passages(Content(title="Only a title")) == ["Only a title"]


def test_the_longest_record_has_a_bounded_number_of_passages():
    everything = Content(
        title="t", body=SENTENCE * 1200, alternatives=[SENTENCE * 36] * 64, caveats=[SENTENCE * 36] * 64
    )
    assert len(passages(everything)) == MOST_PASSAGES


def test_a_short_body_is_its_own_excerpt():
    assert excerpt("A short one.", passage=-1, words=["one"], most=280) == "A short one."


def test_an_excerpt_shows_the_passage_that_was_found():
    body = "\n\n".join([SENTENCE * 8, "Here the gearbox is described. " * 14, SENTENCE * 8])
    found = excerpt(body, passage=1, words=["transmission"], most=280)
    assert found.startswith("…Here the gearbox is described.")
    assert len(found) <= 280
    assert found.endswith("…")


def test_without_a_passage_an_excerpt_is_where_the_words_are():
    body = SENTENCE * 30 + "A Zebra crosses here. " + SENTENCE * 30
    found = excerpt(body, passage=-1, words=["zebra", "crosses"], most=280)
    assert "A Zebra crosses here." in found
    assert found.startswith("…")


def test_an_excerpt_without_a_word_of_the_query_is_the_beginning():
    assert excerpt(SENTENCE * 30, passage=-1, words=["zebra"], most=280).startswith("The queue drains")


@given(texts, st.integers(-1, 8), st.lists(st.text(max_size=8), max_size=3))
def test_an_excerpt_is_of_the_body_and_never_too_long(body, passage, words):
    found = excerpt(body, passage=passage, words=words, most=100)
    assert len(found) <= 100 or found == body
    assert found.strip("…").strip() in body
