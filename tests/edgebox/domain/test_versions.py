"""Which version is shown, which may go, and when files are read for damage."""

import pytest

from edgebox.domain.scrub_time import DAY_MS, MISSED_MS, NIGHT_MS, REST_MS, scrub_budget_ms
from edgebox.domain.versions import SERVED_MS, retirable, version_to_show


@pytest.mark.parametrize(
    ("opened", "given", "shown"),
    [(None, None, 3), (1, None, 1), (None, 2, 2), (1, 2, 1), (9, 2, 2), (9, 9, 3)],
)
def test_work_at_hand_comes_before_what_was_given_and_that_before_the_newest(
    opened: int | None, given: int | None, shown: int
) -> None:
    assert version_to_show(3, (1, 2, 3), opened=opened, given=given) == shown


def test_old_versions_stay_until_the_new_one_has_served_a_day() -> None:
    assert retirable((1, 2, 3), (), served_ms=SERVED_MS - 1) == []
    assert retirable((3, 1, 2), (), served_ms=SERVED_MS) == [1, 2]


def test_old_versions_go_earlier_when_the_space_is_needed_but_never_in_use() -> None:
    assert retirable((1, 2, 3), (2,), served_ms=0, is_space_needed=True) == [1]
    assert retirable((3,), (), served_ms=SERVED_MS, is_space_needed=True) == []


def test_a_clock_that_was_set_back_removes_nothing() -> None:
    assert retirable((1, 2), (), served_ms=-SERVED_MS * 400) == []


@pytest.mark.parametrize(
    ("hour", "since_ms", "budget_ms"),
    [
        (2, None, NIGHT_MS),
        (2, REST_MS, NIGHT_MS),
        (3, REST_MS - 1, 0),
        (12, None, DAY_MS),
        (12, REST_MS, 0),
        (12, MISSED_MS, DAY_MS),
    ],
)
def test_files_are_read_at_night_or_a_little_by_day_on_boxes_that_are_off_at_night(
    hour: int, since_ms: int | None, budget_ms: int
) -> None:
    assert scrub_budget_ms(hour, since_ms) == budget_ms
