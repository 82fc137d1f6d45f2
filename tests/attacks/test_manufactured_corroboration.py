"""Many voices that are one: names of one delegator, one key under two names, the author's child, the author again (T6).

Endorsements are not counted: one by somebody entitled carries, and none of these is.
"""

import pytest
from simulator import Fleet

from memstore import admin
from memstore.core.policy import Carry
from memstore.core.statements import Reviewed
from memstore.errors import MemStoreError
from memstore.service import MemStore


def label(fleet: Fleet, record: str) -> str:
    found: str = fleet.sql("SELECT label FROM records WHERE id = ?", record)[0][0]
    return str(found)


def endorse(member: MemStore, record: str) -> str:
    member.get([record])
    result = member.review([record], "endorse")["results"][0]
    return f"{result['label']} {result['refused']}".strip()


def test_fifty_names_of_one_delegator_raise_nothing(fleet: Fleet):
    fleet.agent("boss", role="lead")
    said = fleet.agent("author", under="boss").write("finding", "It is so", "x")["id"]
    voices = [fleet.agent(f"voice{n}", role="lead" if n % 2 else "worker", under="author") for n in range(50)]
    assert {endorse(voice, said) for voice in voices} == {"attributed not_entitled"}
    fleet.assert_sound()


def test_the_authors_child_does_not_endorse_its_parent(fleet: Fleet):
    parent = fleet.agent("parent", role="lead")
    child = fleet.agent("child", role="lead", under="parent")
    parent.observe("https://evil.example/", "a page")
    said = parent.write("finding", "It is so", "x")["id"]
    found = child.get([said])
    child.open([found["quarantined"][0]["ref"]])
    assert child.review([said], "endorse")["results"][0]["refused"] == "not_entitled"
    fleet.assert_sound()


def test_the_author_does_not_endorse_itself_from_another_context(fleet: Fleet):
    said = fleet.agent("lead", role="lead", under="").write("finding", "It is so", "x")["id"]
    again = fleet.fresh("lead")
    again.get([said])
    assert again.review([said], "endorse")["results"][0]["refused"] == "own_record"
    signer = fleet.house.keyring.load("lead")
    fleet.forge(fleet.signed(signer, Reviewed, launch=again._caller().launch, record=said, verdict="endorse"))
    assert "not_allowed" in fleet.found()


def test_one_raw_key_under_two_names_is_refused_and_carries_nothing(fleet: Fleet):
    fleet.agent("boss", role="lead")
    fleet.agent("author", under="boss")
    with pytest.raises(MemStoreError, match="name_taken"):
        admin.add_agent(fleet.house, "author")
    said = fleet.fresh("author").write("finding", "It is so", "x")["id"]
    boss = fleet.fresh("boss")
    boss.get([said])
    # As if the registry had let the author's key in under the lead's name.
    keyid = fleet.sql("SELECT keyid FROM entries ORDER BY seq DESC LIMIT 1")[0][0]
    from memstore.core.reviews import carry_in

    statement = Reviewed.build(
        store=fleet.house.key.store, author="boss", launch=boss._caller().launch, n=1, prev="", asserted_at=0,
        record=said, verdict="endorse",
    )  # fmt: skip
    with fleet.house.store.read() as unit:
        author = unit.view.principal("boss")
        assert author is not None
        assert carry_in(unit.view, statement, author, keyid) is Carry.NOTHING
        assert carry_in(unit.view, statement, author, "another") is Carry.LEAD


def test_an_open_world_lead_carries_nothing(fleet: Fleet):
    browsing = fleet.agent("browsing", role="lead", open_world=True)
    said = fleet.agent("author", under="browsing").write("finding", "It is so", "x")["id"]
    assert endorse(browsing, said) == "attributed not_entitled"


def test_two_endorsements_that_lean_on_each_other_lift_neither(fleet: Fleet):
    """Each lead has read the other's poisoned worker; neither endorsement may be what makes the other sound."""
    fleet.agent("one", role="lead")
    fleet.agent("two", role="lead")
    members = {name: fleet.agent(name, under=lead) for name, lead in (("a", "one"), ("b", "two"))}
    poison = fleet.agent("thief").write("finding", "Poison", "x")["id"]
    said = {}
    for name, member in members.items():
        member.get([poison])
        said[name] = member.write("finding", f"Words of {name}", "x")["id"]
    leads = {name: fleet.fresh(name) for name in ("one", "two")}
    for lead in leads.values():
        lead.get(list(said.values()))
    leads["one"].review([said["a"]], "endorse")
    leads["two"].review([said["b"]], "endorse")
    assert {label(fleet, record) for record in said.values()} == {"3"}
    fleet.agent("ann", role="human").retract(poison, "poisoned")
    for name, lead in leads.items():
        lead.review([said["a" if name == "one" else "b"]], "endorse")
    assert {label(fleet, record) for record in said.values()} == {"1"}
    fleet.assert_sound()
