"""Who may set the clock of a box, how far, and what it takes for the time when it starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebox.domain.clock_rules import (
    DAY_MS,
    LATEST_MS,
    NEAR_MS,
    RULES,
    SAVE_EVERY_MS,
    Machine,
    Moment,
    Saved,
    Source,
    agreed,
    first_moment,
    judge,
)
from sync.bundle.layout import ClockQuality

RELEASED_MS = 1_767_225_600_000
NOW_MS = 1_780_300_800_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
Q = ClockQuality
SAVED = Saved(NOW_MS, 5_000, "run-1", Q.HUB)

moments = st.integers(-(1 << 45), 1 << 45)
qualities = st.sampled_from(Q)


def machine(now_ms: int, *, run: str = "run-2", monotonic_ms: int = 0, is_set: bool = False) -> Machine:
    return Machine(now_ms, monotonic_ms, run, is_set)


@pytest.mark.parametrize(
    ("machine_ms", "expected_ms"),
    [
        (0, NOW_MS + SAVE_EVERY_MS),
        (NOW_MS, NOW_MS + SAVE_EVERY_MS),
        (NOW_MS + 1, NOW_MS + 1),
        (NOW_MS + 90 * DAY_MS, NOW_MS + 90 * DAY_MS),
        (NOW_MS + 3650 * DAY_MS, NOW_MS + SAVE_EVERY_MS),
        (LATEST_MS, NOW_MS + SAVE_EVERY_MS),
    ],
)
def test_a_box_starts_after_all_it_told_and_believes_no_machine_that_is_years_ahead(
    machine_ms: int, expected_ms: int
) -> None:
    assert first_moment(SAVED, machine(machine_ms), RELEASED_MS) == Moment(expected_ms, Q.RESTORED)


def test_a_new_box_without_a_clock_starts_at_the_day_of_the_release() -> None:
    assert first_moment(None, machine(0), RELEASED_MS) == Moment(RELEASED_MS, Q.UNKNOWN)
    assert first_moment(None, machine(4_294_967_296_000), RELEASED_MS) == Moment(RELEASED_MS, Q.UNKNOWN)
    assert first_moment(None, machine(NOW_MS), RELEASED_MS) == Moment(NOW_MS, Q.RESTORED)


def test_a_time_server_is_believed_when_the_box_starts() -> None:
    late_ms = NOW_MS + 900 * DAY_MS
    assert first_moment(SAVED, machine(late_ms, is_set=True), RELEASED_MS) == Moment(late_ms, Q.HARDWARE)


def test_a_program_that_was_started_again_goes_on_as_if_it_had_not_stopped() -> None:
    same = machine(0, run="run-1", monotonic_ms=5_000 + HOUR_MS)
    assert first_moment(SAVED, same, RELEASED_MS) == Moment(NOW_MS + HOUR_MS, Q.HUB)
    assert first_moment(SAVED, machine(0, run="run-1", monotonic_ms=10), RELEASED_MS).quality is Q.RESTORED


@given(st.none() | st.builds(Saved, st.integers(0, LATEST_MS), moments, st.just("run-1"), qualities), moments)
def test_no_start_is_before_the_release_nor_before_what_was_saved(saved: Saved | None, machine_ms: int) -> None:
    start = first_moment(saved, machine(machine_ms), RELEASED_MS)
    assert start.now_ms >= RELEASED_MS
    assert saved is None or start.now_ms > saved.now_ms or start.now_ms == RELEASED_MS


@pytest.mark.parametrize(
    ("quality", "source", "ahead_ms", "is_moved"),
    [
        (Q.UNKNOWN, Source.HUB, 300 * DAY_MS, True),
        (Q.RESTORED, Source.HUB, -300 * DAY_MS // 2, True),
        (Q.TABLETS, Source.HUB, 30 * DAY_MS, True),
        (Q.HUB, Source.HUB, DAY_MS, True),
        (Q.HUB, Source.HUB, DAY_MS + 1, False),
        (Q.HUB, Source.HUB, -30 * DAY_MS, True),
        (Q.HARDWARE, Source.HUB, HOUR_MS, False),
        (Q.HARDWARE, Source.HUB, -HOUR_MS, False),
        (Q.HARDWARE, Source.HUB, -30 * DAY_MS, True),
        (Q.HARDWARE, Source.HUB, 30 * DAY_MS, False),
        (Q.RESTORED, Source.STAFF, 30 * DAY_MS, True),
        (Q.RESTORED, Source.STAFF, 3 * 365 * DAY_MS, False),
        (Q.RESTORED, Source.STAFF, -HOUR_MS, False),
        (Q.TABLETS, Source.STAFF, HOUR_MS, False),
        (Q.RESTORED, Source.PRESSED, 3 * 365 * DAY_MS, True),
        (Q.TABLETS, Source.PRESSED, -HOUR_MS, True),
        (Q.HUB, Source.PRESSED, HOUR_MS, False),
        (Q.RESTORED, Source.TABLETS, DAY_MS, True),
        (Q.RESTORED, Source.TABLETS, DAY_MS + 1, False),
        (Q.UNKNOWN, Source.TABLETS, DAY_MS + 1, False),
        (Q.RESTORED, Source.TABLETS, -HOUR_MS, False),
        (Q.TABLETS, Source.TABLETS, HOUR_MS, False),
        (Q.RESTORED, Source.MACHINE, 60 * DAY_MS, True),
        (Q.HUB, Source.MACHINE, 60 * DAY_MS, False),
        (Q.RESTORED, Source.SIGNED, 60 * DAY_MS, True),
        (Q.RESTORED, Source.SIGNED, -HOUR_MS, False),
        (Q.TABLETS, Source.SIGNED, HOUR_MS, True),
        (Q.TABLETS, Source.SIGNED, 2 * DAY_MS, False),
        (Q.HUB, Source.SIGNED, HOUR_MS, False),
    ],
)
def test_who_may_set_the_clock(quality: Q, source: Source, ahead_ms: int, is_moved: bool) -> None:
    moment = judge(Moment(NOW_MS, quality), source, NOW_MS + ahead_ms, RELEASED_MS)
    assert (moment is not None and moment.now_ms == NOW_MS + ahead_ms) is is_moved
    assert is_moved or moment is None


@given(qualities, st.sampled_from(Source), moments)
def test_nobody_sets_a_clock_before_the_release_or_beyond_what_ids_can_hold(q: Q, source: Source, told_ms: int) -> None:
    moment = judge(Moment(NOW_MS, q), source, told_ms, RELEASED_MS)
    assert moment is None or RELEASED_MS <= moment.now_ms < LATEST_MS


@given(qualities, st.sampled_from(Source), moments)
def test_what_was_told_by_those_who_know_less_never_lowers_the_quality(q: Q, source: Source, told_ms: int) -> None:
    moment = judge(Moment(NOW_MS, q), source, told_ms, RELEASED_MS)
    assert moment is None or moment.quality >= q or source is Source.HUB


@pytest.mark.parametrize("source", [source for source in Source if source is not Source.SIGNED])
def test_a_clock_that_agrees_gains_the_quality_of_who_confirmed_it(source: Source) -> None:
    moment = judge(Moment(NOW_MS, Q.RESTORED), source, NOW_MS + NEAR_MS, RELEASED_MS)
    assert moment is not None
    assert moment.quality is RULES[source].gives


@given(st.lists(st.integers(-NOW_MS, NOW_MS), min_size=5, max_size=300))
def test_a_class_that_lies_moves_the_clock_once_and_by_a_day_at_most(lies: list[int]) -> None:
    clock = Moment(NOW_MS, Q.RESTORED)
    for lie in lies:
        clock = judge(clock, Source.TABLETS, clock.now_ms + lie, RELEASED_MS) or clock
    assert NOW_MS <= clock.now_ms <= NOW_MS + DAY_MS
    assert judge(clock, Source.HUB, NOW_MS, RELEASED_MS) == Moment(NOW_MS, Q.HUB)


def test_five_tablets_that_agree_are_the_time_whatever_a_few_others_say() -> None:
    right = [NOW_MS + seconds * 1000 for seconds in range(-60, 61, 20)]
    assert agreed([*right, 0, NOW_MS + 3 * 365 * DAY_MS, NOW_MS - 3 * 365 * DAY_MS]) == NOW_MS


def test_four_tablets_or_tablets_that_differ_are_no_time() -> None:
    assert agreed([NOW_MS] * 4) is None
    assert agreed([NOW_MS + minute * 10 * MINUTE_MS for minute in range(9)]) is None
