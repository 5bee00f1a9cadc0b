"""How many bytes may cross a line that costs: so many a day and a month, at certain hours, by the time of the place."""

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_DAY_MINUTES = 1_440
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal() - _EPOCH_ORDINAL
# A month is over after 31 days at the latest.
_DAYS_AHEAD = 32


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

    def __str__(self) -> str:
        """Return it as `parse_window` reads it."""
        return f"{_clock_text(self.start_minutes)}-{_clock_text(self.end_minutes)}"


class Allowance(Protocol):
    """Who says how much may still come over a line that costs: a budget, or the line of a box with all its users."""

    def left_bytes(self, now_ms: int) -> int | None:
        """Return what may still be fetched now, None for no limit."""

    def spend(self, now_ms: int, size_bytes: int) -> None:
        """Take note of bytes that came over the line."""


@dataclass(slots=True)
class Budget:
    """What may be spent, and what was.

    Attributes:
        day_bytes: None for no limit.
        month_bytes: of a month of the calendar, None for no limit.
        windows: none for all day.
        offset_minutes: what the place is ahead of UTC.
        spent: bytes by the number of the day in the place; budgets of one line share it.
    """

    day_bytes: int | None = None
    month_bytes: int | None = None
    windows: Sequence[Window] = ()
    offset_minutes: int = 0
    spent: MutableMapping[int, int] = field(default_factory=dict)

    def left_bytes(self, now_ms: int) -> int | None:
        """Return what may still be spent now, None for no limit."""
        if not self._is_open(now_ms):
            return 0
        day = self.day(now_ms)
        left = [] if self.day_bytes is None else [self.day_bytes - self.spent.get(day, 0)]
        if self.month_bytes is not None:
            left.append(self.month_bytes - month_spent(self.spent, day))
        return max(min(left), 0) if left else None

    def spend(self, now_ms: int, size_bytes: int) -> None:
        """Take note of bytes that crossed a line that costs."""
        day = self.day(now_ms)
        self.spent[day] = self.spent.get(day, 0) + size_bytes

    def next_ms(self, now_ms: int) -> int:
        """Return when something may be spent again: now, when a window opens, on the next day or in the next month.

        A budget of nothing never opens; a day later is soon enough to look again.
        """
        if self.left_bytes(now_ms) != 0:
            return now_ms
        return next((at_ms for at_ms in self._openings(now_ms) if self.left_bytes(at_ms) != 0), now_ms + DAY_MS)

    def day(self, now_ms: int) -> int:
        """Return the number of the day in the place, counted from 1970."""
        return (now_ms + self.offset_minutes * _MINUTE_MS) // DAY_MS

    def _openings(self, now_ms: int) -> Iterator[int]:
        """Yield the moments after `now_ms` at which a budget can begin to be open: midnights and starts of windows."""
        starts = sorted({0, *(window.start_minutes for window in self.windows)})
        for day in range(self.day(now_ms), self.day(now_ms) + _DAYS_AHEAD + 1):
            for minutes in starts:
                at_ms = day * DAY_MS + (minutes - self.offset_minutes) * _MINUTE_MS
                if at_ms > now_ms:
                    yield at_ms

    def _is_open(self, now_ms: int) -> bool:
        local_ms = now_ms + self.offset_minutes * _MINUTE_MS
        minutes = local_ms % DAY_MS // _MINUTE_MS
        return not self.windows or any(window.has(minutes) for window in self.windows)


def month_of(day: int) -> tuple[int, int]:
    """Return year and month of a day; one that no calendar has is of the last month that there is."""
    found = date.fromordinal(min(max(day, 0), _LAST_DAY) + _EPOCH_ORDINAL)
    return found.year, found.month


def month_spent(spent: MutableMapping[int, int], day: int) -> int:
    """Return what was spent in the month of `day`; of the other days only those near it are looked at."""
    month, near = month_of(day), range(day - 30, day + 31)
    return sum(spent[other] for other in near if other in spent and month_of(other) == month)


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


def _clock_text(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
