"""Confusion of keys: an entry in one principal's name, under another's key or with another's key id."""

from dataclasses import replace
from unittest import mock

import pytest
from simulator import Envelope, Fleet, ids, leaked

from memstore import admin
from memstore.core.statements import KeyAction, Recorded
from memstore.errors import MemStoreError
from memstore.signing import Signer


def as_the_lead(fleet: Fleet) -> tuple[Envelope, str]:
    """A record in the lead's name that the worker signed, and the lead's key id."""
    fleet.agent("lead", role="lead")
    fleet.agent("worker")
    signer = fleet.house.keyring.load("worker")
    return fleet.signed(signer, Recorded, author="lead"), fleet.house.keyring.load("lead").keyid


def assert_found_and_not_served(fleet: Fleet, at: int, reason: str) -> None:
    answer = fleet.agent("reader").search("forged")
    assert ids(answer, "trusted") + ids(answer, "attributed") == []
    assert [entry["reasons"][0] for entry in answer["quarantined"]["entries"]] == [reason]
    assert leaked("Nobody admitted this", answer) == ""
    assert {"seq": at, "code": "bad_signature"}.items() <= fleet.audit()["problems"][0].items()


def test_an_entry_that_names_the_signers_key_but_another_author_is_of_an_unknown_key(fleet: Fleet):
    envelope, _ = as_the_lead(fleet)
    assert_found_and_not_served(fleet, fleet.forge(envelope), "unknown_key")


def test_an_entry_that_names_the_authors_key_is_badly_signed(fleet: Fleet):
    envelope, keyid = as_the_lead(fleet)
    assert_found_and_not_served(fleet, fleet.forge(replace(envelope, keyid=keyid)), "bad_signature")


def test_an_entry_under_a_key_that_nobody_registered_is_of_an_unknown_key(fleet: Fleet):
    fleet.agent("worker")
    stranger = Signer.generate("worker")
    assert_found_and_not_served(fleet, fleet.forge(fleet.signed(stranger, Recorded)), "unknown_key")


def test_an_entry_under_a_key_of_later_is_of_an_unknown_key(fleet: Fleet):
    fleet.agent("worker")
    with mock.patch.object(Signer, "generate", return_value=Signer.generate("worker")) as made:
        at = fleet.forge(fleet.signed(made.return_value, Recorded))
        admin.replace_key(fleet.house, "worker", KeyAction.REKEYED)
    assert_found_and_not_served(fleet, at, "unknown_key")


def test_an_entry_under_a_key_that_was_retired_before_is_of_an_unknown_key(fleet: Fleet):
    fleet.agent("worker")
    signer = fleet.house.keyring.load("worker")
    admin.retire(fleet.house, "worker")
    assert_found_and_not_served(fleet, fleet.forge(fleet.signed(signer, Recorded)), "unknown_key")


def test_the_key_file_of_one_principal_does_not_open_the_store_as_another(fleet: Fleet):
    fleet.agent("lead", role="lead")
    fleet.agent("worker")
    keys = fleet.folder / "keys"
    (keys / "lead.key").write_bytes((keys / "worker.key").read_bytes())
    with pytest.raises(MemStoreError) as refused:
        fleet.fresh("lead")
    assert refused.value.code == "unknown_principal"


def test_a_key_file_that_others_can_read_is_refused(fleet: Fleet):
    fleet.agent("worker")
    (fleet.folder / "keys" / "worker.key").chmod(0o640)
    with pytest.raises(MemStoreError) as refused:
        fleet.fresh("worker")
    assert refused.value.code == "key_exposed"


IDENTITY = (1).to_bytes(32, "little")
ORDER_TWO = (2**255 - 20).to_bytes(32, "little")
NOT_REDUCED = (2**255 - 18).to_bytes(32, "little")
OFF_THE_CURVE = (2).to_bytes(32, "little")


@pytest.mark.parametrize("public", [IDENTITY, ORDER_TWO, NOT_REDUCED, OFF_THE_CURVE, bytes(31)])
def test_a_weak_key_is_not_registered(fleet: Fleet, public: bytes):
    weak = mock.Mock(wraps=Signer.generate("worker"), spec=Signer, public=public)
    weak.name = "worker"
    with mock.patch.object(Signer, "generate", return_value=weak), pytest.raises(MemStoreError) as refused:
        fleet.agent("worker")
    assert refused.value.code == "bad_key"
    assert (fleet.size(), fleet.house.keyring.has("worker")) == (1, False)


def test_a_key_whose_owner_does_not_prove_to_hold_it_is_not_registered(fleet: Fleet):
    fleet.agent("lead", role="lead")
    own = Signer.generate("worker")
    claimed = mock.Mock(wraps=own, spec=Signer, public=fleet.house.keyring.load("lead").public)
    claimed.name = "worker"
    with mock.patch.object(Signer, "generate", return_value=claimed), pytest.raises(MemStoreError) as refused:
        fleet.agent("worker")
    assert refused.value.code == "bad_proof"


def test_a_key_that_is_known_already_is_not_registered_again(fleet: Fleet):
    fleet.agent("lead", role="lead")
    known = replace(fleet.house.keyring.load("lead"), name="worker")
    with mock.patch.object(Signer, "generate", return_value=known), pytest.raises(MemStoreError):
        fleet.agent("worker")
    assert not fleet.house.keyring.has("worker")


def test_a_key_that_is_known_already_is_no_replacement(fleet: Fleet):
    fleet.agent("lead", role="lead")
    fleet.agent("worker")
    known = replace(fleet.house.keyring.load("lead"), name="worker")
    size = fleet.size()
    with mock.patch.object(Signer, "generate", return_value=known), pytest.raises(MemStoreError):
        admin.replace_key(fleet.house, "worker", KeyAction.REKEYED)
    assert fleet.size() == size
    fleet.fresh("worker").write("finding", "Own", "words")
    fleet.assert_sound()
