"""Escape by starting over: every command of the CLI is a new process, and must not be a new context."""

import pytest
from simulator import Fleet

from memstore import admin
from memstore.errors import MemStoreError


def test_the_next_call_of_the_cli_keeps_the_mark(fleet: Fleet):
    fleet.agent("agent")
    fleet.continuing("agent").observe("https://evil.example/", "poison")
    assert fleet.continuing("agent").write("finding", "Own", "words")["label"] == "tainted"


def test_another_process_on_the_same_file_keeps_the_mark(fleet: Fleet):
    fleet.agent("agent")
    fleet.continuing("agent").observe("https://evil.example/", "poison")
    with Fleet(fleet.folder, fleet.clock) as elsewhere:
        assert elsewhere.continuing("agent").write("finding", "Own", "words")["label"] == "tainted"


def test_a_new_session_is_no_new_context(fleet: Fleet):
    fleet.agent("agent")
    fleet.continuing("agent").observe("https://evil.example/", "poison")
    again = fleet.continuing("agent")
    again.session_start("fresh start")
    again.session_end("completed")
    assert fleet.continuing("agent").session_start("fresh start")["mark"] == "tainted"


def test_only_the_operators_reset_gives_a_fresh_context_and_only_in_its_scope(fleet: Fleet):
    fleet.agent("agent", scopes=("one", "two"))
    fleet.agent("other")
    for scope in ("one", "two"):
        fleet.continuing("agent", scope).observe("https://evil.example/", "poison")
    admin.reset_context(fleet.house, "agent", "one")
    labels = [fleet.continuing("agent", scope).write("finding", "Own", "words")["label"] for scope in ("one", "two")]
    assert labels == ["attributed", "tainted"]
    fleet.assert_sound()


def test_a_store_opened_before_the_reset_is_in_the_new_context_too(fleet: Fleet):
    fleet.agent("agent")
    open_still = fleet.continuing("agent")
    open_still.observe("https://evil.example/", "poison")
    admin.reset_context(fleet.house, "agent", "main")
    assert open_still.write("finding", "Own", "words")["label"] == "attributed"


def test_a_reset_of_a_scope_that_the_agent_lacks_is_refused(fleet: Fleet):
    fleet.agent("agent", scopes=("one",))
    with pytest.raises(MemStoreError) as refused:
        admin.reset_context(fleet.house, "agent", "two")
    assert refused.value.code == "unknown_scope"


def test_a_context_cannot_leave_its_scope(fleet: Fleet):
    agent = fleet.agent("agent", scopes=("one", "two"))
    agent.write("finding", "Own", "words")
    with pytest.raises(MemStoreError) as refused:
        agent.session_start("work", scope="two")
    assert (refused.value.code, agent.scope) == ("scope_fixed", "one")


def test_a_launch_of_another_principal_cannot_be_taken_over(fleet: Fleet):
    fleet.agent("agent")
    fleet.agent("other")
    fleet.launched("agent", "same").write("finding", "Own", "words")
    with pytest.raises(MemStoreError) as refused:
        fleet.launched("other", "same").write("finding", "Other", "words")
    assert refused.value.code == "wrong_context"
