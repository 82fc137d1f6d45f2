"""A crash between the log and the key file loses neither the old key nor the new one (T9)."""

import pytest

from memstore import admin
from memstore.core.statements import OPERATOR_NAME, KeyAction
from memstore.signing import Keyring


@pytest.mark.parametrize("name", [OPERATOR_NAME, "ada"])
def test_a_crash_after_the_log_named_the_new_key_leaves_it_to_be_found(fleet, monkeypatch, name):
    with monkeypatch.context() as crash:
        crash.setattr(Keyring, "settle", lambda *_: None)
        done = admin.replace_key(fleet.house, name, KeyAction.ROTATED)
    assert fleet.house.signer(name).keyid == done["keyid"]
    admin.add_tool(fleet.house, "after.the.crash")
    if name == "ada":
        assert fleet.fresh(name).write("constraint", "Still here")["status"] == "stored"


@pytest.mark.parametrize("name", [OPERATOR_NAME, "ada"])
def test_a_crash_before_the_log_named_it_leaves_the_old_key_in_use(fleet, monkeypatch, name):
    before = fleet.house.signer(name).keyid

    def crash(keyring, signer, passphrase):
        stage(keyring, signer, passphrase)
        raise KeyboardInterrupt

    stage = Keyring.stage
    with monkeypatch.context() as crashing:
        crashing.setattr(Keyring, "stage", crash)
        with pytest.raises(KeyboardInterrupt):
            admin.replace_key(fleet.house, name, KeyAction.ROTATED)
    assert fleet.house.signer(name).keyid == before
    admin.replace_key(fleet.house, name, KeyAction.ROTATED)
    assert fleet.house.signer(name).keyid != before
