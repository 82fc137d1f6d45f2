"""memstore: a shared memory for agents in which trust flows like a type."""

from memstore.config import open_store

__all__ = ["open_store"]
