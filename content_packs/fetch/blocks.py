"""Where a file that is fetched is cut into blocks, and what each of them has to hash to before it is kept."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlockMap:
    """The blocks of one file.

    Attributes:
        length_bytes: of the whole file.
        block_bytes: of every block but the last, which may be shorter.
        hashes: BLAKE2b-256 of each block.
        head_bytes: what lies before the first block and is verified otherwise.
    """

    length_bytes: int
    block_bytes: int
    hashes: tuple[bytes, ...]
    head_bytes: int = 0

    def __post_init__(self) -> None:
        body_bytes = self.length_bytes - self.head_bytes
        if body_bytes < 0 or self.block_bytes < 1 or len(self.hashes) != -(-body_bytes // self.block_bytes):
            raise ValueError("the hashes do not fit the length")

    def bounds(self, block: int) -> tuple[int, int]:
        """Return where a block begins and ends in the file."""
        start = self.head_bytes + block * self.block_bytes
        return start, min(start + self.block_bytes, self.length_bytes)

    def block_at(self, offset: int) -> int:
        """Return the block that holds the byte at `offset`."""
        return (offset - self.head_bytes) // self.block_bytes


def one_block(length_bytes: int, content_hash: bytes) -> BlockMap:
    """Return the map of a file of which only the hash of the whole is known."""
    return BlockMap(length_bytes, max(length_bytes, 1), (content_hash,) if length_bytes else ())
