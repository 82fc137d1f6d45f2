from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from memstore.core import notes
from memstore.core.notes import (
    Checkpoint,
    checkpoint_text,
    format_note,
    key_hash,
    parse_checkpoint,
    parse_note,
    verify_checkpoint,
)
from memstore.errors import IntegrityError

NAME = "memstore.example/log1"
SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = SECRET.public_key().public_bytes_raw()
OTHER_SECRET = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER_PUBLIC = OTHER_SECRET.public_key().public_bytes_raw()
CHECKPOINT = Checkpoint(origin=NAME, size=20852163, root=bytes(range(100, 132)))
TEXT = checkpoint_text(CHECKPOINT)


def signed(text: str, *, name: str = NAME, secret: Ed25519PrivateKey = SECRET) -> str:
    return format_note(text, name, secret.public_key().public_bytes_raw(), secret.sign(text.encode()))


def signature_line(note: str) -> str:
    return note.rpartition("\n\n")[2]


def refused(function: Any, *args: Any) -> str:
    with pytest.raises(IntegrityError) as caught:
        function(*args)
    assert caught.value.code == "bad_checkpoint"
    return str(caught.value)


NOTE = signed(TEXT)


def test_a_checkpoint_is_three_lines_of_text() -> None:
    assert TEXT == "memstore.example/log1\n20852163\nZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM=\n"


def test_a_note_is_text_an_empty_line_and_a_signature_line_with_an_em_dash() -> None:
    text, line = NOTE.split("\n\n")
    assert text + "\n" == TEXT
    dash, name, encoded = line.rstrip("\n").split(" ")
    assert (dash, name) == ("\u2014", NAME)
    assert b64decode(encoded) == key_hash(NAME, PUBLIC) + SECRET.sign(TEXT.encode())


def test_a_key_hash_is_that_of_the_go_checksum_database() -> None:
    # Its published verifier key: name + key hash + base64 of the type and the key.
    name, hexadecimal, encoded = "sum.golang.org", "033de0ae", "Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    kind_and_key = b64decode(encoded)
    assert kind_and_key[:1] == b"\x01"
    assert key_hash(name, kind_and_key[1:]).hex() == hexadecimal


def test_a_signed_checkpoint_verifies() -> None:
    assert verify_checkpoint(NOTE, NAME, PUBLIC) == CHECKPOINT


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_what_is_written_parses_to_the_same_checkpoint(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin=NAME, size=size, root=root)
    assert parse_checkpoint(checkpoint_text(checkpoint)) == checkpoint


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_text_that_parses_is_the_only_text_of_its_checkpoint(text: str) -> None:
    for candidate in (text, TEXT.replace("2", text, 1), text + TEXT, TEXT + text):
        try:
            checkpoint = parse_checkpoint(candidate)
        except IntegrityError:
            continue
        assert checkpoint_text(checkpoint) == candidate


@given(st.integers(0, len(NOTE) - 1), st.characters(exclude_categories=["Cs"]))
def test_a_note_with_any_character_changed_fails(at: int, character: str) -> None:
    changed = NOTE[:at] + character + NOTE[at + 1 :]
    if changed != NOTE:
        refused(verify_checkpoint, changed, NAME, PUBLIC)


@given(st.integers(0, len(NOTE) - 1))
def test_a_note_cut_short_fails(length: int) -> None:
    refused(verify_checkpoint, NOTE[:length], NAME, PUBLIC)


def test_a_note_by_another_key_or_another_name_fails() -> None:
    refused(verify_checkpoint, NOTE, NAME, OTHER_PUBLIC)
    refused(verify_checkpoint, NOTE, "memstore.example/log2", PUBLIC)
    refused(verify_checkpoint, signed(TEXT, secret=OTHER_SECRET), NAME, PUBLIC)


def test_a_signature_of_another_key_under_the_expected_key_hash_fails() -> None:
    forged = format_note(TEXT, NAME, PUBLIC, OTHER_SECRET.sign(TEXT.encode()))
    assert "does not verify" in refused(verify_checkpoint, forged, NAME, PUBLIC)


def test_a_checkpoint_of_another_log_of_the_same_key_cannot_be_relabelled() -> None:
    other = checkpoint_text(Checkpoint(origin="memstore.example/log2", size=1, root=bytes(32)))
    assert "another log" in refused(verify_checkpoint, signed(other, name=NAME), NAME, PUBLIC)


def test_signatures_by_others_are_ignored() -> None:
    witness = signature_line(signed(TEXT, name="witness.example", secret=OTHER_SECRET))
    rotated = signature_line(signed(TEXT, secret=OTHER_SECRET))
    assert verify_checkpoint(NOTE + witness + rotated, NAME, PUBLIC) == CHECKPOINT
    assert verify_checkpoint(f"{TEXT}\n{witness}{signature_line(NOTE)}", NAME, PUBLIC) == CHECKPOINT
    assert [name for name, _, _ in parse_note(NOTE + witness)[1]] == [NAME, "witness.example"]


def test_two_signatures_by_the_expected_key_are_refused() -> None:
    refused(verify_checkpoint, NOTE + signature_line(NOTE), NAME, PUBLIC)


def test_a_note_signed_by_nobody_known_is_refused() -> None:
    refused(verify_checkpoint, signed(TEXT, name="witness.example"), NAME, PUBLIC)


def test_sixteen_signatures_are_read_and_seventeen_refused() -> None:
    witnesses = [signature_line(signed(TEXT, name=f"witness.example/{n}")) for n in range(16)]
    assert len(parse_note(NOTE + "".join(witnesses[:15]))[1]) == 16
    refused(parse_note, NOTE + "".join(witnesses))


def test_a_note_longer_than_the_limit_is_refused() -> None:
    longest = "x" * (notes.MAX_NOTE - len(NOTE)) + NOTE
    assert len(parse_note(longest)[1]) == 1
    assert "too long" in refused(parse_note, "x" + longest)


def test_the_text_may_have_empty_lines_of_its_own() -> None:
    verse = "one\n\n\u2014 not a signature\n\ntwo\n\n"
    text, signatures = parse_note(signed(verse))
    assert text == verse
    assert signatures == [(NAME, key_hash(NAME, PUBLIC), SECRET.sign(verse.encode()))]


LINE = signature_line(NOTE)
ENCODED = LINE.split(" ")[2].rstrip("\n")


@pytest.mark.parametrize(
    "note",
    [
        pytest.param("", id="nothing"),
        pytest.param(TEXT, id="no signature"),
        pytest.param(TEXT + "\n", id="no signature after the empty line"),
        pytest.param(TEXT + LINE, id="no empty line"),
        pytest.param(LINE, id="no text"),
        pytest.param(NOTE + LINE.rstrip("\n"), id="no final newline after a second signature"),
        pytest.param(f"{TEXT}\n{NAME} {ENCODED}\n", id="no dash"),
        pytest.param(NOTE.rstrip("\n"), id="no final newline"),
        pytest.param(NOTE + "\n", id="empty line at the end"),
        pytest.param(NOTE.replace("\n", "\r\n"), id="carriage returns"),
        pytest.param(NOTE.replace("\u2014", "-"), id="hyphen"),
        pytest.param(NOTE.replace("\u2014 ", "\u2014\u00a0"), id="no-break space"),
        pytest.param(NOTE.replace("\u2014 ", "\u2014  "), id="two spaces"),
        pytest.param(f"{TEXT}\n\u2014 {NAME}\n", id="no signature bytes"),
        pytest.param(f"{TEXT}\n\u2014 a+b {ENCODED}\n", id="plus in the name"),
        pytest.param(f"{TEXT}\n\u2014 a\u2003b {ENCODED}\n", id="wide space in the name"),
        pytest.param(f"{TEXT}\n\u2014 {NAME} {ENCODED} \n", id="trailing space"),
        pytest.param(f"{TEXT}\n\u2014 {NAME} {ENCODED.rstrip('=')}\n", id="no padding"),
        pytest.param(f"{TEXT}\n\u2014 {NAME} {ENCODED}====\n", id="too much padding"),
        pytest.param(f"{TEXT}\n\u2014 {NAME} {b64encode(bytes(4)).decode()}\n", id="a key hash alone"),
        pytest.param(f"{TEXT}\n\u2014 {NAME} AAAAAAB=\n", id="spare bits set"),
        pytest.param(f"{TEXT}\n\u2014 {NAME} \u0660AAA\n", id="not ASCII"),
        pytest.param("\0" + NOTE, id="NUL"),
        pytest.param("\t" + NOTE, id="tab"),
        pytest.param("\ud800" + NOTE, id="lone surrogate"),
    ],
)
def test_what_is_not_exactly_a_signed_note_is_refused(note: str) -> None:
    refused(parse_note, note)


ROOT_LINE = TEXT.split("\n")[2]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(TEXT.rstrip("\n"), id="no final newline"),
        pytest.param(TEXT + "\n", id="empty line"),
        pytest.param(TEXT + "extension\n", id="extension line"),
        pytest.param(f"\n1\n{ROOT_LINE}\n", id="empty origin"),
        pytest.param(f"{NAME}\n01\n{ROOT_LINE}\n", id="leading zero"),
        pytest.param(f"{NAME}\n+1\n{ROOT_LINE}\n", id="plus"),
        pytest.param(f"{NAME}\n-1\n{ROOT_LINE}\n", id="minus"),
        pytest.param(f"{NAME}\n1 \n{ROOT_LINE}\n", id="space"),
        pytest.param(f"{NAME}\n1_0\n{ROOT_LINE}\n", id="underscore"),
        pytest.param(f"{NAME}\n\u0661\n{ROOT_LINE}\n", id="Arabic digit"),
        pytest.param(f"{NAME}\n\n{ROOT_LINE}\n", id="no size"),
        pytest.param(f"{NAME}\n{2**63}\n{ROOT_LINE}\n", id="size of 2^63"),
        pytest.param(f"{NAME}\n{'9' * 10_000}\n{ROOT_LINE}\n", id="size without end"),
        pytest.param(f"{NAME}\n1\n{ROOT_LINE[:-4]}\n", id="short root"),
        pytest.param(f"{NAME}\n1\nAAAA{ROOT_LINE}\n", id="long root"),
        pytest.param(f"{NAME}\n1\n{ROOT_LINE[:-2]}N=\n", id="spare bits set"),
        pytest.param(f"{NAME}\n1\n{ROOT_LINE.replace('+', '-')}\n", id="base64url"),
        pytest.param(f"{NAME}\r\n1\r\n{ROOT_LINE}\r\n", id="carriage returns"),
    ],
)
def test_what_is_not_exactly_a_checkpoint_is_refused_even_if_signed(text: str) -> None:
    refused(parse_checkpoint, text)
    if text.endswith("\n") and "\r" not in text:
        refused(verify_checkpoint, signed(text), NAME, PUBLIC)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 1, bytes(32)),
        (f"evil\n999\n{ROOT_LINE}", 1, bytes(32)),
        ("tab\t", 1, bytes(32)),
        ("\ud800", 1, bytes(32)),
        (NAME, -1, bytes(32)),
        (NAME, 2**63, bytes(32)),
        (NAME, 1, bytes(31)),
        (NAME, 1, bytes(33)),
    ],
)
def test_a_checkpoint_that_would_read_back_as_another_cannot_be_made(origin: str, size: int, root: bytes) -> None:
    refused(Checkpoint, origin, size, root)


@pytest.mark.parametrize(
    ("text", "name", "key", "signature"),
    [
        ("no newline", NAME, PUBLIC, bytes(64)),
        ("return\r\n", NAME, PUBLIC, bytes(64)),
        (TEXT, "", PUBLIC, bytes(64)),
        (TEXT, "two words", PUBLIC, bytes(64)),
        (TEXT, "one+two", PUBLIC, bytes(64)),
        (TEXT, "line\nbreak", PUBLIC, bytes(64)),
        (TEXT, "nul\0", PUBLIC, bytes(64)),
        (TEXT, NAME, PUBLIC[:31], bytes(64)),
        (TEXT, NAME, PUBLIC, bytes(63)),
        (TEXT, NAME, PUBLIC, bytes(65)),
    ],
)
def test_a_note_that_would_not_read_back_cannot_be_written(text: str, name: str, key: bytes, signature: bytes) -> None:
    refused(format_note, text, name, key, signature)


def test_refusals_repeat_nothing_of_the_note() -> None:
    mark = "zxsecretzx"
    for note in (
        mark,
        f"{mark}\n\n{mark}\n",
        f"{mark}\n\n\u2014 {mark} {mark}!\n",
        signed(f"{mark}\n{mark}\n{mark}\n"),
    ):
        assert mark not in refused(verify_checkpoint, note, NAME, PUBLIC)
