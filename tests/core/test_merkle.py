from __future__ import annotations

from base64 import b64decode
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import load_vectors, vector_path

from memstore.core import merkle
from memstore.core.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from memstore.errors import IntegrityError, InvalidInput, MemStoreError

MAX_SIZE = 70
LEAVES = [merkle.leaf_hash(index.to_bytes(2, "big")) for index in range(MAX_SIZE)]
Shape = tuple[str, ...]


def split(size: int) -> int:
    """k of RFC 6962: the largest power of two smaller than the size."""
    k = 1
    while 2 * k < size:
        k *= 2
    return k


def root_by_definition(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + root_by_definition(leaves[:k]) + root_by_definition(leaves[k:])).digest()


def inclusion_shape(index: int, size: int) -> Shape:
    if size == 1:
        return ()
    k = split(size)
    return (*inclusion_shape(index, k), "left") if index < k else (*inclusion_shape(index - k, size - k), "right")


def consistency_shape(old: int, new: int, *, whole: bool = True) -> Shape:
    if old == new:
        return ("known",) if whole else ("given",)
    k = split(new)
    if old <= k:
        return (*consistency_shape(old, k, whole=whole), "left")
    return (*consistency_shape(old - k, new - k, whole=False), "right")


def check_inclusion(index: int, size: int, /, **changes: Any) -> bytes:
    leaves = LEAVES[:size]
    given_values = {
        "leaf_hash": leaves[index],
        "index": index,
        "size": size,
        "proof": inclusion_proof(leaves, index),
        "root": root_of(leaves),
    }
    return verify_inclusion(**{**given_values, **changes})


def check_consistency(old: int, new: int, **changes: Any) -> bytes:
    given_values = {
        "old_size": old,
        "old_root": root_of(LEAVES[:old]),
        "new_size": new,
        "new_root": root_of(LEAVES[:new]),
        "proof": consistency_proof(LEAVES[:new], old),
    }
    return verify_consistency(**{**given_values, **changes})


def refused(check: Any, *args: Any, **changes: Any) -> None:
    with pytest.raises(IntegrityError) as caught:
        check(*args, **changes)
    assert caught.value.code == "bad_proof"


def flipped(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "big") ^ 1 << bit % (8 * len(data))).to_bytes(len(data), "big")


@st.composite
def positions(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(st.integers(1, MAX_SIZE))
    return draw(st.integers(0, size - 1)), size


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, int]:
    new = draw(st.integers(1, MAX_SIZE))
    return draw(st.integers(1, new)), new


def test_the_hashes_are_those_of_rfc_6962() -> None:
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.node_hash(b"a", b"b") == sha256(b"\x01ab").digest()


def test_an_entry_that_looks_like_a_node_is_not_taken_for_one() -> None:
    left, right = LEAVES[:2]
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)


def test_the_frontier_gives_the_root_of_every_size_as_the_definition_does() -> None:
    frontier = Frontier()
    for size in range(MAX_SIZE + 1):
        assert frontier.size == size
        assert frontier.root() == root_of(LEAVES[:size]) == root_by_definition(LEAVES[:size])
        if size < MAX_SIZE:
            frontier = frontier.append(LEAVES[size])


def test_appending_leaves_the_earlier_frontier_as_it_was() -> None:
    three = Frontier().append(LEAVES[0]).append(LEAVES[1]).append(LEAVES[2])
    before = three.root()
    three.append(LEAVES[3])
    assert (three.size, three.root()) == (3, before)


@pytest.mark.parametrize(
    ("size", "roots"),
    [
        (-1, ()),
        (-1, (LEAVES[0],)),
        (0, (LEAVES[0],)),
        (1, ()),
        (2, (LEAVES[0], LEAVES[1])),
        (1, (LEAVES[0][:31],)),
        (1, (b"",)),
    ],
)
def test_a_stored_frontier_that_no_tree_has_is_refused(size: int, roots: tuple[bytes, ...]) -> None:
    with pytest.raises(IntegrityError) as caught:
        Frontier(size, roots)
    assert caught.value.code == "bad_frontier"


@pytest.mark.parametrize("size", [0, 1])
def test_what_is_not_a_hash_cannot_be_appended(size: int) -> None:
    frontier = Frontier(size, tuple(LEAVES[:size]))
    with pytest.raises(IntegrityError):
        frontier.append(b"an entry, not its hash")


def test_every_inclusion_proof_verifies() -> None:
    for size in range(1, MAX_SIZE + 1):
        for index in range(size):
            assert check_inclusion(index, size) == root_of(LEAVES[:size])


def test_every_consistency_proof_verifies() -> None:
    for new in range(1, MAX_SIZE + 1):
        for old in range(1, new + 1):
            assert check_consistency(old, new) == root_of(LEAVES[:new])


@given(positions(), st.integers(0, 255), st.data())
def test_an_inclusion_proof_with_any_bit_flipped_fails(
    position: tuple[int, int], bit: int, data: st.DataObject
) -> None:
    index, size = position
    leaves = LEAVES[:size]
    refused(check_inclusion, index, size, leaf_hash=flipped(leaves[index], bit))
    refused(check_inclusion, index, size, root=flipped(root_of(leaves), bit))
    proof = inclusion_proof(leaves, index)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        refused(check_inclusion, index, size, proof=[*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]])


@given(histories(), st.integers(0, 255), st.data())
def test_a_consistency_proof_with_any_bit_flipped_fails(
    history: tuple[int, int], bit: int, data: st.DataObject
) -> None:
    old, new = history
    refused(check_consistency, old, new, old_root=flipped(root_of(LEAVES[:old]), bit))
    refused(check_consistency, old, new, new_root=flipped(root_of(LEAVES[:new]), bit))
    proof = consistency_proof(LEAVES[:new], old)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        refused(check_consistency, old, new, proof=[*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]])


@given(positions())
def test_an_inclusion_proof_too_long_or_too_short_fails(position: tuple[int, int]) -> None:
    index, size = position
    proof = inclusion_proof(LEAVES[:size], index)
    refused(check_inclusion, index, size, proof=[*proof, LEAVES[0]])
    refused(check_inclusion, index, size, proof=[LEAVES[0], *proof])
    if proof:
        refused(check_inclusion, index, size, proof=proof[1:])
        refused(check_inclusion, index, size, proof=proof[:-1])


@given(histories())
def test_a_consistency_proof_too_long_or_too_short_fails(history: tuple[int, int]) -> None:
    old, new = history
    proof = consistency_proof(LEAVES[:new], old)
    refused(check_consistency, old, new, proof=[*proof, LEAVES[0]])
    refused(check_consistency, old, new, proof=[LEAVES[0], *proof])
    if proof:
        refused(check_consistency, old, new, proof=proof[1:])
        refused(check_consistency, old, new, proof=proof[:-1])


@given(positions(), positions())
def test_an_inclusion_proof_fits_another_index_or_size_only_where_the_path_is_the_same(
    position: tuple[int, int], claimed: tuple[int, int]
) -> None:
    # RFC 9162 binds the size by the signed tree head, not by the proof; the shapes are from the definition.
    if inclusion_shape(*position) == inclusion_shape(*claimed):
        check_inclusion(*position, index=claimed[0], size=claimed[1])
    else:
        refused(check_inclusion, *position, index=claimed[0], size=claimed[1])


@given(positions(), st.integers(-2, MAX_SIZE + 2))
def test_an_inclusion_proof_never_fits_another_index_of_the_same_tree(position: tuple[int, int], index: int) -> None:
    if index != position[0]:
        refused(check_inclusion, *position, index=index)


@given(histories(), histories())
def test_a_consistency_proof_fits_other_sizes_only_where_the_paths_are_the_same(
    history: tuple[int, int], claimed: tuple[int, int]
) -> None:
    if consistency_shape(*history) == consistency_shape(*claimed):
        check_consistency(*history, old_size=claimed[0], new_size=claimed[1])
    else:
        refused(check_consistency, *history, old_size=claimed[0], new_size=claimed[1])


@given(histories(), st.integers(0, MAX_SIZE))
def test_a_log_in_which_an_old_entry_was_changed_is_not_consistent(history: tuple[int, int], at: int) -> None:
    old, new = history
    forged = list(LEAVES[:new])
    forged[at % old] = merkle.leaf_hash(b"rewritten")
    refused(check_consistency, old, new, new_root=root_of(forged), proof=consistency_proof(forged, old))


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (-1, 5), (6, 5)])
def test_consistency_with_the_empty_or_a_larger_tree_is_refused(old: int, new: int) -> None:
    refused(check_consistency, 1, 5, old_size=old, new_size=new)


def test_a_tree_that_grew_is_not_shown_as_one_that_shrank() -> None:
    # Without a check of the sizes the steps of RFC 9162 accept this.
    left, right = LEAVES[:2]
    forged = {"old_root": left, "new_root": merkle.node_hash(left, right), "proof": [left, right]}
    refused(verify_consistency, old_size=3, new_size=2, **forged)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_what_is_not_32_bytes_is_no_hash(length: int) -> None:
    off = bytes(length)
    refused(check_inclusion, 0, 1, leaf_hash=off, root=off)
    refused(check_inclusion, 0, 2, proof=[off], root=merkle.node_hash(LEAVES[0], off))
    refused(check_consistency, 1, 1, old_root=off, new_root=off)
    refused(check_consistency, 1, 2, proof=[off], new_root=merkle.node_hash(LEAVES[0], off))


@pytest.mark.parametrize("index", [-1, 5])
def test_a_proof_is_not_made_for_an_entry_that_is_not_there(index: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        inclusion_proof(LEAVES[:5], index)
    assert caught.value.code == "bad_index"


@pytest.mark.parametrize("old_size", [-1, 0, 6])
def test_a_proof_is_not_made_from_a_tree_that_was_not(old_size: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        consistency_proof(LEAVES[:5], old_size)
    assert caught.value.code == "bad_index"


def decoded_proof(case: dict[str, Any]) -> list[bytes]:
    return [b64decode(each) for each in case["proof"] or []]


def run_inclusion(case: dict[str, Any]) -> None:
    verify_inclusion(
        leaf_hash=b64decode(case["leafHash"]),
        index=case["leafIdx"],
        size=case["treeSize"],
        proof=decoded_proof(case),
        root=b64decode(case["root"]),
    )


def run_consistency(case: dict[str, Any]) -> None:
    verify_consistency(
        old_size=case["size1"],
        old_root=b64decode(case["root1"]),
        new_size=case["size2"],
        new_root=b64decode(case["root2"]),
        proof=decoded_proof(case),
    )


@pytest.mark.parametrize(
    ("kind", "run", "other_than_stated"),
    [
        ("inclusion", run_inclusion, set()),
        # Its roots are 12 bytes, which are no SHA-256 hashes.
        ("consistency", run_consistency, {"additional/sizes-are-equal-one-and-proof-is-empty.json"}),
    ],
)
def test_the_98_published_vectors_of_each_kind_hold(kind: str, run: Any, other_than_stated: set[str]) -> None:
    folder = vector_path("merkle", kind)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.json"))
    assert len(names) == 98
    differing = set()
    for name in names:
        case = load_vectors("merkle", kind, *name.split("/"))
        try:
            run(case)
            accepted = True
        except MemStoreError:
            accepted = False
        if accepted == case["wantErr"]:
            differing.add(name)
    assert differing == other_than_stated
