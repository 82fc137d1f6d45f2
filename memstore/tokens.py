"""Store tokens: what an agent without a key of its own shows to the server (DESIGN 4.2).

A token is random, is told once, and only its SHA-256 is kept; it is made and revoked by the operator, ends by itself,
and falls for good when a key of its principal is compromised. People and the operator have none (T3).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import b32encode
from typing import Any

from memstore.admin import House
from memstore.core.policy import KeyState, Principal
from memstore.core.statements import Role
from memstore.errors import Denied, InvalidInput, NotFound
from memstore.ports import Store, Unit
from memstore.render import timestamp
from memstore.signing import encode
from memstore.token_ports import Token

PREFIX = "mst_"
SECRET_BYTES = 32
MICROS = 1_000_000
TTL = "30d"
MOST_SECONDS = 366 * 24 * 3600
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def seconds_of(ttl: str) -> int:
    """`30d`, `12h`, `90m` or `600s` in seconds."""
    told = re.fullmatch(r"([0-9]{1,9})([smhd])", ttl)
    seconds = int(told[1]) * _UNITS[told[2]] if told else 0
    if not 1 <= seconds <= MOST_SECONDS:
        raise InvalidInput(
            "`ttl` is no time of up to a year", code="out_of_range", next_call="Pass a number with s, m, h or d: 30d."
        )
    return seconds


def make(house: House, name: str, *, ttl: str = TTL) -> dict[str, Any]:
    """A fresh token of an agent, checker or tool: {token, id, expires_at}; nothing can show it again."""
    seconds = seconds_of(ttl)
    operator = house.operator()
    text = PREFIX + encode(secrets.token_bytes(SECRET_BYTES))
    with house.store.write() as unit:
        principal = unit.view.principal(name)
        if principal is None:
            raise NotFound("There is no such principal", code="unknown_principal", next_call="`agent list` shows them.")
        if not may_be_attested(principal):
            raise Denied("People and operators act with their own key", next_call="Connect by `memstore mcp --url`.")
        if standing_key(unit, principal.name) is None or standing_key(unit, operator.name) is None:
            raise Denied(
                "A key does not stand", code="key_revoked", next_call="`memstore agent rekey` gives a new one."
            )
        made = Token(
            id="t-" + b32encode(secrets.token_bytes(10)).decode().lower(),
            principal=principal.name,
            position=unit.log.head().size,
            created_at=unit.now,
            expires_at=unit.now + seconds * MICROS,
        )
        unit.tokens.put(made, digest_of_token(text))
    return {"token": text, "id": made.id, "expires_at": timestamp(made.expires_at)}


def listed(store: Store) -> list[dict[str, Any]]:
    """All tokens, oldest first, with what became of each."""
    with store.read() as unit:
        return [
            {
                "id": token.id,
                "principal": token.principal,
                "created_at": timestamp(token.created_at),
                "expires_at": timestamp(token.expires_at),
                "state": fate_of(unit, token),
            }
            for token in unit.tokens.listed()
        ]


def revoke(house: House, token: str) -> dict[str, Any]:
    """Revoke a token by its id: the next call that shows it is refused."""
    house.operator()
    with house.store.write() as unit:
        if not unit.tokens.revoke(token, unit.now):
            raise NotFound("There is no such token", code="unknown_id", next_call="`memstore token list` lists them.")
    return {"id": token, "status": "revoked"}


def digest_of_token(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def state_of(unit: Unit, token: Token) -> str:
    """`stands`, `expired`, `revoked`, or `fallen`: a key of its principal was compromised since it was made."""
    if token.revoked_at is not None:
        return "revoked"
    if unit.now >= token.expires_at:
        return "expired"
    keys = unit.registry.keys_of(token.principal)
    stolen = [key for key in keys if key.compromised is not None]
    # Whoever had the key may have the token too; a compromised key is in use until another takes its place.
    fell = any(key.retired is None or key.retired >= token.position for key in stolen)
    return "fallen" if fell else "stands"


def fate_of(unit: Unit, token: Token) -> str:
    """`state_of`, or `no_key` where its principal has no key that stands, so that it is of no use."""
    return state_of(unit, token) if standing_key(unit, token.principal) else "no_key"


def may_be_attested(principal: Principal) -> bool:
    """Whether a server may act for it without its key: people and operators sign for themselves (T3)."""
    return principal.role not in (Role.HUMAN, Role.OPERATOR)


def standing_key(unit: Unit, name: str) -> KeyState | None:
    """The key of a principal that stands now, the newest where there are several."""
    size = unit.log.head().size
    standing = [key for key in unit.registry.keys_of(name) if key.retired is None and key.stands_at(size)]
    return standing[-1] if standing else None
