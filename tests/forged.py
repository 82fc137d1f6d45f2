"""Credentials with one thing wrong each, named for it: what a server must take none of.

`Mint` makes good ones as well, of a bridge and of an issuer, so that a test can show that it is that one thing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from memstore import admin, tokens
from memstore.admin import House
from memstore.core.statements import KeyAction, Role
from memstore.issuers import Issuer
from memstore.signing import Signer, encode

URL, AUDIENCE = "https://issuer.example", "https://memory.example/mcp"
BRIDGE, ISSUED = "bridge", "issued"


def part(value: object) -> str:
    return encode(json.dumps(value).encode())


class Mint:
    """A store's worker, a retired and a compromised principal, a person; an issuer with one RSA key."""

    def __init__(self, house: House, folder: Path, clock: Callable[[], int]) -> None:
        self.house = house
        self.clock = clock
        for name, role in (("worker", "worker"), ("gone", "worker"), ("stolen", "worker"), ("person", "human")):
            admin.add_agent(house, name, role=Role(role))
        self.signer = house.keyring.load("worker")
        self.token = tokens.make(house, "worker")
        self.lost = {name: tokens.make(house, name)["token"] for name in ("gone", "stolen")}
        admin.retire(house, "gone")
        admin.compromise(house, "stolen", 1)
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self.rsa.public_key().public_numbers()
        jwk = {"kty": "RSA", "kid": "one", "alg": "RS256", "n": _number(numbers.n), "e": _number(numbers.e)}
        jwks = folder / "jwks.json"
        jwks.write_text(json.dumps({"keys": [jwk]}))
        self.jwk = jwk
        self.issuer = Issuer(URL, AUDIENCE, str(jwks))

    @property
    def now(self) -> int:
        return self.clock() // 1_000_000

    def bridge(self, *, header: dict[str, Any] | None = None, signer: Signer | None = None, **claims: Any) -> str:
        """A bridge's credential; a claim or header parameter given as None is left out."""
        signer = signer or self.signer
        head = {"alg": "EdDSA", "kid": signer.keyid, "typ": "JWT", **(header or {})}
        store = self.house.key.store
        said = {"iss": signer.name, "sub": signer.name, "aud": store, "iat": self.now, "exp": self.now + 240, **claims}
        message = f"{part(_without_none(head))}.{part(_without_none(said))}"
        return f"{message}.{encode(signer.sign(message.encode()))}"

    def issued(self, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        head = {"alg": "RS256", "kid": "one", "typ": "JWT", **(header or {})}
        said = {"iss": URL, "sub": "worker", "aud": AUDIENCE, "iat": self.now, "exp": self.now + 3600, **claims}
        message = f"{part(_without_none(head))}.{part(_without_none(said))}"
        return f"{message}.{encode(self.rsa.sign(message.encode(), padding.PKCS1v15(), SHA256()))}"

    def forged(self) -> dict[str, str]:
        """Credentials that are wrong in one thing each."""
        revoked = tokens.make(self.house, "worker")
        tokens.revoke(self.house, revoked["id"])
        keys = {name: self.house.keyring.load(name) for name in ("gone", "stolen")}
        good = self.bridge()
        made = {
            "a revoked token": revoked["token"],
            "a token nobody made": "mst_" + encode(bytes(32)),
            "a token of a retired key": self.lost["gone"],
            "a token of a compromised key": self.lost["stolen"],
            "a token with one character more": self.token["token"] + "A",
            "a token in capitals": self.token["token"].upper(),
            "nothing": "",
            "two parts": good.rpartition(".")[0],
            "four parts": good + ".AAAA",
            "a signature in another spelling": _other_spelling(good),
            "a padded signature": good + "=",
            "oversized": good + "A" * 9000,
            "an oversized claim": self.bridge(jti="x" * 9000),
            "a header that is no UTF-8": _with_header(good, b'{"alg":"EdDSA","kid":"\xff"}'),
            "a header that is a list": _with_header(good, b'["EdDSA"]'),
            "a header nested without end": _with_header(good, b"[" * 5000),
            "a key id that is no text": self.bridge(header={"kid": "\ud800"}),
            "an issued one for a name that is no text": self.issued(sub="\ud800"),
            "of a retired key": self.bridge(signer=keys["gone"]),
            "of a compromised key": self.bridge(signer=keys["stolen"]),
            "of a key nobody registered": self.bridge(signer=Signer.generate("worker")),
            "signed by another key of another name": self.bridge(
                header={"kid": self.signer.keyid}, signer=keys["gone"]
            ),
            "longer than a bridge's may live": self.bridge(exp=self.now + 3600),
            "more claims than a bridge has": self.bridge(scope="main"),
            "an issued one for a person": self.issued(sub="person"),
            "an issued one for the operator": self.issued(sub="operator"),
            "an issued one for a name in capitals": self.issued(sub="WORKER"),
            "another issuer's key id": self.issued(header={"kid": "two"}),
            "HS256 with the public key": self._with_public_key_as_secret(),
            "a payload that was changed": _with_claims(self.issued(), {"iss": URL, "sub": "gone"}),
        }
        for how, make in ((BRIDGE, self.bridge), (ISSUED, self.issued)):
            made |= {f"{how}: {name}": text for name, text in self._wrong(make, good=make()).items()}
        return made

    def _wrong(self, make: Callable[..., str], *, good: str) -> dict[str, str]:
        soon, past = self.now + 600, self.now - 600
        header, claims, _ = good.split(".")
        alg = json.loads(_raw(header))["alg"]
        twice = _raw(header)[:-1] + b',"alg":"%s"}' % alg.encode()
        return {
            "alg none": f"{part({'alg': 'none'})}.{claims}.",
            "alg none, signed": make(header={"alg": "none"}),
            "HS256": make(header={"alg": "HS256"}),
            "two algorithms in a list": make(header={"alg": [alg, "none"]}),
            "two algorithms by a doubled name": _with_header(good, twice),
            "no algorithm": make(header={"alg": None}),
            "crit": make(header={"crit": ["exp"]}),
            "jku": make(header={"jku": "https://elsewhere.example/jwks.json"}),
            "jwk": make(header={"jwk": self.jwk}),
            "x5u": make(header={"x5u": "https://elsewhere.example/x.pem"}),
            "another type": make(header={"typ": "JOSE"}),
            "no exp": make(exp=None),
            "exp as text": make(exp=str(soon)),
            "exp as a fraction": make(exp=soon + 0.5),
            "exp as true": make(exp=True),
            "expired": make(iat=past, exp=self.now),
            "nbf to come": make(nbf=self.now + 120),
            "no iat": make(iat=None),
            "iat to come": make(iat=self.now + 120, exp=self.now + 240),
            "wrong aud": make(aud="https://elsewhere.example"),
            "no aud": make(aud=None),
            "wrong iss": make(iss="https://elsewhere.example"),
            "no iss": make(iss=None),
            "no sub": make(sub=None),
            "sub as a list": make(sub=["worker"]),
            "unknown principal": make(sub="nobody"),
            "cnf without proof": make(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
            "signature of nothing": good.rpartition(".")[0] + "." + encode(bytes(64)),
            "no signature": good.rpartition(".")[0] + ".",
        }

    def _with_public_key_as_secret(self) -> str:
        said = {"iss": URL, "sub": "worker", "aud": AUDIENCE, "iat": self.now, "exp": self.now + 3600}
        message = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(said)}"
        return f"{message}.{encode(hmac.digest(json.dumps(self.jwk).encode(), message.encode(), hashlib.sha256))}"


def rekeyed(mint: Mint) -> None:
    """The operator gives the principal whose key was stolen a new one."""
    admin.replace_key(mint.house, "stolen", KeyAction.REKEYED)


def real_clock() -> int:
    return time.time_ns() // 1000


def _number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _without_none(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value is not None}


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def _with_header(good: str, header: bytes) -> str:
    return ".".join([encode(header), *good.split(".")[1:]])


def _with_claims(good: str, claims: object) -> str:
    head, _, signature = good.split(".")
    return f"{head}.{part(claims)}.{signature}"


def _other_spelling(good: str) -> str:
    """The last character with one of the bits set that base64url does not use."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return good[:-1] + alphabet[alphabet.index(good[-1]) | 1]
