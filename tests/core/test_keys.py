from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import load_vectors, vector_path

from memstore.core import keys
from memstore.core.canonical import canonical_bytes
from memstore.core.keys import thumbprint, verify_signature, vet_public_key
from memstore.errors import IntegrityError, InvalidInput

P = 2**255 - 19
SIGN = 1 << 255
SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = SECRET.public_key().public_bytes_raw()
# RFC 8037 appendix A.1 to A.3.
RFC_8037_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
RFC_8037_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def encoding(number: int) -> bytes:
    return number.to_bytes(32, "little")


def refusal_of(raw: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        vet_public_key(raw)
    assert caught.value.code == "bad_key"
    return str(caught.value)


def is_registrable(raw: bytes) -> bool:
    try:
        return vet_public_key(raw) == raw
    except InvalidInput:
        return False


def verifies(raw: bytes, signature: bytes, message: bytes) -> bool:
    try:
        return verify_signature(raw, signature, message) == message
    except IntegrityError:
        return False


def points_of_small_order() -> list[bytes]:
    """All eight, as the multiples of one of order 8, in canonical form."""
    order_eight_y = int.from_bytes(
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
    )
    ys = [order_eight_y, P - order_eight_y]
    signed = [y | sign for y in ys for sign in (0, SIGN)]
    return [encoding(number) for number in [*signed, 1, P - 1, 0, SIGN]]


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_every_key_that_is_generated_may_be_registered(seed: bytes) -> None:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert vet_public_key(public) == public


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    assert "32 bytes" in refusal_of(PUBLIC[:1] * length)
    with pytest.raises(InvalidInput):
        thumbprint(bytes(length))


@pytest.mark.parametrize("excess", range(19))
@pytest.mark.parametrize("sign", [0, SIGN])
def test_a_coordinate_that_is_not_reduced_is_refused(excess: int, sign: int) -> None:
    assert "canonical" in refusal_of(encoding(P + excess | sign))


@pytest.mark.parametrize("y", [1, P - 1])
def test_a_zero_with_a_sign_is_refused(y: int) -> None:
    assert "canonical" in refusal_of(encoding(y | SIGN))


@pytest.mark.parametrize("y", [2, 7, 8])
@pytest.mark.parametrize("sign", [0, SIGN])
def test_a_point_off_the_curve_is_refused(y: int, sign: int) -> None:
    assert "not a point" in refusal_of(encoding(y | sign))


def test_about_half_of_all_coordinates_are_off_the_curve() -> None:
    refusals = [refusal_of(encoding(y)) for y in range(2, 202) if not is_registrable(encoding(y))]
    assert 70 < sum("not a point" in message for message in refusals) < 130


def test_the_eight_points_of_small_order_are_refused() -> None:
    points = points_of_small_order()
    assert len(set(points)) == 8
    assert all("small order" in refusal_of(point) for point in points)


def test_a_small_order_key_would_verify_what_nobody_signed() -> None:
    """The trap for which keys are vetted; if the library learns to refuse it, this says so."""
    identity = encoding(1)
    forged = identity + bytes(32)
    assert all(verifies(identity, forged, f"message {n}".encode()) for n in range(10))


def test_a_key_with_a_torsion_component_is_refused() -> None:
    honest = keys._decode(PUBLIC)
    for small in points_of_small_order():
        mixed = keys._sum(honest, keys._decode(small))
        inverse = pow(mixed.z, -1, P)
        x, y = mixed.x * inverse % P, mixed.y * inverse % P
        raw = encoding(y | (SIGN if x & 1 else 0))
        if raw == PUBLIC:
            assert small == encoding(1)
        else:
            assert "mixed order" in refusal_of(raw)


def test_the_curve_arithmetic_gives_the_keys_that_the_library_gives() -> None:
    base = keys._decode(encoding(4 * pow(5, -1, P) % P))
    for scalar in (1, 2, 3, 8, 2**200 + 1):
        point = keys._times(scalar, base)
        inverse = pow(point.z, -1, P)
        raw = encoding(point.y * inverse % P | (SIGN if point.x * inverse % P & 1 else 0))
        decoded = keys._decode(raw)
        assert (decoded.x, decoded.y) == (point.x * inverse % P, point.y * inverse % P)
        assert vet_public_key(raw) == raw
    digest = bytearray(hashlib.sha512(bytes(range(32))).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 63 | 64
    own = keys._times(int.from_bytes(digest, "little"), base)
    assert own.y * pow(own.z, -1, P) % P == int.from_bytes(PUBLIC, "little") & (SIGN - 1)


def test_a_thumbprint_is_that_of_rfc_8037() -> None:
    assert thumbprint(RFC_8037_KEY) == RFC_8037_THUMBPRINT
    assert is_registrable(RFC_8037_KEY)


def test_a_thumbprint_is_over_canonical_json() -> None:
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": keys._base64url(PUBLIC)}
    assert thumbprint(PUBLIC) == keys._base64url(hashlib.sha256(canonical_bytes(jwk)).digest())
    assert len(thumbprint(PUBLIC)) == 43


def test_verification_returns_the_message_that_was_signed() -> None:
    assert verify_signature(PUBLIC, SECRET.sign(b"message"), b"message") == b"message"


@given(st.binary(max_size=40), st.integers(0, 511))
def test_a_signature_with_any_bit_flipped_or_of_another_message_fails(message: bytes, bit: int) -> None:
    signature = SECRET.sign(message)
    flipped = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(64, "big")
    assert not verifies(PUBLIC, flipped, message)
    assert not verifies(PUBLIC, signature, message + b"x")


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_fails(length: int) -> None:
    assert not verifies(PUBLIC, bytes(length), b"message")


def test_a_signature_under_another_or_an_impossible_key_fails() -> None:
    signature = SECRET.sign(b"message")
    assert not verifies(RFC_8037_KEY, signature, b"message")
    assert not verifies(PUBLIC[:31], signature, b"message")
    assert not verifies(b"", signature, b"message")
    assert not verifies(encoding(2), signature, b"message")


def test_refusals_repeat_neither_key_nor_message() -> None:
    with pytest.raises(IntegrityError) as caught:
        verify_signature(PUBLIC, bytes(64), b"zxsecretzx")
    assert caught.value.code == "bad_signature"
    assert "zxsecretzx" not in str(caught.value)
    assert encoding(2).hex() not in refusal_of(encoding(2))


def test_the_151_wycheproof_cases_end_as_stated() -> None:
    groups = load_vectors("ed25519", "wycheproof_ed25519.json")["testGroups"]
    differing, count = [], 0
    for group in groups:
        raw = bytes.fromhex(group["publicKey"]["pk"])
        assert is_registrable(raw)
        for case in group["tests"]:
            count += 1
            accepted = verifies(raw, bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
            if accepted != (case["result"] == "valid"):
                differing.append(case["tcId"])
    assert (differing, count) == ([], 151)


def speccheck_cases() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = load_vectors("ed25519", "speccheck.json")
    assert len(cases) == 12
    return cases


def test_registration_refuses_the_speccheck_keys_of_small_or_mixed_order_or_in_another_form() -> None:
    stated = {
        "small order": {0, 1},
        "mixed order": {2, 3, 4, 5, 8, 9},
        "not in canonical form": {10, 11},
    }
    refused: dict[str, set[int]] = {defect: set() for defect in stated}
    registrable = set()
    for number, case in enumerate(speccheck_cases()):
        raw = bytes.fromhex(case["pub_key"])
        if is_registrable(raw):
            registrable.add(number)
            continue
        message = refusal_of(raw)
        refused[next(defect for defect in stated if defect in message)].add(number)
    assert refused == stated
    assert registrable == {6, 7}  # honest keys; it is their signatures whose S is not reduced


def test_the_speccheck_signatures_that_the_library_lets_pass_are_all_under_keys_that_registration_refuses() -> None:
    passing = {
        number
        for number, case in enumerate(speccheck_cases())
        if verifies(*(bytes.fromhex(case[part]) for part in ("pub_key", "signature", "message")))
    }
    assert passing == {0, 1, 2, 3, 11}


def from_multibase(text: str) -> bytes:
    """Base58btc, as far as these vectors need it."""
    assert text[0] == "z"
    number = 0
    for character in text[1:]:
        number = number * 58 + "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".index(character)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def test_the_w3c_eddsa_jcs_proof_is_reproduced() -> None:
    folder = ("w3c-eddsa-jcs", "TestVectors")
    pair = load_vectors(*folder, "keyPair.json")
    public, secret = from_multibase(pair["publicKeyMultibase"]), from_multibase(pair["privateKeyMultibase"])
    assert (public[:2], secret[:2]) == (b"\xed\x01", b"\x80\x26")  # multicodec: Ed25519 public and private
    document = load_vectors(*folder, "eddsa-jcs-2022", "signedJCS.json")
    proof_value = from_multibase(document.pop("proof")["proofValue"])
    proof = load_vectors(*folder, "eddsa-jcs-2022", "proofConfigJCS.json")

    published = {path.stem: path.read_text().strip() for path in vector_path(*folder, "eddsa-jcs-2022").glob("*.txt")}
    assert canonical_bytes(document).decode() == published["canonDocJCS"]
    assert canonical_bytes(proof).decode() == published["proofCanonJCS"]
    hashed = hashlib.sha256(canonical_bytes(proof)).digest() + hashlib.sha256(canonical_bytes(document)).digest()
    assert hashed.hex() == published["combinedHashJCS"]
    assert Ed25519PrivateKey.from_private_bytes(secret[2:]).sign(hashed) == proof_value
    assert proof_value.hex() == published["sigHexJCS"]
    assert verify_signature(vet_public_key(public[2:]), proof_value, hashed) == hashed
