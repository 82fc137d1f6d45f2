"""Acts that are said again, out of order, or void: each follows from the log alone, once."""

from simulator import Fleet, refs

from memstore import admin
from memstore.core.statements import KeyAction


def test_the_same_theft_said_twice_changes_nothing(fleet: Fleet):
    fleet.agent("boss", role="lead")
    worker, second = fleet.agent("worker", under="boss"), fleet.agent("second", under="boss")
    ann, since = fleet.agent("ann", role="human"), fleet.size()
    stolen = worker.write("finding", "Stolen", "x")["id"]
    rests = second.write("finding", "Rests on it", "x", derived_from=[stolen])["id"]
    admin.compromise(fleet.house, "worker", since)
    ann.open(refs(ann.search("rests")))
    assert ann.review([rests], "endorse")["results"][0]["label"] == "trusted"
    before = fleet.sql("SELECT * FROM records")
    for again in (since, fleet.size() - 1):
        assert admin.compromise(fleet.house, "worker", again)["affected"] == []
    assert fleet.sql("SELECT * FROM records") == before
    assert fleet.fresh("ann").get([rests])["records"][0]["label"] == "trusted"
    fleet.assert_sound()


def test_a_void_review_excuses_no_reading(fleet: Fleet):
    """T2: what a context had reviewed does not lower its mark; once the review is void, it does."""
    fleet.agent("boss", role="lead")
    record = fleet.agent("worker", under="boss").write("finding", "Read", "x")["id"]
    reader = fleet.continuing("boss")
    reader.get([record])
    since = fleet.size()
    assert reader.review([record], "dispute")["mark"] == "trusted"
    admin.compromise(fleet.house, "boss", since)
    assert fleet.sql("SELECT mark FROM contexts WHERE launch LIKE 'cli/boss/%'") == [(2,)]
    admin.replace_key(fleet.house, "boss", KeyAction.REKEYED)
    assert fleet.continuing("boss").write("finding", "After", "x")["label"] == "attributed"
    fleet.assert_sound()


def test_what_was_leaked_stays_hidden_for_good(fleet: Fleet):
    """Withdrawn as wrong before, and the key of who said that it leaked stolen after."""
    boss, worker = fleet.agent("boss", role="lead"), fleet.agent("worker", under="boss")
    record = worker.write("finding", "A password", "x")["id"]
    boss.retract(record, "wrong")
    since = fleet.size()
    worker.retract(record, "leaked")
    admin.compromise(fleet.house, "worker", since)
    assert fleet.sql("SELECT retracted FROM records") == [("leaked",)]
    fleet.assert_sound()


def test_reasons_keep_their_order_when_they_are_judged_again(fleet: Fleet):
    boss, worker = fleet.agent("boss", role="lead"), fleet.agent("worker", under="boss")
    sources = sorted((worker.write("finding", f"Source {n}", "x")["id"] for n in range(4)), reverse=True)
    said = boss.write("finding", "Rests on them", "x", derived_from=sources)
    (before,) = fleet.sql("SELECT because FROM records WHERE id = ?", said["id"])
    lead = fleet.fresh("boss")
    lead.get([sources[0]])
    lead.review([sources[0]], "endorse")
    lead.review([sources[0]], "dispute")
    assert fleet.sql("SELECT because FROM records WHERE id = ?", said["id"]) == [before]
    fleet.assert_sound()
