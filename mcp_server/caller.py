"""From a transport to the store as its caller may use it (DESIGN 4.2): who calls is never an argument of a call.

Over stdio the caller is the principal whose key was named when the process was launched, and the launch is one context
(T3): whatever shares the process shares its mark. Over HTTP it is whom the request's credential names; all that a
principal does there is one continuing context in each scope, and the store attests its acts.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from memstore.config import Engine, granted, open_store
from memstore.core.epochs import launch_at
from memstore.core.policy import Principal
from memstore.core.reviews import acts_by_grant
from memstore.credentials import Authenticated
from memstore.errors import InternalError
from memstore.ports import Unit
from memstore.service import MemStore
from memstore.signing import Signer
from memstore.write import Author

MOST_CALLERS = 1024

# Set for each request before it reaches a tool, and copied with its context to the tool's thread.
calling: ContextVar[Authenticated] = ContextVar("calling")


def of_stdio(
    *,
    agent: str,
    store: str | Path | None = None,
    scope: str = "",
    require_grant: bool = False,
    lockdown: bool = False,
) -> MemStore:
    """The store as `agent` in a context of its own; raises `MemStoreError` where it cannot be opened."""
    return open_store(store, agent=agent, scope=scope, require_grant=require_grant, lockdown=lockdown)


@dataclass(frozen=True, slots=True)
class _Member:
    """A caller's store, the key of the caller that its acts name, and the grant that it was opened by, if any."""

    store: MemStore
    keyid: str
    grant: str = ""


class Callers:
    """The store as each caller over HTTP uses it: one light `MemStore` a principal, over one engine."""

    def __init__(self, engine: Engine, *, require_grant: bool = False, lockdown: bool = False) -> None:
        self._engine = engine
        self._require_grant = require_grant
        self._lockdown = lockdown
        self._members: OrderedDict[str, _Member] = OrderedDict()
        self._lock = threading.Lock()
        self._making = threading.Lock()

    def current(self) -> MemStore:
        """The store of whoever makes the request that this runs in."""
        caller = calling.get(None)
        if caller is None:
            raise InternalError("A call came without a caller")
        return self.of(caller)

    def of(self, caller: Authenticated) -> MemStore:
        """The store of a caller: made at its first call, and anew when its key has changed."""
        member = self._known(caller)
        if member is None:
            with self._making:  # two first calls at once would else take up two grants
                member = self._known(caller) or self._made(caller)
                with self._lock:
                    self._members[caller.name] = member
                    if len(self._members) > MOST_CALLERS:
                        self._members.popitem(last=False)
        return member.store

    def _known(self, caller: Authenticated) -> _Member | None:
        with self._lock:
            member = self._members.get(caller.name)
            if member is not None:
                self._members.move_to_end(caller.name)
        good = member is not None and member.keyid == caller.keyid and self._stands(member, caller)
        return member if good else None

    def _made(self, caller: Authenticated) -> _Member:
        house = self._engine.house
        signer = Signer(caller.name, house.key.signer.private, attests_for=caller.keyid)
        if self._require_grant:
            launch = granted(house, Author(signer, ""), "")
            store = self._engine.as_seen_by(signer, launch_of=lambda unit, scope: launch, lockdown=self._lockdown)
            return _Member(store, caller.keyid, launch)

        def continued(unit: Unit, scope: str) -> str:
            return launch_of(caller.name, scope, unit.registry.epoch(caller.name, scope))

        scope = self._scope_of(caller.principal)
        store = self._engine.as_seen_by(signer, scope=scope, launch_of=continued, lockdown=self._lockdown)
        return _Member(store, caller.keyid)

    def _stands(self, member: _Member, caller: Authenticated) -> bool:
        """Whether the context goes on; one that was granted does while its grant stands, and then another is taken."""
        if not member.grant:
            return True
        with self._engine.house.store.read() as unit:
            return acts_by_grant(member.grant, caller.name, "", unit.view, unit.now)

    def _scope_of(self, principal: Principal) -> str:
        """The scope of the newest session that the principal runs over HTTP; "" is its first, where it runs none."""
        running = []
        with self._engine.house.store.read() as unit:
            for scope in principal.scopes:
                launch = launch_of(principal.name, scope, unit.registry.epoch(principal.name, scope))
                launch = launch_at(launch, unit.log.head().epoch)
                found = unit.records.sessions(scope, launch=launch, most=1)
                running += [one for one in found if not one.ended]
        return max(running, key=lambda one: one.started_at).scope if running else ""


def launch_of(name: str, scope: str, epoch: int) -> str:
    """The one context of all that a principal does over HTTP in a scope, until it is given a fresh one (T3)."""
    return f"http/{name}/{scope}/{epoch}"
