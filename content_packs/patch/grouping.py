"""Which contents are compressed together, so that applying never holds more than a limit (pure).

Contents that stand beside each other in a pack resemble each other, so they share a group and all its bases. A content
too large for a group stands alone and is cut into pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """A content to be grouped: its length, a name for its base and the length of that (0: none).

    Attributes:
        is_alone: whether it stands by itself.
        parts: of those that a box may do without; it shares a group only with what is needed just when it is.
    """

    stream_bytes: int
    base: object
    base_bytes: int
    is_alone: bool = False
    parts: tuple[int, ...] = ()


def held_bytes(base_bytes: int, stream_bytes: int) -> int:
    """Return what reading a group holds: its base twice while it is taken in, then once, with the window."""
    return max(2 * base_bytes, base_bytes + stream_bytes)


def group(sizes: Sequence[Size], limit_bytes: int) -> list[int]:
    """Return the number of contents of each group, in order; those of 1 may be over the limit and need to be cut."""
    groups: list[int] = []
    bases: set[object] = set()
    base_bytes = stream_bytes = count = 0
    was_alone = False
    parts: tuple[int, ...] = ()
    for one in sizes:
        more = 0 if one.base in bases else one.base_bytes
        is_over = held_bytes(base_bytes + more, stream_bytes + one.stream_bytes) > limit_bytes
        if count and (is_over or one.is_alone or was_alone or one.parts != parts):
            groups.append(count)
            bases, base_bytes, stream_bytes, count = set(), 0, 0, 0
            more = one.base_bytes
        was_alone, parts = one.is_alone, one.parts
        bases.add(one.base)
        base_bytes, stream_bytes, count = base_bytes + more, stream_bytes + one.stream_bytes, count + 1
    return [*groups, count] if count else groups
