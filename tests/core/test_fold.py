"""What a statement changes, with a view of a few lines: supersession, answers, expiry, staleness, status."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from memstore.core.contexts import ContextState
from memstore.core.entries import Entry
from memstore.core.fold import (
    Answer,
    CompromiseKey,
    ExtendChain,
    NeedsRevisit,
    PutRecord,
    Supersede,
    expiry_of,
    fold,
    judge_entry,
)
from memstore.core.labels import Label, Mark, SignatureState, Source, Status, Verdict
from memstore.core.policy import Principal, Tool
from memstore.core.state import ContractState, GrantState, HandoffState, ReceiptState, RecordState, SessionState
from memstore.core.statements import KeyAction, KeyChanged, Kind, Origin, Recorded, Role, Verification, payload_type

OLD = "m-" + "o" * 26
GONE = "m-" + "g" * 26


def record(**changes: Any) -> RecordState:
    state = RecordState(
        id=OLD, seq=3, kind=Kind.FINDING, author="worker", scope="main", task="", session="", launch="c-1",
        label=Label.ATTRIBUTED, logged_at=10, expires_at=None, shown=0, verification=Verification.UNVERIFIED,
        origin=Origin.AGENT,
    )  # fmt: skip
    return replace(state, **changes)


@dataclass
class View:
    """The store just before an entry, by hand."""

    records: dict[str, RecordState] = field(default_factory=dict)
    shown: ContextState | None = None
    now: int = 100

    def principal(self, name: str) -> Principal | None:
        roles = {"worker": Role.WORKER, "lead": Role.LEAD, "ann": Role.HUMAN, "other": Role.WORKER}
        under = {"worker": "lead"}
        return Principal(name, roles[name], under=under.get(name, "")) if name in roles else None

    def tool(self, pattern: str) -> Tool | None:
        return {"db": Tool("db", False), "web": Tool("web", True)}.get(pattern)

    def record(self, record: str) -> RecordState | None:
        return self.records.get(record)

    def source(self, record: str) -> Source | None:
        found = self.records.get(record)
        return found.source(self.now) if found else None

    def context(self, launch: str) -> ContextState | None:
        return self.shown

    def session(self, session: str) -> SessionState | None:
        return None

    def signed_by(self, record: str) -> str:
        return "k"

    def saw_whole(self, launch: str, record: str) -> bool:
        return True

    def grant(self, grant: str) -> GrantState | None:
        return None

    def handoff(self, handoff: str) -> HandoffState | None:
        return None

    def receipt(self, receipt: str) -> ReceiptState | None:
        return None

    def contract(self, contract: str) -> ContractState | None:
        return None


def recorded(author: str = "worker", **fields: Any) -> Recorded:
    given = {
        "kind": Kind.FINDING,
        "scope": "main",
        "task": "",
        "session": "",
        "origin": Origin.AGENT,
        "content": "0" * 64,
    }
    return Recorded.build(
        store="a" * 26, author=author, launch="c-1", n=1, prev="", asserted_at=0, **{**given, **fields}
    )


def folded(statement: Recorded | KeyChanged, view: View, label: Label = Label.ATTRIBUTED) -> list[Any]:
    entry = Entry(
        9, 100, payload_type(type(statement)), bytes(32), "k", SignatureState.VALID, Verdict(label), bytes(32)
    )
    return fold(entry, statement, view)


def test_a_record_enters_as_it_was_judged():
    put, chain = folded(recorded(), View(), Label.TAINTED)
    assert isinstance(put, PutRecord)
    assert (put.state.label, put.state.logged_at, put.state.seq, put.state.status(100)) == (
        Label.TAINTED, 100, 9, Status.IN_FORCE,
    )  # fmt: skip
    assert chain == ExtendChain("worker", "c-1", 1, "00" * 32)


@pytest.mark.parametrize(
    ("author", "label", "expected"),
    [
        ("worker", Label.ATTRIBUTED, [Supersede(OLD, 9)]),
        ("worker", Label.TAINTED, [NeedsRevisit(OLD)]),
        ("lead", Label.TRUSTED, [Supersede(OLD, 9)]),
        ("ann", Label.TRUSTED, [Supersede(OLD, 9)]),
        ("ann", Label.TAINTED, []),
        ("other", Label.ATTRIBUTED, []),
        ("nobody", Label.TRUSTED, []),
    ],
)
def test_a_successor_replaces_flags_or_does_nothing(author: str, label: Label, expected: list[Any]):
    changes = folded(recorded(author, supersedes=OLD), View({OLD: record()}), label)
    assert changes[1:-1] == expected


def test_nothing_is_replaced_across_scopes_nor_what_is_not_here():
    view = View({OLD: record(scope="other")})
    assert len(folded(recorded(supersedes=OLD), view)) == 2
    assert len(folded(recorded(supersedes=GONE), view)) == 2


@pytest.mark.parametrize(("label", "closes"), [(Label.TAINTED, False), (Label.ATTRIBUTED, True), (Label.TRUSTED, True)])
def test_an_answer_closes_a_question_that_stands_no_higher(label: Label, closes: bool):
    changes = folded(recorded("other", answers=OLD), View({OLD: record(kind=Kind.QUESTION)}), label)
    assert (Answer(OLD, 9) in changes) == closes


def test_an_answer_to_what_is_no_question_closes_nothing():
    assert len(folded(recorded(answers=OLD), View({OLD: record()}))) == 2


def test_a_tools_result_expires_after_its_fetch_and_nothing_else_does():
    result = recorded(kind=Kind.TOOL_RESULT, origin=Origin.TOOL, ttl_seconds=2)
    assert expiry_of(result, 100) == 2_000_100
    assert expiry_of(result.model_copy(update={"fetched_at": 50}), 100) == 2_000_050
    assert expiry_of(recorded(ttl_seconds=2), 100) is None


@pytest.mark.parametrize("link", ["derived_from", "evidence"])
@pytest.mark.parametrize("how", [{"superseded_by": 5}, {"expires_at": 100}])
def test_what_rests_on_stale_records_says_so(link: str, how: dict[str, int]):
    sources: dict[str, Any] = {link: [OLD]}
    put = folded(recorded(**sources), View({OLD: record(**how)}))[0]
    assert put.state.stale_inputs
    assert not folded(recorded(conditions=[OLD]), View({OLD: record(**how)}))[0].state.stale_inputs


def test_what_an_agent_was_shown_counts_and_what_a_person_was_shown_does_not():
    view = View(shown=ContextState("c-1", "x", "main", 4, bytes(32), Mark(Label.TAINTED, OLD), True))
    states = {author: folded(recorded(author), view)[0].state for author in ("worker", "ann")}
    assert [states["worker"].stale_inputs, states["ann"].stale_inputs] == [True, False]
    verdicts = {a: judge_entry(recorded(a), SignatureState.VALID, view).label for a in ("worker", "lead", "ann")}
    assert verdicts == {"worker": Label.TAINTED, "lead": Label.TAINTED, "ann": Label.TRUSTED}


def test_an_entry_is_judged_by_author_kind_signature_and_sources():
    def label(statement: Recorded, signature: SignatureState = SignatureState.VALID) -> Label:
        return judge_entry(statement, signature, View({OLD: record(revoked=True)})).label

    assert label(recorded()) is Label.ATTRIBUTED
    assert label(recorded("nobody")) is Label.UNTRUSTED
    assert label(recorded("ann"), SignatureState.INVALID) is Label.UNTRUSTED
    assert label(recorded("ann", derived_from=[OLD])) is Label.TAINTED
    assert label(recorded("ann", evidence=[OLD])) is Label.TAINTED
    assert label(recorded("ann", conditions=[OLD])) is Label.TRUSTED
    assert label(recorded("ann", derived_from=[GONE])) is Label.TAINTED
    assert label(recorded("ann", kind=Kind.EXTERNAL, origin=Origin.WEB)) is Label.UNTRUSTED
    tools = [label(recorded("ann", kind=Kind.TOOL_RESULT, origin=Origin.TOOL, tool=tool)) for tool in ("db", "web", "")]
    assert tools == [Label.ATTRIBUTED, Label.UNTRUSTED, Label.TAINTED]


def test_a_compromise_reaches_back_to_where_it_says():
    key = {"principal": "worker", "keyid": "k" * 43, "since": 4, "action": KeyAction.COMPROMISED}
    stated = KeyChanged.build(store="a" * 26, author="operator", launch="o", n=1, prev="", asserted_at=0, **key)
    assert folded(stated, View())[0] == CompromiseKey("k" * 43, 4, at=9)


def test_the_gravest_status_is_the_one_that_shows():
    worst = record(revoked=True, suspect=True, superseded_by=1, expires_at=0)
    steps: list[dict[str, Any]] = [
        {},
        {"revoked": False},
        {"suspect": False},
        {"superseded_by": None},
        {"expires_at": None},
    ]
    found = []
    for step in steps:
        worst = replace(worst, **step)
        found.append(worst.status(100))
    assert found == [Status.REVOKED_AUTHOR, Status.SUSPECT, Status.SUPERSEDED, Status.EXPIRED, Status.IN_FORCE]
    assert record(lapsed=True).status(0) is Status.EXPIRED


def test_expiry_is_exact():
    assert [record(expires_at=50).status(now) for now in (49, 50)] == [Status.IN_FORCE, Status.EXPIRED]
