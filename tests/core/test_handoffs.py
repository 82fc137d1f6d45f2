"""The machine of a handoff, its minimum, delta and problems, as values."""

from dataclasses import replace
from itertools import product

import pytest

from memstore.core.boundary import (
    FILLED,
    MINIMUM,
    RULES,
    Carried,
    ProblemClass,
    Seen,
    delta_of,
    found_in,
    gathered,
    missing,
)
from memstore.core.handoffs import MOVES, OPEN, accepts_contract, hop_of, is_addressed, is_capable, may_take, moved
from memstore.core.labels import Label, Status
from memstore.core.offers import HandoffAction, HandoffType
from memstore.core.policy import Allowed, Denied, Principal
from memstore.core.state import MOST_ATTEMPTS, HandoffState, HandoffStatus
from memstore.core.statements import Kind, Role, Verification

OFFER = HandoffState(
    id="h-" + "a" * 26, seq=5, logged_at=100, scope="main", task="t", type=HandoffType.TRANSFER, sender="ada",
    launch="c", to="ben", receiver="ben", fallback="", contract="", deadline=0, parent="", correlation="", hop=1,
    label=Label.ATTRIBUTED, stage=HandoffStatus.OFFERED, moved=5,
)  # fmt: skip
TAKEN = replace(OFFER, stage=HandoffStatus.ACCEPTED, attempts=1, token=1, holder="ben", until=1000)
DONE = set(HandoffStatus) - OPEN


def test_nothing_leads_out_of_a_state_that_is_over():
    for status, action in product(DONE, HandoffAction):
        assert isinstance(moved(status, action), Denied)


def test_every_open_state_can_be_left_and_cancelled():
    assert {status for status, _ in MOVES} == OPEN
    assert {status for status, action in MOVES if action is HandoffAction.CANCEL} == OPEN


def test_only_acceptance_and_a_lease_lead_to_work():
    into = {action for (_, action), after in MOVES.items() if after is HandoffStatus.ACCEPTED}
    assert into == {HandoffAction.ACCEPT, HandoffAction.RESUME}
    assert (HandoffStatus.AWAITING_APPROVAL, HandoffAction.ACCEPT) not in MOVES


@pytest.mark.parametrize(
    ("status", "by_sender", "after"),
    [
        (HandoffStatus.OFFERED, False, HandoffStatus.CLARIFICATION_REQUESTED),
        (HandoffStatus.CLARIFICATION_REQUESTED, True, HandoffStatus.OFFERED),
        (HandoffStatus.OFFERED, True, None),
        (HandoffStatus.CLARIFICATION_REQUESTED, False, None),
    ],
)
def test_the_receiver_asks_and_the_sender_answers(status, by_sender, after):
    found = moved(status, HandoffAction.CLARIFY, by_sender=by_sender)
    assert found == after if after else isinstance(found, Denied)


def test_a_lapsed_lease_offers_again_until_the_attempts_are_used_up():
    assert TAKEN.status(999) is HandoffStatus.ACCEPTED
    assert TAKEN.status(1000) is HandoffStatus.OFFERED
    spent = replace(TAKEN, attempts=MOST_ATTEMPTS)
    assert spent.status(1000) is HandoffStatus.DEAD_LETTER
    assert spent.why_dead(1000) == "lease_lapsed"
    assert TAKEN.why_dead(1000) == ""


def test_a_lease_that_is_not_there_counts_as_lapsed():
    assert replace(TAKEN, until=None).status(0) is HandoffStatus.OFFERED


@pytest.mark.parametrize("stage", ["awaiting_approval", "offered", "clarification_requested"])
def test_a_deadline_expires_what_waits_or_gives_it_to_the_fallback_owner(stage):
    waiting = replace(OFFER, stage=HandoffStatus(stage), deadline=500)
    assert waiting.status(499) is HandoffStatus(stage)
    assert waiting.status(500) is HandoffStatus.EXPIRED
    owned = replace(waiting, fallback="cy")
    assert owned.status(500) is HandoffStatus.DEAD_LETTER
    assert owned.why_dead(500) == "deadline"


def test_a_deadline_takes_work_from_nobody_who_holds_it():
    held = replace(TAKEN, deadline=500)
    assert held.status(999) is HandoffStatus.ACCEPTED
    assert held.status(1000) is HandoffStatus.EXPIRED


BEN, CY, DI = (Principal(name, Role.WORKER, scopes=("main",), capabilities=("sum",)) for name in ("ben", "cy", "di"))


def test_it_is_its_receivers_and_later_its_fallback_owners():
    owned = replace(OFFER, fallback="cy")
    assert may_take(owned, BEN, 0) == Allowed()
    assert isinstance(may_take(owned, CY, 0), Denied)
    dead = replace(owned, deadline=10)
    assert may_take(dead, CY, 10) == Allowed()
    assert isinstance(may_take(dead, BEN, 10), Denied)
    assert isinstance(may_take(owned, DI, 0), Denied)


def test_another_of_the_capability_may_take_it_once_the_first_has_let_it_lapse():
    asked = replace(OFFER, to="capability:sum")
    assert not is_addressed(asked, DI)
    assert is_addressed(replace(asked, attempts=1), DI)
    assert not is_addressed(replace(asked, attempts=1, sender="di"), DI)


@pytest.mark.parametrize(
    ("accepts", "contract", "takes"),
    [
        (("sum@1.2",), "sum@1.2", True),
        (("sum@1",), "sum@1.2", True),
        (("sum@1.1",), "sum@1.2", False),
        (("sum@2",), "sum@1.2", False),
        (("sum",), "sum@1.2", False),
        ((), "sum@1.2", False),
    ],
)
def test_contracts_are_accepted_by_version_or_major_version(accepts, contract, takes):
    assert accepts_contract(replace(BEN, accepts=accepts), contract) is takes
    assert is_capable(replace(BEN, accepts=accepts), "capability:sum", contract) is takes


def test_hops_count_how_far_work_has_travelled_and_a_report_back_is_no_step():
    assert hop_of(HandoffType.DELEGATE, "ben", None) == 1
    parent = replace(OFFER, hop=3)
    assert hop_of(HandoffType.TRANSFER, "cy", parent) == 4
    assert hop_of(HandoffType.REPORT, "ada", parent) == 3
    assert hop_of(HandoffType.REPORT, "cy", parent) == 4
    assert hop_of(HandoffType.TRANSFER, "ada", parent) == 4


@pytest.mark.parametrize("kind", HandoffType)
def test_the_minimum_is_a_list_of_what_is_missing(kind):
    assert missing(kind, {}) == list(MINIMUM[kind])
    said = {part: ["none"] for part in MINIMUM[kind]}
    # Where there is nothing to hand over, it is no report and no intake.
    assert missing(kind, said) == list(FILLED[kind])
    assert missing(kind, {**said, "outputs": ["m-1"]}) == []


def test_what_is_carried_on_is_compared_by_id_and_by_words():
    before = Carried(constraints=("m-1", "m-2"), questions=("m-3", "m-4"), caveats=("m-5",))
    after = Carried(constraints=("m-1",), questions=("m-6",), caveats=("m-7",))
    delta = delta_of(before, after, settled=frozenset({"m-4"}), words={"m-5": "same", "m-7": "same"})
    assert delta.dropped == (("constraints", "m-2"), ("questions", "m-3"))
    assert delta.added == (("questions", "m-6"),)


SEEN = Seen(
    id="m-1", part="outputs", kind=Kind.FINDING, label=Label.ATTRIBUTED, status=Status.IN_FORCE,
    verification=Verification.VERIFIED,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({}, []),
        ({"good": False}, ["bad_signature"]),
        ({"verification": Verification.UNVERIFIED}, ["unverified_output"]),
        ({"verification": Verification.FAILED}, ["failed_output"]),
        ({"verification": Verification.UNVERIFIED, "part": "caveats"}, []),
        ({"label": Label.TAINTED}, ["tainted_record"]),
        ({"status": Status.SUSPECT, "label": Label.TAINTED}, ["fallen_record"]),
        ({"status": Status.RETRACTED}, ["fallen_record"]),
        ({"status": Status.SUPERSEDED}, ["superseded_record"]),
        ({"status": Status.EXPIRED, "kind": Kind.TOOL_RESULT}, ["expired_result"]),
        ({"stale": True}, ["stale_inputs"]),
        ({"flags": ("disputed", "needs_revisit", "conflicting")}, ["disputed", "conflicting", "needs_revisit"]),
    ],
)
def test_each_defect_of_a_record_has_its_code(change, codes):
    assert found_in(replace(SEEN, **change), HandoffType.REPORT) == codes


def test_outside_content_is_what_an_intake_is_for():
    outside = replace(SEEN, kind=Kind.EXTERNAL, label=Label.UNTRUSTED)
    assert found_in(outside, HandoffType.INTAKE) == []
    assert found_in(outside, HandoffType.TRANSFER) == ["tainted_record"]


def test_problems_are_one_for_each_code_with_the_records_concerned():
    found = gathered([("disputed", "m-1"), ("bad_signature", "m-2"), ("disputed", "m-3"), ("disputed", "m-1")])
    assert [(one.code, one.ids, one.bars) for one in found] == [
        ("bad_signature", ("m-2",), True), ("disputed", ("m-1", "m-3"), False),
    ]  # fmt: skip
    assert found[1].as_dict() == {
        "class": "trust",
        "code": "disputed",
        "what": "A record is disputed: m-1, m-3",
        "next": "memory_history shows by whom.",
    }


def test_every_class_of_problem_has_a_code_and_every_code_says_what_and_next():
    assert {rule.of for rule in RULES.values()} == set(ProblemClass)
    assert all(rule.what and rule.next.endswith(".") for rule in RULES.values())
