"""What crosses from one scope to another: the records that a handoff names whose grant names both, and nothing else.

T13: a context reads and writes one scope. ADR 0036 says what of another one a handoff may show it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from simulator import Fleet, codes, leaked, taken

from memstore import admin, bundles, grants
from memstore.core.offers import HandoffReceived
from memstore.errors import MemStoreError
from memstore.service import MemStore

NONE = ["none"]
BOTH = ["red", "blue"]
SECRET = "The vault is under the third floorboard of the east wing"


@pytest.fixture
def teams(tmp_path: Path) -> Iterator[Fleet]:
    """A lead and a person of two scopes, a worker of each, and a lead of one."""
    with Fleet(tmp_path / "store") as fleet:
        fleet.agent("boss", role="lead", scopes=("red", "blue"))
        fleet.agent("person", role="human", scopes=("red", "blue"))
        fleet.agent("rita", under="boss", scopes=("red",))
        fleet.agent("bob", under="boss", scopes=("blue",))
        fleet.agent("bea", under="boss", scopes=("blue",))
        fleet.agent("redlead", role="lead", scopes=("red",))
        fleet.agent("under_red", under="redlead", scopes=("blue",))
        yield fleet


@pytest.fixture
def boss(teams: Fleet) -> MemStore:
    return teams.fresh("boss", "red")


@pytest.fixture
def bob(teams: Fleet) -> MemStore:
    return teams.fresh("bob", "blue")


def finding(member: MemStore, title: str, body: str = "Seen in the log") -> str:
    return str(member.write("finding", title, body, verification="verified", evidence=["log line 7"])["id"])


def offered(boss: MemStore, outputs: list[str], to: str = "bob", **more: Any) -> str:
    told: dict[str, Any] = {"outputs": outputs, "questions": ["Is it in yours too?"], "grant_scopes": BOTH, **more}
    return str(boss.handoff_offer(to, "transfer", **told)["handoff"])


def refusal(call: Any, *args: Any, **arguments: Any) -> str:
    with pytest.raises(MemStoreError) as error:
        call(*args, **arguments)
    return error.value.code


def test_what_a_handoff_names_is_shown_in_the_other_scope_and_nothing_else(teams: Fleet, boss: MemStore, bob: MemStore):
    named, other = finding(boss, "The bug is in the lexer"), finding(boss, "Elsewhere", SECRET)
    handoff = offered(boss, [named])
    assert [item["handoff"] for item in bob.handoff_inbox()["items"]] == [handoff]
    found = bob.handoff_receive(handoff)
    hits = [hit for part in ("trusted", "attributed") for hit in found["outputs"][part]["hits"]]
    assert {hit["title"] for hit in hits} == {"The bug is in the lexer", "Is it in yours too?"}
    lease = taken(bob, handoff)
    assert bob.get([other, named])["missing"] == [other, named]
    search = bob.search("lexer floorboard vault")
    assert (search["trusted"]["count"], search["attributed"]["count"], search["quarantined"]["count"]) == (0, 0, 0)
    assert refusal(bob.history, id=named) == "unknown_id"
    asked = [bob.history(), bob.session_start("port")]
    assert leaked(SECRET, found, search, *asked) == ""
    done = finding(bob, "It is in ours too")
    assert bob.handoff_respond(handoff, "complete", lease=lease, outputs=[done])["state"] == "completed"
    teams.assert_sound()


def test_looking_back_from_one_scope_names_nothing_of_the_other(teams: Fleet, boss: MemStore, bob: MemStore):
    said = finding(teams.fresh("rita", "red"), "Said by a worker")
    handoff = offered(boss, [said])
    taken(bob, handoff)
    written = finding(bob, "What we make of it")
    admin.compromise(teams.house, "rita", teams.size() - 1)
    teams.fresh("person", "red").retract(said, "poisoned")
    for looking in (teams.fresh("bea"), teams.fresh("person", "blue")):
        views = ("timeline", "why", "blame", "impact", "disclosures")
        asked = [looking.history(id=written, view=view) for view in views]
        assert asked[2]["note"] == "Nothing of this scope was declared, shown or said."
        asked += [looking.history(), looking.delta("1", "99999")]
        asked += [looking.export_prov(record=written, depth=5), looking.export_intoto(record=written)]
        for name in (said, "rita", "red"):
            assert not re.search(rf"\b{name}\b", json.dumps([dict(answer) for answer in asked]))


def test_a_label_goes_with_what_crosses(teams: Fleet, boss: MemStore, bob: MemStore):
    said = finding(teams.fresh("rita", "red"), "Said by a worker")
    handoff = offered(boss, [said])
    found = bob.handoff_receive(handoff)
    assert [hit["label"] for hit in found["outputs"]["attributed"]["hits"]] == ["attributed"]
    # A worker's finding is worth no more in the other scope, and neither is what rests on it.
    written = bob.write("finding", "So it is", "As I was told")
    assert (written["label"], found["mark"]) == ("attributed", "attributed")
    browser = teams.agent("browser", under="boss", open_world=True, scopes=("red",))
    page = browser.observe("https://evil.example", SECRET)["id"]
    told = browser.write("finding", "From a page", SECRET)["id"]
    answer = bob.handoff_receive(offered(boss, [told], idempotency_key="tainted"))
    assert "tainted_record" in codes(answer)
    assert leaked(SECRET, answer) == ""
    [entry] = answer["outputs"]["quarantined"]["entries"]
    assert refusal(bob.open, [entry["ref"]]) == "unknown_ref"
    assert bob.get([page])["missing"] == [page]
    teams.assert_sound()


def test_accepting_a_report_across_scopes_endorses_nothing(teams: Fleet, boss: MemStore):
    said = finding(teams.fresh("rita", "red"), "Said by a worker")
    person = teams.fresh("person", "red")
    told = {"outputs": [said], "questions": NONE, "caveats": NONE, "rejected": NONE, "grant_scopes": BOTH}
    handoff = person.handoff_offer("boss", "report", **told)["handoff"]
    there = teams.fresh("boss", "blue")
    got = there.handoff_receive(handoff)
    answer = there.handoff_respond(handoff, "accept", receipt=got["receipt"], acknowledge=codes(got))
    assert "Endorsed 0" in answer["note"]
    assert boss.get([said])["records"][0]["label"] == "attributed"
    teams.assert_sound()


@pytest.mark.parametrize("named", [["red"], ["blue"], [], ["red", "green"]])
def test_a_grant_that_does_not_name_both_leads_nowhere(teams: Fleet, boss: MemStore, bob: MemStore, named: list[str]):
    output = finding(boss, "The bug is in the lexer")
    assert refusal(offered, boss, [output], grant_scopes=named) == "unknown_principal"
    # Nor to somebody who works in both: in the other scope he finds nothing.
    handoff = teams.fresh("person", "red").handoff_offer("boss", "transfer", outputs=[output], questions=NONE)[
        "handoff"
    ]
    there = teams.fresh("boss", "blue")
    assert refusal(there.handoff_receive, handoff) == "unknown_id"
    assert there.handoff_inbox()["items"] == []


def test_a_giver_without_both_scopes_hands_nothing_over_and_learns_of_nobody(teams: Fleet):
    redlead = teams.fresh("redlead", "red")
    output = finding(redlead, "The bug is in the lexer")
    size = teams.size()
    for name in ("under_red", "nobody_at_all"):
        assert refusal(offered, redlead, [output], to=name) == "unknown_principal"
    assert teams.size() == size


def test_a_worker_of_both_scopes_gives_no_grant(teams: Fleet, bob: MemStore):
    both = teams.agent("walt", under="boss", scopes=("red", "blue"), scope="red")
    output = finding(both, "The bug is in the lexer")
    assert refusal(offered, both, [output]) == "denied"


def test_others_of_the_scope_do_not_have_what_crossed_for_one(teams: Fleet, boss: MemStore, bob: MemStore):
    handoff = offered(boss, [finding(boss, "The bug is in the lexer")])
    bea = teams.fresh("bea", "blue")
    assert refusal(bea.handoff_receive, handoff) == "unknown_id"
    assert refusal(bea.handoff_respond, handoff, "cancel") == "unknown_id"
    assert refusal(bea.handoff_item, handoff) == "unknown_id"
    assert bob.handoff_item(handoff)["state"] == "offered"


def test_once_its_grant_is_over_a_handoff_does_not_cross(teams: Fleet, boss: MemStore, bob: MemStore):
    output = finding(boss, "The bug is in the lexer")
    brief = offered(boss, [output], grant_ttl_seconds=60)
    revoked = offered(boss, [output], idempotency_key="two")
    with teams.house.store.read() as unit:
        gives = unit.view.handoff(revoked)
        assert gives is not None
    grants.revoke(teams.house.store, teams.house.key, boss._caller().author, gives.gives)
    assert refusal(bob.handoff_receive, revoked) == "unknown_id"
    bob.handoff_receive(brief)
    teams.clock.advance(seconds=61)
    assert refusal(bob.handoff_receive, brief) == "unknown_id"
    assert bob.handoff_inbox()["items"] == []
    teams.assert_sound()


def test_a_row_that_says_that_a_grant_names_both_is_not_enough(teams: Fleet, boss: MemStore, bob: MemStore):
    teams.agent("carl", under="boss", scopes=("red", "blue"), scope="red")
    told = {"outputs": [finding(boss, "The bug is in the lexer")], "questions": NONE, "fresh": True}
    handoff = boss.handoff_offer("carl", "transfer", **told)["handoff"]
    carl = teams.fresh("carl", "blue")
    assert refusal(carl.handoff_receive, handoff) == "unknown_id"
    teams.sql("UPDATE grants SET scopes = ?", '["red","blue"]')
    assert refusal(carl.handoff_receive, handoff) == "unknown_id"


def test_a_receipt_forged_from_the_other_scope_is_found_by_the_audit(teams: Fleet, boss: MemStore):
    output = finding(boss, "The bug is in the lexer")
    handoff = boss.handoff_offer("rita", "transfer", outputs=[output], questions=NONE)["handoff"]
    teams.fresh("bob", "blue").session_start("port")
    signer = teams.house.keyring.load("bob")
    launch = teams.sql("SELECT launch FROM contexts WHERE principal = 'bob'")[0][0]
    fields = {"handoff": handoff, "token": 0, "verified": [], "launch": launch}
    teams.forge(teams.signed(signer, HandoffReceived, **fields))
    assert not teams.audit()["ok"]


def test_hops_are_counted_across_scopes_and_what_was_dropped_there_is_told(teams: Fleet, boss: MemStore, bob: MemStore):
    output = finding(boss, "The bug is in the lexer")
    taken(bob, offered(boss, [output], constraints=["No downtime"]))
    own = finding(bob, "It is in ours too")
    answer = bob.handoff_offer("bea", "transfer", outputs=[own], questions=NONE)
    assert (answer["hop"], codes(answer)) == (2, ["dropped_constraint", "dropped_question"])
    told = {"constraints": ["No downtime"], "questions": ["Is it in yours too?"], "idempotency_key": "again"}
    assert codes(bob.handoff_offer("bea", "transfer", outputs=[own], **told)) == []
    teams.assert_sound()


def test_the_bundle_of_what_crossed_proves_both_sides_and_holds_no_words(teams: Fleet, boss: MemStore, bob: MemStore):
    handoff = offered(boss, [finding(boss, "The bug is in the lexer", SECRET)])
    taken(bob, handoff)
    bundle = bob.handoff_bundle(handoff)
    proved = bundles.verify_bundle(bundle, store=bundle["store"])
    assert [(act["act"], act["author"]) for act in proved["acts"]] == [
        ("offered", "boss"), ("received", "bob"), ("accept", "bob"),
    ]  # fmt: skip
    assert leaked(SECRET, bundle) == ""
    assert refusal(teams.fresh("bea", "blue").handoff_bundle, handoff) == "unknown_id"


def test_a_question_across_scopes_stands_where_it_was_asked(teams: Fleet, boss: MemStore, bob: MemStore):
    handoff = offered(boss, [finding(boss, "The bug is in the lexer")])
    bob.handoff_respond(handoff, "clarify", question="Which lexer?")
    [item] = boss.handoff_inbox("out")["items"]
    assert boss.get([item["question"]])["missing"] == [item["question"]]
    there = teams.fresh("boss", "blue").get([item["question"]])
    assert there["records"][0]["title"] == "Which lexer?"
    assert boss.handoff_respond(handoff, "clarify", reason="The one of the parser")["state"] == "offered"
    assert "question_open" not in codes(bob.handoff_receive(handoff))
    teams.assert_sound()


def test_what_nobody_reaches_any_more_is_over_and_its_sender_is_told(teams: Fleet, boss: MemStore, bob: MemStore):
    handoff = offered(boss, [finding(boss, "The bug is in the lexer")], grant_ttl_seconds=60)
    assert bob.handoff_receive(handoff)["valid"]
    teams.clock.advance(seconds=60)
    assert bob.handoff_inbox()["items"] == []
    [item] = boss.handoff_inbox("dead_letter")["items"]
    assert (item["handoff"], item["state"]) == (handoff, "expired")
    teams.assert_sound()
