"""The planner of the line: never over the budget, nothing urgent waits, no clock makes it stick or run away."""

from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_packs.base.budget import DAY_MS, Window, month_of
from sync.engine.lanes import (
    AGED_MS,
    DAY_BYTES,
    FREE_BYTES,
    KNOWN_FROM_MS,
    RESERVED_SHARE,
    SLICE_BYTES,
    SMALL_MAX_BYTES,
    Lane,
    Ledger,
    Moment,
    Rules,
    Step,
    Tariff,
    first_of,
    lane_of,
)

HOUR_MS = 3_600_000
NOON_MS = 20_404 * DAY_MS + 12 * HOUR_MS  # a Wednesday in November 2025
NOON = Moment(NOON_MS, 0)
MIDNIGHT_MS = 20_405 * DAY_MS
URGENT = (Lane.CLOSING, Lane.PROGRESS)
BULK = (Lane.SMALL, Lane.LARGE, Lane.TELEMETRY)

some_bytes = st.integers(0, 3_000_000)
some_waiting = st.dictionaries(st.sampled_from(Lane), some_bytes)
some_tariffs = st.builds(
    Tariff,
    day_bytes=st.none() | st.integers(0, 5_000_000),
    month_bytes=st.none() | st.integers(0, 20_000_000),
    windows=st.lists(st.builds(Window, st.integers(0, 1439), st.integers(0, 1439)), max_size=2).map(tuple),
    rate_kbit=st.none() | st.integers(8, 10_000),
    price_micros=st.integers(0, 10_000_000),
)
# Hours that pass, and where the wall clock is put meanwhile: nowhere, to 1970, 2000, 2038, 2106, or some days away.
some_clocks = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.none()
        | st.sampled_from([0, 946_684_800_000, 2_147_483_647_000, 4_294_967_296_000, KNOWN_FROM_MS - 1])
        | st.integers(-40, 40).map(lambda days: NOON_MS + days * DAY_MS),
    ),
    max_size=25,
)


@dataclass
class Day:
    """Runs the planner by two clocks, one slice after the other."""

    tariff: Tariff
    waiting: dict[Lane, int]
    ledger: Ledger = field(default_factory=Ledger)
    now: Moment = NOON

    @property
    def rules(self) -> Rules:
        """Return the planner."""
        return Rules(self.tariff, self.ledger)

    def drain(self) -> list[Lane]:
        """Send whatever may go now, and return the lanes of the slices in their order."""
        sent = []
        while (found := self.rules.next_slice(self.waiting, self.now)) is not None:
            assert 0 < found.size_bytes <= min(SLICE_BYTES, self.waiting[found.lane])
            assert found.cost_micros == self.tariff.cost_micros(found.size_bytes)
            self.ledger.spend(found.lane, found.size_bytes, self.now)
            self.waiting[found.lane] -= found.size_bytes
            sent.append(found.lane)
        return sent


def test_what_is_before_goes_before() -> None:
    day = Day(Tariff(is_metered=False), dict.fromkeys(reversed(Lane), 2 * SLICE_BYTES))
    assert day.drain() == [lane for lane in Lane for _ in range(2)]


@given(some_tariffs, some_waiting, some_clocks)
def test_no_day_and_no_month_is_overdrawn_whatever_the_clock_does(
    tariff: Tariff, waiting: dict[Lane, int], clock: list[tuple[int, int | None]]
) -> None:
    day = Day(tariff, dict(waiting))
    for hours, wall_ms in clock:
        day.now = Moment(
            (day.now.wall_ms if wall_ms is None else wall_ms) + hours * HOUR_MS, day.now.monotonic_ms + hours * HOUR_MS
        )
        day.waiting = dict(waiting)
        day.drain()
    starts_unset = sum(wall_ms is not None and wall_ms < KNOWN_FROM_MS for _, wall_ms in clock)
    for number in day.ledger.days:
        free_bytes = FREE_BYTES * (1 + starts_unset)
        if tariff.day_bytes is not None:
            assert day.ledger.days[number] <= max(tariff.day_bytes, free_bytes) + free_bytes
            kept_bytes = tariff.day_bytes - tariff.day_bytes // RESERVED_SHARE
            assert day.ledger.spent_bytes(number, BULK) <= kept_bytes
    if tariff.month_bytes is not None:
        months: Counter[tuple[int, int]] = Counter()
        for (number, lane), size_bytes in day.ledger.lanes.items():
            months[month_of(number)] += size_bytes if lane in BULK else 0
        assert max(months.values(), default=0) <= tariff.month_bytes


@given(some_tariffs, some_waiting, some_clocks)
def test_the_meter_never_sticks(tariff: Tariff, waiting: dict[Lane, int], clock: list[tuple[int, int | None]]) -> None:
    day = Day(tariff, dict(waiting))
    for hours, wall_ms in clock:
        day.now = Moment((day.now.wall_ms if wall_ms is None else wall_ms), day.now.monotonic_ms + hours * HOUR_MS)
        day.drain()
    # The clock is right again, on some later day.
    day.now = Moment(NOON_MS + 70 * DAY_MS, day.now.monotonic_ms + HOUR_MS)
    for lane in URGENT:
        assert day.rules.left_bytes(lane, day.now) != 0
        assert day.rules.next_ms(lane, day.now) == day.now.wall_ms


@given(some_tariffs, some_bytes, st.integers(0, 3 * 24))
def test_the_first_bytes_of_a_day_are_free_for_what_is_urgent(tariff: Tariff, spent_bytes: int, hours: int) -> None:
    day = Day(tariff, {}, now=Moment(NOON_MS + hours * HOUR_MS, 0))
    day.ledger.spend(Lane.LARGE, spent_bytes, day.now)
    for lane in URGENT:
        left = day.rules.left_bytes(lane, day.now)
        assert left is None or left >= FREE_BYTES


@given(some_tariffs, some_waiting, st.dictionaries(st.sampled_from(Lane), st.integers(-3 * AGED_MS, 0)))
def test_the_first_lane_waits_for_one_slice_at_most(
    tariff: Tariff, waiting: dict[Lane, int], since: dict[Lane, int]
) -> None:
    day = Day(tariff, waiting | {Lane.CLOSING: 1})
    found = day.rules.next_slice(day.waiting, day.now, since)
    assert found is not None
    assert found.lane is Lane.CLOSING
    # Whoever is at it has at most a slice, which takes eight seconds and a little at 64 kbit/s.
    assert Tariff(rate_kbit=64).passing_ms(SLICE_BYTES) <= 8_000


def test_who_has_waited_for_a_day_goes_before_its_betters_but_never_before_what_is_urgent() -> None:
    since = {Lane.TELEMETRY: 0, Lane.LARGE: AGED_MS - 1}
    wanting = [Lane.SMALL, Lane.LARGE, Lane.TELEMETRY]
    assert first_of(wanting, AGED_MS - 1, since) is Lane.SMALL
    assert first_of(wanting, AGED_MS, since) is Lane.TELEMETRY
    assert first_of([Lane.PROGRESS, *wanting], AGED_MS, since) is Lane.PROGRESS
    assert first_of([], 0, {}) is None


def test_large_packs_come_at_night_small_ones_at_any_hour() -> None:
    day = Day(Tariff(), {Lane.SMALL: 1_000, Lane.LARGE: 1_000})
    assert day.drain() == [Lane.SMALL]
    assert day.rules.next_ms(Lane.LARGE, day.now) == MIDNIGHT_MS - 2 * HOUR_MS
    assert day.rules.left_bytes(Lane.LARGE, day.now, is_asked=True) != 0
    day.now = replace(day.now, wall_ms=MIDNIGHT_MS - 2 * HOUR_MS)
    assert day.drain() == [Lane.LARGE]


def test_a_tenth_of_the_day_is_kept_for_what_is_urgent() -> None:
    day = Day(Tariff(windows=()), {Lane.LARGE: 2 * DAY_BYTES})
    day.drain()
    left = day.rules.left_bytes(Lane.PROGRESS, day.now)
    assert left is not None
    assert left >= DAY_BYTES // RESERVED_SHARE - SLICE_BYTES


def test_a_used_up_month_leaves_what_is_free_and_opens_with_the_next() -> None:
    day = Day(Tariff(day_bytes=None, month_bytes=1_000_000, windows=()), {Lane.LARGE: 2_000_000})
    day.drain()
    december_ms = 20_423 * DAY_MS
    assert day.rules.next_ms(Lane.LARGE, day.now) == december_ms
    day.waiting = {Lane.PROGRESS: 2_000_000}
    day.drain()
    assert day.rules.left_bytes(Lane.PROGRESS, day.now) == 0
    assert day.rules.next_ms(Lane.PROGRESS, day.now) == MIDNIGHT_MS


def test_a_line_that_costs_nothing_has_neither_limits_nor_hours() -> None:
    day = Day(Tariff(is_metered=False, day_bytes=0, month_bytes=0, price_micros=1_000_000), {Lane.LARGE: 10_000_000})
    day.drain()
    assert day.waiting == {Lane.LARGE: 0}
    assert day.tariff.cost_micros(10_000_000) == 0


def test_a_clock_that_was_never_set_brings_no_fresh_budget_and_does_not_stop_what_is_urgent() -> None:
    day = Day(Tariff(day_bytes=200_000, windows=()), {Lane.LARGE: 10**6, Lane.PROGRESS: 10**6})
    day.drain()
    number = day.ledger.day(day.now)
    # Off and on again, without a battery for the clock.
    day.ledger = Ledger(lanes=day.ledger.lanes, days=day.ledger.days)
    day.now, day.waiting = Moment(0, 0), {Lane.LARGE: 10**6, Lane.PROGRESS: 10**6}
    assert set(day.drain()) == {Lane.PROGRESS}
    assert 10**6 - day.waiting[Lane.PROGRESS] == FREE_BYTES
    assert day.ledger.day(day.now) == number
    # A day of running is a day.
    day.now = Moment(DAY_MS, DAY_MS)
    assert day.ledger.day(day.now) == number + 1
    assert day.rules.left_bytes(Lane.SMALL, day.now) != 0


def test_a_clock_that_was_never_set_opens_one_day_a_day_however_much_is_spent() -> None:
    day = Day(Tariff(day_bytes=200_000, windows=()), {Lane.PROGRESS: 10**9})
    day.drain()
    number = day.ledger.day(day.now)
    day.now = Moment(0, 0)
    day.drain()
    for days in range(1, 4):
        day.now = Moment(days * DAY_MS, days * DAY_MS)
        before_bytes = sum(day.ledger.days.values())
        day.drain()
        assert max(day.ledger.days) == number + days
        assert sum(day.ledger.days.values()) - before_bytes <= 200_000


def test_without_the_time_the_hours_of_the_tariff_are_not_guessed() -> None:
    rules = Rules(Tariff(), Ledger())
    assert rules.left_bytes(Lane.LARGE, Moment(0, 0)) == 0
    assert rules.left_bytes(Lane.LARGE, Moment(0, 0), is_asked=True) != 0
    steps = rules.forecast({Lane.LARGE: 10**6, Lane.PROGRESS: 100}, Moment(0, 0))
    assert [(step.lane, step.at_ms) for step in steps] == [(Lane.PROGRESS, 0), (Lane.LARGE, None)]


def test_the_forecast_says_what_goes_when_and_what_it_costs() -> None:
    tariff = Tariff(day_bytes=1_100_000, rate_kbit=80, price_micros=2_500_000)
    waiting = {Lane.LARGE: 5_000_000, Lane.PROGRESS: 20_000, Lane.SMALL: 100_000}
    large = Rules(tariff, Ledger()).left_bytes(Lane.LARGE, replace(NOON, wall_ms=MIDNIGHT_MS)) or 0
    assert Rules(tariff, Ledger()).forecast(waiting, NOON) == [
        Step(Lane.PROGRESS, 20_000, NOON_MS, 50_000),
        Step(Lane.SMALL, 100_000, NOON_MS + 2_000, 250_000),
        Step(Lane.LARGE, large, MIDNIGHT_MS - 2 * HOUR_MS, tariff.cost_micros(large)),
    ]


@given(some_tariffs, st.sampled_from(Lane), some_bytes)
def test_at_the_next_time_something_may_go_or_it_is_a_day_away(tariff: Tariff, lane: Lane, spent_bytes: int) -> None:
    day = Day(tariff, {})
    day.ledger.spend(Lane.LARGE, spent_bytes, day.now)
    at_ms = day.rules.next_ms(lane, day.now)
    assert NOON_MS <= at_ms <= NOON_MS + 32 * DAY_MS
    is_open = day.rules.left_bytes(lane, replace(day.now, wall_ms=at_ms)) != 0
    assert is_open or at_ms == NOON_MS + DAY_MS


@pytest.mark.parametrize(
    ("size_bytes", "lane"), [(0, Lane.SMALL), (SMALL_MAX_BYTES, Lane.SMALL), (SMALL_MAX_BYTES + 1, Lane.LARGE)]
)
def test_a_small_patch_is_a_quarter_of_a_megabyte_at_most(size_bytes: int, lane: Lane) -> None:
    assert lane_of(size_bytes) is lane
