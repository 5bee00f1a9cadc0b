"""The records of learners: read for damage at night, put right, copied in part, and the teacher told."""

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import datetime

from content_packs.base.clock import Clock
from content_packs.base.errors import EdgeboxError
from edgebox.domain.scrub_time import NIGHT_MS, scrub_budget_ms
from edgebox.services.introducing import Introducing
from edgebox.store import changes, clients, copying, repairs, scrubbing
from edgebox.store.database import Database
from edgebox.store.identities import Reason
from edgebox.store.repairs import Repair
from edgebox.store.reserve import Reserve
from edgebox.store.scrubbing import Found, Noted

log = logging.getLogger(__name__)

TOLD_MS = 14 * 86_400_000


class RecordCheck:
    """Looks after the learner database while it is in use."""

    def __init__(self, database: Database, clock: Clock, reserve: Reserve) -> None:
        self._database = database
        self._clock = clock
        self._reserve = reserve
        self._stop = threading.Event()
        self._busy = asyncio.Lock()
        self._last_ms: int | None = None

    async def open(self, introducing: Introducing) -> None:
        """Keep room for repairs; after a loss go on as after a restore, so that the hub sends what it has."""
        await asyncio.to_thread(self._reserve.hold)
        if not await self._database.read(repairs.has_unsettled):
            return
        if await self._database.read(changes.find_hub) is not None:
            await introducing.renew(Reason.RESTORED)
        await self._database.write(repairs.settle)

    async def close(self) -> None:
        """Stop what is being read; it goes on from there another time. Safe to repeat."""
        self._stop.set()
        async with self._busy:
            pass

    async def scrub_when_due(self) -> None:
        """Read on for as long as this hour allows; keep room for repairs once there is some again."""
        await asyncio.to_thread(self._reserve.hold)
        now_ms = self._clock.monotonic_ms()
        since_ms = None if self._last_ms is None else now_ms - self._last_ms
        hour = datetime.fromtimestamp(self._clock.now_ms() / 1000).astimezone().hour
        budget_ms = scrub_budget_ms(hour, since_ms)
        if not budget_ms:
            return
        found = await self.scrub(budget_ms)
        if not found.place or budget_ms >= NIGHT_MS:
            self._last_ms = now_ms

    async def scrub(self, budget_ms: int | None) -> Found:
        """Read on for a time, or everything once, put right what is wrong, and return what was found.

        Raises:
            StoreUnavailable, sqlite3.OperationalError: it could not be read or written now; another time it goes on.
        """
        async with self._busy:
            place = await self._database.read(scrubbing.find_place) if budget_ms is not None else ""
            found = await asyncio.to_thread(
                scrubbing.read_on, self._database.path, place, self._until(budget_ms), self._stop.is_set
            )
            now_ms = self._clock.now_ms()
            noted = Noted(0, found.fault)  # nothing is written to a file that is damaged
            if not found.fault:
                noted = await self._database.write(lambda connection: scrubbing.note(connection, found, now_ms))
        if found.damaged or found.is_missing:
            log.error("records.damaged statements=%d lost=%d", len(found.damaged), noted.lost)
        for each in found.unfit:
            log.error("records.unfit table=%s mended=%s", each.table, each.mended is not None)
        if noted.fault:
            log.error("records.fault %s", noted.fault)
            await asyncio.to_thread(self._database.note_damage, scrubbing.suspicion(noted.fault))
        elif not found.place:
            await self._copy_small()
        return found

    def _until(self, budget_ms: int | None) -> Callable[[], bool]:
        if budget_ms is None:
            return self._stop.is_set
        end_ms = self._clock.monotonic_ms() + budget_ms
        return lambda: self._stop.is_set() or self._clock.monotonic_ms() >= end_ms

    async def _copy_small(self) -> None:
        try:
            await asyncio.to_thread(copying.copy_small, self._database.path)
        except (EdgeboxError, OSError):
            # The copy of the night before is still there.
            log.exception("records.copy_failed")

    async def list_told(self) -> list[Repair]:
        """Return what teachers are told: what was found in the last two weeks, or since the clock was set back."""
        now_ms = self._clock.now_ms()
        found = await self._database.read(repairs.list_all)
        return [repair for repair in found if abs(now_ms - repair.at_ms) <= TOLD_MS]

    async def list_ended_ms(self) -> list[int]:
        """Return when repairs of the last two weeks ended the sign-ins of other apps."""
        now_ms = self._clock.now_ms()
        return [at_ms for at_ms in await self._database.read(clients.list_ended_ms) if abs(now_ms - at_ms) <= TOLD_MS]

    async def is_room_low(self) -> bool:
        """Return whether the disk is so full that the room for repairs is in use."""
        return not await asyncio.to_thread(self._reserve.is_held)
