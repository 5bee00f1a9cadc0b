"""How the box is, in numbers, once a day for the hub: no name, nothing that anybody did."""

import asyncio

from content_packs.base.clock import Clock
from content_packs.installer import measure_disk
from content_packs.installer.planning import MeasureDisk
from edgebox import __version__
from edgebox.settings import Settings
from edgebox.store import health
from edgebox.store.database import Database

EVERY_MS = 24 * 3600 * 1000
_VERSION_CHARACTERS = 40


class Health:
    """Writes the box's health when a day has passed."""

    def __init__(
        self, database: Database, settings: Settings, clock: Clock, *, measure: MeasureDisk = measure_disk
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._measure = measure
        self._started_ms = clock.monotonic_ms()
        self._written_ms: int | None = None  # monotonic

    async def write_when_due(self) -> bool:
        """Write how the box is, unless that was done within a day; return whether it was. Safe to repeat."""
        if not await self._is_due():
            return False
        now_ms = self._clock.now_ms()
        space = await asyncio.to_thread(self._measure, self._settings.data)
        counts = await self._database.read(health.count)
        uptime_seconds = (self._clock.monotonic_ms() - self._started_ms) // 1000
        await self._database.write(
            lambda connection: health.write(
                connection,
                counts,
                version=__version__[:_VERSION_CHARACTERS],
                uptime_seconds=uptime_seconds,
                free_bytes=space.free_bytes,
                total_bytes=space.total_bytes,
                now_ms=now_ms,
            )
        )
        self._written_ms = self._clock.monotonic_ms()
        return True

    async def _is_due(self) -> bool:
        if self._written_ms is not None:
            return self._clock.monotonic_ms() >= self._written_ms + EVERY_MS
        last_ms, now_ms = await self._database.read(health.find_last_ms), self._clock.now_ms()
        # A clock that was set back must not keep the box silent for years.
        return last_ms is None or not last_ms <= now_ms < last_ms + EVERY_MS
