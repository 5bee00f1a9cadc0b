"""Where a content is the same as its base, or like it (pure): so that long parts can be copied, others compared.

Searches with short probes near the place where the last part was found, because most edits move what follows by a
little; only now and then everywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

_PROBE_BYTES: Final = 48
_PROBES: Final = 12
_NEAR_BYTES: Final = 64 * 1024
_SLACK_BYTES: Final = 32 * 1024
_STRIDE_BYTES, _STRIDE_MAX_BYTES = 64, 16 * 1024
_EVERYWHERE_EACH: Final = 256
_PROBES_MAX: Final = 100_000
_COMPARED_BYTES: Final = 1024**2


class Bytes(Protocol):
    """What can be searched and cut: bytes or a mapped file."""

    def __len__(self) -> int:
        """Return the length."""

    def __getitem__(self, part: slice, /) -> bytes:
        """Return a part."""

    def find(self, sub: bytes, start: int = ..., end: int = ..., /) -> int:
        """Return where `sub` begins, or -1."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `start` to `end` of a content, and `length` bytes at `offset` of its base that are the same or alike."""

    start: int
    end: int
    offset: int
    length: int
    is_same: bool = False


def parts(base: Bytes, content: Bytes, limit_bytes: int, copied_min_bytes: int | None = None) -> Iterator[Part]:
    """Yield parts that make up `content`: copies of at least `copied_min_bytes` (nothing: none), and between them parts
    that, with what they are like, stay below `limit_bytes`.
    """
    at, base_at = 0, 0
    for run in same_runs(base, content, copied_min_bytes) if copied_min_bytes else ():
        yield from _between(base, content, Part(at, run.start, base_at, run.offset - base_at), limit_bytes)
        yield run
        at, base_at = run.end, run.offset + run.length
    yield from _between(base, content, Part(at, len(content), base_at, len(base) - base_at), limit_bytes)


def same_runs(base: Bytes, content: Bytes, least_bytes: int) -> Iterator[Part]:
    """Yield the parts of `content`, in order, that stand in `base` as they are and have at least `least_bytes`."""
    at = shift = 0
    probes_left = _PROBES_MAX
    while at < len(content):
        length = _same_length(base, at + shift, content, at)
        if length >= least_bytes:
            yield Part(at, at + length, at + shift, length, is_same=True)
        at += length
        found, probes = _next_same(base, content, at, shift, probes_left)
        probes_left -= probes
        if found is None or probes_left <= 0:
            return
        at, shift = found


def _next_same(base: Bytes, content: Bytes, at: int, shift: int, probes: int) -> tuple[tuple[int, int] | None, int]:
    """Return where the content is found in the base again, and how far it has moved; and how many probes it took."""
    stride, place = _STRIDE_BYTES, at
    for count in range(1, probes + 1):
        if place + _PROBE_BYTES > len(content):
            return None, count
        probe = content[place : place + _PROBE_BYTES]
        near = max(place + shift - _NEAR_BYTES, 0)
        found = base.find(probe, near, near + 2 * _NEAR_BYTES + _PROBE_BYTES)
        if found < 0 and count % _EVERYWHERE_EACH == 0:
            found = base.find(probe)
        if found >= 0:
            back = _same_before(base, found, content, place, at)
            return (place - back, found - place), count
        place += stride
        stride = min(stride + stride // _STRIDE_BYTES, _STRIDE_MAX_BYTES)
    return None, probes


def _same_length(base: Bytes, base_at: int, content: Bytes, at: int) -> int:
    """Return how many bytes are the same from there on."""
    if not 0 <= base_at < len(base):
        return 0
    most = min(len(base) - base_at, len(content) - at)
    done = 0
    while done < most:
        step = min(_COMPARED_BYTES, most - done)
        left, right = base[base_at + done : base_at + done + step], content[at + done : at + done + step]
        if left != right:
            return done + _first_difference(left, right)
        done += step
    return done


def _same_before(base: Bytes, base_at: int, content: Bytes, at: int, first: int) -> int:
    """Return how many bytes before those places are the same, without going below `first`."""
    most = min(base_at, at - first)
    left, right = base[base_at - most : base_at], content[at - most : at]
    return _first_difference(left[::-1], right[::-1])


def _first_difference(left: bytes, right: bytes) -> int:
    """Return how many bytes two texts of one length have in common at the beginning."""
    low, high = 0, len(left)
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _between(base: Bytes, content: Bytes, part: Part, limit_bytes: int) -> Iterator[Part]:
    """Yield parts for what lies between two copies, from the base between them as far as that fits."""
    if part.start == part.end:
        return
    content_bytes = part.end - part.start
    if part.length >= content_bytes // 2 and max(2 * part.length, part.length + content_bytes) <= limit_bytes:
        yield part
        return
    step_bytes = max(limit_bytes // 2, 1)
    shift = part.offset - part.start
    for start in range(part.start, part.end, step_bytes):
        end = min(start + step_bytes, part.end)
        shift = _shift(base, content, start, end, shift)
        spare_bytes = (step_bytes - (end - start)) // 2 + _SLACK_BYTES
        offset = min(max(start + shift - spare_bytes, 0), len(base))
        yield Part(start, end, offset, min(step_bytes, len(base) - offset))


def _shift(base: Bytes, content: Bytes, start: int, end: int, before: int) -> int:
    """Return how far the content from `start` on has moved; looks where the last part was first, then everywhere."""
    if not len(base):
        return 0
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
