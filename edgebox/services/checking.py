"""Damage to what is installed: found by reading in turn, put right from whoever has the file, told to the teacher."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from content_packs import installer
from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from content_packs.format.errors import BlobAltered, BlobMissing, LibraryBusy, PackNotFound, StickGone
from content_packs.installer import BlobSource, BlobStore, ScrubReport, WantedBlob
from content_packs.installer.library import library_lock
from content_packs.usb.reading import PackFolder
from edgebox.domain.scrub_time import NIGHT_MS, scrub_budget_ms
from edgebox.services.library import Library
from edgebox.services.sticks import Sticks
from edgebox.settings import Settings

log = logging.getLogger(__name__)


class DamageFound(EdgeboxError):
    """A check found what it could not put right."""

    code = "check.damage_found"
    status = 503
    exit_code = 107
    sentence = N_("{count} files of the packs on this box are damaged or missing.")
    remedy = N_("Put in a stick with these packs and check again. Learners' work is not touched.")


class RecordsLost(EdgeboxError):
    """A check found learners' work that is gone, or that it could not put right."""

    code = "check.records_lost"
    status = 503
    exit_code = 191
    sentence = N_("{count} records of learners' work on this box are damaged or missing.")
    remedy = N_("Let the tablets of the classes and the hub connect to this box: they send again what they still have.")


@dataclass(frozen=True)
class PackDamage:
    """A pack of which files are damaged or missing; `title` by language."""

    pack: str
    version: int
    title: Mapping[str, str]
    files: int


@dataclass(frozen=True)
class CheckReport:
    """What a check from end to end found.

    Attributes:
        lost: what could not be put right.
        unreadable: manifest files that are damaged.
    """

    checked: ScrubReport
    repaired_files: int
    lost: tuple[WantedBlob, ...]
    unreadable: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Return whether everything is as it was installed."""
        return not self.lost and not self.unreadable


class Checking:
    """Finds and repairs damage.

    Attributes:
        damage: the packs that have any now, as of the last look.
        sources: who is asked for files, in this order.
    """

    def __init__(self, settings: Settings, clock: Clock, library: Library, sources: Sequence[BlobSource]) -> None:
        self._settings = settings
        self._clock = clock
        self._library = library
        self._store = installer.blob_store(settings.data)
        self._busy = asyncio.Lock()
        self._stop = threading.Event()
        self._last_ms: int | None = None
        self._learning: asyncio.Task[None] | None = None
        self._repairing: asyncio.Task[int] | None = None
        self.sources = list(sources)
        self.damage: tuple[PackDamage, ...] = ()

    def resume(self) -> None:
        """Learn, in the background, what was put aside before the box was switched off."""
        self._learning = asyncio.get_running_loop().create_task(self._learn())

    async def _learn(self) -> None:
        if await asyncio.to_thread(self._store.aside):
            await self._look()

    async def close(self) -> None:
        """Stop what is being read; it goes on from there another time. Safe to repeat."""
        self._stop.set()
        tasks: list[asyncio.Task[Any]] = [task for task in (self._learning, self._repairing) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        async with self._busy:
            pass

    async def scrub_when_due(self) -> None:
        """Read on for as long as this hour allows, then repair what can be repaired."""
        now_ms = self._clock.monotonic_ms()
        since_ms = None if self._last_ms is None else now_ms - self._last_ms
        hour = datetime.fromtimestamp(self._clock.now_ms() / 1000).astimezone().hour
        budget_ms = scrub_budget_ms(hour, since_ms)
        if budget_ms:
            await self._scrub_on(budget_ms, now_ms)
        if self.damage:
            await self.repair()

    async def _scrub_on(self, budget_ms: int, now_ms: int) -> None:
        report = await self.scrub(budget_ms)
        # A short run by day is no substitute, unless it has read everything.
        if report.has_gone_round or budget_ms >= NIGHT_MS:
            self._last_ms = now_ms

    async def scrub(self, budget_ms: int | None, on_checked: Callable[[int], None] = lambda _: None) -> ScrubReport:
        """Read files in turn for a time, or all of them once, and put aside what is damaged."""
        async with self._busy:
            report = await asyncio.to_thread(
                installer.scrub,
                self._settings.data,
                budget_ms=budget_ms,
                monotonic_ms=self._clock.monotonic_ms,
                stopped=self._stop.is_set,
                on_checked=on_checked,
            )
        if report.damaged_files:
            log.error("check.damage_found files=%d", report.damaged_files)
            await self._look()
        return report

    async def check(self, on_checked: Callable[[int], None] = lambda _: None) -> CheckReport:
        """Read everything once, repair what can be repaired, and return what is wrong then."""
        report = await self.scrub(None, on_checked)
        repaired = await self.repair()
        lost = await asyncio.to_thread(installer.wanted_blobs, self._settings.data)
        unreadable = await asyncio.to_thread(installer.damaged, self._settings.data)
        return CheckReport(report, repaired, tuple(lost), tuple(each.path.name for each in unreadable))

    def begin_repair(self) -> asyncio.Task[int]:
        """Repair in the background, because a far source may take long; what is under way already is enough."""
        if self._repairing is None or self._repairing.done():
            self._repairing = asyncio.get_running_loop().create_task(self.repair())
        return self._repairing

    async def repair(self) -> int:
        """Bring back what is damaged or missing from the sources there are, and return how many files came back.

        Safe to stop and to repeat: a file is visible only once it is whole. While something is being installed,
        nothing is repaired.
        """
        repaired = 0
        async with self._busy:
            for wanted in await asyncio.to_thread(installer.wanted_blobs, self._settings.data):
                with contextlib.suppress(LibraryBusy):
                    repaired += await self._repair(wanted)
        await self._look()
        return repaired

    async def _repair(self, wanted: WantedBlob) -> bool:
        async with _locked(self._settings.data):
            if not await installer.repair(wanted, self.sources, self._store):
                return False
            await asyncio.to_thread(self._store.forget_aside, wanted.entry.hash)
        log.info("check.file_repaired hash=%s", wanted.entry.hash.hex())
        return True

    async def _look(self) -> None:
        counts: dict[tuple[str, int], int] = {}
        for wanted in await asyncio.to_thread(installer.wanted_blobs, self._settings.data):
            for each in wanted.packs:
                counts[each] = counts.get(each, 0) + 1
        kept = self._library.shelf.kept
        self.damage = tuple(
            PackDamage(*each, kept[each].title, count) for each, count in sorted(counts.items()) if each in kept
        )


class StickSource:
    """The sticks in the box: any pack of the same name may still have the file."""

    def __init__(self, sticks: Sticks) -> None:
        self._sticks = sticks

    async def bring(self, wanted: WantedBlob, store: BlobStore) -> bool:
        """See `BlobSource`."""
        names = {pack for pack, _version in wanted.packs}
        for stick in await self._sticks.look():
            for folder in [folder for pack, folder in stick.packs if pack in names]:
                if await asyncio.to_thread(_copy, folder, wanted, store):
                    return True
        return False


def _copy(folder: Path, wanted: WantedBlob, store: BlobStore) -> bool:
    entry = wanted.entry
    try:
        with PackFolder(folder) as pack:
            store.add(entry.hash, pack.read_blob(entry), entry.path)
    except (BlobAltered, BlobMissing, PackNotFound, StickGone, OSError) as error:
        log.info("check.source_failed folder=%s error=%s", folder, error)
        return False
    return True


@asynccontextmanager
async def _locked(data: Path) -> AsyncIterator[None]:
    """Hold the library lock, without waiting for the disk in the event loop."""
    lock = library_lock(data)
    await asyncio.to_thread(lock.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(lock.__exit__, None, None, None)
