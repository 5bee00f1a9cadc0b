"""Old versions of packs: kept until the new one has served a day or the space is needed, and never while in use."""

import asyncio
import contextlib
import logging

from content_packs import installer
from content_packs.base.clock import Clock
from content_packs.format.errors import LibraryBusy, PackNotFound
from content_packs.installer import measure_disk
from content_packs.installer.planning import MeasureDisk, reserve_bytes
from edgebox.domain.versions import retirable
from edgebox.services.library import Library
from edgebox.settings import Settings
from edgebox.store import jobs, versions
from edgebox.store.database import Database
from edgebox.store.versions import Dropped

log = logging.getLogger(__name__)


class Retiring:
    """Removes old versions when it is time.

    Attributes:
        old_bytes: about how much space the old versions take that will go by themselves, as of the last look.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        library: Library,
        *,
        measure: MeasureDisk = measure_disk,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._library = library
        self._measure = measure
        self.old_bytes = 0

    async def retire(self) -> int:
        """Remove the old versions that may go, and return how many went; safe to repeat, and to stop anywhere."""
        space = await asyncio.to_thread(self._measure, self._settings.data)
        return await self._retire(is_space_needed=space.free_bytes < reserve_bytes(space.total_bytes))

    async def make_room(self) -> bool:
        """Remove old versions nobody uses and what stopped installs have copied; return whether that freed anything."""
        removed = await self._retire(is_space_needed=True)
        return removed + await self._sweep() > 0

    async def _sweep(self) -> int:
        """Remove files no pack uses, unless an install that waits will want them; return their bytes."""
        if await self._database.read(jobs.list_open_jobs):
            return 0
        with contextlib.suppress(LibraryBusy):
            return await asyncio.to_thread(installer.sweep, self._settings.data)
        return 0

    async def _retire(self, *, is_space_needed: bool) -> int:
        now_ms, pins, shelf = self._clock.now_ms(), await self._pins(), self._library.shelf
        removed = old_bytes = 0
        for pack, kept in shelf.versions.items():
            if len(kept) < 2:
                continue
            await self._keep_titles(pack, kept[:-1])
            pinned = {version for name, version in pins if name == pack}
            served_ms = now_ms - shelf.current[pack].installed_ms
            for version in retirable(kept, pinned, served_ms=served_ms, is_space_needed=is_space_needed):
                removed += await self._remove(pack, version)
            waiting = [version for version in kept[:-1] if version not in pinned]
            old_bytes += await asyncio.to_thread(installer.only_in_bytes, self._settings.data, pack, waiting)
        self.old_bytes = old_bytes
        if removed:
            await self._library.reload()
        return removed

    async def _pins(self) -> set[tuple[str, int]]:
        now_ms = self._clock.now_ms()
        return await self._database.read(lambda connection: versions.list_pins(connection, now_ms))

    async def _keep_titles(self, pack: str, older: tuple[int, ...]) -> None:
        """Keep what reports need of old versions, before these go."""
        dropped = [Dropped(pack, version, tuple(await self._library.dropped(pack, version))) for version in older]
        await self._database.write(lambda connection: versions.put_dropped(connection, dropped))

    async def _remove(self, pack: str, version: int) -> bool:
        with contextlib.suppress(LibraryBusy, PackNotFound):
            await asyncio.to_thread(installer.remove, self._settings.data, pack, version)
            log.info("library.version_retired pack=%s version=%d", pack, version)
            return True
        return False
