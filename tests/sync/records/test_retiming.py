"""Times told by a wrong clock are repaired, those of other clocks are left alone."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sync.records.retiming import Repaired, Timeline

DAY_MS = 86_400_000
BOOTS = [(1_000, 0), (5_000, DAY_MS), (9_000, 0)]


def test_a_time_belongs_to_the_last_boot_that_began_before_it() -> None:
    timeline = Timeline(reversed(BOOTS))
    assert [timeline.offset_at(told_ms) for told_ms in (0, 1_000, 4_999, 5_000, 8_999, 9_000)] == [
        0, 0, 0, DAY_MS, DAY_MS, 0,
    ]  # fmt: skip


def test_both_times_of_work_on_a_page_are_repaired() -> None:
    assert Timeline(BOOTS).repair(5_500, 6_000, is_own_page=True) == Repaired(DAY_MS + 5_500, DAY_MS + 6_000, True)


def test_work_handed_in_after_the_clock_was_set_is_repaired_by_the_boot_in_which_it_was_done() -> None:
    timeline = Timeline([(5_000, DAY_MS), (DAY_MS + 7_000, 0)])
    assert timeline.repair(6_999, DAY_MS + 8_000, is_own_page=True) == Repaired(DAY_MS + 6_999, DAY_MS + 8_000, True)


def test_a_time_that_an_outside_client_gave_is_its_own() -> None:
    timeline = Timeline(BOOTS)
    assert timeline.repair(5_500, 6_000, is_own_page=False) == Repaired(5_500, DAY_MS + 6_000, True)
    assert timeline.repair(6_000, 6_000, is_own_page=False) == Repaired(DAY_MS + 6_000, DAY_MS + 6_000, True)


def test_a_time_from_when_the_clock_was_further_on_is_not_moved_further() -> None:
    assert Timeline(BOOTS).repair(7_000, 6_000, is_own_page=True).timestamp_ms == 7_000


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(-30, 30)), max_size=8),
    st.none() | st.integers(-40, 100),
    st.none() | st.integers(-40, 100),
)
def test_told_times_between_two_are_those_that_are_repaired_to_them(
    boots: list[tuple[int, int]], since_ms: int | None, until_ms: int | None
) -> None:
    timeline = Timeline(boots)
    ranges = timeline.find_told(since_ms, until_ms)
    for told_ms in range(-80, 150):
        repaired_ms = told_ms + timeline.offset_at(told_ms)
        is_between = (since_ms is None or repaired_ms > since_ms) and (until_ms is None or repaired_ms <= until_ms)
        assert any(first <= told_ms <= last for first, last in ranges) == is_between
    assert all(one[1] + 1 < other[0] for one, other in pairwise(ranges))


def test_a_clock_that_was_right_repairs_nothing() -> None:
    assert Timeline([]).repair(1, 2, is_own_page=True) == Repaired(1, 2, False)
    assert Timeline(BOOTS).repair(1_500, 1_600, is_own_page=True) == Repaired(1_500, 1_600, False)


times = st.integers(0, 20_000)


@given(st.lists(st.tuples(times, st.integers(-5_000, 5_000)), unique_by=lambda boot: boot[0]), times, times)
def test_nothing_on_a_page_was_done_after_it_was_stored(boots: list[tuple[int, int]], told: int, stored: int) -> None:
    repaired = Timeline(boots).repair(told, stored, is_own_page=True)
    assert repaired.timestamp_ms <= repaired.stored_ms


@given(st.lists(times, min_size=1, unique=True), st.lists(times, min_size=2), st.integers(0, 5_000))
def test_one_offset_for_a_whole_run_keeps_the_order(starts: list[int], told: list[int], offset_ms: int) -> None:
    """Boots of one run are all wrong by what was learned after them, so earlier ones by no less than later ones."""
    ordered = sorted(starts)
    boots = [(start, offset_ms) for start in ordered]
    timeline = Timeline(boots)
    within = sorted(each for each in told if each >= ordered[0])
    repaired = [timeline.repair(each, each, is_own_page=True).timestamp_ms for each in within]
    assert repaired == sorted(repaired)
