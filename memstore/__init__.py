"""memstore: a shared memory for agents in which trust flows like a type."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memstore.config import open_store

__all__ = ["open_store"]


def __getattr__(name: str) -> Any:
    """`open_store` at its first use: `memstore --help` needs none of what it imports (PEP 562)."""
    if name != "open_store":
        raise AttributeError(name)
    from memstore.config import open_store

    return open_store
