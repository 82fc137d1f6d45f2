from __future__ import annotations

import json
import time
import unicodedata
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from vectors import vector_path

from memstore.core.canonical import INT_LIMIT, MAX_DEPTH, canonical_bytes, parse_canonical
from memstore.errors import InvalidInput

MARK = "zxsecretzx"
DECOMPOSED = "e\u0301"


class Colour(StrEnum):
    RED = "red"


class Ambiguous(dict[str, object]):
    pass


def raw_text() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def nfc_text() -> st.SearchStrategy[str]:
    return raw_text().map(lambda text: unicodedata.normalize("NFC", text))


def values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    scalars = st.none() | st.booleans() | st.integers(1 - INT_LIMIT, INT_LIMIT - 1) | texts
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(nfc_text(), inner, max_size=4),
        max_leaves=15,
    )


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def refusal_of(value: object, *, nfc: bool = True) -> str:
    with pytest.raises(InvalidInput) as caught:
        canonical_bytes(value, nfc=nfc)
    assert caught.value.code == "not_canonical"
    return str(caught.value)


def parse_refusal_of(data: bytes, *, nfc: bool = True) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse_canonical(data, nfc=nfc)
    assert caught.value.code == "not_canonical"
    return str(caught.value)


@given(values(nfc_text()))
def test_what_is_written_parses_to_the_same_value_and_is_what_rfc_8785_says(value: Any) -> None:
    data = canonical_bytes(value)
    assert data == rfc8785.dumps(value)
    parsed = parse_canonical(data)
    assert parsed == value
    assert canonical_bytes(parsed) == data


@given(values(raw_text()))
def test_text_is_kept_byte_for_byte_where_normal_form_is_not_asked(value: Any) -> None:
    assert parse_canonical(canonical_bytes(value, nfc=False), nfc=False) == value


@given(st.binary(max_size=40) | values(nfc_text()).map(lambda value: json.dumps(value).encode()))
def test_bytes_that_parse_are_the_only_bytes_of_their_value(data: bytes) -> None:
    try:
        value = parse_canonical(data)
    except InvalidInput:
        return
    assert canonical_bytes(value) == data


def test_keys_are_sorted_by_utf_16_code_units_and_not_by_code_points() -> None:
    assert canonical_bytes({"\uff5e": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\uff5e":1}'.encode()


@pytest.mark.parametrize(
    ("value", "defect"),
    [
        pytest.param({MARK: 1.5}, "float", id="float"),
        pytest.param({MARK: float("nan")}, "float", id="nan"),
        pytest.param([MARK, INT_LIMIT], "integer", id="2^53"),
        pytest.param([MARK, -INT_LIMIT], "integer", id="-2^53"),
        pytest.param(MARK + "\0", "NUL", id="NUL in text"),
        pytest.param({MARK + "\0": 1}, "NUL", id="NUL in a key"),
        pytest.param(MARK + "\ud800", "surrogate", id="lone surrogate in text"),
        pytest.param({MARK + "\udfff": 1}, "surrogate", id="lone surrogate in a key"),
        pytest.param([MARK + DECOMPOSED], "NFC", id="text not NFC"),
        pytest.param({MARK + DECOMPOSED: 1}, "NFC", id="key not NFC"),
        pytest.param({1: MARK}, "key is not text", id="key is an int"),
        pytest.param({None: MARK}, "key is not text", id="key is None"),
        pytest.param({Colour.RED: MARK}, "key is not text", id="key is an enum"),
        pytest.param((MARK,), "not a dict", id="tuple"),
        pytest.param([MARK.encode()], "not a dict", id="bytes"),
        pytest.param({MARK}, "not a dict", id="set"),
        pytest.param([MARK, Colour.RED], "not a dict", id="enum"),
        pytest.param(Ambiguous({MARK: 1}), "not a dict", id="subclass of dict"),
    ],
)
def test_what_two_readers_could_take_differently_is_refused_by_name_and_without_repeating_it(
    value: object, defect: str
) -> None:
    message = refusal_of(value)
    assert defect in message
    assert MARK not in message


def test_the_largest_integers_are_accepted() -> None:
    assert canonical_bytes([INT_LIMIT - 1, 1 - INT_LIMIT]) == b"[9007199254740991,-9007199254740991]"
    assert parse_canonical(b"[9007199254740991,-9007199254740991]") == [INT_LIMIT - 1, 1 - INT_LIMIT]


def test_keys_are_in_normal_form_even_where_text_need_not_be() -> None:
    assert canonical_bytes({"key": DECOMPOSED}, nfc=False) == b'{"key":"e\xcc\x81"}'
    assert "NFC" in refusal_of({DECOMPOSED: "text"}, nfc=False)
    assert "NFC" in parse_refusal_of(canonical_bytes({"key": DECOMPOSED}, nfc=False))


@pytest.mark.parametrize("defect", [1.5, "\0", "\ud800", INT_LIMIT, ("tuple",)])
def test_only_the_normal_form_is_relaxed_for_observations(defect: object) -> None:
    refusal_of({"body": [defect]}, nfc=False)


def test_nesting_is_accepted_up_to_the_limit_and_no_deeper() -> None:
    deepest = nested(MAX_DEPTH)
    assert parse_canonical(canonical_bytes(deepest)) == deepest
    assert "nested" in refusal_of(nested(MAX_DEPTH + 1))
    assert "nested" in refusal_of({"key": nested(MAX_DEPTH)})
    assert "nested" in parse_refusal_of(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_a_value_within_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "nested" in refusal_of(loop)


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(b"[" * (MAX_DEPTH + 1), id="one too deep"),
        pytest.param(b"[" * 100_000, id="open lists"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="closed lists"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="dicts"),
        pytest.param(b'{"\\"[":[' * 50_000, id="behind escaped quotes"),
        pytest.param(b'["]]]]]]]]",' * 50_000, id="brackets in text that would seem to close"),
    ],
)
def test_a_depth_bomb_is_refused_before_the_parser_sees_it(bomb: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("parsed"))
    assert "nested" in parse_refusal_of(bomb)


def test_brackets_in_text_and_side_by_side_are_not_nesting() -> None:
    flat = [["[[[[" * 20, '"[{\\'] for _ in range(40)]
    assert parse_canonical(canonical_bytes(flat)) == flat


def test_an_unclosed_text_full_of_quotes_is_refused_in_linear_time() -> None:
    many_brackets = b"[]," * (MAX_DEPTH + 1)
    started = time.process_time()
    parse_refusal_of(b"[" + many_brackets + b'"' + b'\\"' * 40_000)
    assert time.process_time() - started < 1  # milliseconds, where every quote rescanned takes many seconds


@pytest.mark.parametrize(
    ("data", "defect"),
    [
        pytest.param(b'{"a":1,"a":1}', "twice", id="duplicate key"),
        pytest.param(b'{"a":1,"\\u0061":2}', "twice", id="duplicate key in disguise"),
        pytest.param(b"1.0", "float", id="float"),
        pytest.param(b"1e2", "float", id="exponent"),
        pytest.param(b"1E2", "float", id="large exponent"),
        pytest.param(b"NaN", "float", id="NaN"),
        pytest.param(b"[-Infinity]", "float", id="infinity"),
        pytest.param(b"9007199254740992", "integer", id="2^53"),
        pytest.param(b"-" + b"9" * 1_000_000, "integer", id="a million digits"),
        pytest.param(b"-0", "canonical form", id="minus zero"),
        pytest.param(b"01", "one JSON value", id="leading zero"),
        pytest.param(b"{}x", "one JSON value", id="trailing byte"),
        pytest.param(b"{}{}", "one JSON value", id="two values"),
        pytest.param(b"", "one JSON value", id="nothing"),
        pytest.param(b"[1,]", "one JSON value", id="trailing comma"),
        pytest.param(b'{"a":1', "one JSON value", id="cut off"),
        pytest.param(b"'a'", "one JSON value", id="wrong quotes"),
        pytest.param(b'"\t"', "one JSON value", id="raw control character"),
        pytest.param(b"\xef\xbb\xbf{}", "one JSON value", id="byte order mark"),
        pytest.param("{}".encode("utf-16"), "UTF-8", id="UTF-16"),
        pytest.param(b'"\xff"', "UTF-8", id="invalid UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', "UTF-8", id="encoded surrogate"),
        pytest.param(b'"\xc0\xaf"', "UTF-8", id="overlong UTF-8"),
        pytest.param(b'"\\ud800"', "surrogate", id="escaped lone surrogate"),
        pytest.param(b'"\\u0000"', "NUL", id="escaped NUL"),
        pytest.param(b'"e\xcc\x81"', "NFC", id="text not NFC"),
        pytest.param(b'{"a": 1}', "canonical form", id="space"),
        pytest.param(b"{}\n", "canonical form", id="final newline"),
        pytest.param(b'{"b":1,"a":2}', "canonical form", id="keys out of order"),
        pytest.param(b'"\\u0041"', "canonical form", id="needless escape"),
        pytest.param(b'"\\/"', "canonical form", id="escaped slash"),
        pytest.param(b'"\\u001F"', "canonical form", id="upper-case escape"),
    ],
)
def test_a_second_spelling_is_refused(data: bytes, defect: str) -> None:
    assert defect in parse_refusal_of(data)


def test_a_refusal_to_parse_repeats_nothing_and_shows_no_cause() -> None:
    hostile = [f'{{"{MARK}":1,"{MARK}":2}}', f'["{MARK}"', f'["{MARK}",1.5]', f'["{MARK}" ]', f'"{MARK}\\ud800"']
    for data in [text.encode() for text in hostile] + [MARK.encode() + b"\xff"]:
        with pytest.raises(InvalidInput) as caught:
            parse_canonical(data)
        assert MARK not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def jcs_case(name: str) -> tuple[Any, bytes]:
    folder: Path = vector_path("jcs")
    output = (folder / "output" / f"{name}.json").read_bytes()
    assert bytes.fromhex((folder / "outhex" / f"{name}.txt").read_text()) == output
    return json.loads((folder / "input" / f"{name}.json").read_text(encoding="utf-8")), output


@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode", "values", "weird"])
def test_the_jcs_vectors_come_out_byte_for_byte(name: str) -> None:
    value, output = jcs_case(name)
    assert rfc8785.dumps(value) == output


@pytest.mark.parametrize("name", ["arrays", "french", "unicode"])
def test_the_jcs_vectors_without_floats_are_canonical_here_too(name: str) -> None:
    value, output = jcs_case(name)
    assert canonical_bytes(value, nfc=False) == output
    assert parse_canonical(output, nfc=False) == value


@pytest.mark.parametrize(
    ("name", "defect"), [("structures", "float"), ("values", "float"), ("unicode", "NFC"), ("weird", "NFC")]
)
def test_the_jcs_vectors_with_floats_or_denormal_text_are_refused(name: str, defect: str) -> None:
    assert defect in refusal_of(jcs_case(name)[0])


def test_the_weird_jcs_vector_is_canonical_here_without_its_one_denormal_key() -> None:
    value, output = jcs_case("weird")
    denormal = value.pop("\ufb33")  # a composition exclusion: its NFC is two characters
    assert canonical_bytes(value, nfc=True) == output.replace(f',"\ufb33":"{denormal}"'.encode(), b"")
