"""Retractions: who may, what follows for others by reason, and the list of it (T5, T7)."""

import itertools
from typing import Any

import pytest
from simulator import Fleet, entries, ids, leaked

from memstore import log
from memstore.errors import MemStoreError
from memstore.service import MemStore

REASONS = ("wrong", "outdated", "poisoned", "leaked", "duplicate")


def events(fleet: Fleet, *records: str) -> list[dict[str, Any]]:
    told = {e["id"]: e for e in fleet.continuing("person").history(limit=500)["events"] if "status" in e}
    return [told[record] for record in records]


def stands(fleet: Fleet, *records: str) -> list[str]:
    return [f"{event['label']} {event['status']}" for event in events(fleet, *records)]


def read(member: MemStore, record: str) -> None:
    found = member.get([record])
    if found["quarantined"]:
        member.open([found["quarantined"][0]["ref"]])


@pytest.mark.parametrize("reason", REASONS)
def test_its_author_withdraws_a_record_and_it_is_served_no_more(fleet: Fleet, ada: MemStore, ben: MemStore, reason):
    said = ada.write("finding", "Found", "it")["id"]
    answer = ada.retract(said, reason)
    assert (answer["id"], answer["status"], answer["affected"]) == (said, "retracted", [])
    found = ben.search("found")
    assert ids(found, "attributed") == []
    reasons = [entry["reasons"] for entry in entries(found)]
    assert reasons == ([] if reason == "leaked" else [["retracted"]])
    fleet.assert_sound()


@pytest.mark.parametrize("who", ["lead", "person"])
def test_poison_takes_all_that_rests_on_it_declared_or_shown(fleet: Fleet, ada: MemStore, ben: MemStore, who: str):
    bad = ada.write("finding", "Poison", "it")["id"]
    declared = fleet.fresh("ada").write("finding", "Declared", "x", derived_from=[bad])["id"]
    ben.get([bad])
    shown = ben.write("finding", "Shown", "x")["id"]
    second = fleet.fresh("lead").write("finding", "Second", "x", evidence=[shown])["id"]
    aside = fleet.fresh("ada").write("finding", "Aside", "x")["id"]
    conditional = fleet.fresh("ada").write("decision", "If so", rationale="r", alternatives=["none"], conditions=[bad])[
        "id"
    ]
    acting = fleet.fresh(who)
    trial = acting.retract(bad, "poisoned", dry_run=True)
    assert stands(fleet, bad, declared) == ["attributed in_force"] * 2
    answer = fleet.fresh(who).retract(bad, "poisoned")
    assert (trial["status"], answer["status"]) == ("would_retract", "retracted")
    assert trial["affected"] == answer["affected"]
    effects = {one["id"]: (one["effect"], one["status"]) for one in answer["affected"]}
    assert effects == {
        **dict.fromkeys((declared, shown, second), ("suspect", "suspect")),
        conditional: ("needs_revisit", "in_force"),
    }
    assert stands(fleet, aside) == ["attributed in_force"]
    fleet.assert_sound()


def test_what_a_worker_calls_poisoned_flags_what_declares_it_and_no_more(fleet: Fleet, ada: MemStore, ben: MemStore):
    bad = ada.write("finding", "Poison", "it")["id"]
    declared = fleet.fresh("lead").write("finding", "Declared", "x", derived_from=[bad])["id"]
    ben.get([bad])
    shown = ben.write("finding", "Shown", "x")["id"]
    answer = ada.retract(bad, "poisoned")
    assert [(one["id"], one["effect"]) for one in answer["affected"]] == [(declared, "needs_revisit")]
    assert stands(fleet, declared, shown) == ["attributed in_force"] * 2
    assert [event["flags"] for event in events(fleet, declared, shown)] == [["needs_revisit"], []]
    later = fleet.fresh("ben").write("finding", "Later", "x", derived_from=[bad])["id"]
    assert events(fleet, later)[0]["flags"] == ["needs_revisit"]
    fleet.assert_sound()


@pytest.mark.parametrize("reason", ["wrong", "outdated"])
def test_what_is_wrong_flags_what_declares_it_and_what_declares_that(fleet: Fleet, ada: MemStore, reason: str):
    bad = ada.write("finding", "Wrong", "it")["id"]
    first = fleet.fresh("ada").write("finding", "First", "x", derived_from=[bad])["id"]
    second = fleet.fresh("ben").write("finding", "Second", "x", derived_from=[first])["id"]
    answer = fleet.fresh("lead").retract(bad, reason)
    assert [(one["id"], one["effect"]) for one in answer["affected"]] == [
        (first, "needs_revisit"), (second, "needs_revisit"),
    ]  # fmt: skip
    fleet.assert_sound()


def test_a_duplicate_changes_nothing_else(fleet: Fleet, ada: MemStore):
    bad = ada.write("finding", "Twice", "it")["id"]
    rests = fleet.fresh("ada").write("finding", "Rests", "x", derived_from=[bad])["id"]
    assert ada.retract(bad, "duplicate", replacement=rests)["affected"] == []
    assert events(fleet, rests)[0]["flags"] == []


def test_who_may_not_retract_disputes(fleet: Fleet, ada: MemStore, ben: MemStore):
    said = ada.write("finding", "Found", "it")["id"]
    assert ben.retract(said, "wrong", dry_run=True)["status"] == "would_dispute"
    answer = ben.retract(said, "wrong")
    assert (answer["status"], answer["affected"]) == ("disputed", [])
    assert stands(fleet, said) == ["attributed in_force"]
    assert events(fleet, said)[0]["flags"] == ["disputed"]
    fleet.assert_sound()


def test_from_a_tainted_context_it_is_a_dispute_save_of_a_leak(fleet: Fleet, ada: MemStore):
    said = ada.write("finding", "Found", "it")["id"]
    other = ada.write("finding", "Other", "it")["id"]
    ada.observe("https://a.example/", "a page")
    assert ada.retract(said, "wrong")["status"] == "disputed"
    assert ada.retract(other, "leaked")["status"] == "retracted"
    fleet.assert_sound()


def test_what_stands_above_its_author_is_disputed_by_it(fleet: Fleet, ada: MemStore, lead: MemStore):
    said = ada.write("finding", "Found", "it")["id"]
    rests = fleet.fresh("lead").write("finding", "Rests", "x", derived_from=[said])["id"]
    read(lead, said)
    lead.review([said], "endorse")
    assert stands(fleet, said, rests) == ["trusted in_force"] * 2
    assert ada.retract(said, "poisoned")["status"] == "disputed"
    assert stands(fleet, said, rests) == ["trusted in_force"] * 2
    assert [event["flags"] for event in events(fleet, said, rests)] == [["disputed"], []]
    fleet.assert_sound()


@pytest.mark.parametrize(("first", "second"), list(itertools.product(REASONS, REASONS)))
def test_retracting_twice_is_answered_and_changes_nothing(fleet: Fleet, ada: MemStore, first: str, second: str):
    said = ada.write("finding", "Found", "it")["id"]
    ada.retract(said, first)
    before = fleet.size()
    answer = ada.retract(said, second)
    assert (answer["status"], answer["affected"]) == ("retracted", [])
    # A leak can still be said of what was withdrawn before.
    assert (fleet.size() == before) == (second != "leaked" or first == "leaked")


def test_what_is_not_here_is_said_alike_whatever_the_cause(fleet: Fleet, ada: MemStore):
    fleet.agent("far", scopes=("elsewhere",))
    theirs = fleet.fresh("far").write("finding", "Theirs", "x")["id"]
    told = set()
    for record in (theirs, "m-" + "a" * 26, "nonsense"):
        with pytest.raises(MemStoreError) as refused:
            ada.retract(record, "wrong")
        told.add(str(refused.value))
    assert len(told) == 1


def test_a_review_anew_lifts_the_suspicion_and_what_rests_on_it_stands_again(
    fleet: Fleet, ada: MemStore, lead: MemStore
):
    bad = ada.write("finding", "Poison", "it")["id"]
    first = fleet.fresh("ada").write("finding", "First", "x", derived_from=[bad])["id"]
    second = fleet.fresh("ben").write("finding", "Second", "x", derived_from=[first])["id"]
    read(lead, first)
    lead.review([first], "endorse")
    assert stands(fleet, first, second) == ["trusted in_force", "attributed in_force"]
    fleet.fresh("person").retract(bad, "poisoned")
    assert stands(fleet, first, second) == ["tainted suspect"] * 2
    # The context that was shown it while it stood is not asked again.
    again = lead.review([first], "endorse")["results"][0]
    assert (again["refused"], again["label"]) == ("poisoned_context", "tainted")
    clean = fleet.fresh("lead")
    read(clean, first)
    answer = clean.review([first], "endorse")["results"][0]
    assert (answer["label"], answer["refused"]) == ("attributed", "")
    assert stands(fleet, first, second) == ["attributed in_force"] * 2
    fleet.assert_sound()
    assert log.rebuild(fleet.house.store)["ok"]


def test_what_was_endorsed_by_a_context_that_had_read_the_poison_falls_back(
    fleet: Fleet, ada: MemStore, ben: MemStore, lead: MemStore
):
    bad, good = ada.write("finding", "Poison", "it")["id"], ben.write("finding", "Good", "it")["id"]
    read(lead, bad)
    read(lead, good)
    lead.review([good], "endorse")
    assert stands(fleet, good) == ["trusted in_force"]
    answer = fleet.fresh("person").retract(bad, "poisoned")
    assert [(one["id"], one["effect"]) for one in answer["affected"]] == [(good, "relabelled")]
    assert stands(fleet, good) == ["attributed in_force"]
    fleet.assert_sound()


def test_what_leaked_is_gone_from_every_path(fleet: Fleet, ada: MemStore, ben: MemStore):
    secret = "the password is hunter2 and the vault code is 4711"
    ada.session_start("work")
    said = ada.write("finding", secret, secret, tags=["vault-code"], key="vault")["id"]
    rests = fleet.fresh("ada").write("finding", "Rests", "x", derived_from=[said])["id"]
    ben.get([said])
    assert ada.retract(said, "leaked")["status"] == "retracted"
    again = fleet.fresh("ben")
    answers = [
        again.search("password vault"), again.search(tags=["vault-code"]), again.get([said, "key:vault"]),
        ada.get([said, "key:vault"]), again.history(), again.session_start("work"), again.search(),
    ]  # fmt: skip
    assert leaked(secret, *answers) == ""
    assert answers[2]["missing"] == [said, "key:vault"]
    assert answers[2]["quarantined"] == []
    assert again.get([rests])["records"][0]["derived_from"] == [said]
    assert fleet.sql("SELECT count(*) FROM words_attributed WHERE words_attributed MATCH 'hunter2'") == [(0,)]
    fleet.assert_sound()


def test_an_erasure_after_a_leak_destroys_the_content_too(fleet: Fleet, ada: MemStore):
    from memstore import admin

    said = ada.write("finding", "Leak", "hunter2")["id"]
    ada.retract(said, "leaked")
    assert fleet.sql("SELECT count(*) FROM contents") == [(1,)]
    admin.erase_content(fleet.house, said)
    assert fleet.sql("SELECT count(*) FROM contents") == [(0,)]
    fleet.assert_sound()


def test_what_a_withdrawn_record_replaced_stands_again(fleet: Fleet, ada: MemStore, ben: MemStore):
    old = ada.write("finding", "The rule", "is this")["id"]
    new = ada.write("finding", "The rule", "is that", supersedes=old)["id"]
    assert stands(fleet, old) == ["attributed superseded"]
    ada.retract(new, "wrong")
    assert stands(fleet, old) == ["attributed in_force"]
    fleet.assert_sound()


def test_a_successor_replaces_once_it_stands_as_high(fleet: Fleet, ada: MemStore, lead: MemStore):
    old = ada.write("finding", "The rule", "is this")["id"]
    read(lead, old)
    lead.review([old], "endorse")
    new = fleet.fresh("ada").write("finding", "The rule", "is that", supersedes=old)["id"]
    assert stands(fleet, old, new) == ["trusted in_force", "attributed in_force"]
    assert [event["flags"] for event in events(fleet, old, new)] == [["needs_revisit"], ["conflicting"]]
    read(lead, new)
    lead.review([new], "endorse")
    assert stands(fleet, old, new) == ["trusted superseded", "trusted in_force"]
    fleet.assert_sound()


def test_a_stolen_keys_reviews_and_retractions_are_void(fleet: Fleet, ada: MemStore, ben: MemStore, lead: MemStore):
    from memstore import admin

    up, down = ada.write("finding", "Up", "it")["id"], ben.write("finding", "Down", "it")["id"]
    rests = fleet.fresh("ben").write("finding", "Rests", "x", derived_from=[down])["id"]
    since = fleet.size()
    read(lead, up)
    lead.review([up], "endorse")
    lead.retract(down, "poisoned")
    assert stands(fleet, up, down, rests) == ["trusted in_force", "attributed retracted", "tainted suspect"]
    report = admin.compromise(fleet.house, "lead", since)
    assert {one["id"] for one in report["affected"]} == {up, down, rests}
    assert stands(fleet, up, down, rests) == ["attributed in_force"] * 3
    fleet.assert_sound()
    assert log.rebuild(fleet.house.store)["ok"]
    fleet.assert_sound()


def test_a_persons_endorsement_from_before_the_fall_is_void_and_one_made_anew_counts(
    fleet: Fleet, ada: MemStore, person: MemStore
):
    bad = ada.write("finding", "Poison", "it")["id"]
    rests = fleet.fresh("ada").write("finding", "Rests", "x", derived_from=[bad])["id"]
    read(person, rests)
    assert person.review([rests], "endorse")["results"][0]["label"] == "trusted"
    fleet.fresh("lead").retract(bad, "poisoned")
    assert stands(fleet, rests) == ["tainted suspect"]
    # The same words again are another review now.
    assert person.review([rests], "endorse")["results"][0]["label"] == "trusted"
    assert stands(fleet, rests) == ["trusted in_force"]
    fleet.assert_sound()
