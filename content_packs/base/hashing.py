"""BLAKE2b-256 (RFC 7693) for content, and the Merkle root over a sorted list of leaves.

A Raspberry Pi 4 has no SHA instructions, so BLAKE2b is the faster of the two there. Leaves and inner nodes are hashed
under different personalisations, so that neither can be taken for the other (RFC 9162 section 2.1.1 gives the reason).
"""

from collections.abc import Sequence

try:
    # hashlib gives the same class, but loads all of OpenSSL with it: 4 MB that work on a small machine can do without.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

__all__ = ["HASH_BYTES", "Hasher", "blake2b", "blake2b_256", "keyed_blake2b_256", "leaf_hash", "merkle_root"]

HASH_BYTES = 32
_LEAF = b"edgebox leaf"
_NODE = b"edgebox node"


class Hasher:
    """A running BLAKE2b-256 over content."""

    def __init__(self) -> None:
        self._state = blake2b(digest_size=HASH_BYTES)

    def update(self, data: bytes) -> None:
        """Take in more bytes."""
        self._state.update(data)

    def digest(self) -> bytes:
        """Return the hash of all bytes so far."""
        return self._state.digest()


def blake2b_256(data: bytes) -> bytes:
    """Return the hash of `data`, 32 bytes."""
    return blake2b(data, digest_size=HASH_BYTES).digest()


def keyed_blake2b_256(key: bytes, data: bytes) -> bytes:
    """Return 32 bytes that only a holder of `key`, of up to 64 bytes, can compute from `data`."""
    return blake2b(data, digest_size=HASH_BYTES, key=key).digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the leaf of a Merkle tree for the canonical bytes of one entry."""
    return blake2b(data, digest_size=HASH_BYTES, person=_LEAF).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes; an odd last node moves up unchanged; no leaves give the hash of nothing."""
    if not leaves:
        return blake2b(b"", digest_size=HASH_BYTES, person=_NODE).digest()
    level = list(leaves)
    while len(level) > 1:
        paired = [
            blake2b(left + right, digest_size=HASH_BYTES, person=_NODE).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        level = paired + level[len(paired) * 2 :]
    return level[0]
