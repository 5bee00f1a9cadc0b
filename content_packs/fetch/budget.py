"""How many bytes may be fetched now: so many a day, and only at certain hours, both by the time of the place."""

from collections.abc import Sequence
from dataclasses import dataclass

DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_DAY_MINUTES = 1_440


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of the day from `start` to before `end`; one that ends before it starts goes over midnight."""

    start_minutes: int
    end_minutes: int

    def has(self, minutes: int) -> bool:
        """Return whether a minute of the day is in the window."""
        if self.start_minutes <= self.end_minutes:
            return self.start_minutes <= minutes < self.end_minutes
        return not self.end_minutes <= minutes < self.start_minutes


@dataclass(slots=True)
class Budget:
    """The budget of one box; `spent_bytes` of `day` is kept by whoever made it.

    Attributes:
        day_bytes: None for no limit.
        windows: none for all day.
        offset_minutes: what the place is ahead of UTC.
        day: number of the day, in the place, that `spent_bytes` is of.
    """

    day_bytes: int | None = None
    windows: Sequence[Window] = ()
    offset_minutes: int = 0
    day: int = 0
    spent_bytes: int = 0

    def left_bytes(self, now_ms: int) -> int | None:
        """Return what may still be fetched now, None for no limit."""
        if not self._is_open(now_ms):
            return 0
        if self.day_bytes is None:
            return None
        return max(self.day_bytes - (self.spent_bytes if self._day(now_ms) == self.day else 0), 0)

    def spend(self, now_ms: int, size_bytes: int) -> None:
        """Take note of bytes that came over a line that costs."""
        day = self._day(now_ms)
        self.spent_bytes = (self.spent_bytes if day == self.day else 0) + size_bytes
        self.day = day

    def next_ms(self, now_ms: int) -> int:
        """Return when something may be fetched again: now, when a window opens, or on the next day."""
        if self.left_bytes(now_ms) != 0:
            return now_ms
        local_ms = now_ms + self.offset_minutes * _MINUTE_MS
        minute_ms = local_ms - local_ms % _MINUTE_MS - self.offset_minutes * _MINUTE_MS
        # A budget of nothing never opens; a day later is soon enough to look again.
        steps = (minute_ms + step * _MINUTE_MS for step in range(1, 2 * _DAY_MINUTES + 1))
        return next((at_ms for at_ms in steps if self.left_bytes(at_ms) != 0), now_ms + DAY_MS)

    def _is_open(self, now_ms: int) -> bool:
        local_ms = now_ms + self.offset_minutes * _MINUTE_MS
        minutes = local_ms % DAY_MS // _MINUTE_MS
        return not self.windows or any(window.has(minutes) for window in self.windows)

    def _day(self, now_ms: int) -> int:
        return (now_ms + self.offset_minutes * _MINUTE_MS) // DAY_MS


def parse_window(text: str) -> Window:
    """Return the window in a text like `22:00-06:00`.

    Raises:
        ValueError: it is none.
    """
    start, _, end = text.partition("-")
    return Window(_minutes(start), _minutes(end))


def _minutes(text: str) -> int:
    hours, _, minutes = text.strip().partition(":")
    if not (hours.isdigit() and minutes.isdigit() and int(hours) <= 24 and int(minutes) < 60):
        raise ValueError(text)
    return (int(hours) * 60 + int(minutes)) % _DAY_MINUTES
