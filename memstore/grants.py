"""Fresh contexts, given and taken: a launch that needs one takes one up, once (DESIGN T3).

A grant is a signed statement, no wider than its giver in any field, and revocable. It is the launch that it opens: a
context named after it, so that it cannot be taken up twice and every record written in it is bounded by it.
"""

from __future__ import annotations

from typing import Any

from memstore.core.epochs import launch_at
from memstore.core.policy import Principal
from memstore.core.reviews import GRANTED, grant_of, stands
from memstore.core.state import GrantState
from memstore.core.statements import Granted, GrantRevoked
from memstore.errors import Denied, InvalidInput, NotFound
from memstore.ports import Store, Unit
from memstore.render import timestamp
from memstore.serving import Caller, ensure_context
from memstore.signing import StoreKey
from memstore.write import Author, append

MICROS = 1_000_000
MOST_SECONDS = 366 * 24 * 3600


def give(
    store: Store,
    key: StoreKey,
    giver: Author,
    name: str,
    *,
    scopes: tuple[str, ...] = (),
    ceiling: str = "",
    ttl_seconds: int = 24 * 3600,
    depth: int = 0,
) -> dict[str, Any]:
    """Give `name` one fresh context; what is left out is what the grantee may have and the giver may give."""
    if not 1 <= ttl_seconds <= MOST_SECONDS:
        raise InvalidInput("`ttl` is out of range", code="out_of_range", next_call="Pass 1 second to a year.")
    with store.write() as unit:
        taker = unit.view.principal(name)
        if taker is not None and not set(scopes) <= set(taker.scopes):
            # Only a handoff leads to who works elsewhere; a context is opened in a scope of its own.
            raise Denied("There is no such principal in that scope", next_call="See `agent list`.")
        return give_in(unit, key, giver, name, scopes=scopes, ceiling=ceiling, ttl_seconds=ttl_seconds, depth=depth)


def give_in(
    unit: Unit,
    key: StoreKey,
    giver: Author,
    name: str,
    *,
    scopes: tuple[str, ...],
    ceiling: str,
    ttl_seconds: int,
    depth: int,
) -> dict[str, Any]:
    """`give` inside a transaction of the caller's."""
    taker = unit.view.principal(name)
    if taker is None:
        raise NotFound("There is no such principal", code="unknown_principal", next_call="See `agent list`.")
    own = grant_of(giver.launch, unit.view)
    fields: dict[str, Any] = {
        "principal": name,
        "scopes": list(scopes) or _scopes_of(taker, own),
        "ceiling": ceiling or _ceiling_of(unit, giver, taker, own),
        "expires_at": unit.now + ttl_seconds * MICROS,
        "depth": depth,
        "under": own.id if own else "",
    }
    if own is not None and not ceiling:
        fields["expires_at"] = min(fields["expires_at"], own.expires_at)
    written = append(unit, key, giver, Granted, fields)
    told = {name: fields[name] for name in ("principal", "scopes", "ceiling", "depth")}
    return {"grant": written.id, **told, "expires_at": timestamp(fields["expires_at"])}


def _scopes_of(taker: Principal, own: GrantState | None) -> list[str]:
    return [scope for scope in taker.scopes if own is None or scope in own.scopes]


def _ceiling_of(unit: Unit, giver: Author, taker: Principal, own: GrantState | None) -> str:
    found = unit.view.principal(giver.name)
    ceilings = [taker.ceiling, *([found.ceiling] if found else []), *([own.ceiling] if own else [])]
    return str(min(ceilings))


def revoke(store: Store, key: StoreKey, author: Author, grant: str) -> dict[str, Any]:
    """Revoke a grant, and with it all that were given under it; what was written under it stands."""
    with store.write() as unit:
        if unit.view.grant(grant) is None:
            raise NotFound("There is no such grant", code="unknown_id", next_call="`agent grants` lists them.")
        append(unit, key, author, GrantRevoked, {"grant": grant})
    return {"grant": grant, "status": "revoked"}


def listed(store: Store, principal: str = "") -> list[dict[str, Any]]:
    """All grants, with what became of each: open, taken, expired or revoked."""
    with store.read() as unit:
        return [
            {
                "grant": grant.id,
                "principal": grant.principal,
                "giver": grant.giver,
                "scopes": list(grant.scopes),
                "ceiling": str(grant.ceiling),
                "depth": grant.depth,
                "expires_at": timestamp(grant.expires_at),
                "state": _state(unit, grant, taken=taken),
            }
            for grant, taken in unit.reviews.grants(principal)
        ]


def _state(unit: Unit, grant: GrantState, *, taken: bool) -> str:
    if not stands(grant, unit.view, unit.now):
        return "expired" if unit.now >= grant.expires_at else "revoked"
    return "taken" if taken else "open"


def take(store: Store, author: Author, principal: Principal, scope: str) -> str:
    """The launch of the oldest grant that waits for this principal in this scope, taken up for good."""
    with store.write() as unit:
        for grant, taken in unit.reviews.grants(principal.name):
            if taken or scope not in grant.scopes or not stands(grant, unit.view, unit.now):
                continue
            launch = launch_at(GRANTED + grant.id, unit.log.head().epoch)
            ensure_context(unit, Caller(Author(author.signer, launch), principal, scope))
            return launch
    raise Denied(
        "This launch needs a fresh context, and none was given",
        code="no_grant",
        next_call="A person, the operator or a lead above gives one: memstore agent grant NAME.",
    )
