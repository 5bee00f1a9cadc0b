"""Which contents are compressed together, so that applying never holds more than a limit (pure).

Contents that stand beside each other in a pack resemble each other, so they share a group and all its bases. A content
too large for a group is cut into pieces, each made from the part of its base it resembles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

_PROBE_BYTES: Final = 48
_PROBES: Final = 12
_SLACK_BYTES: Final = 32 * 1024


class Bytes(Protocol):
    """What can be searched and cut: bytes or a mapped file."""

    def __len__(self) -> int:
        """Return the length."""

    def __getitem__(self, part: slice, /) -> bytes:
        """Return a part."""

    def find(self, sub: bytes, start: int = ..., end: int = ..., /) -> int:
        """Return where `sub` begins, or -1."""


@dataclass(frozen=True, slots=True)
class Size:
    """A content to be grouped: its length, a name for its base, and the length of that, 0 for no base."""

    stream_bytes: int
    base: object
    base_bytes: int


def held_bytes(base_bytes: int, stream_bytes: int) -> int:
    """Return what reading a group holds: its base twice while it is taken in, then once, with the window."""
    return max(2 * base_bytes, base_bytes + stream_bytes)


def group(sizes: Sequence[Size], limit_bytes: int) -> list[int]:
    """Return the number of contents of each group, in order; those of 1 may be over the limit and need to be cut."""
    groups: list[int] = []
    bases: set[object] = set()
    base_bytes = stream_bytes = count = 0
    for one in sizes:
        more = 0 if one.base in bases else one.base_bytes
        if count and held_bytes(base_bytes + more, stream_bytes + one.stream_bytes) > limit_bytes:
            groups.append(count)
            bases, base_bytes, stream_bytes, count = set(), 0, 0, 0
            more = one.base_bytes
        bases.add(one.base)
        base_bytes, stream_bytes, count = base_bytes + more, stream_bytes + one.stream_bytes, count + 1
    return [*groups, count] if count else groups


def cut(base: Bytes, content: Bytes, limit_bytes: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield start and end of each piece of `content`, and offset and length of the part of `base` it is like."""
    step_bytes = max(limit_bytes // 2, 1)
    shift = 0
    for start in range(0, len(content), step_bytes):
        end = min(start + step_bytes, len(content))
        if len(base) == 0:
            yield start, end, 0, 0
            continue
        shift = _shift(base, content, start, end, shift)
        offset = min(max(start + shift - _SLACK_BYTES, 0), len(base))
        yield start, end, offset, min(step_bytes, len(base) - offset)


def _shift(base: Bytes, content: Bytes, start: int, end: int, before: int) -> int:
    """Return how far the content from `start` on has moved; looks where the last piece was first, then everywhere."""
    stride = max((end - start) // _PROBES, 1)
    for at in range(start, end, stride):
        probe = content[at : at + _PROBE_BYTES]
        if len(set(probe)) < _PROBE_BYTES // 4:
            continue
        guess = max(at + before - _SLACK_BYTES, 0)
        found = base.find(probe, guess, guess + 2 * _SLACK_BYTES + _PROBE_BYTES)
        found = base.find(probe) if found < 0 else found
        if found >= 0:
            return found - at
    return before
