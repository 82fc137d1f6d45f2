"""Withdrawn keys: a key that is retired, replaced or compromised stops counting at once, in every process."""

from collections.abc import Callable

import pytest
from simulator import Fleet, ids

from memstore import admin
from memstore.core.statements import KeyAction
from memstore.errors import MemStoreError
from memstore.service import MemStore

WITHDRAWALS: dict[str, Callable[[Fleet], object]] = {
    "retired": lambda fleet: admin.retire(fleet.house, "agent"),
    "rekeyed": lambda fleet: admin.replace_key(fleet.house, "agent", KeyAction.REKEYED),
    "rotated": lambda fleet: admin.replace_key(fleet.house, "agent", KeyAction.ROTATED),
    "compromised": lambda fleet: admin.compromise(fleet.house, "agent", fleet.size() - 1),
}
CALLS: dict[str, Callable[[MemStore], object]] = {
    "write": lambda m: m.write("finding", "Own", "words"),
    "observe": lambda m: m.observe("https://x.example/", "text"),
    "search": lambda m: m.search("words"),
    "get": lambda m: m.get(["m-" + "a" * 26]),
    "open": lambda m: m.open(["r-AAAA"]),
    "history": lambda m: m.history(),
    "session_start": lambda m: m.session_start("work"),
    "session_end": lambda m: m.session_end("completed"),
    "brief": lambda m: m.brief("s-" + "a" * 26),
    "agents": lambda m: m.agents(),
}


@pytest.mark.parametrize("how", WITHDRAWALS)
def test_a_store_that_is_open_already_answers_nothing_any_more(fleet: Fleet, how: str):
    agent = fleet.agent("agent")
    agent.session_start("work")
    WITHDRAWALS[how](fleet)
    size = fleet.size()
    for name, call in CALLS.items():
        with pytest.raises(MemStoreError) as refused:
            call(agent)
        assert (name, refused.value.code) == (name, "key_revoked")
    assert fleet.size() == size
    fleet.assert_sound()


@pytest.mark.parametrize("how", ["retired", "rekeyed", "rotated"])
def test_what_a_key_signed_before_it_was_retired_stands(fleet: Fleet, how: str):
    said = fleet.agent("agent").write("finding", "Own", "words")
    WITHDRAWALS[how](fleet)
    assert ids(fleet.agent("reader").search("words"), "attributed") == [said["id"]]


@pytest.mark.parametrize("how", ["rekeyed", "rotated"])
def test_the_new_key_goes_on_and_in_the_same_continuing_context(fleet: Fleet, how: str):
    fleet.agent("agent")
    fleet.continuing("agent").observe("https://evil.example/", "poison")
    WITHDRAWALS[how](fleet)
    assert fleet.continuing("agent").write("finding", "Own", "words")["label"] == "tainted"
    fleet.assert_sound()


def test_a_withdrawn_key_opens_no_store(fleet: Fleet):
    fleet.agent("agent")
    admin.retire(fleet.house, "agent")
    with pytest.raises(MemStoreError) as refused:
        fleet.fresh("agent")
    assert refused.value.code == "key_revoked"


def test_another_process_withdraws_it_as_well(fleet: Fleet):
    agent = fleet.agent("agent")
    with Fleet(fleet.folder, fleet.clock) as elsewhere:
        admin.retire(elsewhere.house, "agent")
    with pytest.raises(MemStoreError) as refused:
        agent.write("finding", "Own", "words")
    assert refused.value.code == "key_revoked"


def test_the_operators_key_is_not_withdrawn(fleet: Fleet):
    with pytest.raises(MemStoreError):
        admin.retire(fleet.house, "operator")
    with pytest.raises(MemStoreError):
        admin.compromise(fleet.house, "operator", 0)
    fleet.agent("agent").write("finding", "Own", "words")
