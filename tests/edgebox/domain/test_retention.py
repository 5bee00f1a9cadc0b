from datetime import date

import pytest

from edgebox.domain.retention import CHOICES, Policy, make_policy


@pytest.mark.parametrize(
    ("policy", "today", "first_day"),
    [
        (Policy(), date(2026, 11, 25), None),
        (Policy(years=1), date(2026, 11, 25), date(2025, 9, 1)),
        (Policy(years=1), date(2026, 8, 31), date(2024, 9, 1)),
        (Policy(years=1), date(2026, 9, 1), date(2025, 9, 1)),
        (Policy(years=3, first_month=1), date(2026, 1, 1), date(2023, 1, 1)),
        (Policy(months=6), date(2026, 11, 25), date(2026, 5, 1)),
        (Policy(months=12), date(2026, 1, 31), date(2025, 1, 1)),
        (Policy(months=6), date(1, 3, 1), date(1, 1, 1)),
        (Policy(years=3), date(2, 3, 1), date(1, 9, 1)),
    ],
)
def test_first_day_that_stays(policy: Policy, today: date, first_day: date | None) -> None:
    assert policy.first_day(today) == first_day


def test_choice_is_read_back_as_it_was_made() -> None:
    for policy in CHOICES.values():
        for month in range(1, 13):
            made = Policy(policy.years, policy.months, month)
            assert make_policy(made.choice, str(month)) == made


@pytest.mark.parametrize(("choice", "month"), [("years-4", "9"), ("", "9"), ("all", "0"), ("all", "٣"), ("all", "")])
def test_what_is_no_choice_is_none(choice: str, month: str) -> None:
    assert make_policy(choice, month) is None
