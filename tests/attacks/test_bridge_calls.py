"""What comes to a server by the bridges' way and is not what it seems: replays, theft, others' names (ADR 0045)."""

import asyncio
import copy
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from bridging import Far, Sent
from simulator import Fleet

from mcp_server.caller import Shown
from mcp_server.http import Settings, build_app
from memstore import admin, tokens
from memstore.core.statements import digest_of, pre_authentication_encoding
from memstore.errors import Denied, MemStoreError
from memstore.signing import Signer, encode


@pytest.fixture
def far(tmp_path):
    with Fleet(tmp_path / "store") as fleet:
        fleet.agent("lead", role="lead")
        fleet.agent("worker", under="lead")
        fleet.agent("other", under="lead")
        clock = fleet.clock
    made = Far(tmp_path / "store", clock)
    yield made
    made.close()


class Tapped:
    """Keeps every call that went by, with what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Sent, Sent]] = []

    def __call__(self, call: Sent, send: Callable[[Sent], Sent]) -> Sent:
        told = send(call)
        self.calls.append((copy.deepcopy(call), told))
        return told

    @property
    def signed(self) -> Sent:
        return next(call for call, _ in reversed(self.calls) if call["signatures"])


@pytest.fixture
def tapped():
    return Tapped()


def test_a_call_that_is_replayed_is_answered_and_does_nothing(far, tapped):
    worker = far.bridge("worker", tapped)
    worker.write("finding", "x", "y")
    first, size = tapped.signed, far.size
    assert far.send("worker", first)["answer"]["status"] == "stored"
    far.close()
    far.restart()
    assert far.send("worker", first)["answer"]["status"] == "stored"
    assert far.size == size
    # And when the launch has gone on, it is at most asked to sign anew, which a replayer cannot.
    worker.session_start("storage")
    started, size = tapped.signed, far.size
    worker.write("finding", "z", "y")
    told = far.send("worker", started)
    assert "sign" in told
    assert far.size == size + 1


def test_another_agent_can_use_neither_a_launch_nor_what_was_signed_in_it(far, tapped):
    worker = far.bridge("worker", tapped)
    worker.write("finding", "x", "y")
    size = far.size
    for verb, arguments in (
        ("search", {}), ("write", {"kind": "finding", "title": "x", "body": "y"}), ("renew", {}), ("agents", {}),
        ("session_start", {"task": "t"}), ("handoff_inbox", {}), ("launch", {}),
    ):  # fmt: skip
        call = {**tapped.signed, "nonce": "A" * 22, "verb": verb, "arguments": arguments}
        assert far.send("other", call)["error"]["code"] == "wrong_context"
    call = {**tapped.signed, "launch": "c-" + "b" * 32}
    assert far.send("nobody", call)["error"]["code"] == "unknown_principal"
    assert far.size == size


def test_nothing_is_written_without_the_right_signature_for_just_these_bytes(far, tapped):
    worker = far.bridge("worker", tapped)
    worker.write("finding", "first", "y")
    size = far.size
    call = {**tapped.signed, "nonce": "B" * 22, "signatures": {}}
    call["arguments"] = {"kind": "finding", "title": "second", "body": "y"}
    [asked] = far.send("worker", call)["sign"]
    digest = digest_of(asked["kind"], asked["payload"].encode()).hex()
    message = pre_authentication_encoding(asked["kind"], asked["payload"].encode())
    own, [earlier] = far.signer("worker"), tapped.signed["signatures"].values()
    for signature in (
        earlier,  # of another payload
        encode(own.sign(asked["payload"].encode())),  # of the payload without its type
        encode(own.sign(pre_authentication_encoding(asked["kind"], asked["payload"].encode() + b" "))),
        encode(far.signer("other").sign(message)),
        encode(far.house.key.signer.sign(message)),
        encode(Signer.generate("worker").sign(message)),
        encode(bytes(64)),
    ):
        told = far.send("worker", {**call, "signatures": {digest: signature}})
        assert told["error"]["code"] == "bad_signature"
        assert far.size == size
    # A good signature for other bytes is none for these.
    told = far.send("worker", {**call, "signatures": {"0" * 64: encode(own.sign(message))}})
    assert "sign" in told
    far.send("worker", {**call, "signatures": {digest: encode(own.sign(message))}})
    assert far.size == size + 1
    assert set(far.signatures()) == {"valid"}
    far.assert_sound()


def test_a_key_that_was_withdrawn_writes_nothing_more_over_a_bridge(far):
    worker = far.bridge("worker")
    worker.write("finding", "x", "y")
    admin.retire(far.house, "worker")
    acts: list[Callable[[], Any]] = [lambda: worker.write("finding", "z", "y"), worker.search, worker.handoff_inbox]
    for act in acts:
        with pytest.raises(Denied):
            act()


def test_what_is_no_call_of_a_bridge_is_refused_without_an_echo(far):
    good: Sent = {"verb": "search", "arguments": {}, "launch": "c-" + "a" * 32, "nonce": "A" * 22}
    good |= {"asserted_at": far.clock(), "scope": "", "require_grant": False, "signatures": {}}
    assert "answer" in far.send("worker", good)
    marker = "ZETA-KRAKATOA"
    for change in (
        {"verb": marker}, {"verb": "import_lines"}, {"verb": "_run"}, {"verb": "close"}, {"verb": "grant"},
        {"launch": "cli/worker/main/0"}, {"launch": "http/worker/main/0"}, {"launch": "operator"}, {"launch": ""},
        {"launch": "c-" + "a" * 32 + "\n"}, {"launch": "grant/g-" + "a" * 26}, {"scope": marker},
        {"nonce": "short"}, {"nonce": marker}, {"asserted_at": -1}, {"asserted_at": 1.5}, {"asserted_at": True},
        {"signatures": {"x": "y"}}, {"signatures": {"0" * 64: "ü" * 86}}, {"arguments": [marker]},
        {"arguments": {marker: marker}}, {"arguments": {"query": "\0" + marker}}, {"agent": "lead"},
        {"arguments": {"self": 1}}, {"verb": "brief", "arguments": {"session": [marker]}},
    ):  # fmt: skip
        told = far.send("worker", {**good, **change})
        assert told.keys() & {"error"}, change
        assert told["error"]["family"] != "InternalError", (change, told)
        assert marker not in json.dumps(told)


def test_a_stolen_credential_signs_nothing_and_is_of_no_use_after_five_minutes(far, tapped):
    shown = Shown(far.signer("worker"), far.house.key.store, far.clock).now()
    app = build_app(far.engine, Settings(allowed_hosts=("server",)), remote=far.remote.answer)
    call = {"verb": "write", "arguments": {"kind": "finding", "title": "x", "body": "y"}, "launch": "c-" + "a" * 32}
    call |= {"nonce": "A" * 22, "asserted_at": far.clock()}

    async def posted(credential: str) -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            return await client.post("/bridge", json=call, headers={"Authorization": f"Bearer {credential}"})

    size = far.size
    answer = asyncio.run(posted(shown))
    assert (answer.status_code, list(answer.json())) == (200, ["sign", "evidence"])
    assert far.size == size
    far.clock.advance(seconds=301)
    assert asyncio.run(posted(shown)).status_code == 401


def test_a_store_token_opens_no_launch_of_its_own(far):
    """T3: all that is done with a token is one continuing context, whose mark a fresh launch would leave behind."""
    token = tokens.make(far.house, "worker", ttl="1d")["token"]
    app = build_app(far.engine, Settings(allowed_hosts=("server",)), remote=far.remote.answer)

    async def posted() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            return await client.post("/bridge", json={}, headers={"Authorization": f"Bearer {token}"})

    assert asyncio.run(posted()).status_code == 401


def test_a_read_only_server_signs_nothing_in(far):
    quiet = Far(far.folder, far.clock, verbs=frozenset({"search", "get"}))
    worker = quiet.bridge("worker")
    assert worker.search()["attributed"]["count"] == 0
    acts: list[Callable[[], Any]] = [lambda: worker.write("finding", "x", "y"), worker.handoff_inbox]
    for act in acts:
        with pytest.raises(MemStoreError, match="no such verb"):
            act()
    quiet.close()
