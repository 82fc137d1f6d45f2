"""That an entry stands in the log: the path from its leaf to the root that the checkpoint signs (DESIGN 3.1).

Roots of full blocks of leaves never change, so a process keeps them: the first proof reads every leaf, those that
follow read one block. A proof is verified before it is given; where what was kept does not fit the log any more (a copy
that went another way), all is read again.
"""

from __future__ import annotations

from functools import lru_cache

from memstore.core.entries import Logged, leaf_of
from memstore.core.merkle import inclusion_proof, root_of, verify_inclusion
from memstore.errors import IntegrityError
from memstore.ports import Unit

BLOCK = 256  # a power of two, so that a full block is a subtree


@lru_cache(maxsize=8)
def _blocks_of(store: str) -> dict[int, bytes]:
    """The roots of the full blocks of a store, as far as they are known."""
    return {}


def inclusion(unit: Unit, logged: Logged) -> list[bytes]:
    """The hashes from the entry's leaf up to the root, lowest first; raises `IntegrityError` where they do not fit."""
    head = unit.log.head()
    known = _blocks_of(head.store)
    try:
        return _verified(unit, logged, known)
    except IntegrityError:
        known.clear()
        return _verified(unit, logged, known)


def _verified(unit: Unit, logged: Logged, known: dict[int, bytes]) -> list[bytes]:
    head, index = unit.log.head(), logged.entry.seq
    own = index // BLOCK
    full = head.size // BLOCK
    missing = [number for number in range(full) if number not in known]
    if missing:
        first = missing[0]
        leaves = unit.log.leaves(full * BLOCK, first * BLOCK)
        for number in range(first, full):
            start = (number - first) * BLOCK
            known[number] = root_of(leaves[start : start + BLOCK])
    leaves = unit.log.leaves(min(head.size, (own + 1) * BLOCK), own * BLOCK)
    roots = [known[number] for number in range(full)]
    if head.size % BLOCK:
        roots.append(root_of(leaves if own == full else unit.log.leaves(head.size, full * BLOCK)))
    proof = inclusion_proof(leaves, index - own * BLOCK) + inclusion_proof(roots, own)
    verify_inclusion(
        leaf_hash=leaf_of(logged.entry), index=index, size=head.size, proof=proof, root=head.frontier.root()
    )
    return proof
