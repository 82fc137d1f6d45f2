"""Reaching across scopes: on every path, what is forbidden answers with the very bytes of what does not exist."""

import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
from simulator import Fleet, leaked, refs

from memstore.errors import MemStoreError, NotFound
from memstore.service import MemStore

UNKNOWN = "m-" + "a" * 26
UNKNOWN_SESSION = "s-" + "a" * 26
SECRET = "the merger closes in March, tell nobody"
DECISION = {"kind": "decision", "title": "t", "rationale": "r", "alternatives": ["none"]}
FINDING = {"kind": "finding", "title": "t", "body": "b"}

Path = Callable[[MemStore, str], Any]
BY_RECORD: dict[str, Path] = {
    "get": lambda m, i: m.get([i]),
    "get listed": lambda m, i: m.get([i], detail="ids"),
    "history": lambda m, i: m.history(id=i),
    "derived_from": lambda m, i: m.write(**FINDING, derived_from=[i]),
    "derived_from, dry": lambda m, i: m.write(**FINDING, derived_from=[i], dry_run=True),
    "evidence": lambda m, i: m.write(**FINDING, verification="verified", evidence=[i]),
    "conditions": lambda m, i: m.write(**DECISION, conditions=[i]),
    "supersedes": lambda m, i: m.write(**FINDING, supersedes=i),
    "answers": lambda m, i: m.write(**FINDING, answers=i),
    "keep": lambda m, i: m.session_end("completed", keep=[i]),
    "open": lambda m, i: m.open([i]),
    "session": lambda m, i: m.write(**FINDING, session=i),
    "review": lambda m, i: m.review([i], "endorse"),
    "dispute": lambda m, i: m.review([i], "dispute"),
    "evidence of a review": lambda m, i: m.review([UNKNOWN], "endorse", evidence=[i]),
    "retract": lambda m, i: m.retract(i, "wrong"),
    "retract on trial": lambda m, i: m.retract(i, "leaked", dry_run=True),
    "disclosures": lambda m, i: m.history(id=i, view="disclosures"),
    "why": lambda m, i: m.history(id=i, view="why"),
    "blame": lambda m, i: m.history(id=i, view="blame"),
    "impact": lambda m, i: m.history(id=i, view="impact"),
    "impact by the beginning of an id": lambda m, i: m.history(id=i[:9], view="impact"),
    "get by the beginning of an id": lambda m, i: len(m.get([i[:12]])["missing"]),
    "retract by the beginning of an id": lambda m, i: m.retract(i[:12], "wrong"),
    "export a bundle": lambda m, i: m.export_bundle(i),
    "export a bundle as evidence": lambda m, i: m.export_bundle(i[:12], quarantined=True),
    "export PROV": lambda m, i: m.export_prov(record=i),
    "export attestations": lambda m, i: m.export_intoto(record=i, depth=2),
}
BY_SESSION: dict[str, Path] = {
    "write": lambda m, i: m.write(**FINDING, session=i),
    "hypothesis": lambda m, i: m.write("hypothesis", "t", session=i),
    "observe": lambda m, i: m.observe("https://x.example/", "text", session=i),
    "end": lambda m, i: m.session_end("completed", session=i),
    "history": lambda m, i: m.history(of_session=i),
    "supersedes": lambda m, i: m.write(**FINDING, supersedes=i),
    "disclosures": lambda m, i: m.history(of_session=i, view="disclosures"),
}


@pytest.fixture
def insider(fleet: Fleet) -> MemStore:
    """Somebody in scope `one`; everything of interest here is in scope `two`."""
    fleet.agent("insider", scopes=("two",))
    fleet.agent("both", scopes=("one", "two"))
    return fleet.agent("outsider", role="lead", scopes=("one",))


def told(act: Path, member: MemStore, asked: str) -> str:
    """The answer or the refusal, as bytes, with what was asked for taken out."""
    try:
        answer = json.dumps(act(member, asked), sort_keys=True)
    except MemStoreError as refused:
        answer = f"{type(refused).__name__} {refused.code} {refused}"
    return answer.replace(asked, "ASKED")


@pytest.mark.parametrize("path", BY_RECORD)
@pytest.mark.parametrize("kind", ["finding", "question", "hypothesis"])
def test_a_record_of_another_scope_answers_like_none(fleet: Fleet, insider: MemStore, path: str, kind: str):
    secret = fleet.fresh("insider")
    secret.session_start("deal")
    forbidden = secret.write(kind, SECRET, "body", key="deal")["id"]
    insider.session_start("work")
    again = fleet.fresh("outsider")
    again.session_start("work")
    assert told(BY_RECORD[path], insider, forbidden) == told(BY_RECORD[path], again, UNKNOWN)
    assert leaked(SECRET, told(BY_RECORD[path], fleet.fresh("outsider"), forbidden)) == ""


OWNERS = {
    "another scope's": ("insider", "two"),
    "another principal's": ("both", "one"),
    "one's own of another scope": ("both", "two"),
}
# A history is of the whole scope, whoever's session it is.
PAIRS = [
    (path, whose)
    for path in BY_SESSION
    for whose in OWNERS
    if path not in ("history", "disclosures") or whose != "another principal's"
]


@pytest.mark.parametrize(("path", "whose"), PAIRS)
def test_a_session_that_is_not_the_callers_answers_like_none(fleet: Fleet, insider: MemStore, path: str, whose: str):
    forbidden = fleet.fresh(*OWNERS[whose]).session_start("deal")["session"]
    asks = ("both", "one") if whose.startswith("one's own") else ("outsider", "one")
    first, second = (fleet.fresh(*asks) for _ in range(2))
    assert told(BY_SESSION[path], first, forbidden) == told(BY_SESSION[path], second, UNKNOWN_SESSION)


def test_a_brief_of_another_scopes_session_answers_like_none(fleet: Fleet, insider: MemStore):
    forbidden = fleet.fresh("insider").session_start("deal")["session"]
    assert told(lambda m, i: m.brief(i), insider, forbidden) == told(lambda m, i: m.brief(i), insider, UNKNOWN_SESSION)


def test_a_search_finds_counts_and_ranks_nothing_of_another_scope(fleet: Fleet, insider: MemStore):
    own = insider.write("finding", "Merger", "nothing known")
    ways: list[dict[str, Any]] = [
        {"query": "merger March"}, {"query": ""}, {"author": "insider"}, {"task": "deal"}, {"tags": ["secret"]},
        {"include_superseded": True}, {"min_trust": "attributed", "detail": "full"}, {"as_of": "99"},
    ]  # fmt: skip
    before = [fleet.fresh("outsider").search(**way) for way in ways]
    secret = fleet.fresh("insider")
    for n in range(5):
        secret.write_for("deal", kind="finding", title=f"Merger {n}", body=SECRET, tags=["secret"])
        secret.observe("https://bank.example/", f"{SECRET} {n}")
    after = [fleet.fresh("outsider").search(**way) for way in ways]
    assert after == before
    assert before[0]["trusted"]["hits"][0]["id"] == own["id"]


def test_a_history_and_a_brief_hold_nothing_of_another_scope(fleet: Fleet, insider: MemStore):
    secret = fleet.fresh("insider")
    secret.session_start("deal")
    secret.write("constraint", "Tell nobody", SECRET)
    answers: list[Any] = [
        insider.history(),
        insider.history(task="deal"),
        insider.session_start("deal"),
        insider.agents(),
    ]
    assert leaked(SECRET, *answers) == ""
    assert answers[1]["events"] == []
    assert "insider" not in json.dumps(answers)


def test_a_scope_that_is_not_the_callers_is_refused_like_one_that_nobody_has(fleet: Fleet, insider: MemStore):
    def opened(scope: str) -> str:
        with pytest.raises(MemStoreError) as refused:
            fleet.fresh("outsider", scope)
        return str(refused.value)

    def moved(scope: str) -> str:
        with pytest.raises(MemStoreError) as refused:
            fleet.fresh("outsider").session_start("work", scope=scope)
        return str(refused.value)

    assert opened("two") == opened("nowhere")
    assert moved("two") == moved("nowhere")
    assert fleet.fresh("outsider").scope == "one"


def test_the_same_principal_in_two_scopes_is_two_strangers(fleet: Fleet, insider: MemStore):
    there = fleet.fresh("both", "two")
    said = there.write("finding", "Merger", SECRET, key="deal")
    here = fleet.fresh("both", "one")
    assert here.get([said["id"], "key:deal"])["missing"] == [said["id"], "key:deal"]
    assert here.search("merger")["attributed"]["count"] == 0
    assert here.write("finding", "Merger", SECRET, key="deal")["status"] == "stored"


def test_what_one_scope_shows_does_not_lower_the_mark_in_another(fleet: Fleet, insider: MemStore):
    there = fleet.continuing("both", "two")
    there.observe("https://evil.example/", "poison")
    assert there.write("finding", "Own", "words")["label"] == "tainted"
    assert fleet.continuing("both", "one").write("finding", "Own", "words")["label"] == "attributed"


def test_a_name_that_is_nobodys_has_no_history(fleet: Fleet, insider: MemStore):
    insider.write("finding", "Own", "words", key="mine")
    assert len(insider.history(id="key:mine")["events"]) == 1
    with pytest.raises(NotFound):
        insider.history(id="key:other")


def test_an_agent_with_a_quarantined_ref_from_its_other_scope_opens_nothing(fleet: Fleet, insider: MemStore):
    there = fleet.fresh("both", "two")
    there.observe("https://bank.example/", SECRET)
    ref = refs(there.search("merger"))[0]
    bad = told(lambda m, i: m.open([i]), fleet.fresh("both", "one"), ref)
    assert bad == told(lambda m, i: m.open([i]), fleet.fresh("both", "one"), "r-" + "A" * len(ref[2:]))
    fleet.assert_sound()


@pytest.mark.slow
@pytest.mark.parametrize("path", ["review", "retract", "disclosures"])
def test_a_record_of_another_scope_takes_as_long_as_none(fleet: Fleet, insider: MemStore, path: str):
    """Within noise: the medians of many calls, in turn, are not far apart."""
    forbidden = fleet.fresh("insider").write("finding", SECRET, "body")["id"]
    spent: dict[str, list[float]] = {forbidden: [], UNKNOWN: []}
    for _ in range(60):
        for asked, times in spent.items():
            began = time.process_time()
            told(BY_RECORD[path], insider, asked)
            times.append(time.process_time() - began)
    ratio = median(spent[forbidden]) / median(spent[UNKNOWN])
    assert 0.5 < ratio < 2
