"""Quotas and retention: what an agent may store, and what of it is destroyed in time (ADR 0052)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from simulator import Fleet, taken

from memstore import admin, retention
from memstore.config import DATABASE
from memstore.errors import Denied, MemStoreError, NotFound
from memstore.importing import Line
from memstore.service import MemStore

DAY = 24 * 3600


def quota(fleet: Fleet, name: str, **bounds: int) -> None:
    admin.set_quota(fleet.house, name, **bounds)


def refused(act: Callable[[], object]) -> MemStoreError:
    with pytest.raises(Denied) as found:
        act()
    assert found.value.code == "quota_exceeded"
    assert found.value.next_call
    return found.value


def test_no_more_records_than_allowed_are_stored_in_a_day_and_the_day_moves_on(fleet, ada, ben):
    quota(fleet, "ada", records_per_day=3)
    for n in range(3):
        ada.write("question", f"q {n}")
        fleet.clock.advance(seconds=3600)
    error = refused(lambda: ada.write("question", "one more"))
    assert "3 records" in error.what
    refused(lambda: ada.observe("https://example.org/", "x"))
    # What is there already is no more.
    assert ada.write("question", "q 1")["status"] == "duplicate"
    assert ben.write("question", "another's")["status"] == "stored"
    fleet.clock.advance(seconds=DAY - 3 * 3600 + 1)
    assert ada.write("question", "one is a day old")["status"] == "stored"
    refused(lambda: ada.write("question", "and only one"))
    fleet.assert_sound()


def test_bytes_count_all_that_a_record_says_and_not_what_was_erased(fleet, ada):
    quota(fleet, "ada", bytes_per_day=5000)
    first = ada.write("decision", "d", rationale="r" * 3000, alternatives=["none"])["id"]
    refused(lambda: ada.write("finding", "f", "b" * 3000))
    fleet.erase(first)
    assert ada.write("finding", "f", "b" * 3000)["status"] == "stored"


def test_no_more_sessions_than_allowed_are_open_at_once(fleet):
    quota(fleet, "ada", open_sessions=2)
    one, two, three = (fleet.fresh("ada") for _ in range(3))
    one.session_start("t")
    two.session_start("t")
    refused(lambda: three.session_start("t"))
    one.session_end("completed")
    assert three.session_start("t")["session"]
    refused(lambda: one.session_start("t"))
    fleet.clock.advance(seconds=13 * 3600)
    # A lease that ran out holds nothing.
    assert one.session_start("t")["session"]
    fleet.assert_sound()


def test_a_quota_for_every_agent_holds_for_those_without_their_own_and_not_for_people(fleet, ada, ben, lead, person):
    quota(fleet, "*", records_per_day=1)
    quota(fleet, "ben", records_per_day=2)
    for member in (ada, lead):
        member.write("question", f"first of {member.name}")
        refused(partial(member.write, "question", "second"))
    for n in range(2):
        ben.write("question", f"ben {n}")
    refused(lambda: ben.write("question", "ben 3"))
    for n in range(3):
        person.write("question", f"person {n}")
    quota(fleet, "*")
    assert ada.write("question", "second")["status"] == "stored"


def test_a_quota_holds_for_what_is_imported_and_for_what_a_handoff_phrases(fleet, ada):
    quota(fleet, "ada", records_per_day=2)
    out = ada.write("finding", "f", "x")["id"]
    refused(lambda: ada.handoff_offer("lead", "report", [out], questions=["one?"], caveats=["two"], rejected=["none"]))
    # All of an act is taken back.
    assert ada.search("")["attributed"]["count"] == 1
    lines = [Line(str(n), {"kind": "question", "title": f"q {n}"}) for n in range(3)]
    done = ada.import_lines(lines)
    assert (done["stored"], len(done["skipped"])) == (1, 2)


def test_quotas_are_listed_with_what_is_used_and_are_in_the_log(fleet, ada):
    quota(fleet, "ada", records_per_day=5, bytes_per_day=9000)
    ada.write("question", "q")
    ada.session_start("t")
    (told,) = admin.list_quotas(fleet.house)
    assert (told["principal"], told["records_per_day"], told["open_sessions"]) == ("ada", 5, 0)
    assert (told["used"]["records"], told["used"]["sessions"]) == (1, 1)
    assert 0 < told["used"]["bytes"] < 9000
    fleet.assert_sound()
    with pytest.raises(NotFound):
        quota(fleet, "nobody", records_per_day=1)


@pytest.fixture
def aged(fleet: Fleet, ada: MemStore, lead: MemStore) -> dict[str, Any]:
    """Old readings and pages: one that nothing names, one that a finding rests on, one that a handoff carries."""
    found = {
        "loose": ada.observe("tool:weather.now", "17 degrees and a secret", ttl_seconds=60)["id"],
        "cited": ada.observe("tool:weather.now", "18 degrees", ttl_seconds=60)["id"],
        "carried": ada.observe("tool:weather.now", "19 degrees", ttl_seconds=60)["id"],
        "page": fleet.fresh("ben").observe("https://example.org/", "page")["id"],
    }
    found["finding"] = ada.write("finding", "warm", "x", derived_from=[found["cited"]])["id"]
    found["words"] = ada.write("finding", "own words", "stay")["id"]
    offer = ada.handoff_offer(
        "lead", "report", [found["carried"]], questions=["none"], caveats=["none"], rejected=["none"]
    )
    found["handoff"] = offer["handoff"]
    fleet.clock.advance(seconds=31 * DAY)
    found["new"] = fleet.fresh("ben").observe("https://example.org/new", "new page")["id"]
    return found


def erased(fleet: Fleet) -> set[str]:
    return {row[0] for row in fleet.sql("SELECT id FROM records WHERE erased = 1")}


def test_old_readings_and_pages_that_nothing_rests_on_lose_their_content(fleet, aged):
    looked = retention.run(fleet.house, days=30, dry_run=True)
    assert (looked["would_erase"], set(looked["ids"])) == (2, {aged["loose"], aged["page"]})
    assert erased(fleet) == set()
    done = retention.run(fleet.house, days=30)
    assert (done["erased"], done["kept_for_citations"], done["cleared"]) == (2, 2, True)
    assert erased(fleet) == {aged["loose"], aged["page"]}
    assert retention.run(fleet.house, days=30)["erased"] == 0
    fleet.assert_sound()
    fleet.close()
    assert b"17 degrees" not in (fleet.folder / DATABASE).read_bytes()


def test_what_a_record_that_fell_rests_on_is_kept_no_longer(fleet, ada, aged):
    ada.retract(aged["finding"], "wrong")
    assert aged["cited"] in retention.run(fleet.house, days=30, dry_run=True)["ids"]


def test_what_a_handoff_carried_is_kept_until_that_is_over(fleet, aged):
    lead = fleet.fresh("lead")
    lease = taken(lead, aged["handoff"])
    assert aged["carried"] not in retention.run(fleet.house, days=30, dry_run=True)["ids"]
    lead.handoff_respond(aged["handoff"], "complete", lease=lease)
    assert aged["carried"] in retention.run(fleet.house, days=30, dry_run=True)["ids"]


def test_what_a_sender_answered_with_is_kept_until_the_handoff_is_over(fleet, ada, lead, aged):
    lead.handoff_respond(aged["handoff"], "clarify", question="Which reading?")
    ada.handoff_respond(aged["handoff"], "clarify", reason="This one.", outputs=[aged["loose"]])
    assert retention.run(fleet.house, days=30)["kept_for_citations"] == 3
    assert lead.handoff_receive(aged["handoff"])["valid"]
    ada.handoff_respond(aged["handoff"], "cancel")
    assert aged["loose"] in retention.run(fleet.house, days=30, dry_run=True)["ids"]


def test_what_is_cited_goes_too_where_that_is_asked(fleet, aged):
    assert retention.run(fleet.house, days=30, cited=True)["erased"] == 4
    assert erased(fleet) == {aged[name] for name in ("loose", "cited", "carried", "page")}
    fleet.assert_sound()


def test_many_are_erased_in_many_transactions(fleet, ada, monkeypatch):
    monkeypatch.setattr(retention, "AT_ONCE", 3)
    for n in range(10):
        ada.observe("tool:weather.now", f"{n} degrees", ttl_seconds=60)
    fleet.clock.advance(seconds=3 * DAY)
    told: list[int] = []
    assert retention.run(fleet.house, days=1, progress=lambda done, _: told.append(done))["erased"] == 10
    assert told == [3, 6, 9, 10]
    fleet.assert_sound()
