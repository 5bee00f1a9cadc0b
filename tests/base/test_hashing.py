"""The Merkle root names a list of leaves and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from content_packs.base.hashing import HASH_BYTES, Hasher, blake2b_256, leaf_hash, merkle_root

leaves = st.lists(st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES), max_size=20)


@given(leaves, leaves)
def test_different_lists_have_different_roots(left: list[bytes], right: list[bytes]) -> None:
    assert (merkle_root(left) == merkle_root(right)) == (left == right)


def test_a_leaf_is_never_an_inner_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != merkle_root([left, right])


def test_streaming_gives_the_same_hash() -> None:
    hasher = Hasher()
    hasher.update(b"frac")
    hasher.update(b"tions")
    assert hasher.digest() == blake2b_256(b"fractions")
