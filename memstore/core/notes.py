"""Checkpoints of the log as signed notes, readable by any witness (C2SP signed-note and tlog-checkpoint).

What `verify_checkpoint` returns was signed by the given key, under the given name, for the log of that name.
Everything else is refused as `bad_checkpoint`: other line ends, other base64, extension lines, two signatures by one
key, and, when writing, a name or origin that would read back as something else.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from memstore.errors import IntegrityError

MAX_NOTE: Final = 1 << 17
MAX_SIGNATURES: Final = 16  # signed-note: "MUST accept at least up to 16"
ROOT_BYTES: Final = 32
_ED25519: Final = b"\x01"
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_KEY_HASH_BYTES: Final = 4
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_SIZE_LIMIT: Final = 2**63
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DASH: Final = "\u2014 "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's tree head: whose log, how many entries, and the Merkle root over them."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        # A newline in the origin would read back as a size and a root of the writer's choice.
        if not self.origin or "\n" in self.origin:
            raise _bad("The origin is not one non-empty line")
        _check_characters(self.origin)
        if not 0 <= self.size < _SIZE_LIMIT:
            raise _bad("The tree size is out of range")
        if len(self.root) != ROOT_BYTES:
            raise _bad("The root is not 32 bytes")


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """The text that is signed: three lines, each with its newline."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{_encode(checkpoint.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint that `text` is; `text` is to be trusted only after its signature. Raises IntegrityError."""
    lines = text.split("\n")
    # Extension lines are allowed to others; we never write them, and nobody could audit what they say.
    if len(lines) != 4 or lines[3] != "":
        raise _bad("The text is not three lines")
    origin, size, root, _ = lines
    if not _SIZE.fullmatch(size):
        raise _bad("The tree size is not a decimal number without leading zeroes")
    return Checkpoint(origin=origin, size=int(size), root=_decode(root))


def key_hash(name: str, public_key: bytes) -> bytes:
    """The four bytes that name an Ed25519 key in a signature line; an identifier, not a commitment."""
    _check_name(name)
    if len(public_key) != _KEY_BYTES:
        raise _bad("The public key is not 32 bytes")
    return sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:_KEY_HASH_BYTES]


def format_note(text: str, name: str, public_key: bytes, signature: bytes) -> str:
    """The note of `text` with one Ed25519 signature over its UTF-8 bytes; the signature is not verified here."""
    if len(signature) != _SIGNATURE_BYTES:
        raise _bad("The signature is not 64 bytes")
    if not text.endswith("\n"):
        raise _bad("The text does not end in a newline")
    _check_characters(text)
    return f"{text}\n{_DASH}{name} {_encode(key_hash(name, public_key) + signature)}\n"


def parse_note(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """The text and its (name, key hash, signature) lines, none of them verified. Raises IntegrityError."""
    if len(note) > MAX_NOTE:
        raise _bad("The note is too long")
    _check_characters(note)
    # The last empty line divides: the text may have empty lines of its own.
    head, divider, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not divider or lines.pop() != "" or not lines:
        raise _bad("The note is not a text, an empty line and signature lines")
    if len(lines) > MAX_SIGNATURES:
        raise _bad("The note has too many signatures")
    return head + "\n", [_parse_signature_line(line) for line in lines]


def verify_checkpoint(note: str, name: str, public_key: bytes) -> Checkpoint:
    """The checkpoint of the log `name`, signed by `public_key` (a vetted key). Raises IntegrityError."""
    # 1. Exactly one line is by this key; lines by others (witnesses, rotated keys) are ignored.
    text, signatures = parse_note(note)
    known = (name, key_hash(name, public_key))
    mine = [signature for signer, hashed, signature in signatures if (signer, hashed) == known]
    if len(mine) != 1:
        raise _bad("The note does not have one signature by the expected key")
    # 2. It is a signature of the text.
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(mine[0], text.encode())
    except (InvalidSignature, ValueError):
        raise _bad("The signature does not verify") from None
    # 3. The text is a checkpoint of this log: the key's name is not signed, so a key of two logs could be relabelled.
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != name:
        raise _bad("The checkpoint is of another log")
    return checkpoint


def _parse_signature_line(line: str) -> tuple[str, bytes, bytes]:
    if not line.startswith(_DASH):
        raise _bad("A signature line does not begin with an em dash and a space")
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    _check_name(name)
    decoded = _decode(encoded)
    if len(decoded) <= _KEY_HASH_BYTES:
        raise _bad("A signature is empty")
    return name, decoded[:_KEY_HASH_BYTES], decoded[_KEY_HASH_BYTES:]


def _check_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() for character in name):
        raise _bad("A key name is empty or has a space or plus in it")
    _check_characters(name)


def _check_characters(text: str) -> None:
    if _CONTROL.search(text):
        raise _bad("There is a control character")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _bad("There is a lone surrogate") from None


def _encode(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _decode(text: str) -> bytes:
    try:
        data = b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        raise _bad("There is something that is not base64") from None
    # Spare bits in the last character would give one signature two spellings.
    if _encode(data) != text:
        raise _bad("There is something that is not canonical base64")
    return data


def _bad(what: str) -> IntegrityError:
    return IntegrityError(what, code="bad_checkpoint")
