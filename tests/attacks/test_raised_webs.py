"""Records raised by what they rest on: long chains and dense webs are served, at a price that grows with their size."""

import time

from simulator import Fleet, ids

from memstore.service import MemStore


def written(member: MemStore, title: str, *sources: str) -> str:
    return str(
        member.write("decision", title, "b", rationale="r", alternatives=["none"], derived_from=list(sources))["id"]
    )


def raised(fleet: Fleet, width: int, depth: int) -> list[str]:
    """A web of a lead's words on a worker's, whose roots a person endorsed once all was written; layer by layer."""
    boss, worker = fleet.agent("boss", role="lead"), fleet.agent("worker", under="boss")
    ann = fleet.agent("ann", role="human")
    layer = [str(worker.write("finding", f"root {n}", "b")["id"]) for n in range(width)]
    roots, found = layer, []
    boss.session_start("task")
    for at in range(depth):
        layer = [written(boss, f"layer {at} {n}", *layer) for n in range(width)]
        found += layer
    ann.get(roots, max_tokens=20_000)
    ann.review(roots, "endorse")
    return found


def test_a_long_chain_of_raised_records_is_served_as_trusted(fleet: Fleet):
    chain = raised(fleet, 1, 200)
    reader = fleet.fresh("ann")
    assert [hit["label"] for hit in reader.get([chain[0], chain[99], chain[-1]])["records"]] == ["trusted"] * 3
    assert chain[-1] in ids(reader.search("layer 199"), "trusted")
    assert chain[-1] in str(fleet.fresh("ann").session_start("task")["brief"])
    fleet.assert_sound()


def test_a_dense_web_is_read_in_less_than_a_second(fleet: Fleet):
    web = raised(fleet, 8, 6)
    started = time.process_time()
    reader = fleet.fresh("ann")
    assert reader.get([web[-1]])["records"][0]["label"] == "trusted"
    assert web[-1] in ids(reader.search("layer 5 7"), "trusted")
    assert web[-1] in str(reader.session_start("task")["brief"])
    assert time.process_time() - started < 1


def test_a_label_raised_by_hand_lifts_nothing_that_rests_on_it(fleet: Fleet):
    boss, worker = fleet.agent("boss", role="lead"), fleet.agent("worker", under="boss")
    root = worker.write("finding", "root", "b")["id"]
    chain = [written(boss, "one", root)]
    chain.append(written(boss, "two", chain[0]))
    fleet.sql("UPDATE records SET label = 3")
    answer = fleet.fresh("boss").get([root, *chain])
    assert answer["records"] == []
    assert {entry["reasons"][0] for entry in answer["quarantined"]} == {"bad_signature"}


def test_what_was_reviewed_before_counts_not_once_it_comes_from_outside_no_longer(fleet: Fleet):
    """Its reader's words rise though it stands as it stood: the label is borne out all the same."""
    lead = fleet.agent("chief", role="lead")
    fleet.agent("boss", role="lead", under="chief")
    worker = fleet.agent("worker", under="boss")
    ann = fleet.agent("ann", role="human")
    worker.observe("https://evil.example/", "a page")
    outside = worker.write("finding", "from outside", "b")["id"]
    ann.open([ann.get([outside])["quarantined"][0]["ref"]])
    other = fleet.fresh("worker").write("finding", "seen", "b", derived_from=[outside])["id"]
    lead.observe("https://evil.example/other", "a page")
    lead.open([lead.get([other])["quarantined"][0]["ref"]])
    lead.review([other], "endorse")
    reader = fleet.fresh("boss")
    reader.get([other])
    reader.review([other], "dispute")
    said = reader.write("finding", "after it", "b")
    assert said["label"] == "attributed"
    ann.review([outside], "endorse")
    found = fleet.fresh("ann").get([said["id"]])
    assert [hit["label"] for hit in found["records"]] == ["trusted"]
    fleet.assert_sound()
