"""Keys on disk and what is signed with them (DESIGN T3, T9).

A key file is readable by its owner only and is refused otherwise; keys of people and operators are encrypted with a
passphrase that is asked for on a terminal, never taken from the environment. The store's own key signs checkpoints, and
the secrets for fingerprints and refs are derived from it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from memstore.core.canonical import canonical_bytes
from memstore.core.keys import thumbprint
from memstore.core.labels import SignatureState
from memstore.core.merkle import Frontier
from memstore.core.notes import Checkpoint, checkpoint_text, format_note
from memstore.core.records import SALT_BYTES
from memstore.core.statements import (
    Statement,
    Verification,
    possession_message,
    pre_authentication_encoding,
    short_id,
)
from memstore.errors import Denied, IntegrityError, InvalidInput, NotFound, read_only_copy

STORE_KEY = "@store"
MIN_PASSPHRASE = 8
AskPassphrase = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A statement that is to be signed: as a value, its payload type and bytes, and the content that it commits to."""

    statement: Statement
    kind: str
    payload: bytes
    content: bytes

    @property
    def message(self) -> bytes:
        """What a signature covers."""
        return pre_authentication_encoding(self.kind, self.payload)


class Signatory(Protocol):
    """Whose signature an act gets: of a key in this process (`Signer`), or of one elsewhere that has to be asked."""

    @property
    def name(self) -> str: ...
    @property
    def keyid(self) -> str: ...
    @property
    def state(self) -> SignatureState: ...
    def moment(self, now: int) -> int:
        """When the author says that it acts; `now` is the store's time. Both in microseconds."""

    def salt(self, content: bytes) -> bytes:
        """What a content is committed to with."""

    def sign_statement(self, unsigned: Unsigned) -> bytes: ...
    def settle(self) -> None:
        """Called before a commit; raises where something in it has no signature yet."""


@dataclass(frozen=True)
class Signer:
    """A private key in use; `name` is the principal it speaks for.

    With `attests_for` it is the store's own key, which signs for a principal that proved otherwise who it is: the value
    is the id of that principal's key, so that what withdraws the one withdraws what was attested.
    """

    name: str
    private: Ed25519PrivateKey
    attests_for: str = ""

    @classmethod
    def generate(cls, name: str) -> Signer:
        return cls(name, Ed25519PrivateKey.generate())

    @cached_property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @cached_property
    def keyid(self) -> str:
        return self.attests_for or thumbprint(self.public)

    @property
    def state(self) -> SignatureState:
        """What readers are told of its signatures."""
        return SignatureState.ATTESTED if self.attests_for else SignatureState.VALID

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)

    def moment(self, now: int) -> int:
        return now

    def salt(self, content: bytes) -> bytes:
        return secrets.token_bytes(SALT_BYTES)

    def sign_statement(self, unsigned: Unsigned) -> bytes:
        return self.sign(unsigned.message)

    def settle(self) -> None:
        """All that it was given is signed."""

    def prove_possession(self, store: str) -> bytes:
        """The signature by which a new key shows that its owner holds it."""
        return self.sign(possession_message(store=store, name=self.name, public_key=encode(self.public)))


def encode(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class StoreKey:
    """The key of the store itself: checkpoints, fingerprints of content, and sealed refs."""

    def __init__(self, signer: Signer) -> None:
        self.signer = signer
        self.store = store_id(signer.public)
        self._fingerprints = self._derived(b"memstore fingerprints v1")
        self._seen = 0
        self._told: tuple[tuple[str, ...], bytes] = ((), b"")
        self._made: tuple[Frontier | None, str] = (None, "")
        self._refs = ChaCha20Poly1305(self._derived(b"memstore refs v1"))

    def _derived(self, purpose: bytes) -> bytes:
        raw = self.signer.private.private_bytes_raw()
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(raw)

    def checkpoint(self, frontier: Frontier) -> str:
        """The signed note that commits to the log as it is with this frontier."""
        origin = origin_of_store(self.store)
        text = checkpoint_text(Checkpoint(origin, frontier.size, frontier.root()))
        note = format_note(text, origin, self.signer.public, self.signer.sign(text.encode()))
        # Of the last one made it is known without signing anew that it is ours, and of which log.
        self._made = (frontier, note)
        return note

    def refuse_moved(self, frontier: Frontier, checkpoint: str) -> None:
        """Raise `IntegrityError` where the log's head is not what was signed, or is behind what this process has seen.

        A process that runs on would else sign what somebody wrote into the file behind its back.
        """
        made = self._made == (frontier, checkpoint)
        signed = frontier.size == 0 or made or self.checkpoint(frontier) == checkpoint
        if not signed or frontier.size < self._seen:
            raise IntegrityError(
                "The log's head was changed outside memstore", code="tampered", next_call="Run `memstore log verify`."
            )

    def watch(self, frontier: Frontier) -> None:
        """Remember how far the log has come, once that is on disk."""
        self._seen = max(self._seen, frontier.size)

    def fingerprint(self, *, author: str, fields: Mapping[str, Any], content: bytes) -> bytes:
        """What finds the same words by the same author again, and says nothing without this key (32 bytes).

        `fields` are those of the statement: the same words as another kind, from other sources, as an answer, or of a
        tool that was registered since, say something else.
        """
        said = [
            str(fields.get(name, ""))
            for name in ("scope", "task", "kind", "answers", "tool", "ttl_seconds", "fetched_at", "derived_from")
        ]
        said.append(str(fields.get("verification", Verification.UNVERIFIED)))
        told = (author, *said, hashlib.sha256(content).hexdigest())
        # The same record is looked for among those that are here and then stored with it.
        last, found = self._told
        if told != last:
            found = hmac.digest(self._fingerprints, canonical_bytes(list(told), nfc=False), "sha256")
            self._told = (told, found)
        return found

    def seal(self, told: bytes, bound_to: bytes) -> str:
        """A random-looking ref for `told` that opens only where it is bound to."""
        nonce = secrets.token_bytes(12)
        return "r-" + encode(nonce + self._refs.encrypt(nonce, told, bound_to))

    def unseal(self, ref: str, bound_to: bytes) -> bytes:
        """What was sealed; `NotFound` for everything that was not sealed here, for this."""
        try:
            raw = base64.urlsafe_b64decode(ref.removeprefix("r-") + "==")
            return self._refs.decrypt(raw[:12], raw[12:], bound_to)
        except (InvalidTag, ValueError):
            raise NotFound(
                "A ref is unknown here", code="unknown_ref", next_call="Search again; refs are of one context."
            ) from None


class _Mute(Signer):
    """Signs nothing: its key is no secret."""

    def sign(self, message: bytes) -> bytes:
        raise read_only_copy()


class CopyKey(StoreKey):
    """Stands in where only a copy of a store is, and no key of it: refs can be given out, nothing can be signed."""

    def __init__(self, store: str) -> None:
        # No secret: whoever has the copy can read all of it.
        seed = hashlib.sha256(b"memstore copy v1\n" + store.encode()).digest()
        super().__init__(_Mute(STORE_KEY, Ed25519PrivateKey.from_private_bytes(seed)))
        self.store = store


def store_id(public: bytes) -> str:
    """A store is named by the key that signs its checkpoints: 26 base32 characters."""
    return short_id("", hashlib.sha256(b"memstore store v1\n" + public).digest())


def origin_of_store(store: str) -> str:
    return f"memstore/{store}"


STAGED = ".next"
# The fields of a statement that are part of what it says, beside its content.
SAID = ("scope", "task", "kind", "answers", "tool", "ttl_seconds", "fetched_at", "derived_from")


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key files of one store, one per principal, in a folder that only its owner can read."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def has(self, name: str) -> bool:
        return self.path(name).exists()

    def save(self, signer: Signer, passphrase: str | None, *, replace: bool = False) -> Path:
        """Write a key file, mode 0600 from its first byte on; an existing one is replaced only when asked."""
        return save_key(self.path(signer.name), signer, passphrase, replace=replace)

    def stage(self, signer: Signer, passphrase: str | None) -> None:
        """Write a key that the log is about to name, beside the one that it names now."""
        self.save(Signer(f"{signer.name}.{signer.keyid}{STAGED}", signer.private), passphrase, replace=True)

    def settle(self, name: str, keyid: str) -> None:
        """Make the key that the log names the one in use.

        Called once the log has said so, and before a key is loaded: a crash in between loses neither key.
        """
        staged = self.path(f"{name}.{keyid}{STAGED}")
        if staged.exists():
            staged.replace(self.path(name))

    def load(self, name: str, ask: AskPassphrase | None = None) -> Signer:
        """The signer of `name`; asks for a passphrase where the key has one."""
        return load_key(self.path(name), name, ask)


def save_key(target: Path, signer: Signer, passphrase: str | None, *, replace: bool = False) -> Path:
    """Write a key file as `Keyring.save` does, under a name of its own."""
    if passphrase is not None and len(passphrase) < MIN_PASSPHRASE:
        raise InvalidInput(f"A passphrase has at least {MIN_PASSPHRASE} characters", code="weak_passphrase")
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        protection = serialization.BestAvailableEncryption(passphrase.encode())
    pem = signer.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if target.exists() and not replace:
        raise InvalidInput("A key file of that name is there already", code="key_exists")
    fresh = target.with_suffix(f".{secrets.token_hex(4)}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(target)
    return target


def load_key(path: Path, name: str, ask: AskPassphrase | None = None) -> Signer:
    """The signer of `name` from its key file; asks for a passphrase where the key has one."""
    try:
        pem = _read(path)
    except OSError as error:
        raise Denied(
            "The key file cannot be read", code="no_key", next_call="Run as the user that the store belongs to."
        ) from error
    passphrase = None
    if b"ENCRYPTED" in pem.split(b"\n", 1)[0]:
        passphrase = _asked(name, ask)
    try:
        private = serialization.load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError) as error:
        if passphrase is None:
            raise _no_key() from error
        raise Denied("The key cannot be unlocked", code="key_locked", next_call="Check the passphrase.") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise _no_key()
    return Signer(name, private)


def _no_key() -> Denied:
    return Denied("The key file holds no Ed25519 key", code="bad_key", next_call="Take it from a backup, or rekey.")


def _read(path: Path) -> bytes:
    if not path.is_file():
        if path.stem == STORE_KEY:
            raise NotFound("The store's key is not here", code="no_key", next_call="Restore keys and store together.")
        raise NotFound(
            "There is no key for this principal here", code="no_key", next_call="Run `memstore agent add` first."
        )
    if path.stat().st_mode & 0o077:
        raise Denied(
            "The key file can be read by others", code="key_exposed", next_call=f"Run chmod 600 on {path.name}."
        )
    return path.read_bytes()


def _asked(name: str, ask: AskPassphrase | None) -> bytes:
    if ask is None:
        raise Denied(
            "This key has a passphrase, and there is no terminal to ask for it",
            code="key_locked",
            next_call="Run the command in a terminal.",
        )
    return ask(f"Passphrase for {name}: ").encode()
