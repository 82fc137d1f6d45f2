"""A process that runs must not sign what somebody wrote into the file behind its back (3.1)."""

from contextlib import suppress

import pytest

from memstore.errors import IntegrityError
from memstore.importing import Line
from memstore.recording import write_in
from memstore.requests import WriteRequest


def test_entries_taken_away_with_their_checkpoint_are_missed_by_who_saw_them(fleet):
    lead = fleet.agent("lead", role="lead")
    head = fleet.sql("SELECT size, frontier, checkpoint FROM store")[0]
    lead.write("constraint", "Never delete")
    fleet.sql("DELETE FROM entries WHERE seq >= ?", head[0])
    fleet.sql("UPDATE store SET size = ?, frontier = ?, checkpoint = ?", *head)
    with pytest.raises(IntegrityError, match="changed outside"):
        lead.write("constraint", "Another")


def test_a_shorter_tree_without_its_checkpoint_is_not_signed(fleet):
    lead = fleet.agent("lead", role="lead")
    lead.write("constraint", "Never delete")
    other = fleet.fresh("lead")
    size, frontier = fleet.sql("SELECT size, frontier FROM store")[0]
    changed = bytes([frontier[0] ^ 1]) + frontier[1:]
    fleet.sql("UPDATE store SET frontier = ?", changed)
    with pytest.raises(IntegrityError, match="changed outside"):
        other.write("constraint", "Another")
    assert fleet.sql("SELECT size FROM store")[0][0] == size


def test_a_write_that_is_refused_does_not_count_as_seen(fleet, monkeypatch):
    lead = fleet.agent("lead", role="lead")
    lead.write("decision", "One", rationale="Because.", alternatives=["none"], key="one")
    for _ in range(3):
        with pytest.raises(Exception, match="key_conflict"):
            lead.write("decision", "Two", rationale="Because.", alternatives=["none"], key="one")
    assert lead.write("constraint", "Still writes")["status"] == "stored"
    fleet.assert_sound()


def test_a_checkpoint_that_was_emptied_is_not_taken_for_one_that_is_being_made(fleet):
    lead = fleet.agent("lead", role="lead")
    lead.write("constraint", "Never delete")
    fleet.sql("UPDATE store SET checkpoint = ''")
    with pytest.raises(IntegrityError, match="changed outside"):
        lead.write("constraint", "Another")


def test_a_transaction_of_many_acts_is_signed_once_and_as_a_whole(fleet):
    ada = fleet.agent("ada")
    ada.import_lines([Line(str(n), {"kind": "constraint", "title": f"Rule {n}"}) for n in range(30)])
    fleet.assert_sound()
    before = fleet.sql("SELECT size, checkpoint FROM store")[0]
    with fleet.house.store.write() as unit:
        request = WriteRequest.parse({"kind": "constraint", "title": "Taken back"})
        with suppress(RuntimeError), unit.attempt():
            write_in(unit, fleet.house.key, ada._caller(), request)
            raise RuntimeError
    assert fleet.sql("SELECT size, checkpoint FROM store")[0] == before
    fleet.assert_sound()
