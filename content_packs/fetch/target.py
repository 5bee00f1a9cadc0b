"""What a fetch is asked for, and what it tells."""

from collections.abc import Callable
from dataclasses import dataclass

from content_packs.base.hashing import blake2b_256
from content_packs.fetch.blocks import BlockMap


@dataclass(frozen=True, slots=True)
class Target:
    """What is wanted.

    Attributes:
        name: in a depot.
        length_max_bytes: more is not taken, whatever a source says.
        blocks: how to verify it, if that is known beforehand.
        read_head: else, returns it from the first bytes of the file, None while there are too few; it raises an
            error of the format for a head that is not properly signed, NotOffered for one that nobody wants.
    """

    name: str
    length_max_bytes: int
    blocks: BlockMap | None = None
    read_head: Callable[[bytes], BlockMap | None] | None = None

    @property
    def id(self) -> bytes:
        """Return a hash that stands for it."""
        return blake2b_256(self.name.encode() + b"\0" + b"".join(self.blocks.hashes if self.blocks else ()))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a fetch is, and from where it comes now; `total_bytes` is 0 while unknown."""

    done_bytes: int
    total_bytes: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pace:
    """When help is called, and when a fetch ends in vain.

    Attributes:
        recruit_ms: after this long another connection helps, if at this pace more than `recruit_left_ms` are left.
        give_up_ms: without a byte for so long, the fetch ends with the last error.
    """

    recruit_ms: int = 5_000
    recruit_left_ms: int = 20_000
    give_up_ms: int = 600_000
