"""Tampered envelopes: bytes that one reader would take for one statement and another for another are none at all."""

import json
from collections.abc import Callable

import pytest
from simulator import Fleet

from memstore.core.statements import Recorded, parse_statement
from memstore.errors import IntegrityError


@pytest.fixture
def envelope(fleet: Fleet) -> tuple[str, bytes]:
    """A record's payload type and payload, well formed."""
    fleet.agent("agent")
    signed = fleet.signed(fleet.house.keyring.load("agent"), Recorded, task="café")
    assert isinstance(parse_statement(signed.kind, signed.payload), Recorded)
    return signed.kind, signed.payload


TWISTS: dict[str, Callable[[bytes], bytes]] = {
    "a key that is there twice": lambda p: p.replace(b'"author":"agent"', b'"author":"lead","author":"agent"'),
    "a float for an integer": lambda p: p.replace(b'"v":1', b'"v":1.0'),
    "an exponent": lambda p: p.replace(b'"v":1', b'"v":1e0'),
    "text for a number": lambda p: p.replace(b'"v":1', b'"v":"1"'),
    "a boolean for a number": lambda p: p.replace(b'"v":1', b'"v":true'),
    "decomposed text": lambda p: p.replace("café".encode(), "cafe\u0301".encode()),
    "escaped text": lambda p: p.replace("café".encode(), b"caf\\u00e9"),
    "trailing bytes": lambda p: p + b" ",
    "a second value": lambda p: p + b"{}",
    "a byte order mark": lambda p: b"\xef\xbb\xbf" + p,
    "space inside": lambda p: p.replace(b'"v":1', b'"v": 1'),
    "another order": lambda p: json.dumps(dict(reversed(json.loads(p).items())), separators=(",", ":")).encode(),
    "an unknown field": lambda p: p.replace(b'"v":1', b'"v":1,"x":1'),
    "a missing field": lambda p: p.replace(b'"scope":"main",', b""),
    "null": lambda p: p.replace(b'"task":"caf\xc3\xa9"', b'"task":null'),
    "another version": lambda p: p.replace(b'"v":1', b'"v":2'),
    "an integer too large": lambda p: p.replace(b'"ttl_seconds":0', b'"ttl_seconds":9007199254740992'),
    "minus zero": lambda p: p.replace(b'"ttl_seconds":0', b'"ttl_seconds":-0'),
    "a depth bomb": lambda p: p.replace(b'"derived_from":[]', b'"derived_from":' + b"[" * 9999 + b"]" * 9999),
    "a lone surrogate": lambda p: p.replace("café".encode(), b"\\ud800"),
    "NUL": lambda p: p.replace("café".encode(), b"\\u0000"),
    "not UTF-8": lambda p: p.replace("café".encode(), b"caf\xff"),
    "an unknown kind": lambda p: p.replace(b'"kind":"finding"', b'"kind":"thought"'),
    "a list": lambda p: b"[" + p + b"]",
    "nothing": lambda p: b"",
}


@pytest.mark.parametrize("twist", TWISTS)
def test_a_payload_with_anything_off_is_no_statement(envelope: tuple[str, bytes], twist: str):
    kind, payload = envelope
    twisted = TWISTS[twist](payload)
    assert twisted != payload
    with pytest.raises(IntegrityError) as refused:
        parse_statement(kind, twisted)
    assert refused.value.code == "bad_statement"


@pytest.mark.parametrize(
    "name",
    ["", "application/json", "application/vnd.memstore.record.v2+json", "APPLICATION/VND.MEMSTORE.RECORD.V1+JSON",
     "application/vnd.memstore.record.v1+json "],
)  # fmt: skip
def test_a_payload_type_that_is_not_exactly_ours_is_unknown(envelope: tuple[str, bytes], name: str):
    with pytest.raises(IntegrityError):
        parse_statement(name, envelope[1])
