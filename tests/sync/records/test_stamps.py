from hypothesis import given
from hypothesis import strategies as st

from sync.records import stamps

MOMENT = st.integers(-(1 << 40), 1 << 42)
STAMP = st.integers(0, stamps.STAMP_MAX >> 1)
NOW_MS = 1_760_000_000_000


@given(STAMP, st.lists(MOMENT, max_size=20))
def test_stamps_rise_whatever_the_clock_does(last: int, moments: list[int]) -> None:
    for now_ms in moments:
        after = stamps.following(last, now_ms)
        assert after > last
        last = after


def test_a_stamp_tells_the_time_of_a_clock_that_runs_well() -> None:
    assert stamps.stamp_ms(stamps.following(0, NOW_MS)) == NOW_MS


def test_what_was_observed_comes_before_what_is_written_next() -> None:
    remote = stamps.following(0, NOW_MS + 5_000)
    last = stamps.observed(stamps.following(0, NOW_MS), remote, NOW_MS)
    assert stamps.following(last, NOW_MS) > remote


def test_a_stamp_far_ahead_moves_nothing() -> None:
    last = stamps.following(0, NOW_MS)
    far = stamps.following(0, NOW_MS + stamps.AHEAD_MAX_MS + 1)
    assert stamps.observed(last, far, NOW_MS) == last
    assert stamps.observed(last, -1, NOW_MS) == last
    assert stamps.observed(last, 1 << 70, NOW_MS) == last
