"""Durations of courses in whole minutes."""

import pytest

from edgebox.domain.durations import whole_minutes


@pytest.mark.parametrize(
    ("duration", "minutes"),
    [("PT15M", 15), ("PT1H30M", 90), ("PT90S", 2), ("PT0.5S", 0), ("P1DT1M", 1441), ("", 0), ("15", 0), ("P1Y", 0)],
)
def test_minutes_are_rounded_up_and_nonsense_is_nothing(duration: str, minutes: int) -> None:
    assert whole_minutes(duration) == minutes
