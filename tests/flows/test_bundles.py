"""A handoff as evidence: both sides' signatures verify without the store, and no change of a byte passes."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from simulator import Fleet, taken

from memstore import admin, log
from memstore.bundles import verify_bundle
from memstore.config import init_store
from memstore.core.statements import KeyAction
from memstore.errors import IntegrityError
from memstore.service import MemStore


@pytest.fixture
def bundle(fleet: Fleet, ada: MemStore, ben: MemStore) -> dict[str, Any]:
    output = ada.write("finding", "Found", "it", verification="verified", evidence=["log"])["id"]
    handoff = ada.handoff_offer("ben", "transfer", outputs=[output], questions=["none"])["handoff"]
    lease = taken(ben, handoff)
    ben.handoff_respond(handoff, "complete", lease=lease)
    return dict(ben.handoff_bundle(handoff))


def test_what_both_sides_signed_verifies_offline(fleet: Fleet, bundle: dict[str, Any]):
    sent = json.loads(json.dumps(bundle))
    proven = verify_bundle(sent, store=fleet.house.key.store)
    assert [(act["act"], act["author"]) for act in proven["acts"]] == [
        ("offered", "ada"), ("received", "ben"), ("accept", "ben"), ("complete", "ben"),
    ]  # fmt: skip


def test_the_log_proves_a_handoff_and_its_receipt(fleet: Fleet, bundle: dict[str, Any]):
    handoff = bundle["handoff"]
    with fleet.house.store.read() as unit:
        [receipt] = unit.receipts.receipts(handoff)
    proofs = [log.prove(fleet.house.store, asked) for asked in (handoff, receipt.id)]
    assert [proof["index"] for proof in proofs] == [bundle["entries"][-4]["entry"]["seq"], receipt.seq]


def test_a_key_that_was_rotated_still_proves_what_it_signed(fleet: Fleet, bundle: dict[str, Any], ada: MemStore):
    admin.replace_key(fleet.house, "ada", KeyAction.ROTATED)
    again = fleet.fresh("ben").handoff_bundle(bundle["handoff"])
    assert len(verify_bundle(again, store=fleet.house.key.store)["acts"]) == 4


def test_a_bundle_of_another_store_proves_nothing(tmp_path, bundle: dict[str, Any]):
    with pytest.raises(IntegrityError):
        verify_bundle(bundle, store=init_store(tmp_path / "other"))


def _cut(bundle: dict[str, Any]) -> None:
    del bundle["entries"][-4]


def _swapped(bundle: dict[str, Any]) -> None:
    bundle["entries"][-1]["payload"] = bundle["entries"][-2]["payload"]


def _resigned(bundle: dict[str, Any]) -> None:
    bundle["entries"][-1]["signature"] = bundle["entries"][-2]["signature"]


def _relabelled(bundle: dict[str, Any]) -> None:
    bundle["entries"][-4]["entry"]["label"] = "trusted"


def _moved(bundle: dict[str, Any]) -> None:
    bundle["entries"][-1]["entry"]["seq"] += 1


def _unregistered(bundle: dict[str, Any]) -> None:
    del bundle["entries"][1:-4]


def _renamed(bundle: dict[str, Any]) -> None:
    bundle["handoff"] = "h-" + "a" * 26


def _shuffled(bundle: dict[str, Any]) -> None:
    bundle["entries"].reverse()


def _malformed(bundle: dict[str, Any]) -> None:
    bundle["entries"][0] = "what is this"


CHANGES = (_cut, _swapped, _resigned, _relabelled, _moved, _unregistered, _renamed, _shuffled, _malformed)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_no_change_passes(fleet: Fleet, bundle: dict[str, Any], change: Any):
    changed = copy.deepcopy(bundle)
    change(changed)
    with pytest.raises(IntegrityError):
        verify_bundle(changed, store=fleet.house.key.store)
