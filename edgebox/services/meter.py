"""What the meter of the line shows: what was spent and is left, what waits, what goes next, when, and what it costs."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from content_packs.base.budget import month_of
from edgebox.services.fetching import Fetching
from edgebox.services.line import Line
from edgebox.services.receiving import Receiving
from edgebox.services.sync_state import SyncStatus
from edgebox.services.syncing import Syncing
from sync.engine.lanes import Lane, Step, Tariff

# Of a change that is in no bundle yet, nobody knows the size; this is what one has taken so far, and a head.
_CHANGE_BYTES = 6
_HEAD_BYTES = 200


@dataclass(frozen=True)
class LaneReading:
    """What one lane spent, both ways, and what waits in it."""

    lane: Lane
    today_bytes: int
    month_bytes: int
    waiting_bytes: int


@dataclass(frozen=True)
class Reading:
    """All that the meter shows.

    Attributes:
        told: names of what the command line decides, not staff.
        is_time_known: otherwise days, months and hours are not.
        today_left_bytes: for what is urgent; None for no limit.
        steps: what goes next, the first first.
    """

    tariff: Tariff
    told: frozenset[str]
    is_time_known: bool
    offset_minutes: int
    today_bytes: int
    today_left_bytes: int | None
    month_bytes: int
    month_left_bytes: int | None
    lanes: tuple[LaneReading, ...]
    steps: tuple[Step, ...]

    def as_record(self) -> dict[str, Any]:
        """Return it for machines: sizes in bytes, times in milliseconds UTC, money in millionths of the currency."""
        return {
            "is_metered": self.tariff.is_metered,
            "day_bytes": self.tariff.day_bytes,
            "month_bytes": self.tariff.month_bytes,
            "windows": [str(window) for window in self.tariff.windows],
            "rate_kbit": self.tariff.rate_kbit,
            "currency": self.tariff.currency,
            "price_micros": self.tariff.price_micros,
            "spent_today_bytes": self.today_bytes,
            "left_today_bytes": self.today_left_bytes,
            "cost_today_micros": self.tariff.cost_micros(self.today_bytes),
            "spent_month_bytes": self.month_bytes,
            "left_month_bytes": self.month_left_bytes,
            "cost_month_micros": self.tariff.cost_micros(self.month_bytes),
            "lanes": [
                {
                    "lane": int(lane.lane),
                    "name": lane.lane.name.lower(),
                    "spent_today_bytes": lane.today_bytes,
                    "spent_month_bytes": lane.month_bytes,
                    "waiting_bytes": lane.waiting_bytes,
                }
                for lane in self.lanes
            ],
            "next": [
                {
                    "lane": int(step.lane),
                    "size_bytes": step.size_bytes,
                    "at_ms": step.at_ms,
                    "cost_micros": step.cost_micros,
                }
                for step in self.steps
            ],
        }


class Meter:
    """Reads the line, and asks those who use it what waits."""

    def __init__(self, line: Line, syncing: Syncing, fetching: Fetching, receiving: Receiving) -> None:
        self._line = line
        self._syncing = syncing
        self._fetching = fetching
        self._receiving = receiving

    async def read(self) -> Reading:
        """Return what the meter shows now."""
        status = await self._syncing.status()
        waiting = Counter(self._fetching.waiting()) + Counter(_waiting_up(status))
        if status.hub_url is not None:
            waiting += Counter(await self._syncing.files.waiting())
        waiting[Lane.SMALL] += self._receiving.waiting_bytes
        now, rules = self._line.moment(), self._line.rules
        ledger, tariff = rules.ledger, rules.tariff
        today = ledger.day(now)
        month = month_of(today)
        days = [day for day in ledger.days if abs(day - today) < 31 and month_of(day) == month]
        lanes = tuple(
            LaneReading(
                lane,
                ledger.spent_bytes(today, [lane]),
                sum(ledger.spent_bytes(day, [lane]) for day in days),
                waiting.get(lane, 0),
            )
            for lane in Lane
        )
        month_bytes = sum(lane.month_bytes for lane in lanes)
        today_bytes = sum(lane.today_bytes for lane in lanes)
        return Reading(
            tariff,
            frozenset(self._line.told),
            now.is_known,
            ledger.offset_minutes,
            today_bytes,
            _left(tariff.day_bytes, today_bytes),
            month_bytes,
            _left(tariff.month_bytes, month_bytes),
            lanes,
            tuple(rules.forecast(waiting, now)),
        )


def _waiting_up(status: SyncStatus) -> dict[Lane, int]:
    if not status.waiting_changes or status.hub_url is None:
        return {}
    return {Lane.PROGRESS: status.waiting_bytes or _HEAD_BYTES + _CHANGE_BYTES * status.waiting_changes}


def _left(limit_bytes: int | None, spent_bytes: int) -> int | None:
    return None if limit_bytes is None else max(limit_bytes - spent_bytes, 0)
