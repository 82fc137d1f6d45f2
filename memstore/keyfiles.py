"""A key where its agent is and its store is not: made there, so that only its public half ever leaves (ADR 0046).

Beside the key lies the id of the one store that it is for; a bridge signs for no other.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from memstore.core.forms import NAME_PATTERN
from memstore.errors import InvalidInput, NotFound
from memstore.signing import STORE_KEY, Keyring, Signer, encode, load_key, save_key, store_id

STORE_SUFFIX = ".store"
_STORE_ID = re.compile(r"[a-z2-7]{26}")


def make_key(path: Path, name: str, store: str, passphrase: str | None = None) -> dict[str, Any]:
    """Make a key for `name` in the store of this id: {name, store_id, public_key, proof, keyid, key_file}.

    Public key and proof are what the operator registers: `memstore agent add NAME --public-key … --proof …`.
    """
    if not re.match(NAME_PATTERN, name):
        raise InvalidInput("`name` is no name of a principal", code="bad_name")
    checked = _checked(store)
    signer = Signer.generate(name)
    save_key(path, signer, passphrase)
    path.with_suffix(STORE_SUFFIX).write_text(f"{checked}\n", "ascii")
    return {
        "name": name,
        "store_id": checked,
        "public_key": encode(signer.public),
        "proof": encode(signer.prove_possession(checked)),
        "keyid": signer.keyid,
        "key_file": str(path),
    }


def store_of_key(path: Path, store: str = "") -> str:
    """The id of the store that a key is for: `store`, else what lies beside the key, else that of the keyring."""
    beside = path.with_suffix(STORE_SUFFIX)
    if not store and beside.is_file():
        store = beside.read_text("ascii", errors="replace").strip()
    if not store and Keyring(path.parent).has(STORE_KEY):
        store = store_id(load_key(path.parent / f"{STORE_KEY}.key", STORE_KEY).public)
    if not store:
        raise NotFound(
            "It is not known which store this key is for",
            code="no_store_id",
            next_call="Pass --store-id, as memstore init and memstore serve print it.",
        )
    return _checked(store)


def _checked(store: str) -> str:
    if not _STORE_ID.fullmatch(store):
        raise InvalidInput(
            "The store id is malformed", code="bad_store_id", next_call="Copy it as memstore init or serve printed it."
        )
    return store
