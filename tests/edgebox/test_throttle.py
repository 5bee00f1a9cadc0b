"""Rules for waiting after wrong secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebox.domain import throttle


@pytest.mark.parametrize(
    ("failures", "pause_ms"), [(0, 0), (4, 0), (5, 10_000), (6, 30_000), (7, 120_000), (8, 300_000), (500, 300_000)]
)
def test_pauses_begin_after_five_free_tries_and_stop_growing_at_five_minutes(failures: int, pause_ms: int) -> None:
    assert throttle.delay_ms(failures) == pause_ms


def test_wait_ends_when_the_pause_is_over() -> None:
    assert throttle.wait_ms(5, last_ms=1000, now_ms=10_999) == 1
    assert throttle.wait_ms(5, last_ms=1000, now_ms=11_000) == 0


@given(st.integers(0, 1000), st.integers(0, 2**48), st.integers(0, 2**48))
def test_no_clock_makes_anybody_wait_longer_than_the_pause(failures: int, last_ms: int, now_ms: int) -> None:
    assert 0 <= throttle.wait_ms(failures, last_ms, now_ms) <= throttle.delay_ms(failures)


def test_a_day_of_guessing_makes_few_tries() -> None:
    now_ms = failures = 0
    while now_ms < 24 * 3600 * 1000:
        failures += 1
        now_ms += throttle.delay_ms(failures)
    assert failures < 300
