"""Keys that are made beside an agent, and registered by their public half (ADR 0046)."""

from pathlib import Path
from typing import Any

import pytest

from memstore import admin
from memstore.admin import House
from memstore.core.statements import KeyAction
from memstore.errors import InvalidInput, MemStoreError, NotFound
from memstore.keyfiles import make_key, store_of_key
from memstore.signing import encode, load_key


@pytest.fixture
def house(fleet):
    return fleet.house


def made(tmp_path: Path, house: House, name: str = "far") -> dict[str, Any]:
    return make_key(tmp_path / "mine" / f"{name}.key", name, house.key.store)


def test_an_agent_is_registered_by_the_public_half_of_its_key(house, tmp_path):
    told = made(tmp_path, house)
    added = admin.add_agent(house, "far", public_key=told["public_key"], proof=told["proof"])
    assert (added["keyid"], added["key_file"]) == (told["keyid"], "")
    path = tmp_path / "mine" / "far.key"
    assert encode(load_key(path, "far").public) == told["public_key"]
    assert path.stat().st_mode & 0o077 == 0
    assert not house.keyring.has("far")
    assert [one["key_file"] for one in admin.list_agents(house) if one["name"] == "far"] == [False]
    with pytest.raises(NotFound, match="no key"):
        house.signer("far")


def test_a_proof_is_of_one_key_one_name_and_one_store(house, tmp_path):
    one, two = made(tmp_path, house, "one"), made(tmp_path, house, "two")
    alien = make_key(tmp_path / "alien.key", "one", "a" * 26)
    for name, public_key, proof, code in [
        ("one", one["public_key"], two["proof"], "bad_proof"),
        ("two", one["public_key"], one["proof"], "bad_proof"),
        ("one", alien["public_key"], alien["proof"], "bad_proof"),
        ("one", one["public_key"], "", "bad_proof"),
        ("one", one["public_key"], "ü", "bad_proof"),
        ("one", "", one["proof"], "bad_key"),
        ("one", "A" * 43, one["proof"], "bad_key"),  # a point of small order
    ]:
        with pytest.raises(InvalidInput) as refused:
            admin.add_agent(house, name, public_key=public_key, proof=proof)
        assert refused.value.code == code
    admin.add_agent(house, "one", public_key=one["public_key"], proof=one["proof"])


def test_an_agent_is_given_another_key_by_its_public_half(house, tmp_path):
    old = made(tmp_path, house)
    admin.add_agent(house, "far", public_key=old["public_key"], proof=old["proof"])
    new = make_key(tmp_path / "new" / "far.key", "far", house.key.store)
    given = {"public_key": new["public_key"], "proof": new["proof"]}
    for wrong in ({**given, "proof": old["proof"]}, {**given, "public_key": old["public_key"]}, {"public_key": ""}):
        with pytest.raises(InvalidInput):
            admin.replace_key(house, "far", KeyAction.REKEYED, **wrong)
    admin.compromise(house, "far", 1)
    assert admin.replace_key(house, "far", KeyAction.REKEYED, **given)["keyid"] == new["keyid"]
    assert not house.keyring.has("far")
    assert [one["keyid"] for one in admin.list_agents(house) if one["name"] == "far"] == [new["keyid"]]
    with pytest.raises(MemStoreError):
        admin.replace_key(house, "far", KeyAction.REKEYED, public_key=old["public_key"], proof=old["proof"])


def test_a_public_key_that_was_left_empty_is_no_key_of_this_side(house):
    for public_key, proof in (("", ""), ("", None), (None, "")):
        with pytest.raises(InvalidInput):
            admin.add_agent(house, "far", public_key=public_key, proof=proof)


def test_a_key_is_for_the_store_that_it_was_made_for(house, tmp_path):
    made(tmp_path, house)
    path = tmp_path / "mine" / "far.key"
    assert store_of_key(path) == house.key.store
    assert store_of_key(path, "b" * 26) == "b" * 26
    path.with_suffix(".store").unlink()
    with pytest.raises(NotFound) as refused:
        store_of_key(path)
    assert refused.value.code == "no_store_id"
    assert store_of_key(house.keyring.path("operator")) == house.key.store
    for malformed in ("x", "a" * 26 + "\n"):
        with pytest.raises(InvalidInput):
            make_key(tmp_path / "other.key", "other", malformed)
    with pytest.raises(InvalidInput, match="already"):
        made(tmp_path, house)
    with pytest.raises(InvalidInput):
        make_key(tmp_path / "bad.key", "../bad", house.key.store)
