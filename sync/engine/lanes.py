"""Which lane may use the line now, for how many bytes, and at what price; time and what was spent are arguments.

Priority is strict: as long as a lane has something to send, no lane behind it goes on after its slice. That starves
nobody by itself, because the first lanes are small: a school day is about 70 kB, and a budget keeps a tenth for them.
Behind them a large pack could keep telemetry waiting for weeks, so a lane that has waited for a day goes before its
betters for one slice; never before lanes 0 and 1, which therefore wait for one slice at most, whoever else is there.
"""

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from content_packs.base.budget import DAY_MS, Budget, Window

SLICE_BYTES = 64_000  # 8 s at 64 kbit/s
FREE_BYTES = 64_000
SMALL_MAX_BYTES = 256 * 1024
DAY_BYTES = 20_000_000
NIGHTS = (Window(22 * 60, 6 * 60),)
# Of a budget, one part in so many is kept for lanes 0 and 1.
RESERVED_SHARE = 10
# What headers and the greeting of TLS may add to a slice, so that a budget is not overdrawn by them.
MARGIN_BYTES = 8 * 1024
AGED_MS = DAY_MS
# A budget looks back a month, and people perhaps a year.
KEPT_DAYS = 400
MEGABYTE = 1_000_000
# Of what learners hand in: what goes at once, and what goes in the hours of the tariff; larger files wait for a stick.
FILE_SOON_BYTES = 64_000
FILE_HOURS_BYTES = 2_000_000
# Before 2025 there was no Edgebox: a clock that says so was never set.
KNOWN_FROM_MS = 1_735_689_600_000
_NEVER = (Window(0, 0),)


class Lane(IntEnum):
    """What a transfer is about; the smaller number goes first."""

    CLOSING = 0  # receipts, keys, revocations, closing results
    PROGRESS = 1
    SMALL = 2  # patches up to SMALL_MAX_BYTES, and what else comes down
    LARGE = 3
    TELEMETRY = 4

    @property
    def is_urgent(self) -> bool:
        """Return whether it is of the lanes that nothing may hold up."""
        return self <= Lane.PROGRESS

    @property
    def is_bulk(self) -> bool:
        """Return whether it waits for the hours of the tariff."""
        return self >= Lane.LARGE


@dataclass(frozen=True, slots=True)
class Tariff:
    """What the line costs and what it may be used for, as staff set it.

    Attributes:
        is_metered: bytes cost; otherwise there are neither budgets nor hours.
        day_bytes: both directions, all lanes; None for no limit.
        month_bytes: likewise, of a month of the calendar.
        windows: hours for lanes 3 and 4; none for all day.
        rate_kbit: kilobits a second that the box may take of the line; None for all.
        price_micros: of 1,000,000 bytes, in millionths of the currency's unit.
        currency: as people write it, "" when nobody said.
        file_soon_bytes: files that learners hand in go at once up to this size.
        file_hours_bytes: likewise, in lane 3; larger ones wait for a stick.
    """

    is_metered: bool = True
    day_bytes: int | None = DAY_BYTES
    month_bytes: int | None = None
    windows: tuple[Window, ...] = NIGHTS
    rate_kbit: int | None = None
    price_micros: int = 0
    currency: str = ""
    file_soon_bytes: int = FILE_SOON_BYTES
    file_hours_bytes: int = FILE_HOURS_BYTES

    def cost_micros(self, size_bytes: int) -> int:
        """Return what so many bytes cost, rounded up."""
        return -(-size_bytes * self.price_micros // MEGABYTE) if self.is_metered else 0

    def passing_ms(self, size_bytes: int) -> int:
        """Return how long so many bytes take at the rate that is allowed, 0 without one."""
        return -(-size_bytes * 8 // self.rate_kbit) if self.rate_kbit else 0

    def lane_of_file(self, size_bytes: int, *, is_released: bool) -> "Lane | None":
        """Return the lane of a file that was handed in; None while it waits for a stick.

        One that staff released goes over the line as well, if that costs nothing.
        """
        if size_bytes <= self.file_soon_bytes:
            return Lane.SMALL
        may_go = size_bytes <= self.file_hours_bytes or (is_released and not self.is_metered)
        return Lane.LARGE if may_go else None


@dataclass(slots=True)
class Ledger:
    """What crossed the line, by day of the place and lane.

    A clock that was never set opens no new day: what is spent then counts for the last day that is known, and after a
    day of running for the one behind it, so that neither a fresh budget comes with every start nor none ever.

    Attributes:
        offset_minutes: what the place is ahead of UTC.
        lanes: bytes by day and lane.
        days: bytes by day.
        unset_since: monotonic time at which the clock was first seen unset, and the last day that was known then.
        lost_bytes: of lanes 0 and 1, since this start, under a clock that was never set.
    """

    offset_minutes: int = 0
    lanes: dict[tuple[int, Lane], int] = field(default_factory=dict)
    days: MutableMapping[int, int] = field(default_factory=dict)
    unset_since: tuple[int, int] | None = None
    lost_bytes: int = 0

    def put(self, day: int, lane: Lane, size_bytes: int) -> None:
        """Add bytes to a day; of more than KEPT_DAYS days the first of the others is forgotten."""
        self.lanes[day, lane] = self.lanes.get((day, lane), 0) + size_bytes
        self.days[day] = self.days.get(day, 0) + size_bytes
        if len(self.days) > KEPT_DAYS:
            first = min(other for other in self.days if other != day)
            del self.days[first]
            for other in Lane:
                self.lanes.pop((first, other), None)

    def spend(self, lane: Lane, size_bytes: int, now: "Moment") -> int:
        """Take note of bytes that crossed the line now, and return the day they count for."""
        day = self.day(now)
        self.put(day, lane, size_bytes)
        if lane.is_urgent and not now.is_known:
            self.lost_bytes += size_bytes
        return day

    def day(self, now: "Moment") -> int:
        """Return the number of the day that counts."""
        if now.is_known:
            self.unset_since = None
            return Budget(offset_minutes=self.offset_minutes).day(now.wall_ms)
        if self.unset_since is None:
            self.unset_since = now.monotonic_ms, max(self.days, default=0)
        since_ms, day = self.unset_since
        return day + max(now.monotonic_ms - since_ms, 0) // DAY_MS

    def spent_bytes(self, day: int, lanes: Iterable[Lane] = Lane) -> int:
        """Return what some lanes spent on a day."""
        return sum(self.lanes.get((day, lane), 0) for lane in lanes)


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, by both clocks.

    Attributes:
        is_told: whoever keeps the wall clock was told the time since the power came on.
    """

    wall_ms: int
    monotonic_ms: int
    is_told: bool = True

    @property
    def is_known(self) -> bool:
        """Return whether the wall clock was ever set."""
        return self.is_told and self.wall_ms >= KNOWN_FROM_MS


@dataclass(frozen=True, slots=True)
class Slice:
    """What may go now.

    Attributes:
        size_bytes: at most SLICE_BYTES.
    """

    lane: Lane
    size_bytes: int
    cost_micros: int


@dataclass(frozen=True, slots=True)
class Step:
    """What goes when, as far as can be said now; `at_ms` is None while the box does not know the time."""

    lane: Lane
    size_bytes: int
    at_ms: int | None
    cost_micros: int


@dataclass(frozen=True, slots=True)
class Rules:
    """One tariff and one ledger at work."""

    tariff: Tariff
    ledger: Ledger

    def left_bytes(self, lane: Lane, now: Moment, *, is_asked: bool = False) -> int | None:
        """Return what a lane may still send now, None for no limit; `is_asked` by a person, so hours do not matter."""
        if not self.tariff.is_metered:
            return None
        left = self._budget(lane, now, is_asked=is_asked).left_bytes(self._budget_ms(now))
        return left if left is None or not lane.is_urgent else max(left, self._free_bytes(now))

    def next_ms(self, lane: Lane, now: Moment, *, is_asked: bool = False) -> int:
        """Return when a lane may send: now, or when its hours, the next day or the next month begin."""
        if self.left_bytes(lane, now, is_asked=is_asked) != 0:
            return now.wall_ms
        start_ms = self._budget_ms(now)
        budget = self._budget(lane, now, is_asked=is_asked)
        at_ms = budget.next_ms(start_ms)
        if lane.is_urgent:
            # A new day brings free bytes, even in a month that has none left.
            day_ms = (budget.day(start_ms) + 1) * DAY_MS - budget.offset_minutes * 60_000
            at_ms = min(at_ms, day_ms)
        return now.wall_ms + at_ms - start_ms

    def next_slice(
        self, waiting: Mapping[Lane, int], now: Moment, since: Mapping[Lane, int] | None = None
    ) -> Slice | None:
        """Return what goes now of what waits, in bytes by lane; None when nothing may.

        `since` has the monotonic time since when lanes wait, for those that may have become old.
        """
        left = {lane: self.left_bytes(lane, now) for lane, size_bytes in waiting.items() if size_bytes > 0}
        able = [lane for lane, left_bytes in left.items() if left_bytes != 0]
        lane = first_of(able, now.monotonic_ms, since or {})
        if lane is None:
            return None
        size_bytes = slice_bytes(waiting[lane], left[lane])
        return Slice(lane, size_bytes, self.tariff.cost_micros(size_bytes))

    def forecast(self, waiting: Mapping[Lane, int], now: Moment) -> list[Step]:
        """Return what goes when, the next first: of each lane as much as may go at the first moment at which it may."""
        steps, before_bytes = [], 0
        for lane in sorted(lane for lane, size_bytes in waiting.items() if size_bytes > 0):
            at_ms = self.next_ms(lane, now)
            left = self.left_bytes(lane, replace(now, wall_ms=at_ms))
            size_bytes = waiting[lane] if left is None else min(waiting[lane], left or waiting[lane])
            is_known = at_ms == now.wall_ms or now.is_known
            start_ms = max(at_ms, now.wall_ms + self.tariff.passing_ms(before_bytes)) if is_known else None
            steps.append(Step(lane, size_bytes, start_ms, self.tariff.cost_micros(size_bytes)))
            before_bytes += size_bytes
        return sorted(steps, key=lambda step: (step.at_ms is None, step.at_ms or 0, step.lane))

    def _budget(self, lane: Lane, now: Moment, *, is_asked: bool) -> Budget:
        tariff = self.tariff
        day_kept, month_kept = (
            0 if lane.is_urgent else (size_bytes or 0) // RESERVED_SHARE
            for size_bytes in (tariff.day_bytes, tariff.month_bytes)
        )
        windows = tariff.windows if lane.is_bulk and not is_asked else ()
        return Budget(
            _without(tariff.day_bytes, day_kept),
            _without(tariff.month_bytes, month_kept),
            # Which hour it is, is not known either.
            windows if now.is_known or not windows else _NEVER,
            self.ledger.offset_minutes,
            self.ledger.days,
        )

    def _budget_ms(self, now: Moment) -> int:
        """Return the time that a budget is asked about; the first moment of the day that counts if none is known."""
        if now.is_known:
            return now.wall_ms
        return self.ledger.day(now) * DAY_MS - self.ledger.offset_minutes * 60_000

    def _free_bytes(self, now: Moment) -> int:
        """Return what is left of the bytes of a day that lanes 0 and 1 always have.

        With a clock that was never set each start has its own: this may be what it takes to learn the time.
        """
        used_bytes = self.ledger.lost_bytes
        if now.is_known:
            used_bytes = self.ledger.spent_bytes(self.ledger.day(now), (Lane.CLOSING, Lane.PROGRESS))
        return max(FREE_BYTES - used_bytes, 0)


def first_of(lanes: Iterable[Lane], now_ms: int, since: Mapping[Lane, int]) -> Lane | None:
    """Return who goes first of those that want to; `now_ms` and `since` are monotonic."""
    wanting = sorted(lanes)
    aged = [lane for lane in wanting if not lane.is_urgent and now_ms - since.get(lane, now_ms) >= AGED_MS]
    if aged and not wanting[0].is_urgent:
        return min(aged, key=lambda lane: (since[lane], lane))
    return wanting[0] if wanting else None


def lane_of(size_bytes: int) -> Lane:
    """Return the lane of something that comes down, by its size."""
    return Lane.SMALL if size_bytes <= SMALL_MAX_BYTES else Lane.LARGE


def slice_bytes(wanted_bytes: int, left_bytes: int | None) -> int:
    """Return the size of the next slice."""
    return min(wanted_bytes, SLICE_BYTES, SLICE_BYTES if left_bytes is None else left_bytes)


def _without(budget_bytes: int | None, reserved_bytes: int) -> int | None:
    return None if budget_bytes is None else max(budget_bytes - reserved_bytes - MARGIN_BYTES, 0)
