"""The same words are stored once while they stand; a `key` names one record of its author (DESIGN 3.1)."""

from __future__ import annotations

import pytest

from memstore.errors import Conflict

QUESTION = {"kind": "question", "title": "Which port?", "body": "For the server."}


def test_the_same_words_give_the_same_id_back(fleet, ada):
    first = ada.write(**QUESTION)
    size = fleet.size()
    again = ada.write(**QUESTION)
    assert (again["id"], again["status"], again["seq"]) == (first["id"], "duplicate", first["seq"])
    assert fleet.size() == size


def test_the_same_words_from_another_context_of_the_author_are_a_duplicate(fleet, ada):
    first = ada.write(**QUESTION)
    assert fleet.fresh("ada").write(**QUESTION)["id"] == first["id"]


def test_the_same_words_of_another_author_or_task_are_another_record(ada, ben):
    first = ada.write(**QUESTION)
    assert ben.write(**QUESTION)["id"] != first["id"]
    ada.session_start("another task")
    assert ada.write(**QUESTION)["status"] == "stored"


def test_the_same_words_in_another_scope_are_another_record(fleet):
    both = fleet.agent("both", scopes=("a", "b"))
    elsewhere = fleet.fresh("both", "b")
    assert both.write(**QUESTION)["id"] != elsewhere.write(**QUESTION)["id"]


def test_the_same_words_as_another_kind_are_another_record(ada):
    ada.write(**QUESTION)
    assert ada.write(**{**QUESTION, "kind": "constraint"})["status"] == "stored"


def test_the_same_finding_said_to_have_failed_is_another_record(ada):
    ada.write("finding", "The build", "passes")
    failed = ada.write("finding", "The build", "passes", verification="failed")
    assert failed["status"] == "stored"


def test_the_same_words_as_an_answer_are_stored_and_close_the_question(ada):
    ada.session_start("t")
    question = ada.write(**QUESTION)
    ada.write("finding", "Port", "8080")
    assert ada.write("finding", "Port", "8080", answers=question["id"])["status"] == "stored"
    assert ada.session_start("t")["brief"]["questions"] == []


def test_an_expired_result_is_observed_anew(fleet, ada):
    first = ada.observe("tool:weather", "sunny", ttl_seconds=10)
    fleet.clock.advance(seconds=9)
    assert ada.observe("tool:weather", "sunny", ttl_seconds=10)["status"] == "duplicate"
    fleet.clock.advance(seconds=1)
    again = ada.observe("tool:weather", "sunny", ttl_seconds=10)
    assert (again["status"], again["id"] == first["id"]) == ("stored", False)


def test_a_superseded_record_can_be_said_again(ada):
    first = ada.write(**QUESTION)
    ada.write("question", "Which host?", supersedes=first["id"])
    assert ada.write(**QUESTION)["status"] == "stored"


def test_a_key_used_for_other_words_is_a_conflict_that_names_the_record(fleet, ada):
    first = ada.write(**QUESTION, key="port")
    size = fleet.size()
    with pytest.raises(Conflict) as refused:
        ada.write("question", "Which host?", key="port")
    assert refused.value.code == "key_conflict"
    assert first["id"] in refused.value.what
    assert f"supersedes={first['id']}" in refused.value.next_call
    assert fleet.size() == size


def test_a_key_used_again_for_the_same_words_is_a_duplicate(ada):
    assert ada.write(**QUESTION, key="port")["id"] == ada.write(**QUESTION, key="port")["id"]


def test_superseding_its_record_moves_a_key(ada):
    first = ada.write(**QUESTION, key="port")
    second = ada.write("question", "Which host?", key="port", supersedes=first["id"])
    assert ada.get(["key:port"])["records"][0]["id"] == second["id"]


def test_an_expired_record_frees_its_key(fleet, ada):
    ada.observe("tool:weather", "sunny", ttl_seconds=10, key="sky")
    with pytest.raises(Conflict):
        ada.observe("tool:weather", "rain", ttl_seconds=10, key="sky")
    fleet.clock.advance(seconds=10)
    rain = ada.observe("tool:weather", "rain", ttl_seconds=10, key="sky")
    assert ada.get(["key:sky"])["records"][0]["id"] == rain["id"]


def test_a_key_of_another_author_is_another_key(ada, ben):
    mine = ada.write("question", "mine", key="k")
    yours = ben.write("question", "yours", key="k")
    assert ada.get(["key:k"])["records"][0]["id"] == mine["id"]
    assert ben.get(["key:k"])["records"][0]["id"] == yours["id"]


def test_a_key_in_another_scope_is_another_key(fleet):
    here = fleet.agent("both", scopes=("a", "b"))
    there = fleet.fresh("both", "b")
    here.write("question", "here", key="k")
    there.write("question", "there", key="k")
    assert here.get(["key:k"])["records"][0]["title"] == "here"


def test_the_conflict_does_not_repeat_the_key(ada):
    ada.write(**QUESTION, key="xyzzy-plugh")
    with pytest.raises(Conflict) as refused:
        ada.write("question", "other", key="xyzzy-plugh")
    assert "xyzzy" not in str(refused.value)
