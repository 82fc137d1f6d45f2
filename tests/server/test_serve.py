"""`memstore serve` as a process: where it listens, how it ends, and who is kept waiting by whom."""

import datetime
import ipaddress
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from web import LEGACY, request

from memstore import tokens

PATIENCE = 60


class Serving:
    """A server process over a store, and what it said."""

    process: Any

    def __init__(self, folder: Path, *more: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "memstore", "serve", "--store", os.fspath(folder), "--port", str(port), *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise EOFError(self.process.communicate()[1].decode())
        self.said = json.loads(line)
        self.url = self.said["url"]
        self.host, self.port = urlsplit(self.url).hostname, urlsplit(self.url).port

    def end(self, how: signal.Signals = signal.SIGTERM) -> Any:
        if self.process.poll() is None:
            self.process.send_signal(how)
        out, self.stderr = self.process.communicate(timeout=PATIENCE)
        assert out == b""
        return self.process.returncode


@pytest.fixture
def serve(live):
    started = []

    def start(*more, **place):
        started.append(Serving(live.folder, *more, **place))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


@pytest.fixture
def shown(live):
    return {**LEGACY, "Authorization": f"Bearer {tokens.make(live.house, 'researcher')['token']}"}


def call(
    server: Serving, shown: dict[str, str], tool: str, *, verify: ssl.SSLContext | bool = True, **arguments: Any
) -> Any:
    told = request("tools/call", name=tool, arguments=arguments)
    answer = httpx.post(server.url, json=told, headers=shown, timeout=PATIENCE, verify=verify)
    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    assert not result.get("isError"), result
    return result["structuredContent"]


def is_closed(one: socket.socket, *, sending: bytes = b"", most: int = 10_000) -> bool:
    """Whether the other side ends the connection: at once where it is sent more and more, else after a while."""
    try:
        for _ in range(most if sending else 0):
            one.sendall(sending)
        return one.recv(1) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_call_under_way_is_answered_before_the_server_ends_with_status_0(serve, shown, live, how):
    server = serve()
    assert server.said["store_id"] == live.house.key.store
    call(server, shown, "memory_search")
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(call, server, shown, "handoff_inbox", wait_seconds=2)
        written = pool.submit(call, server, shown, "memory_write", kind="finding", title="Last", body="Words")
        assert written.result()["status"] == "stored"
        status = server.end(how)
        assert waiting.result()["items"] == []
    assert status == 0
    assert server.stderr == b""


def test_a_client_goes_on_after_the_server_was_started_anew(serve, shown):
    first = serve()
    session = call(first, shown, "session_start", task="t")["session"]
    written = call(first, shown, "memory_write", kind="finding", title="One", body="Said", session=session)
    first.process.kill()
    first.process.communicate()
    with pytest.raises(httpx.ConnectError):
        call(first, shown, "memory_search")
    second = serve(port=first.port)
    again = call(second, shown, "memory_write", kind="finding", title="One", body="Said", session=session)
    assert (again["id"], again["status"]) == (written["id"], "duplicate")
    assert second.end() == 0


def test_slow_clients_and_half_open_connections_starve_nobody(serve, shown):
    server = serve("--connections", "50")
    half = []
    for number in range(200):
        one = socket.create_connection((server.host, server.port), timeout=PATIENCE)
        one.send(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " if number % 2 else b"")
        half.append(one)
    bearer = shown["Authorization"]
    head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {bearer}\r\nContent-Length: 100\r\n\r\n{{"
    for _ in range(5):  # a body that does not come
        one = socket.create_connection((server.host, server.port), timeout=PATIENCE)
        one.send(head.encode())
        half.append(one)
    started = time.monotonic()
    for _ in range(5):
        call(server, shown, "memory_search")
    assert time.monotonic() - started < 10
    for one in half:
        one.close()
    assert server.end() == 0


def test_a_head_without_end_costs_the_connection(serve):
    server = serve()
    with socket.create_connection((server.host, server.port), timeout=PATIENCE) as one:
        one.sendall(b"GET /health HTTP/1.1\r\n")
        assert is_closed(one, sending=b"X-More: %s\r\n" % (b"x" * 200))
    assert server.end() == 0


@pytest.mark.slow
def test_a_head_that_does_not_come_is_waited_for_ten_seconds(serve):
    server = serve()
    with socket.create_connection((server.host, server.port), timeout=PATIENCE) as one:
        one.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        started = time.monotonic()
        assert is_closed(one)
        assert 8 < time.monotonic() - started < 20


def test_over_tls_it_is_reached_by_its_certificate_alone(serve, shown, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(hours=1))
    cert = made.add_extension(address, critical=False).sign(key, hashes.SHA256())
    (tmp_path / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (tmp_path / "key.pem").write_bytes(pem)
    server = serve("--cert", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem"))
    assert server.url.startswith("https://")
    trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    assert call(server, shown, "memory_search", verify=trusting)["mark"] == "trusted"
    with pytest.raises(httpx.ConnectError):
        call(server, shown, "memory_search")
    assert server.end() == 0


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--host", "0.0.0.0"], "exposed"),
        (["--host", "::"], "exposed"),
        (["--host", "0.0.0.0", "--behind-proxy", "--dev", "researcher"], "invalid"),
        (["--cert", "nowhere.pem"], "invalid"),
        (["--cert", "nowhere.pem", "--key", "nowhere.pem"], "invalid"),
        (["--host", "no such host", "--behind-proxy"], "no_port"),
        (["--dev", "operator"], "invalid"),
        (["--dev", "nobody"], "invalid"),
        (["--issuer", "https://issuer.example"], "invalid"),
        (["--issuer", "https://i.example", "--audience", "a", "--jwks", "nowhere.json"], "no_jwks"),
    ],
)
def test_what_would_expose_tokens_or_cannot_be_is_refused_at_once(live, more, code):
    command = [sys.executable, "-m", "memstore", "serve", "--store", os.fspath(live.folder), "--port", "0", *more]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode in (2, 7)
    assert done.stdout == b""
    assert done.stderr.startswith(f"{code}: ".encode())


def test_a_port_that_is_taken_is_said(live):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(EOFError, match="no_port"):
            Serving(live.folder, port=taken.getsockname()[1])


def test_nothing_of_a_request_is_printed(serve, shown):
    server = serve()
    for headers in (shown, {"Authorization": "Bearer mst_secret-kangaroo"}, {"Host": "secret-kangaroo"}):
        httpx.post(server.url + "?secret-kangaroo", content=b"secret-kangaroo", headers=headers, timeout=PATIENCE)
    with socket.create_connection((server.host, server.port), timeout=PATIENCE) as one:
        one.sendall(b"secret-kangaroo\r\n\r\n")
        assert b"kangaroo" not in one.recv(1000)
    assert server.end() == 0
    assert server.stderr == b""  # whoever connects cannot fill the log either


def test_sixteen_clients_at_once_are_all_answered(serve, shown):
    server = serve()
    written = call(server, shown, "memory_write", kind="finding", title="Here", body="To be read by all")
    failed = []

    def read():
        with httpx.Client(headers=shown, timeout=PATIENCE) as client:
            for _ in range(20):
                told = request("tools/call", name="memory_get", arguments={"ids": [written["id"]]})
                answer = client.post(server.url, json=told)
                if answer.status_code != 200 or answer.json()["result"].get("isError"):
                    failed.append(answer.text)

    readers = [threading.Thread(target=read) for _ in range(16)]
    for one in readers:
        one.start()
    for one in readers:
        one.join(PATIENCE)
    assert failed == []
    assert server.end() == 0
