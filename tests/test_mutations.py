"""That each rule of trust has a test that misses it: `tests/mutate.py`, rule by rule."""

import pytest
from mutate import MUTATIONS, ROOT, Mutation, outcome


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.rule} {mutation.without}")
def test_the_patch_fits_the_source_and_the_test_is_there(mutation: Mutation):
    assert (ROOT / mutation.file).read_text("utf-8").count(mutation.old) == 1
    assert (ROOT / mutation.test).exists()


def test_no_rule_is_left_out():
    handoffs = {"3.5"}  # DESIGN 3.5 has no numbers of its own
    assert {mutation.rule for mutation in MUTATIONS} == {f"T{number}" for number in range(1, 14)} | handoffs


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.rule} {mutation.without}")
def test_a_test_goes_red_without_the_rule(mutation: Mutation):
    assert outcome(mutation) == "red"
