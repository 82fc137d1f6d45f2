"""Bad input: each is refused with its code, nothing is written, and nothing of it is repeated (DESIGN 3.2, issue 2)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memstore.errors import InvalidInput, MemStoreError

WORD = "xyzzyplugh"
FINDING: dict[str, Any] = {"kind": "finding", "title": "F", "body": "b"}


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth - 1):
        found = {"a": found}
    return found


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a title of 201 characters": ({"title": WORD + "é" * 191}, "too_long"),
    "a body of 64 KiB and one byte": ({"body": WORD + "x" * (65537 - len(WORD))}, "too_long"),
    "a body of 64 KiB in characters and more in bytes": ({"body": WORD + "é" * 40_000}, "too_long"),
    "2,000 caveats": ({"caveats": [WORD] * 2000}, "too_long"),
    "65 caveats": ({"caveats": [WORD] * 65}, "too_long"),
    "a caveat of 2,001 characters": ({"caveats": [WORD + "x" * 1991]}, "too_long"),
    "an empty caveat": ({"caveats": [""]}, "missing_field"),
    "a rationale of more than 16 KiB": ({"rationale": WORD * 2000}, "too_long"),
    "a rationale of more than 16 KiB in bytes": ({"rationale": WORD + "é" * 10_000}, "too_long"),
    "65 tags": ({"tags": [f"{WORD}{n}" for n in range(65)]}, "too_long"),
    "a key of 201 characters": ({"key": WORD + "x" * 191}, "too_long"),
    "data 40 deep": ({"data": nested(40)}, "not_canonical"),
    "data 5,000 deep": ({"data": nested(5000)}, "not_canonical"),
    "data of more than 64 KiB": ({"data": {"a": WORD + "x" * 65_536}}, "too_long"),
    "a float": ({"data": {"a": 0.5}}, "not_canonical"),
    "a float that is whole": ({"data": {"a": 1.0}}, "not_canonical"),
    "infinity": ({"data": {"a": float("inf")}}, "not_canonical"),
    "2^53": ({"data": {"a": 2**53}}, "not_canonical"),
    "-2^53": ({"data": {"a": [-(2**53)]}}, "not_canonical"),
    "an integer of 5,000 digits": ({"data": {"a": 10**4999}}, "not_canonical"),
    "a NUL in the title": ({"title": WORD + "\0"}, "not_canonical"),
    "a NUL in the body": ({"body": WORD + "\0"}, "not_canonical"),
    "a NUL in data": ({"data": {WORD: "\0"}}, "not_canonical"),
    "a NUL in a key of data": ({"data": {WORD + "\0": 1}}, "not_canonical"),
    "a NUL in the key": ({"key": WORD + "\0"}, "not_canonical"),
    "a NUL in a tag": ({"tags": [WORD + "\0"]}, "not_canonical"),
    "a lone surrogate in the body": ({"body": WORD + "\ud800"}, ""),
    "a lone surrogate in data": ({"data": {"a": WORD + "\ud800"}}, ""),
    "a lone surrogate in a key of data": ({"data": {WORD + "\udfff": 1}}, ""),
    "a lone surrogate in a tag": ({"tags": [WORD + "\ud800"]}, ""),
    "a key of data that is not NFC": ({"data": {WORD + "e\u0301": 1}}, "not_canonical"),
    "a key of data that is no text": ({"data": {1: WORD}}, ""),
    "bytes": ({"body": WORD.encode()}, "invalid"),
    "a list for text": ({"body": [WORD]}, "invalid"),
    "text for a list": ({"caveats": WORD}, "invalid"),
    "text for a number": ({"confidence": "70"}, "invalid"),
    "true for a number": ({"confidence": True}, "invalid"),
    "a number for text": ({"title": 7}, "invalid"),
    "none for text": ({"body": None}, "invalid"),
    "a set in data": ({"data": {"a": {WORD}}}, "not_canonical"),
    "a list for data": ({"data": [WORD]}, "invalid"),
    "a confidence of 101": ({"confidence": 101}, "out_of_range"),
    "a confidence of -2": ({"confidence": -2}, "out_of_range"),
    "a verification that is none": ({"verification": WORD}, "invalid"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_refused_with_its_code_and_nothing_is_written_or_repeated(shared, what):
    arguments, code = REFUSED[what]
    ada, size = shared.fresh("ada"), shared.size()
    for dry_run in (False, True):
        with pytest.raises(InvalidInput) as refused:
            ada.write(**{**FINDING, **arguments, "dry_run": dry_run})
        assert refused.value.code == code or not code
        assert WORD not in str(refused.value)
        assert refused.value.__cause__ is None
    assert shared.size() == size


FITS: dict[str, dict[str, Any]] = {
    "a title of 200 characters": {"title": "é" * 200},
    "a body of 64 KiB": {"body": "x" * 65_536},
    "a body of 64 KiB in two-byte characters": {"body": "é" * 32_768},
    "64 caveats of 2,000 characters": {"caveats": [f"{n:02}" + "x" * 1998 for n in range(64)]},
    "data 31 deep": {"data": nested(31)},
    "the largest integers": {"data": {"a": 2**53 - 1, "b": -(2**53) + 1}},
    "text that is not NFC": {"body": "e\u0301 and \u212b"},
    "a character of four bytes": {"title": "🜛", "body": "🜛" * 1000, "tags": ["🜛"]},
    "control characters": {"body": "\x01\x1b[31m\x7f\u202e"},
}


@pytest.mark.parametrize("what", FITS)
def test_what_just_fits_is_stored_and_comes_back_to_the_character(shared, what):
    ada = shared.fresh("ada")
    asked = {**FINDING, **FITS[what]}
    written = ada.write(**asked)
    (record,) = ada.get([written["id"]], max_tokens=100_000)["records"]
    assert {name: record[name] for name in FITS[what] if name != "tags"} == {
        name: value for name, value in FITS[what].items() if name != "tags"
    }


def test_too_many_positional_arguments_are_refused(shared):
    ada = shared.fresh("ada")
    with pytest.raises(InvalidInput, match="too many arguments"):
        ada.write("question", "t", title="t")
    with pytest.raises(InvalidInput, match="too many arguments"):
        ada.get(["m-x"], "full", 8000, "more")


@pytest.mark.parametrize(
    ("verb", "arguments", "code"),
    [
        ("search", {"limit": 0}, "out_of_range"),
        ("search", {"limit": 101}, "out_of_range"),
        ("search", {"max_tokens": 99}, "out_of_range"),
        ("search", {"max_tokens": 100_001}, "out_of_range"),
        ("search", {"query": WORD * 10_000}, "too_long"),
        ("search", {"query": WORD + "\ud800"}, ""),
        ("search", {"kinds": [WORD]}, "unknown_kind"),
        ("search", {"since": WORD}, "bad_time"),
        ("search", {"until": "2026-13-01"}, "bad_time"),
        ("search", {"as_of": "-5"}, "bad_time"),
        ("search", {"cursor": WORD}, "bad_cursor"),
        ("search", {"cursor": "é"}, "bad_cursor"),
        ("search", {"detail": WORD}, "invalid"),
        ("get", {"ids": []}, "missing_field"),
        ("get", {"ids": ["m-x"] * 21}, "too_long"),
        ("get", {"ids": "m-x"}, "invalid"),
        ("open", {"refs": []}, "missing_field"),
        ("open", {"refs": ["r-x"] * 6}, "too_long"),
        ("open", {"refs": [WORD]}, "unknown_ref"),
        ("open", {"refs": ["r-" + "é"]}, "unknown_ref"),
        ("open", {"refs": ["r-x"], "offset": -1}, "out_of_range"),
        ("history", {"view": WORD}, "invalid"),
        ("history", {"cursor": WORD}, "bad_cursor"),
        ("history", {"limit": 501}, "out_of_range"),
        ("session_start", {}, "missing_field"),
        ("session_start", {"task": ""}, "missing_field"),
        ("session_start", {"task": WORD + "\0"}, "not_canonical"),
        ("session_start", {"task": "t", "scope": WORD}, "unknown_scope"),
        ("session_start", {"task": "t", "resume_handoff": WORD}, "unknown_id"),
        ("session_end", {"outcome": WORD}, "invalid"),
        ("session_end", {"outcome": "completed"}, "no_session"),
        ("session_end", {"outcome": "completed", "session": "s-" + "a" * 26}, "unknown_id"),
    ],
)
def test_bad_arguments_of_every_verb_are_refused_and_not_repeated(shared, verb, arguments, code):
    ada, size = shared.fresh("ada"), shared.size()
    with pytest.raises(MemStoreError) as refused:
        getattr(ada, verb)(**arguments)
    assert refused.value.code == code or not code
    assert WORD not in str(refused.value)
    assert shared.size() == size


def test_a_refused_call_leaves_the_store_in_use(shared):
    ada = shared.fresh("ada")
    with pytest.raises(InvalidInput):
        ada.write("finding", "F", data=json.loads('{"a": 0.1}'))
    assert ada.write("question", "Still there?")["status"] in ("stored", "duplicate")
