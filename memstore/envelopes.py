"""DSSE envelopes in their JSON form, sealed with the store's key: what a store itself says of what it holds.

Each kind of payload has a type of its own, which the signature covers, so that nothing said under one type passes for
another: neither for a statement of an author nor for a checkpoint. Anything but one signature by the expected key, in
the one spelling that base64 has, is refused.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from memstore.core.keys import thumbprint, verify_signature
from memstore.core.statements import pre_authentication_encoding
from memstore.errors import IntegrityError
from memstore.signing import StoreKey


class Sealing(BaseModel):
    """One signature of an envelope."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    keyid: str
    sig: str


class Envelope(BaseModel):
    """An envelope as it stands in a file, nothing in it verified yet."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    payload: str
    payloadType: str
    signatures: Annotated[list[Sealing], Field(min_length=1, max_length=1)]


def as_envelope(kind: str, payload: bytes, *, keyid: str, signature: bytes) -> dict[str, Any]:
    """The JSON form of what was signed (DSSE, "JSON envelope")."""
    sealing = {"keyid": keyid, "sig": base64.b64encode(signature).decode()}
    return {"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": [sealing]}


def sealed(key: StoreKey, kind: str, payload: bytes) -> dict[str, Any]:
    """An envelope of `payload` under the key that signs the store's checkpoints."""
    signature = key.signer.sign(pre_authentication_encoding(kind, payload))
    return as_envelope(kind, payload, keyid=thumbprint(key.signer.public), signature=signature)


def verify_envelope(envelope: Envelope, kind: str, public: bytes) -> bytes:
    """The payload, if it is of this kind and `public` (a vetted key) signed it; raises `IntegrityError`."""
    [sealing] = envelope.signatures
    if envelope.payloadType != kind or sealing.keyid != thumbprint(public):
        raise IntegrityError("The envelope is of another kind or key", code="bad_signature")
    payload = from_base64(envelope.payload)
    verify_signature(public, from_base64(sealing.sig), pre_authentication_encoding(kind, payload))
    return payload


def from_base64(text: str) -> bytes:
    """The bytes that `text` spells; raises ValueError for a second spelling of the same bytes."""
    data = base64.b64decode(text.encode("ascii"), validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return data
