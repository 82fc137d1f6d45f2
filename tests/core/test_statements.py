"""Statements as bytes: each kind comes back as it was built, under its own type, with an id that is a hash of it."""

import hashlib
from typing import Any

import pytest

from memstore.core.statements import (
    KINDS,
    Erased,
    KeyAction,
    KeyChanged,
    Kind,
    Origin,
    Recorded,
    SessionStarted,
    Statement,
    digest_of,
    id_of,
    parse_statement,
    payload_of,
    payload_type,
    possession_message,
    pre_authentication_encoding,
    short_id,
)
from memstore.errors import IntegrityError, InvalidInput

HEAD: dict[str, Any] = {"store": "a" * 26, "author": "agent", "launch": "c-1", "n": 1, "prev": "", "asserted_at": 0}
RECORD: dict[str, Any] = {
    "kind": Kind.DECISION, "scope": "main", "task": "t", "session": "", "origin": Origin.AGENT, "content": "0" * 64,
}  # fmt: skip
ID = "m-" + "a" * 26


def test_a_statement_comes_back_as_it_was_built():
    built = Recorded.build(**HEAD, **RECORD, derived_from=[ID], supersedes=ID)
    assert parse_statement(payload_type(Recorded), payload_of(built)) == built


def test_each_kind_has_a_type_of_its_own():
    types = [payload_type(kind) for kind in KINDS]
    assert len(set(types)) == len(KINDS) == len(Statement.__subclasses__())
    assert "application/vnd.memstore.record.v1+json" in types


def test_the_encoding_that_is_signed_is_that_of_dsse():
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_type_and_payload_cannot_flow_into_each_other():
    assert pre_authentication_encoding("a", b"b 1 c") != pre_authentication_encoding("a b", b"1 c")
    assert digest_of("a", b"b") == hashlib.sha256(b"DSSEv1 1 a 1 b").digest()


def test_an_id_is_a_hash_of_what_was_signed_and_only_some_acts_have_one():
    built = Recorded.build(**HEAD, **RECORD)
    digest = digest_of(payload_type(Recorded), payload_of(built))
    assert id_of(built, digest) == short_id("m-", digest)
    assert len(id_of(built, digest)) == 28
    session = SessionStarted.build(**HEAD, scope="main", task="t")
    assert id_of(session, digest).startswith("s-")
    assert id_of(Erased.build(**HEAD, record=ID), digest) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"store": "A" * 26}, {"store": ""}, {"author": "a b"}, {"author": ""}, {"author": "-a"}, {"launch": ""},
        {"n": 0},
        {"n": True}, {"n": 2**53}, {"prev": "0"}, {"prev": "G" * 64}, {"asserted_at": -1}, {"asserted_at": 1.0},
        {"v": 2}, {"v": True}, {"kind": "thought"}, {"scope": ""}, {"scope": "a\nb"}, {"task": "t" * 201},
        {"session": "m"}, {"content": ""}, {"derived_from": ["m-a"]}, {"derived_from": ID}, {"supersedes": "x"},
        {"ttl_seconds": -1}, {"unknown": 1}, {"origin": "mars"},
    ],
    ids="-".join,
)  # fmt: skip
def test_what_is_not_well_formed_is_not_built_and_not_repeated(wrong: dict[str, Any]):
    with pytest.raises(InvalidInput) as refused:
        Recorded.build(**{**HEAD, **RECORD, **wrong})
    assert next(iter(wrong)) in str(refused.value)
    assert all(len(str(value)) < 3 or str(value) not in str(refused.value) for value in wrong.values())


def test_a_check_says_the_same_before_anything_is_done():
    SessionStarted.check("a" * 26, {"scope": "main", "task": "t"})
    with pytest.raises(InvalidInput):
        SessionStarted.check("a" * 26, {"scope": "", "task": "t"})


def test_a_statement_of_one_kind_is_none_of_another():
    erased = Erased.build(**HEAD, record=ID)
    for kind in KINDS:
        if kind is not Erased:
            with pytest.raises(IntegrityError):
                parse_statement(payload_type(kind), payload_of(erased))


def test_a_proof_of_possession_is_of_one_store_name_and_key():
    parts = [("s", "n", "k"), ("t", "n", "k"), ("s", "m", "k"), ("s", "n", "l")]
    assert len({possession_message(store=s, name=n, public_key=k) for s, n, k in parts}) == 4


def test_a_change_of_key_names_what_it_does():
    with pytest.raises(InvalidInput):
        KeyChanged.build(**HEAD, principal="agent", action="lost", keyid="k" * 43)
    assert KeyChanged.build(**HEAD, principal="agent", action=KeyAction.RETIRED, keyid="k" * 43).since == 0
