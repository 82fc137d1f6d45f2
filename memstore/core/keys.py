"""Ed25519 public keys: which may be registered, how they are named, and what they signed (DESIGN T9).

A vetted key is the one encoding of a point of prime order, so it names one signer and each of its signatures is of
one message; a thumbprint is that of RFC 7638.
Refused as `bad_key`: wrong lengths, encodings with a second spelling, and points off the curve, of small or of mixed
order, which the signature library would accept; a signature that does not verify is `bad_signature`.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from memstore.errors import IntegrityError, InvalidInput

KEY_BYTES: Final = 32

# RFC 8032 section 5.1: the field, the order of the base point, the curve's constant, and a square root of -1.
_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)
_COFACTOR: Final = 8


def vet_public_key(raw: bytes) -> bytes:
    """Returns `raw` if it may be registered; raises InvalidInput `bad_key`. Takes milliseconds: not for each use.

    Not constant in time, which is no matter: a public key is no secret.
    """
    # 1. RFC 8032 section 5.1.3: one point, decoded from its only encoding.
    point = _decode(raw)
    # 2. Under a point of small order one signature verifies for many messages, or for all.
    if _times(_COFACTOR, point).is_identity():
        raise _bad_key("The key is a point of small order")
    # 3. Under one of mixed order verifiers disagree, alone and in batches, on what is signed.
    if not _times(_L, point).is_identity():
        raise _bad_key("The key is a point of mixed order")
    return raw


def decode_key(text: str) -> bytes:
    """The 32 bytes of a key as statements carry it: base64url without padding."""
    try:
        raw = urlsafe_b64decode(text + "=")
    except ValueError:
        raise _bad_key("The key is not base64url") from None
    _check_length(raw)
    # One spelling only: the decoder passes over what it does not know.
    if _base64url(raw) != text:
        raise _bad_key("The key is not base64url without padding")
    return raw


def thumbprint(raw: bytes) -> str:
    """The RFC 7638 thumbprint of the key as a JWK (RFC 8037): base64url of SHA-256, 43 characters, no padding."""
    _check_length(raw)
    jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{_base64url(raw)}"}}'
    return _base64url(sha256(jwk.encode("ascii")).digest())


def verify_signature(raw_public_key: bytes, signature: bytes, message: bytes) -> bytes:
    """Returns `message` if the key signed it (RFC 8032); raises IntegrityError `bad_signature`.

    The key must have been vetted: under one of small order this returns messages that nobody signed.
    """
    try:
        _loaded(raw_public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise IntegrityError("The signature does not verify", code="bad_signature") from None
    return message


@lru_cache(maxsize=256)
def _loaded(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


@dataclass(frozen=True, slots=True)
class _Point:
    """A point of edwards25519 in extended coordinates: x = X/Z, y = Y/Z, x * y = T/Z."""

    x: int
    y: int
    z: int
    t: int

    def is_identity(self) -> bool:
        return self.x == 0 and self.y == self.z


_IDENTITY: Final = _Point(0, 1, 1, 0)


def _decode(raw: bytes) -> _Point:
    _check_length(raw)
    encoded = int.from_bytes(raw, "little")
    y, sign = encoded & ((1 << 255) - 1), encoded >> 255
    if y >= _P:
        raise _bad_key("The key is not in canonical form: its coordinate is not reduced")
    x = _root_of_quotient(y * y - 1, _D * y * y + 1)
    if x == 0 and sign:
        raise _bad_key("The key is not in canonical form: zero has no sign")
    if x & 1 != sign:
        x = _P - x
    return _Point(x, y, 1, x * y % _P)


def _root_of_quotient(u: int, v: int) -> int:
    """The square root of u/v (RFC 8032 section 5.1.3, steps 2 and 3), of either sign."""
    root = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    square = v * root * root % _P
    if square == u % _P:
        return root
    if square == -u % _P:
        return root * _ROOT_OF_MINUS_ONE % _P
    raise _bad_key("The key is not a point of the curve")


def _sum(a: _Point, b: _Point) -> _Point:
    """RFC 8032 section 5.1.4; complete, so it doubles as well and holds for the points of small order."""
    lower = (a.y - a.x) * (b.y - b.x) % _P
    upper = (a.y + a.x) * (b.y + b.x) % _P
    c = 2 * a.t * b.t * _D % _P
    d = 2 * a.z * b.z % _P
    e, f, g, h = upper - lower, d - c, d + c, upper + lower
    return _Point(e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(scalar: int, point: _Point) -> _Point:
    product = _IDENTITY
    for bit in f"{scalar:b}":
        product = _sum(product, product)
        if bit == "1":
            product = _sum(product, point)
    return product


def _check_length(raw: bytes) -> None:
    if len(raw) != KEY_BYTES:
        raise _bad_key("The key is not 32 bytes")


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bad_key(what: str) -> InvalidInput:
    return InvalidInput(what, code="bad_key")
