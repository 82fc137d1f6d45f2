"""Who may do what: every question has an answer, and what is empty, unknown or missing is denied."""

import itertools
from typing import Any

import pytest

from memstore.core.labels import Cause, CauseCode, Label, SignatureState
from memstore.core.policy import (
    MAX_CHAIN,
    Allowed,
    Denied,
    KeyState,
    Principal,
    Tool,
    author_bound,
    is_outside,
    kind_bound,
    may_author,
    may_supersede,
    may_use_scope,
    signature_bound,
    stands_above,
)
from memstore.core.statements import (
    ContextReset,
    Erased,
    KeyAction,
    KeyChanged,
    Kind,
    PrincipalRegistered,
    Recorded,
    Reviewed,
    Role,
    SessionEnded,
    SessionStarted,
    Statement,
    ToolRegistered,
)

CEILINGS = {
    Role.HUMAN: Label.TRUSTED,
    Role.LEAD: Label.TRUSTED,
    Role.OPERATOR: Label.TRUSTED,
    Role.WORKER: Label.ATTRIBUTED,
    Role.CHECKER: Label.ATTRIBUTED,
    Role.TOOL: Label.ATTRIBUTED,
}


@pytest.mark.parametrize("role", Role)
def test_each_role_has_its_ceiling_and_the_open_world_is_below_it(role: Role):
    assert author_bound(Principal("a", role)).label is CEILINGS[role]
    assert author_bound(Principal("a", role, open_world=True)).label is Label.TAINTED


def test_an_author_that_nobody_registered_is_worth_nothing():
    assert author_bound(None).label is Label.UNTRUSTED


def test_marks_are_of_agents():
    assert [role for role in Role if Principal("a", role).has_mark] == [Role.WORKER, Role.LEAD, Role.TOOL]


def test_a_kind_is_bounded_by_where_it_comes_from():
    closed, opened = Tool("db", False), Tool("web", True)
    kinds = [(Kind.EXTERNAL, closed), *((Kind.TOOL_RESULT, tool) for tool in (None, opened, closed))]
    bounds = [kind_bound(kind, tool) for kind, tool in kinds]
    assert [bound.label for bound in bounds if bound] == [
        Label.UNTRUSTED,
        Label.TAINTED,
        Label.UNTRUSTED,
        Label.ATTRIBUTED,
    ]
    assert kind_bound(Kind.FINDING, None) is None


def test_what_comes_from_outside_is_known_as_such():
    outside = [(k, t) for k in Kind for t in (None, Tool("x", False), Tool("x", True)) if is_outside(k, t)]
    assert {kind for kind, _ in outside} == {Kind.EXTERNAL, Kind.TOOL_RESULT}
    assert [tool for kind, tool in outside if kind is Kind.TOOL_RESULT] == [Tool("x", True)]


def test_only_a_good_signature_bounds_nothing():
    bounds = {state: signature_bound(state) for state in SignatureState}
    assert [state for state, bound in bounds.items() if bound is None] == [
        SignatureState.VALID,
        SignatureState.ATTESTED,
    ]
    assert bounds[SignatureState.INVALID] == Cause(CauseCode.SIGNATURE_INVALID, Label.UNTRUSTED)


def test_a_wildcard_covers_what_begins_so_and_a_name_only_itself():
    assert Tool("web*", True).covers("web.fetch")
    assert not Tool("web*", True).covers("we")
    assert not Tool("web", True).covers("web.fetch")


def statement(kind: type[Statement], **fields: Any) -> Statement:
    return kind.model_construct(**fields)


ACTS = {
    "register": statement(PrincipalRegistered, name="x", author="a"),
    "tool": statement(ToolRegistered),
    "reset": statement(ContextReset),
    "erase": statement(Erased),
    "retire": statement(KeyChanged, action=KeyAction.RETIRED, principal="a"),
    "compromise": statement(KeyChanged, action=KeyAction.COMPROMISED, principal="a"),
    "rekey": statement(KeyChanged, action=KeyAction.REKEYED, principal="a"),
    "rotate own": statement(KeyChanged, action=KeyAction.ROTATED, principal="a"),
    "rotate another's": statement(KeyChanged, action=KeyAction.ROTATED, principal="b"),
    "start": statement(SessionStarted, scope="main"),
    "end": statement(SessionEnded),
    "record": statement(Recorded, scope="main"),
    "review": statement(Reviewed),
}
ANYBODY = {"rotate own", "start", "end", "record", "review"}


@pytest.mark.parametrize(("role", "act"), list(itertools.product(Role, ACTS)))
def test_who_may_author_what(role: Role, act: str):
    allowed = isinstance(may_author(ACTS[act], Principal("a", role, scopes=("main",))), Allowed)
    if role is Role.OPERATOR:
        assert allowed == (act not in ("rotate another's", "record", "review"))
    elif act == "reset":
        assert allowed == (role in (Role.LEAD, Role.HUMAN))
    else:
        assert allowed == (act in ANYBODY and not (act == "record" and role is Role.CHECKER))


def test_an_act_of_no_kind_is_denied():
    assert isinstance(may_author(statement(Statement), Principal("a", Role.OPERATOR)), Denied)


def test_a_scope_is_used_by_who_has_it():
    principal = Principal("a", Role.WORKER, scopes=("one",))
    assert [isinstance(may_use_scope(principal, scope), Allowed) for scope in ("one", "two", "", "One", "one/")] == [
        True, False, False, False, False,
    ]  # fmt: skip
    assert isinstance(may_use_scope(Principal("a", Role.WORKER, scopes=("",)), ""), Denied)


def test_standing_above_follows_the_chain_and_an_endless_one_denies():
    under = {"worker": "lead", "lead": "boss", "one": "two", "two": "one"}
    above = {(n, b) for n in (*under, "boss") for b in under if stands_above(n, b, lambda name: under.get(name, ""))}
    assert above == {("lead", "worker"), ("boss", "worker"), ("boss", "lead"), ("one", "two"), ("two", "one"),
                     ("one", "one"), ("two", "two")}  # fmt: skip
    assert not stands_above("boss", "one", lambda name: under.get(name, ""))
    long = {f"n{n}": f"n{n + 1}" for n in range(MAX_CHAIN + 5)}
    assert not stands_above(f"n{MAX_CHAIN + 2}", "n0", lambda name: long.get(name, ""))


@pytest.mark.parametrize(("role", "own", "above"), list(itertools.product(Role, [True, False], [True, False])))
def test_a_record_is_replaced_by_who_may_and_never_from_below(role: Role, own: bool, above: bool):
    def may(label: Label) -> bool:
        author = Principal("a", role)
        old = "a" if own else "b"
        decision = may_supersede(author=author, old_author=old, above=above, label=label, old_label=Label.ATTRIBUTED)
        return isinstance(decision, Allowed)

    entitled = own or role is Role.HUMAN or (role is Role.LEAD and above)
    assert [may(Label.TRUSTED), may(Label.ATTRIBUTED), may(Label.TAINTED)] == [entitled, entitled, False]


def test_a_key_stands_from_where_it_was_added_to_where_it_was_withdrawn():
    key = KeyState("k", "a", b"", added=5, retired=9)
    assert [seq for seq in range(12) if key.stands_at(seq)] == [5, 6, 7, 8, 9]
    stolen = KeyState("k", "a", b"", added=5, retired=9, compromised=7)
    assert [seq for seq in range(12) if stolen.stands_at(seq)] == [5, 6]
