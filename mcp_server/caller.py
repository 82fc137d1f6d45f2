"""From a transport to the store as its caller may use it (DESIGN 4.2): who calls is never an argument of a call.

Over stdio the caller is the principal whose key was named when the process was launched, and the launch is one context
(T3): whatever shares the process shares its mark.
"""

from __future__ import annotations

from pathlib import Path

from memstore.config import open_store
from memstore.service import MemStore


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
