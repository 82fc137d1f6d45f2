"""Credentials of the HTTP server: from what a request shows to the principal that it speaks for (DESIGN 4.2).

There are three: a store token, the short JWT that a bridge signs with its principal's own key, and a JWT of the one
issuer that the operator configured. Whatever is not exactly right is refused, with a fault that is counted and never
told to the caller; nothing of a credential is in any error.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from memstore.core.keys import verify_signature
from memstore.core.policy import Principal
from memstore.core.strict_json import object_in
from memstore.errors import Denied, IntegrityError
from memstore.ports import Unit
from memstore.signing import Signer, encode
from memstore.tokens import PREFIX, digest_of_token, may_be_attested, standing_key, state_of

if TYPE_CHECKING:
    from memstore.issuers import Issuer

LONGEST = 8192  # characters of a credential
LIFE_SECONDS = 300  # of a bridge's credential
SKEW_SECONDS = 30  # how far the clock of whoever issued it may be ahead
MICROS = 1_000_000
ALGORITHM = "EdDSA"
# Header parameters that would have the verifier take a key, or a rule, from the token itself.
_FROM_WITHIN = frozenset({"crit", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "b64", "zip", "enc"})
_TYPES = frozenset({"JWT", "at+jwt", "application/at+jwt"})


class How(StrEnum):
    """What a caller showed."""

    TOKEN = "token"
    BRIDGE = "bridge"
    ISSUER = "issuer"


class Fault(StrEnum):
    """Why a credential is refused: for the operator's counts, never for the caller."""

    MISSING = "missing"
    MALFORMED = "malformed"
    HEADER = "header"
    KEY = "key"
    ISSUER_KEY = "issuer_key"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    TIMES = "times"
    PRINCIPAL = "principal"
    TOKEN = "token"


class Unauthenticated(Denied):
    """There is no valid credential."""

    code = "unauthenticated"
    next_call = "Send a store token or a bridge's credential as `Authorization: Bearer …`."

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who calls: a principal, its key that stands now, what it showed, and until when that holds (microseconds)."""

    principal: Principal
    keyid: str
    how: How
    until: int

    @property
    def name(self) -> str:
        return self.principal.name


@dataclass(frozen=True, slots=True)
class Jwt:
    """A compact JWS whose payload is an object, taken apart and not verified."""

    header: dict[str, Any]
    claims: dict[str, Any]
    message: bytes
    signature: bytes


def issue(signer: Signer, store: str, now: int) -> str:
    """The credential that a bridge shows: signed by its principal's key, for one store, for five minutes.

    `now` is in microseconds.
    """
    issued = now // MICROS
    header = {"alg": ALGORITHM, "kid": signer.keyid, "typ": "JWT"}
    claims = {"iss": signer.name, "sub": signer.name, "aud": store, "iat": issued, "exp": issued + LIFE_SECONDS}
    message = ".".join(encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{message}.{encode(signer.sign(message.encode()))}"


def verify_credential(unit: Unit, shown: str, issuer: Issuer | None = None) -> Authenticated:
    """Who shows this now; raises `Unauthenticated` for whatever is not right in every part."""
    if not shown:
        raise Unauthenticated(Fault.MISSING)
    if len(shown) > LONGEST or not shown.isascii():
        raise Unauthenticated(Fault.MALFORMED)
    if shown.startswith(PREFIX):
        return _verified_token(unit, shown)
    jwt = parse_jwt(shown)
    if issuer is not None and jwt.claims.get("iss") == issuer.url:
        return _verified_of_issuer(unit, jwt, issuer)
    return _verified_of_bridge(unit, jwt)


def _verified_token(unit: Unit, shown: str) -> Authenticated:
    digest = digest_of_token(shown)
    token = unit.tokens.found(digest)
    if token is None or state_of(unit, token) != "stands":
        raise Unauthenticated(Fault.TOKEN)
    return _of_principal(unit, token.principal, How.TOKEN, token.expires_at)


def _verified_of_bridge(unit: Unit, jwt: Jwt) -> Authenticated:
    # 1. The header: one algorithm, the key by its thumbprint, and nothing else.
    if jwt.header.get("alg") != ALGORITHM or not jwt.header.keys() <= {"alg", "kid", "typ"}:
        raise Unauthenticated(Fault.HEADER)
    _check_type(jwt)
    # 2. The key is registered and stands.
    kid = jwt.header.get("kid")
    key = unit.registry.key(kid) if isinstance(kid, str) else None
    if key is None:
        raise Unauthenticated(Fault.KEY)
    # 3. It signed this.
    try:
        verify_signature(key.public, jwt.signature, jwt.message)
    except IntegrityError:
        raise Unauthenticated(Fault.SIGNATURE) from None
    # 4. It speaks of its own principal, to this store.
    if not jwt.claims.keys() <= {"iss", "sub", "aud", "iat", "exp", "nbf", "jti"}:
        raise Unauthenticated(Fault.CLAIMS)
    named = jwt.claims.get("iss"), jwt.claims.get("sub"), jwt.claims.get("aud")
    if named != (key.principal, key.principal, unit.log.head().store):
        raise Unauthenticated(Fault.CLAIMS)
    # 5. Now, and for no longer than a bridge needs.
    until = check_times(jwt.claims, unit.wall, most=LIFE_SECONDS)
    found = _of_principal(unit, key.principal, How.BRIDGE, until)
    if found.keyid != key.keyid:
        raise Unauthenticated(Fault.KEY)
    return found


def _verified_of_issuer(unit: Unit, jwt: Jwt, issuer: Issuer) -> Authenticated:
    # 1. The header: the configured algorithm, and no key or rule of its own.
    if jwt.header.get("alg") != issuer.algorithm or not _FROM_WITHIN.isdisjoint(jwt.header):
        raise Unauthenticated(Fault.HEADER)
    _check_type(jwt)
    # 2. One of the issuer's keys signed this.
    kid = jwt.header.get("kid", "")
    key = issuer.key(kid) if isinstance(kid, str) else None
    if key is None:
        raise Unauthenticated(Fault.ISSUER_KEY)
    if not issuer.is_signed(jwt.message, jwt.signature, key):
        raise Unauthenticated(Fault.SIGNATURE)
    # 3. It is for us, of somebody, and bound to no key that the caller would have to prove (RFC 7800).
    audience, subject = jwt.claims.get("aud"), jwt.claims.get("sub")
    audiences = audience if isinstance(audience, list) else [audience]
    if issuer.audience not in audiences or not isinstance(subject, str) or not subject or "cnf" in jwt.claims:
        raise Unauthenticated(Fault.CLAIMS)
    # 4. Now.
    until = check_times(jwt.claims, unit.wall)
    # 5. Whom it names is registered here.
    name = jwt.claims.get(issuer.claim)
    if not isinstance(name, str):
        raise Unauthenticated(Fault.CLAIMS)
    return _of_principal(unit, name, How.ISSUER, until)


def _of_principal(unit: Unit, name: str, how: How, until: int) -> Authenticated:
    principal, key = unit.view.principal(name), standing_key(unit, name)
    if principal is None or key is None or not hmac.compare_digest(principal.name.encode(), name.encode()):
        raise Unauthenticated(Fault.PRINCIPAL)
    # T3: a person is who types a passphrase, not who has a string; a bridge signs with the person's own key.
    if how is not How.BRIDGE and not may_be_attested(principal):
        raise Unauthenticated(Fault.PRINCIPAL)
    return Authenticated(principal, key.keyid, how, until)


def check_times(claims: dict[str, Any], now: int, *, most: int | None = None) -> int:
    """Until when the claims hold (microseconds), by their `exp`, `iat` and `nbf`, whole seconds all of them."""
    issued, expires, begins = claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)
    if type(issued) is not int or type(expires) is not int or type(begins) is not int:
        raise Unauthenticated(Fault.TIMES)
    latest = now // MICROS + SKEW_SECONDS
    if issued > latest or begins > latest or expires * MICROS <= now or expires <= issued:
        raise Unauthenticated(Fault.TIMES)
    if most is not None and expires - issued > most:
        raise Unauthenticated(Fault.TIMES)
    return expires * MICROS


def _check_type(jwt: Jwt) -> None:
    kind = jwt.header.get("typ", "JWT")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise Unauthenticated(Fault.HEADER)


def parse_jwt(text: str) -> Jwt:
    """Three parts of base64url in their only spelling, the first two of them JSON objects without doubled names."""
    parts = text.split(".")
    if len(parts) != 3:
        raise Unauthenticated(Fault.MALFORMED)
    try:
        header, claims, signature = map(_decoded, parts)
        return Jwt(_object(header), _object(claims), text.rpartition(".")[0].encode(), signature)
    except (ValueError, RecursionError):
        raise Unauthenticated(Fault.MALFORMED) from None


def _decoded(part: str) -> bytes:
    raw = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if encode(raw) != part:  # the decoder passes over what it does not know
        raise ValueError
    return raw


def _object(raw: bytes) -> dict[str, Any]:
    found = object_in(raw.decode())
    # A lone surrogate and a number that is none can be escaped in JSON, and are told here: nothing later takes them.
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    return found
