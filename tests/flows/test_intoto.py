"""in-toto attestations are verified by libraries of others, and say no more than the store can answer for."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from simulator import Fleet, leaked

from memstore.core.keys import thumbprint
from memstore.service import MemStore

dsse = pytest.importorskip("securesystemslib.dsse", reason="the reader of envelopes is in the `test` extra")
signer = pytest.importorskip("securesystemslib.signer", reason="the reader of envelopes is in the `test` extra")
intoto = pytest.importorskip("in_toto_attestation.v1.statement", reason="the reader is in the `test` extra")
json_format = pytest.importorskip("google.protobuf.json_format", reason="the reader is in the `test` extra")

SECRET = "The moon base wants its password, said the page"


def verified(envelope: dict[str, Any], public: bytes) -> bytes:
    """The payload of an envelope, as securesystemslib verifies it with this one key."""
    found = dsse.Envelope.from_dict(json.loads(json.dumps(envelope)))
    key = signer.SSlibKey(thumbprint(public), "ed25519", "ed25519", {"public": public.hex()})
    assert found.verify([key], 1)
    return bytes(found.payload)


def statement(payload: bytes) -> Any:
    """The statement, parsed and validated by in-toto's own library."""
    found = intoto.Statement.copy_from_pb(json_format.Parse(payload, intoto.spb.Statement()))
    found.validate()
    return found.pb


def public_key(fleet: Fleet, name: str) -> bytes:
    with fleet.house.store.read() as unit:
        return unit.registry.keys_of(name)[-1].public


def test_an_attestation_verifies_with_the_checkpoint_key_alone(fleet: Fleet, ada: MemStore):
    record = ada.write("finding", "Found", "it", verification="unverified")["id"]
    [envelope] = ada.export_intoto(record=record)["attestations"]
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    found = statement(verified(envelope, fleet.house.key.signer.public))
    assert found.type == "https://in-toto.io/Statement/v1"
    assert [one.name for one in found.subject] == [record, f"{record}/content"]
    assert found.predicate["author"] == "ada"
    assert found.predicate["label"] == "attributed"


def test_the_authors_own_envelope_stands_in_it_and_verifies_with_the_authors_key(fleet: Fleet, ada: MemStore):
    record = ada.write("finding", "Found", "it", verification="unverified")["id"]
    [envelope] = ada.export_intoto(record=record)["attestations"]
    told = json.loads(verified(envelope, fleet.house.key.signer.public))
    inner = told["predicate"]["envelope"]
    assert inner["payloadType"] == "application/vnd.memstore.record.v1+json"
    payload = verified(inner, public_key(fleet, "ada"))
    assert told["subject"][0]["digest"]["sha256"] == hashlib.sha256(payload).hexdigest()


def test_the_subject_is_what_a_bundle_of_the_record_holds(fleet: Fleet, ada: MemStore):
    record = ada.write("finding", "Found", "it", verification="unverified")["id"]
    [envelope] = ada.export_intoto(record=record)["attestations"]
    subject = statement(verified(envelope, fleet.house.key.signer.public)).subject
    bundle = ada.export_bundle(record)
    payload = base64.b64decode(bundle["entries"][-1]["payload"])
    words = b"".join(base64.b64decode(bundle["content"][part]) for part in ("salt", "content"))
    digests = [hashlib.sha256(part).hexdigest() for part in (payload, words)]
    assert [one.digest["sha256"] for one in subject] == digests


def test_a_task_gives_one_for_each_record_in_the_order_of_the_log(ada: MemStore):
    ada.session_start("storage")
    made = [ada.write("finding", f"F{n}", "b", verification="unverified")["id"] for n in range(3)]
    found = ada.export_intoto(task="storage")
    names = [json.loads(base64.b64decode(one["payload"]))["subject"][0]["name"] for one in found["attestations"]]
    assert names == made
    assert found["complete"] is True


def test_of_what_is_quarantined_there_is_a_digest_and_no_word(fleet: Fleet, ada: MemStore, person: MemStore):
    ada.session_start(SECRET)
    page = ada.observe("https://evil.example/", SECRET)["id"]
    note = ada.write("finding", SECRET, "b", verification="unverified")["id"]
    for record in (page, note):
        [envelope] = person.export_intoto(record=record)["attestations"]
        told = json.loads(base64.b64decode(envelope["payload"]))
        assert leaked(SECRET, told) == ""
        assert "envelope" not in told["predicate"]
        assert told["predicate"]["quarantined"]


def test_a_changed_attestation_is_refused_by_the_library(fleet: Fleet, ada: MemStore):
    from securesystemslib.exceptions import VerificationError

    record = ada.write("finding", "Found", "it", verification="unverified")["id"]
    [envelope] = ada.export_intoto(record=record)["attestations"]
    told = base64.b64decode(envelope["payload"]).replace(b'"label":"attributed"', b'"label":"trusted"')
    envelope["payload"] = base64.b64encode(told).decode()
    with pytest.raises(VerificationError):
        verified(envelope, fleet.house.key.signer.public)


def test_what_does_not_verify_is_attested_as_such(fleet: Fleet, ada: MemStore):
    record = ada.write("finding", "Found", "it", verification="unverified")["id"]
    fleet.sql("UPDATE contents SET content = zeroblob(4) WHERE seq = (SELECT seq FROM records WHERE id = ?)", record)
    [envelope] = ada.export_intoto(record=record)["attestations"]
    told = json.loads(verified(envelope, fleet.house.key.signer.public))
    assert told["predicate"]["signature"] == "invalid"
    assert told["predicate"]["quarantined"] == ["bad_signature"]
