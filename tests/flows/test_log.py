"""The log as evidence: proofs that need nothing of the store but its checkpoint key, and what the audit finds (3.1).

`Witness` stands for somebody far away: it has `core.merkle` and `core.notes`, a public key, and what it was sent.
"""

from __future__ import annotations

import json
import shutil
from base64 import b64decode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
from simulator import Fleet

from memstore import log
from memstore.core.canonical import canonical_bytes
from memstore.core.keys import verify_signature
from memstore.core.merkle import consistency_proof, leaf_hash, verify_consistency, verify_inclusion
from memstore.core.notes import Checkpoint, verify_checkpoint
from memstore.errors import IntegrityError, NotFound


@dataclass
class Witness:
    """Knows the log's name and key; remembers the last checkpoint it believed."""

    origin: str
    key: bytes
    last: Checkpoint | None = None
    authors: dict[str, bytes] = field(default_factory=dict)

    def believe(self, note: str, proof: list[bytes]) -> Checkpoint:
        """The checkpoint, if it is signed and goes on from the last one."""
        checkpoint = verify_checkpoint(note, self.origin, self.key)
        if self.last is not None:
            verify_consistency(
                old_size=self.last.size,
                old_root=self.last.root,
                new_size=checkpoint.size,
                new_root=checkpoint.root,
                proof=proof,
            )
        self.last = checkpoint
        return checkpoint

    def verify(self, proved: dict[str, Any]) -> dict[str, Any]:
        """The statement that a proof is of, once every step of it holds."""
        # 1. The checkpoint is the log's.
        checkpoint = verify_checkpoint(proved["checkpoint"], self.origin, self.key)
        # 2. The entry is a leaf under its root.
        verify_inclusion(
            leaf_hash=leaf_hash(canonical_bytes(proved["entry"])),
            index=proved["index"],
            size=checkpoint.size,
            proof=[b64decode(node) for node in proved["proof"]],
            root=checkpoint.root,
        )
        # 3. The payload is what the entry names, and the author signed it (DSSE v1).
        payload, kind = b64decode(proved["payload"]), proved["entry"]["payload_type"].encode()
        message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
        if sha256(message).hexdigest() != proved["entry"]["payload_digest"]:
            raise IntegrityError("The payload is not the entry's")
        verify_signature(self.authors[proved["entry"]["keyid"]], b64decode(proved["signature"]), message)
        statement: dict[str, Any] = json.loads(payload)
        return statement


@pytest.fixture
def witness(fleet) -> Witness:
    with fleet.house.store.read() as unit:
        head = unit.log.head()
        keys = [key for p in unit.registry.principals() for key in unit.registry.keys_of(p.name)]
    return Witness(f"memstore/{head.store}", head.public_key, authors={key.keyid: key.public for key in keys})


def test_a_proof_verifies_with_nothing_but_the_keys(fleet, ada, witness):
    written: list[str] = []
    for n in range(9):
        written.append(ada.write("finding", f"F{n}", "b", derived_from=written[-1:])["id"])
        statement = witness.verify(log.prove(fleet.house.store, written[-1]))
        assert (statement["author"], statement["derived_from"]) == ("ada", written[-2:-1])


def test_a_proof_of_an_old_record_verifies_under_a_later_checkpoint(fleet, ada, witness):
    first = ada.write("question", "first")["id"]
    for n in range(20):
        ada.write("question", f"q{n}")
    assert witness.verify(log.prove(fleet.house.store, first))["n"] == 1


@pytest.mark.parametrize("name", ["label", "logged_at", "because", "keyid", "disclosures", "seq", "payload_digest"])
def test_a_proof_with_another_entry_does_not_verify(fleet, ada, witness, name):
    proved = log.prove(fleet.house.store, ada.write("question", "q")["id"])
    proved["entry"][name] = {"label": "trusted", "logged_at": 1, "because": [], "seq": 3}.get(name, "1" * 64)
    with pytest.raises(IntegrityError):
        witness.verify(proved)


def test_a_proof_with_another_payload_signature_or_checkpoint_does_not_verify(fleet, ada, witness):
    one, two = (log.prove(fleet.house.store, ada.write("question", q)["id"]) for q in ("one", "two"))
    for name in ("payload", "signature", "entry", "index", "proof"):
        with pytest.raises(IntegrityError):
            witness.verify({**two, name: one[name]})
    with pytest.raises(IntegrityError):
        witness.verify({**one, "checkpoint": two["checkpoint"]})


def test_a_record_that_is_not_here_has_no_proof(fleet, ada):
    for wrong in ("m-" + "a" * 26, "", ada.session_start("t")["session"]):
        with pytest.raises(NotFound):
            log.prove(fleet.house.store, wrong)


def leaves(fleet: Fleet) -> list[bytes]:
    with fleet.house.store.read() as unit:
        return unit.log.leaves(unit.log.head().size)


def test_every_checkpoint_goes_on_from_those_before_it(fleet, ada, witness):
    witness.believe(log.checkpoint(fleet.house.store), [])
    for n in range(12):
        for m in range(n % 4):
            ada.write("question", f"q{n} {m}")
        witness.believe(
            log.checkpoint(fleet.house.store),
            consistency_proof(leaves(fleet), witness.last.size if witness.last else 0),
        )
    assert witness.last is not None
    assert witness.last.size == fleet.size()


def test_a_checkpoint_under_another_key_or_name_is_not_believed(fleet, witness, tmp_path):
    with Fleet(tmp_path / "other") as other:
        note = log.checkpoint(other.house.store)
    with pytest.raises(IntegrityError):
        witness.believe(note, [])


def test_the_audit_of_a_sound_log_names_its_size_and_root(fleet, ada, witness):
    ada.write("question", "q")
    report = fleet.audit()
    checkpoint = witness.believe(log.checkpoint(fleet.house.store), [])
    assert (report["ok"], report["problems"], report["size"]) == (True, [], checkpoint.size)
    assert b64decode(report["root"]) == checkpoint.root


def test_an_audit_against_an_older_checkpoint_of_the_same_log_is_sound(fleet, ada):
    kept = log.checkpoint(fleet.house.store)
    ada.write("question", "q")
    assert log.audit(fleet.house.store, against=kept)["ok"]


def test_an_audit_against_a_newer_checkpoint_finds_that_the_log_was_rolled_back(fleet, ada, tmp_path):
    ada.write("question", "kept")
    fleet.house.store.empty_write_ahead_log()
    shutil.copytree(fleet.folder, tmp_path / "older")
    ada.write("question", "lost")
    newer = log.checkpoint(fleet.house.store)
    with Fleet(tmp_path / "older") as older:
        assert log.audit(older.house.store)["ok"]
        report = log.audit(older.house.store, against=newer)
    assert [problem["code"] for problem in report["problems"]] == ["rolled_back"]


def test_an_audit_finds_a_history_that_was_written_anew_after_a_roll_back(fleet, ada, tmp_path):
    fleet.house.store.empty_write_ahead_log()
    shutil.copytree(fleet.folder, tmp_path / "older")
    ada.write("question", "what was said")
    kept = log.checkpoint(fleet.house.store)
    with Fleet(tmp_path / "older") as older:
        for n in range(3):
            older.fresh("ada").write("question", f"what is said instead {n}")
        report = log.audit(older.house.store, against=kept)
    assert [problem["code"] for problem in report["problems"]] == ["inconsistent"]


def test_an_audit_against_what_is_no_checkpoint_says_so(fleet):
    report = log.audit(fleet.house.store, against="memstore\n1\nx\n")
    assert [problem["code"] for problem in report["problems"]] == ["inconsistent"]


def test_an_audit_leaves_no_copy_behind_and_shows_progress(fleet, ada, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    seen: list[tuple[int, int]] = []
    ada.write("question", "q")
    log.audit(fleet.house.store, progress=lambda done, total: seen.append((done, total)))
    assert list((tmp_path / "temporary").iterdir()) == []
    assert seen[-1] == (fleet.size(), fleet.size())
