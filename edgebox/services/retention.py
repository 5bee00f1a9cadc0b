"""Old statements leave the box by the rule that staff chose, at night, after the hub had them for a week."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from content_packs.base.clock import Clock
from content_packs.installer import measure_disk
from content_packs.installer.planning import MeasureDisk, reserve_bytes
from edgebox.domain.retention import Policy
from edgebox.domain.scrub_time import NIGHT_MS, scrub_budget_ms
from edgebox.services.teaching import AssignedLesson, Teaching
from edgebox.settings import Settings
from edgebox.store import retention
from edgebox.store.database import Database
from edgebox.store.retention import Counts, Open, Wanted

log = logging.getLogger(__name__)

_REST_SECONDS = 0.02
_REST_SHARE = 4  # as long again as a slice took, so that those who write meanwhile have the disk most of the time


@dataclass(frozen=True, slots=True)
class State:
    """What staff are shown."""

    policy: Policy
    counts: Counts
    is_time_known: bool
    has_hub: bool


class Retention:
    """Removes what may go; nothing goes while the box does not know for sure what time it is."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        teaching: Teaching,
        *,
        is_time_known: Callable[[], bool],
        measure: MeasureDisk = measure_disk,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._teaching = teaching
        self._is_time_known = is_time_known
        self._measure = measure
        self._is_stopping = False
        self._busy = asyncio.Lock()
        self._last_ms: int | None = None
        self._after_seq = 0

    async def close(self) -> None:
        """Stop after the slice that is on its way. Safe to repeat."""
        self._is_stopping = True
        async with self._busy:
            pass

    async def state(self) -> State:
        """Return the rule and what it has come to."""
        return State(
            await self._database.read(retention.find_policy),
            await self._database.read(retention.count),
            self._is_time_known(),
            await self._database.read(retention.has_hub),
        )

    async def choose(self, policy: Policy) -> None:
        """Take over the rule that staff chose; what has left stays away. Safe to repeat."""
        await self._database.write(lambda connection: retention.put_policy(connection, policy))
        self._last_ms = None

    async def is_card_filling(self) -> bool:
        """Return whether the card is nearly full while everything is kept and need not be."""
        space = await asyncio.to_thread(self._measure, self._settings.data)
        if space.free_bytes >= reserve_bytes(space.total_bytes):
            return False
        keeps_all = (await self._database.read(retention.find_policy)).keeps_all
        return keeps_all and await self._database.read(retention.has_hub)

    async def remove_when_due(self) -> int:
        """Remove for as long as this hour allows, and return how many statements left."""
        now_ms = self._clock.monotonic_ms()
        since_ms = None if self._last_ms is None else now_ms - self._last_ms
        hour = datetime.fromtimestamp(self._clock.now_ms() / 1000).astimezone().hour
        budget_ms = scrub_budget_ms(hour, since_ms)
        if not budget_ms:
            return 0
        removed = await self.remove(budget_ms)
        if not self._after_seq or budget_ms >= NIGHT_MS:
            self._last_ms = now_ms
        return removed

    async def remove(self, budget_ms: int) -> int:
        """Remove what may go, slice by slice, until it is gone or time is over; return how many statements left.

        Raises:
            StoreUnavailable: the disk refused; what left has left, and the rest goes another time.
        """
        async with self._busy:
            wanted = await self._find_wanted()
            if wanted is None:
                return 0
            removed, end_ms = 0, self._clock.monotonic_ms() + budget_ms
            while not self._is_stopping and self._clock.monotonic_ms() < end_ms:
                due = await self._database.read(partial(retention.find_due, wanted=wanted, after_seq=self._after_seq))
                removed += await self._remove_all(wanted, due.seqs)
                self._after_seq = due.next_seq or 0
                if due.next_seq is None:
                    break
        log.info("retention.removed statements=%d", removed)
        return removed

    async def _remove_all(self, wanted: Wanted, seqs: list[int]) -> int:
        removed = 0
        for start in range(0, len(seqs), retention.SLICE):
            slice_ = seqs[start : start + retention.SLICE]
            began_ms = self._clock.monotonic_ms()
            removed += await self._database.write(partial(retention.remove, wanted=wanted, seqs=slice_))
            took_seconds = (self._clock.monotonic_ms() - began_ms) / 1000
            await asyncio.sleep(max(_REST_SECONDS, _REST_SHARE * took_seconds))
        return removed

    async def _find_wanted(self) -> Wanted | None:
        """Return what may go by the rule and by what goes on in the classes; None when nothing may."""
        policy, now_ms = await self._database.read(retention.find_policy), self._clock.now_ms()
        first_day = policy.first_day(datetime.fromtimestamp(now_ms / 1000).astimezone().date())
        if first_day is None or not self._is_time_known():
            return None
        opened = await self._find_open()
        kept = await self._database.read(lambda connection: retention.find_kept(connection, opened))
        before = datetime(first_day.year, first_day.month, first_day.day).astimezone()
        return Wanted(int(before.timestamp() * 1000), now_ms, kept)

    async def _find_open(self) -> list[Open]:
        """Return what the classes were given and still have."""
        opened = []
        for school_class in await self._teaching.classes():
            found = await self._teaching.progress(school_class.no)
            people = frozenset(learner.no for learner in found.learners)
            resources = frozenset(pair for lesson in found.lessons for pair in _resources_of(lesson))
            opened.append(Open(people, resources))
        return opened


def _resources_of(given: AssignedLesson) -> list[tuple[str, str | None]]:
    """Return the resources of a lesson, or all of its pack when the box does not have the lesson any more."""
    if given.lesson is None:
        return [(given.assignment.pack, None)]
    return [(resource.pack or given.assignment.pack, resource.id) for resource in given.resources]
