"""A review of a body that was only listed, shortened, or shown to another context (T6)."""

import pytest
from simulator import Fleet, refs

from memstore.core.statements import Reviewed

LONG = "word " * 2000


@pytest.fixture
def said(fleet: Fleet) -> str:
    fleet.agent("lead", role="lead")
    found: str = fleet.agent("worker", under="lead").write("finding", "Found", LONG)["id"]
    return found


@pytest.mark.parametrize("how", ["nothing", "ids", "concise", "brief", "history", "cut", "another context"])
def test_what_was_not_shown_whole_is_not_endorsed(fleet: Fleet, said: str, how: str):
    lead = fleet.fresh("lead")
    match how:
        case "ids":
            lead.get([said], detail="ids")
        case "concise":
            lead.search("found", min_trust="attributed")
        case "brief":
            lead.session_start("work")
        case "history":
            lead.history()
        case "cut":
            assert "cut" in lead.get([said], max_tokens=400)["records"][0]
        case "another context":
            fleet.fresh("lead").get([said])
        case _:
            pass
    before = fleet.size()
    result = lead.review([said], "endorse")["results"][0]
    assert (result["refused"], result["label"], fleet.size()) == ("not_shown", "attributed", before)
    lead.get([said], max_tokens=20_000)
    assert lead.review([said], "endorse")["results"][0]["label"] == "trusted"


def test_a_review_that_was_logged_all_the_same_carries_nothing(fleet: Fleet, said: str):
    """As somebody with the lead's key and the store's could log it."""
    lead = fleet.fresh("lead")
    lead.get([said], detail="ids")
    lead.search("nothing")
    lead.write("finding", "Own", "x")
    signer = fleet.house.keyring.load("lead")
    fleet.forge(fleet.signed(signer, Reviewed, launch=lead._caller().launch, record=said, verdict="endorse"))
    fleet.assert_sound()
    assert fleet.sql("SELECT label FROM records WHERE id = ?", said) == [(2,)]


def test_a_body_opened_in_pieces_was_not_shown_whole(fleet: Fleet, said: str):
    """Its last piece alone, or every piece but one, would else count as all of it."""
    worker, lead = fleet.fresh("worker"), fleet.fresh("lead")
    worker.observe("https://evil.example/", "a page")
    note = worker.write("finding", "Tainted", LONG)["id"]
    ref = refs(lead.search("tainted"))
    first = lead.open(ref, max_tokens=1000)["entries"][0]
    assert first["next_offset"] > 0
    assert lead.review([note], "endorse")["results"][0]["refused"] == "not_shown"
    assert lead.open(ref, offset=first["next_offset"], max_tokens=100_000)["entries"][0]["next_offset"] == 0
    assert lead.review([note], "endorse")["results"][0]["refused"] == "not_shown"
    assert lead.open(ref, max_tokens=100_000)["entries"][0]["next_offset"] == 0
    assert lead.review([note], "endorse")["results"][0]["label"] == "attributed"
