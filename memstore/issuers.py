"""The issuer of JWTs that an operator trusts to say who calls: its keys, one algorithm, one audience (DESIGN 4.2).

Keys come from a JWKS file or URL and are public ones of the algorithm's own kind; what else a set holds is passed over.
The set is fetched again when a key is not in it or it is ten minutes old, at most once a minute; while that fails, the
keys that are known hold.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from memstore.addresses import is_loopback
from memstore.errors import InvalidInput, StoreUnavailable

Key = ECKey | OKPKey | RSAKey
# Each algorithm with the key type, and the curve, that its keys have.
ALGORITHMS = {"RS256": ("RSA", ""), "PS256": ("RSA", ""), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}
_IMPORTS: dict[str, Callable[[dict[str, Any]], Key]] = {
    "RSA": RSAKey.import_key, "EC": ECKey.import_key, "OKP": OKPKey.import_key
}  # fmt: skip
LEAST_RSA_BITS = 2048
LARGEST_SET = 1 << 20
FETCH_SECONDS = 10.0
FETCH_AGAIN_SECONDS = 60.0
KEPT_SECONDS = 600.0  # how long a key that was withdrawn there may still be taken here


@dataclass
class Issuer:
    """Whose JWTs are taken, for which audience; `claim` names the principal. `source` is a file or an https URL."""

    url: str
    audience: str
    source: str
    algorithm: str = "RS256"
    claim: str = "sub"
    _keys: dict[str, Key] = field(default_factory=dict, init=False)
    _tried: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise InvalidInput("There is no such algorithm", next_call=f"Use one of: {', '.join(ALGORITHMS)}.")
        if not (self.url and self.audience and self.claim):
            raise InvalidInput("An issuer has a URL, an audience and a claim that names the principal")
        self._fetch()

    def key(self, kid: str) -> Key | None:
        """The key of this id, without an id the only one there is; None where the keys have to be fetched first."""
        if self._is_due(KEPT_SECONDS):
            return None
        keys = self._keys
        return keys.get(kid) if kid else next(iter(keys.values())) if len(keys) == 1 else None

    def refresh(self) -> None:
        """Fetch the keys anew, unless that was tried just now; takes as long as the issuer does (`FETCH_SECONDS`)."""
        if self._is_due(FETCH_AGAIN_SECONDS):
            with suppress(StoreUnavailable, InvalidInput):
                self._fetch()

    def is_signed(self, message: bytes, signature: bytes, key: Key) -> bool:
        """Whether the key signed this by the issuer's algorithm."""
        # Not through the registry, which warns of an algorithm's name (RFC 9864), and a warning says more than False.
        algorithm = JWSRegistry.algorithms[self.algorithm]
        try:
            return bool(algorithm.verify(message, signature, key))
        except (JoseError, ValueError):
            return False

    def _is_due(self, seconds: float) -> bool:
        return time.monotonic() - self._tried >= seconds

    def _fetch(self) -> None:
        self._tried = time.monotonic()
        raw = _fetched(self.source) if "://" in self.source else _read(Path(self.source))
        self._keys = keys_of(raw, self.algorithm)


def keys_of(raw: bytes, algorithm: str) -> dict[str, Key]:
    """The keys of a JWKS that are of this algorithm, by their ids; raises `InvalidInput` where there is none."""
    kind, curve = ALGORITHMS[algorithm]
    try:
        told = json.loads(raw)["keys"]
        fitting = [
            one
            for one in told
            if one.get("kty") == kind
            and one.get("crv", "") == curve
            and one.get("use", "sig") == "sig"
            and one.get("alg", algorithm) == algorithm
        ]
        found = {str(one.get("kid", "")): _IMPORTS[kind](_public(one)) for one in fitting}
    except (ValueError, TypeError, KeyError, AttributeError, JoseError, RecursionError):
        raise InvalidInput("The key set is no JWKS", code="bad_jwks", next_call="Name a file or URL of one.") from None
    strong = {kid: key for kid, key in found.items() if not isinstance(key, RSAKey) or _bits(key) >= LEAST_RSA_BITS}
    if not strong:
        raise InvalidInput("The key set holds no key of this algorithm", code="bad_jwks", next_call="Pass --algorithm.")
    return strong


def _public(key: dict[str, Any]) -> dict[str, Any]:
    return {name: key[name] for name in ("kty", "crv", "x", "y", "n", "e", "kid") if name in key}


def _bits(key: RSAKey) -> int:
    return key.public_key.key_size


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise StoreUnavailable("The key set cannot be read", code="no_jwks", next_call="Check --jwks.") from None


def _fetched(url: str) -> bytes:
    if urlsplit(url).scheme != "https" and not is_loopback(urlsplit(url).hostname or ""):
        raise InvalidInput("A key set is fetched over https", code="bad_jwks", next_call="Check --jwks.")
    try:
        with build_opener(_Straight).open(Request(url), timeout=FETCH_SECONDS) as answer:
            raw: bytes = answer.read(LARGEST_SET + 1)
    except (OSError, ValueError):
        raise StoreUnavailable("The key set cannot be fetched", code="no_jwks", next_call="Check --jwks.") from None
    if len(raw) > LARGEST_SET:
        raise InvalidInput("The key set is too large", code="bad_jwks", next_call="Check --jwks.")
    return raw


class _Straight(HTTPRedirectHandler):
    """Follows nobody to another place: the operator named this one."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None
