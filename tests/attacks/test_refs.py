"""Refs: a name for a quarantined body that opens for one context, for an hour, while the body is there."""

import pytest
from simulator import Fleet, refs

from memstore import admin
from memstore.answers import REF_SECONDS
from memstore.errors import MemStoreError
from memstore.service import MemStore


def refusal(member: MemStore, ref: str) -> str:
    with pytest.raises(MemStoreError) as refused:
        member.open([ref])
    assert refused.value.code == "unknown_ref"
    return str(refused.value)


@pytest.fixture
def page(fleet: Fleet) -> str:
    """The id of a page that an agent observed."""
    seen = fleet.agent("agent").observe("https://evil.example/", "poison in a page")
    return str(seen["id"])


def ref_for(member: MemStore) -> str:
    return refs(member.search("poison"))[0]


def test_a_ref_opens_in_the_context_it_was_given_to_and_in_no_other(fleet: Fleet, page: str):
    reader = fleet.agent("reader")
    ref = ref_for(reader)
    fleet.agent("other")
    said = {
        refusal(member, ref) for member in (fleet.fresh("reader"), fleet.fresh("other"), fleet.continuing("reader"))
    }
    assert len(said) == 1
    assert reader.open([ref])["entries"][0]["id"] == page


def test_refused_refs_all_look_alike(fleet: Fleet, page: str):
    reader = fleet.agent("reader")
    ref = ref_for(reader)
    flipped = ref[:-4] + ("A" if ref[-4] != "A" else "B") + ref[-3:]
    said = {refusal(reader, bad) for bad in (flipped, "r-", "", "r-AAAA", ref[2:] + "AAAA", "é" * 9, page)}
    fleet.clock.advance(seconds=REF_SECONDS)
    said.add(refusal(reader, ref))
    assert len(said) == 1


def test_a_ref_ends_at_its_microsecond(fleet: Fleet, page: str):
    reader = fleet.agent("reader")
    ref = ref_for(reader)
    fleet.clock.advance(seconds=REF_SECONDS, micros=-1)
    assert reader.open([ref])["entries"][0]["id"] == page
    fleet.clock.advance(micros=1)
    refusal(reader, ref)


def test_a_search_of_another_time_gives_refs_of_today(fleet: Fleet, page: str):
    reader = fleet.agent("reader")
    future = refs(reader.search("poison", as_of="9990-01-01T00:00:00Z"))[0]
    fleet.clock.advance(seconds=REF_SECONDS)
    refusal(reader, future)
    past = refs(reader.search("poison", as_of="1"))
    assert past == []
    past = refs(reader.search("poison", as_of=str(fleet.size() - 1)))
    assert reader.open(past)["entries"][0]["id"] == page


def test_a_ref_to_what_was_erased_opens_nothing(fleet: Fleet, page: str):
    reader = fleet.agent("reader")
    ref = ref_for(reader)
    admin.erase_content(fleet.house, page)
    refusal(reader, ref)
    assert reader.search("poison")["quarantined"]["count"] == 0
    assert reader.get([page])["missing"] == [page]
    fleet.assert_sound()


def test_a_ref_of_another_store_opens_nothing(fleet: Fleet, page: str):
    reader = fleet.agent("reader")
    with Fleet(fleet.folder.parent / "other store", fleet.clock) as other:
        other.agent("agent").observe("https://evil.example/", "poison in a page")
        refusal(reader, ref_for(other.agent("reader")))


def test_one_bad_ref_among_good_ones_shows_nothing(fleet: Fleet, page: str):
    reader = fleet.agent("reader")
    ref = ref_for(reader)
    with pytest.raises(MemStoreError):
        reader.open([ref, "r-AAAA"])
    assert reader.write("finding", "Own", "words")["label"] == "attributed"


def test_a_ref_in_a_scope_is_none_in_another(fleet: Fleet, page: str):
    fleet.agent("wide", scopes=("main", "two"))
    ref = ref_for(fleet.fresh("wide", "main"))
    refusal(fleet.fresh("wide", "two"), ref)
