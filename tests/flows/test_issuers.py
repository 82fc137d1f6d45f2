"""An issuer's keys behind a URL: fetched once, again when an unknown one is shown, and never from another place."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from forged import AUDIENCE, URL, Mint
from simulator import Fleet

from memstore import issuers
from memstore.credentials import Unauthenticated, verify_credential
from memstore.errors import InvalidInput, StoreUnavailable
from memstore.issuers import Issuer


class Keys(HTTPServer):
    """What it answers is `answer`: a status, headers and a body."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")
    asked = 0


class Answering(BaseHTTPRequestHandler):
    server: Keys

    def do_GET(self) -> None:
        self.server.asked += 1
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def keys():
    with Keys(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def mint(tmp_path):
    with Fleet(tmp_path / "store") as fleet:
        yield Mint(fleet.house, tmp_path, fleet.clock)


def published(mint: Mint, kid: str = "one") -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"keys": [{**mint.jwk, "kid": kid}]}).encode()


def url_of(keys: Keys) -> str:
    return f"http://127.0.0.1:{keys.server_port}/jwks.json"


def test_a_key_that_is_new_is_fetched_and_no_more_often_than_once_a_minute(mint, keys, monkeypatch):
    keys.answer = published(mint, kid="old")
    issuer = Issuer(URL, AUDIENCE, url_of(keys))
    with mint.house.store.read() as unit, pytest.raises(Unauthenticated):
        verify_credential(unit, mint.issued(), issuer)
    keys.answer = published(mint)
    issuer.refresh()
    assert keys.asked == 1
    monkeypatch.setattr(issuers, "FETCH_AGAIN_SECONDS", 0)
    issuer.refresh()
    with mint.house.store.read() as unit:
        assert verify_credential(unit, mint.issued(), issuer).name == "worker"
    assert keys.asked == 2


def test_keys_that_cannot_be_fetched_again_leave_those_that_are_known(mint, keys, monkeypatch):
    keys.answer = published(mint)
    issuer = Issuer(URL, AUDIENCE, url_of(keys))
    monkeypatch.setattr(issuers, "FETCH_AGAIN_SECONDS", 0)
    for answer in ((500, {}, b""), (200, {}, b"no keys"), (302, {"Location": url_of(keys)}, b"")):
        keys.answer = answer
        issuer.refresh()
    assert keys.asked == 4
    with mint.house.store.read() as unit:
        assert verify_credential(unit, mint.issued(), issuer).name == "worker"


def test_a_key_that_was_withdrawn_falls_though_no_other_is_shown(mint, keys, monkeypatch):
    keys.answer = published(mint)
    issuer = Issuer(URL, AUDIENCE, url_of(keys))
    assert issuer.key("one")
    keys.answer = published(mint, kid="two")
    monkeypatch.setattr(issuers, "KEPT_SECONDS", 0)
    monkeypatch.setattr(issuers, "FETCH_AGAIN_SECONDS", 0)
    assert issuer.key("one") is None
    issuer.refresh()
    monkeypatch.setattr(issuers, "KEPT_SECONDS", 600)
    assert issuer.key("one") is None
    assert issuer.key("two")


def test_a_file_of_keys_is_read_again_as_well(mint, monkeypatch):
    issuer, other = mint.issuer, mint.issued(header={"kid": "two"})
    with mint.house.store.read() as unit, pytest.raises(Unauthenticated):
        verify_credential(unit, other, issuer)
    Path(issuer.source).write_text(json.dumps({"keys": [{**mint.jwk, "kid": "two"}]}))
    monkeypatch.setattr(issuers, "FETCH_AGAIN_SECONDS", 0)
    issuer.refresh()
    with mint.house.store.read() as unit:
        assert verify_credential(unit, other, issuer).name == "worker"


def test_a_key_set_from_elsewhere_or_without_end_is_refused(mint, keys):
    keys.answer = (302, {"Location": "http://127.0.0.1:1/jwks.json"}, b"")
    with pytest.raises(StoreUnavailable):
        Issuer(URL, AUDIENCE, url_of(keys))
    keys.answer = (200, {}, b" " * (issuers.LARGEST_SET + 2))
    with pytest.raises(InvalidInput, match="too large"):
        Issuer(URL, AUDIENCE, url_of(keys))
