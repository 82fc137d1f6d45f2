"""The way from a bridge to its server: what is verified, what is tried again, and what is given up."""

import json
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from mcp_server.bridge import Unreachable
from mcp_server.link import MOST_BYTES, Link
from memstore.errors import MemStoreError

Reply = tuple[int, bytes]


class Web:
    """A server on this machine that answers what `replies` says, the last of it for good; keeps what it was sent."""

    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None) -> None:
        self.replies = list(replies)
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.connections = 0
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                web.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                web.requests.append((self.path, dict(self.headers), json.loads(body)))
                status, answer = web.replies.pop(0) if len(web.replies) > 1 else web.replies[0]
                if not status and not answer:  # the connection breaks
                    self.close_connection = True
                    return
                self.close_connection = not status  # in the midst of the answer
                self.send_response(status or 200)
                self.send_header("Content-Length", str(len(answer) + (not status)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *told: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


OK = (200, b'{"answer":{}}')


@pytest.fixture
def web():
    made: list[Web] = []

    def start(*replies: Reply, **settings: Any) -> Web:
        made.append(Web(*replies, **settings))
        return made[-1]

    yield start
    for to in OPEN:
        to.close()
    OPEN.clear()
    for one in made:
        one.close()


OPEN: list[Link] = []


def link(web: Web, path: str = "", **settings: Any) -> Link:
    scheme = settings.pop("scheme", "http")
    to = Link(f"{scheme}://127.0.0.1:{web.port}{path}", lambda: "shown", **{"patience": 0.3, **settings})
    OPEN.append(to)
    return to


@pytest.mark.parametrize(
    ("path", "asked"),
    [("", "/bridge"), ("/", "/bridge"), ("/mcp", "/bridge"), ("/mcp/", "/bridge"), ("/m", "/m/bridge")],
)
def test_a_call_is_posted_with_its_credential_on_a_connection_that_is_kept(web, path, asked):
    server = web(OK)
    to = link(server, path)
    for _ in range(3):
        assert to.ask({"verb": "search", "text": "ü"}) == {"answer": {}}
    assert server.connections == 1
    assert len(server.requests) == 3
    where, headers, call = server.requests[0]
    assert (where, headers["Authorization"], call) == (asked, "Bearer shown", {"verb": "search", "text": "ü"})


def test_what_got_no_answer_is_sent_again_as_it_was(web):
    server = web((0, b""), (503, b""), (502, b""), (429, b""), OK)
    assert link(server, patience=5).ask({"nonce": "n"}) == {"answer": {}}
    assert [call for _, _, call in server.requests] == [{"nonce": "n"}] * 5


def test_an_answer_that_breaks_off_is_none_and_the_call_is_sent_again(web):
    server = web((0, b'{"answer":{"half":'), (0, b'{"answer":{}}'), OK)
    assert link(server).ask({"nonce": 1}) == {"answer": {}}
    assert len(server.requests) == 3


def test_a_server_that_stays_away_is_given_up_in_a_bounded_time_and_said_so(web):
    server = web((503, b""))
    with pytest.raises(Unreachable) as refused:
        link(server).ask({})
    assert str(refused.value).startswith("server_unreachable: The server cannot be reached. Nothing was written.")
    assert "Try again in a minute" in str(refused.value)
    with pytest.raises(Unreachable) as refused:
        link(web((429, b""))).ask({})
    assert refused.value.code == "rate_limited"
    server.close()
    with pytest.raises(Unreachable):
        link(server).ask({})


@pytest.mark.parametrize(
    ("status", "answer", "code"),
    [
        (401, b"{}", "unauthenticated"),
        (404, b"", "not_a_server"),
        (405, b"", "not_a_server"),
        (413, b"", "too_long"),
        (500, b"secret", "server_failed"),
        (302, b"", "server_failed"),
        (200, b"<html>secret", "bad_answer"),
        (200, b"[]", "bad_answer"),
        (200, b"[" * 100_000, "bad_answer"),
        (200, b"\xff", "bad_answer"),
        (200, b" " * (MOST_BYTES + 1), "bad_answer"),
    ],
)
def test_what_is_no_answer_of_ours_is_told_without_its_words(web, status, answer, code):
    with pytest.raises(MemStoreError) as refused:
        link(web((status, answer))).ask({})
    assert refused.value.code == code
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://127.0.0.1", "bad_url"),
        ("127.0.0.1:8484", "bad_url"),
        ("https://", "bad_url"),
        ("https://user:pass@host", "bad_url"),
        ("https://host:99999", "bad_url"),
        ("https://host/mcp?x=1", "bad_url"),
        ("http://memory.example", "insecure_url"),
        ("http://10.0.0.1:8484", "insecure_url"),
        ("http://127.0.0.1.example", "insecure_url"),
    ],
)
def test_where_it_leads_is_checked_before_anything_is_sent(url, code):
    with pytest.raises(MemStoreError) as refused:
        Link(url, lambda: "shown")
    assert refused.value.code == code


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.2:1", "http://[::1]:1", "https://host"])
def test_this_machine_may_be_talked_to_plainly_and_others_with_tls_or_when_asked(url):
    Link(url, lambda: "shown")
    Link("http://memory.example", lambda: "shown", insecure_http=True)


def certified(folder: Path, host: str) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for `host`, and a server's context with it."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .sign(key, None)
    )
    path = folder / f"{host}.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{host}.key").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, folder / f"{host}.key")
    return path, context


def test_a_certificate_has_to_be_vouched_for_and_of_this_host(web, tmp_path):
    path, context = certified(tmp_path, "127.0.0.1")
    server = web(OK, tls=context)
    assert link(server, scheme="https", ca=path).ask({}) == {"answer": {}}
    other, elsewhere = certified(tmp_path, "127.0.0.9")
    refusals: list[Callable[[], Link]] = [
        lambda: link(server, scheme="https"),
        lambda: link(server, scheme="https", ca=other),
        lambda: link(web(OK, tls=elsewhere), scheme="https", ca=other),
    ]
    for made in refusals:
        with pytest.raises(MemStoreError) as refused:
            made().ask({})
        assert refused.value.code == "bad_certificate"
    with pytest.raises(MemStoreError) as refused:
        link(server, scheme="https", ca=tmp_path / "nothing.pem")
    assert refused.value.code == "bad_ca"
