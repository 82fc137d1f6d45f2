"""Labels by themselves: what bounds them, what a source is worth, and what a mark remembers."""

import itertools
from typing import Any

import pytest

from memstore.core.contexts import ContextState, Disclosure, Extent, after
from memstore.core.labels import (
    MAX_CAUSES,
    RAISED_BY,
    Cause,
    CauseCode,
    Label,
    Mark,
    Source,
    Status,
    judge,
    mark_of,
)

WORKER = Cause(CauseCode.AUTHOR_WORKER, Label.ATTRIBUTED)
PAGE = Source("m-page", Label.UNTRUSTED, Status.IN_FORCE)
GOOD = Source("m-good", Label.TRUSTED, Status.IN_FORCE)


def label_of(**more: Any) -> Label:
    return judge(**{"bounds": [], "declared": [], "mark": Mark(), "own_words": True, **more}).label


def test_labels_are_ordered_and_named():
    assert [str(label) for label in sorted(Label)] == ["untrusted", "tainted", "attributed", "trusted"]
    assert all(Label.named(str(label)) is label for label in Label)


def test_with_nothing_against_it_a_record_is_trusted_and_says_nothing():
    verdict = judge(bounds=[], declared=[GOOD], mark=Mark(), own_words=True)
    assert (verdict.label, verdict.because, verdict.what_would_raise_it()) == (Label.TRUSTED, (), "")


@pytest.mark.parametrize(("bound", "declared", "mark"), list(itertools.product(Label, Label, Label)))
def test_a_label_is_the_lowest_of_all_that_bounds_it(bound: Label, declared: Label, mark: Label):
    given: dict[str, Any] = {
        "bounds": [Cause(CauseCode.AUTHOR_TOOL, bound)],
        "declared": [Source("m-a", declared, Status.IN_FORCE)],
        "mark": Mark(mark, "m-b"),
    }
    assert label_of(**given, own_words=False) == min(bound, declared, mark)
    assert label_of(**given, own_words=True) == max(Label.TAINTED, min(bound, declared, mark))


@pytest.mark.parametrize(
    "code", [CauseCode.SIGNATURE_INVALID, CauseCode.SIGNATURE_UNKNOWN_KEY, CauseCode.AUTHOR_UNKNOWN]
)
def test_words_that_nobody_is_known_to_have_said_are_worth_nothing(code: CauseCode):
    assert label_of(bounds=[Cause(code, Label.UNTRUSTED)]) is Label.UNTRUSTED


def test_a_source_that_is_not_here_counts_as_the_worst():
    verdict = judge(bounds=[], declared=["m-gone"], mark=Mark(), own_words=False)
    assert (verdict.label, verdict.because) == (
        Label.UNTRUSTED,
        (Cause(CauseCode.MISSING_ANCESTOR, Label.UNTRUSTED, "m-gone"),),
    )


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("label", Label)
def test_what_fell_is_worth_tainted_and_what_is_only_stale_keeps_its_label(label: Label, status: Status):
    stale = status in (Status.IN_FORCE, Status.EXPIRED, Status.SUPERSEDED, Status.RETRACTED)
    assert Source("m-a", label, status).worth == (label if stale else min(label, Label.TAINTED))


def test_reasons_stand_lowest_first_and_name_what_bounds():
    verdict = judge(bounds=[WORKER], declared=[PAGE], mark=Mark(), own_words=True)
    assert [cause.as_dict() for cause in verdict.because] == [
        {"code": "declared", "label": "tainted", "id": "m-page"},
        {"code": "author_worker", "label": "attributed"},
    ]
    assert verdict.what_would_raise_it() == RAISED_BY[CauseCode.DECLARED]


def test_a_long_list_of_sources_is_cut_but_never_its_lowest():
    many = [Source(f"m-{n}", Label.ATTRIBUTED, Status.IN_FORCE) for n in range(50)]
    verdict = judge(bounds=[WORKER], declared=[*many, PAGE], mark=Mark(), own_words=False)
    assert len(verdict.because) == MAX_CAUSES + 1
    assert (verdict.label, verdict.because[0].id) == (Label.UNTRUSTED, "m-page")
    assert WORKER in verdict.because


def test_every_reason_says_what_would_raise_it():
    assert set(RAISED_BY) == set(CauseCode)


def test_a_mark_only_sinks_and_never_below_tainted():
    mark = mark_of([GOOD, PAGE, GOOD, Source("m-other", Label.TAINTED, Status.IN_FORCE)])
    assert mark == Mark(Label.TAINTED, "m-page")
    assert mark_of([]) == Mark(Label.TRUSTED, "")


def test_a_mark_does_not_depend_on_the_order_of_what_was_shown():
    shown = [GOOD, PAGE, Source("m-a", Label.ATTRIBUTED, Status.IN_FORCE), Source("m-b", Label.TRUSTED, Status.SUSPECT)]
    assert {mark_of(order).label for order in itertools.permutations(shown)} == {Label.TAINTED}


def test_a_context_remembers_how_much_it_was_shown_and_that_some_was_stale():
    shown = Disclosure(3, 7, 11, Source("m-a", Label.ATTRIBUTED, Status.EXPIRED), Extent.CONCISE)
    context = after(ContextState("c-1", "agent", "main"), shown)
    assert (context.shown, context.mark.label, context.stale) == (1, Label.ATTRIBUTED, True)
    assert context.head != bytes(32)


def test_the_chain_of_disclosures_tells_every_part_of_each():
    start = ContextState("c-1", "agent", "main")
    first = Disclosure(3, 7, 11, Source("m-a", Label.ATTRIBUTED, Status.IN_FORCE), Extent.CONCISE)
    others = [
        Disclosure(3, 8, 11, first.source, Extent.CONCISE),
        Disclosure(3, 7, 12, first.source, Extent.CONCISE),
        Disclosure(3, 7, 11, first.source, Extent.FULL),
        Disclosure(3, 7, 11, Source("m-b", Label.ATTRIBUTED, Status.IN_FORCE), Extent.CONCISE),
        Disclosure(3, 7, 11, Source("m-a", Label.TAINTED, Status.IN_FORCE), Extent.CONCISE),
        Disclosure(3, 7, 11, Source("m-a", Label.ATTRIBUTED, Status.SUPERSEDED), Extent.CONCISE),
    ]
    assert len({after(start, each).head for each in (first, *others)}) == 7
    assert after(after(start, first), others[0]).head != after(after(start, others[0]), first).head
