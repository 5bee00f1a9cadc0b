"""The one place that reads the time of day."""

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time; tests pass their own."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970 UTC by the machine's wall clock, which may be wrong."""

    def monotonic_ms(self) -> int:
        """Return milliseconds that never go back, from an arbitrary start."""


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Return the wall clock in milliseconds UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Return the monotonic clock in milliseconds."""
        return time.monotonic_ns() // 1_000_000


def offset_minutes(now_ms: int) -> int:
    """Return by how many minutes the time of this place is ahead of UTC at that moment."""
    return time.localtime(now_ms / 1000).tm_gmtoff // 60
