"""The bench by itself: what keeps a bound, how a line reads, and the order in which proposals are written."""

import pytest

from bench.__main__ import HEAD, line, main
from bench.figures import Bound, Row, Skipped
from bench.quality import _in_order, _successors


@pytest.mark.parametrize(
    ("bound", "ok"),
    [
        (Bound(), True),
        (Bound(value=10), True),
        (Bound(value=9.9), False),
        (Bound(value=0), False),
        (Bound(least=10), True),
        (Bound(least=10.1), False),
        (Bound(times=2), True),
        (Bound(times=1.9), False),
    ],
)
def test_a_row_is_kept_only_within_every_bound(bound, ok):
    row = Row("search", 10, "ms", "1", floor=5, bound=bound)
    assert row.ok is ok
    assert not Row("search", 10, "ms", "1", floor=5, bound=bound, wrong="nothing was found").ok


def test_a_line_tells_its_bound_and_whether_it_is_kept():
    told = dict(zip(HEAD, line(Row("hit@5", 85, "%", "820", floor=80, bound=Bound(least=90))), strict=True))
    assert (told["bound"], told["kept"], told["ratio"]) == ("≥ 90", "NO", "1.06 ×")
    assert "no model" in line(Skipped("search", "no model"))[HEAD.index("floor is")]


def test_a_row_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--only", "nothing"])
    told = " ".join(capsys.readouterr().err.split())
    assert "there is no row nothing" in told


def test_each_superseded_proposal_has_one_successor_that_is_written_after_it():
    proposals = {
        pep: {"title": "", "rationale": "", "replaces": replaces} for pep, replaces in ((3, [2, 1]), (2, [1]), (1, []))
    }
    gold = [{"stale": 1, "current": [3]}, {"stale": 2, "current": [3]}]
    successors = _successors(proposals, gold)
    assert successors == {1: 2, 2: 3}
    assert list(_in_order(proposals, successors)) == [1, 2, 3]
