"""One place in the log: what the store says about a statement, and the leaf that the Merkle tree holds of it.

The author signs the statement; the store's checkpoint signs the entry, and with it the label as it was then. An entry
that does not hash to its leaf is not what was logged.
"""

from __future__ import annotations

from dataclasses import dataclass

from memstore.core.canonical import canonical_bytes
from memstore.core.labels import SignatureState, Verdict
from memstore.core.merkle import leaf_hash


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in the log, as the store made it: what the store's checkpoint signs about an author's statement.

    `digest` is the SHA-256 of what was signed, `disclosures` the head of the hash chain over what its context had been
    shown, `label` and `because` the verdict as it was then. Times are microseconds since 1970 UTC.
    """

    seq: int
    logged_at: int
    payload_type: str
    digest: bytes
    keyid: str
    signature: SignatureState
    verdict: Verdict
    disclosures: bytes

    def as_leaf(self) -> dict[str, object]:
        """What the Merkle leaf hashes, in canonical JSON."""
        return {
            "seq": self.seq,
            "logged_at": self.logged_at,
            "payload_type": self.payload_type,
            "payload_digest": self.digest.hex(),
            "keyid": self.keyid,
            "label": str(self.verdict.label),
            "because": [cause.as_dict() for cause in self.verdict.because],
            "disclosures": self.disclosures.hex(),
        }


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry with the statement's bytes and signature as they lie in the log, and the leaf that was hashed."""

    entry: Entry
    payload: bytes
    signature: bytes
    leaf: bytes


def leaf_of(entry: Entry) -> bytes:
    return leaf_hash(canonical_bytes(entry.as_leaf()))
