"""Repair of times that a box told while its clock was wrong. See docs/bundle-format.md, "Boots".

Pages take their time from the box, so one clock tells the times of everything that is done on them, on whatever tablet.
What a box tells only ever goes on within a boot, and the next boot begins later than the one before ended: so the time
itself says in which boot it was told.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

EARLIEST_MS, LATEST_MS = -(1 << 62), 1 << 62  # before and after whatever a clock tells


@dataclass(frozen=True, slots=True)
class Repaired:
    """The times of a statement, and whether either is another than the one it was stored with."""

    timestamp_ms: int
    stored_ms: int
    is_repaired: bool


class Timeline:
    """The boots of one box by the time at which they began, with what is to be added to the times told in them."""

    def __init__(self, boots: Iterable[tuple[int, int]]) -> None:
        """Take (start_ms, offset_ms) of every boot, in any order."""
        ordered = sorted(boots)
        self._starts = [start_ms for start_ms, _offset_ms in ordered]
        self._offsets = [offset_ms for _start_ms, offset_ms in ordered]

    def offset_at(self, told_ms: int) -> int:
        """Return what is to be added to a time that the box told."""
        place = bisect_right(self._starts, told_ms) - 1
        return self._offsets[place] if place >= 0 else 0

    def find_told(self, since_ms: int | None, until_ms: int | None) -> list[tuple[int, int]]:
        """Return the ranges of told times, in order, that are repaired to after `since_ms` and not after `until_ms`.

        Each is the first and the last time that is in it; None does not restrict.
        """
        found: list[tuple[int, int]] = []
        offsets = [0, *self._offsets]
        for (start, end), offset in zip(pairwise([EARLIEST_MS, *self._starts, LATEST_MS]), offsets, strict=True):
            first = start if since_ms is None else max(start, since_ms + 1 - offset)
            last = end - 1 if until_ms is None else min(end - 1, until_ms - offset)
            if first <= last and found and found[-1][1] + 1 == first:
                found[-1] = found[-1][0], last
            elif first <= last:
                found.append((first, last))
        return found

    def repair(self, timestamp_ms: int, stored_ms: int, *, is_own_page: bool) -> Repaired:
        """Return the times of a statement as they were; what another clock told stays as it is.

        That is the time an outside client gave, and one later than the moment of storing, told by the box in a boot
        when its clock was further on. Nothing is done after it is stored, so no time on a page stays later than that.
        """
        stored = stored_ms + self.offset_at(stored_ms)
        is_told = timestamp_ms <= stored_ms and (is_own_page or timestamp_ms == stored_ms)
        moved = timestamp_ms + self.offset_at(timestamp_ms) if is_told else timestamp_ms
        timestamp = min(moved, stored) if is_own_page else moved
        return Repaired(timestamp, stored, (timestamp, stored) != (timestamp_ms, stored_ms))
