"""Canonical JSON: the one byte form in which a statement is signed and hashed (RFC 8785, DESIGN 3.1).

Equal values give equal bytes, and bytes that parse are exactly the bytes that what was parsed would be written as.
It refuses, as `not_canonical` and without repeating the input, all that two readers could take differently: floats,
integers beyond 2^53, NUL, lone surrogates, text that is not NFC, duplicate keys, foreign types and deep nesting.
"""

from __future__ import annotations

import json
import re
from typing import Final, TypeAlias
from unicodedata import is_normalized

import rfc8785

from memstore.errors import InvalidInput

Value: TypeAlias = "bool | int | str | list[Value] | dict[str, Value] | None"

MAX_DEPTH: Final = 32
INT_LIMIT: Final = 2**53  # exclusive, both ways: RFC 8785 section 3.2.2.3 numbers are IEEE 754 doubles
_INT_DIGITS: Final = 16

# What the standard library writes of a checked value is RFC 8785 already, an order of magnitude sooner, as long as the
# order of its keys is: by code points, where the RFC has UTF-16 code units. They part at the first astral character.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False)
FIRST_ASTRAL: Final = "\U00010000"

# Possessive, and with an optional closing quote, so that no input makes the scan backtrack.
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def canonical_bytes(value: object, *, nfc: bool = True) -> bytes:
    """The RFC 8785 form of `value`, in UTF-8.

    `nfc=False` lets text values through as they are (an observation is kept byte for byte); keys are NFC always.
    Lists and dicts may be nested `MAX_DEPTH` deep. Raises InvalidInput `not_canonical`.
    """
    _check(value, depth=0, nfc=nfc)
    text = _ENCODER.encode(value)
    if text.isascii() or max(text) < FIRST_ASTRAL:
        return text.encode()
    return rfc8785.dumps(value)  # type: ignore[arg-type]  # `_check` has shown it to be a Value


def refuse_not_canonical(value: object, *, nfc: bool = True) -> None:
    """Raise InvalidInput `not_canonical` for what `canonical_bytes` would refuse."""
    _check(value, depth=0, nfc=nfc)


def parse_canonical(data: bytes, *, nfc: bool = True) -> Value:
    """The value whose canonical form is `data`, to the last byte. Raises InvalidInput `not_canonical`."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise _defect("The bytes are not UTF-8") from None
    _refuse_deep(text)
    try:
        value: Value = _DECODER.decode(text)
    except json.JSONDecodeError:
        # Its message and `doc` carry the input.
        raise _defect("The bytes are not one JSON value and nothing else") from None
    if canonical_bytes(value, nfc=nfc) != data:
        raise _defect("The bytes are not in canonical form (RFC 8785)")
    return value


def _check(value: object, *, depth: int, nfc: bool) -> None:
    # Exact types: a subclass may compare, iterate or print as something else than what is signed.
    kind = type(value)
    if kind is str:
        _check_text(value, nfc=nfc)  # type: ignore[arg-type]
    elif kind is dict:
        _check_depth(depth)
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) is not str:
                raise _defect("A key is not text")
            if not key.isascii() or "\0" in key:
                _check_text(key, nfc=True)
            # Plain text, most of what there is, is seen to at once.
            if type(item) is not str or not item.isascii() or "\0" in item:
                _check(item, depth=depth + 1, nfc=nfc)
    elif kind is list:
        _check_depth(depth)
        for item in value:  # type: ignore[attr-defined]
            _check(item, depth=depth + 1, nfc=nfc)
    elif kind is int:
        if not -INT_LIMIT < value < INT_LIMIT:  # type: ignore[operator]
            raise _defect("An integer is not between -2^53 and 2^53, both excluded")
    elif kind is float:
        raise _defect("There is a float; write it as an integer or as text")
    elif value is not None and kind is not bool:
        raise _defect("A value is not a dict, list, str, int, bool or None")


def _check_text(text: str, *, nfc: bool) -> None:
    if "\0" in text:
        raise _defect("There is a NUL in text")
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _defect("There is a lone surrogate in text") from None
    if nfc and not is_normalized("NFC", text):
        raise _defect("A text or key is not in Unicode normalization form C (NFC)")


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise _defect(f"Lists and dicts are nested more than {MAX_DEPTH} deep")


def _refuse_deep(text: str) -> None:
    """Bound the nesting before the recursive parser sees it: a bomb would exhaust the stack (CWE-674)."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        first = text[token.start()]
        if first in "[{":
            _check_depth(depth)
            depth += 1
        elif first != '"':
            depth -= 1


def _without_duplicates(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    # Parsers differ on which of two equal keys counts, so a duplicate shows one thing and signs another.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _defect("A key is there twice")
    return found


def _parse_int(digits: str) -> int:
    # Before `int`, whose time grows with the square of the digits.
    if len(digits.lstrip("-")) > _INT_DIGITS:
        raise _defect("An integer is not between -2^53 and 2^53, both excluded")
    return int(digits)


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_int=_parse_int)


def _defect(what: str) -> InvalidInput:
    return InvalidInput(what, code="not_canonical")
