"""How long statements stay on a box once the hub has them: everything, some school years, or some months."""

from dataclasses import dataclass
from datetime import date

YEARS = (1, 2, 3)
MONTHS = (6, 12)
FIRST_MONTH = 9
SETTLED_MS = 7 * 86_400_000
"""So long the hub must have had a statement: it may be restored from a backup of some days ago, and asks again then."""
_MONTHS_OF_YEAR = 12
_ALL = "all"


@dataclass(frozen=True, slots=True)
class Policy:
    """What stays.

    Attributes:
        years: the school year that runs and so many before it; 0 when it does not go by years.
        months: the last so many; 0 when it does not go by months. With both 0 everything stays.
        first_month: of a school year, 1 to 12.
    """

    years: int = 0
    months: int = 0
    first_month: int = FIRST_MONTH

    @property
    def keeps_all(self) -> bool:
        """Return whether nothing is ever removed."""
        return not self.years and not self.months

    @property
    def choice(self) -> str:
        """Return the word for it in forms and in the database, the first month apart."""
        return f"years-{self.years}" if self.years else f"months-{self.months}" if self.months else _ALL

    def first_day(self, today: date) -> date | None:
        """Return the first day whose statements stay; None when all do."""
        if self.years:
            started = today.year - (today.month < self.first_month)
            return date(max(started - self.years, 1), self.first_month, 1)
        if self.months:
            month = max(today.year * _MONTHS_OF_YEAR + today.month - 1 - self.months, _MONTHS_OF_YEAR)
            return date(month // _MONTHS_OF_YEAR, month % _MONTHS_OF_YEAR + 1, 1)
        return None


CHOICES = {
    each.choice: each for each in (Policy(), *(Policy(years=no) for no in YEARS), *(Policy(months=no) for no in MONTHS))
}


def make_policy(choice: str, first_month: str) -> Policy | None:
    """Return the policy of a form or of the database; None when it is none of ours."""
    if choice not in CHOICES or first_month not in _MONTH_TEXTS:
        return None
    known = CHOICES[choice]
    return Policy(known.years, known.months, int(first_month))


_MONTH_TEXTS = frozenset(str(month) for month in range(1, _MONTHS_OF_YEAR + 1))
