"""Newer versions of the packs on the box, from the hub, from depots and boxes nearby: found, fetched and installed.

Sticks are the business of `loading`. One pack at a time; what is cut off goes on where it stopped the next time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from content_packs.base.clock import Clock
from content_packs.base.errors import EdgeboxError
from content_packs.fetch import HttpSource, Progress
from content_packs.fetch.bringing import Base, Bringing
from content_packs.fetch.errors import AddressInvalid, FetchPaused, NotOffered, SourceLied
from content_packs.fetch.packs import fetch_blob
from content_packs.fetch.partial import PartialFile, sweep
from content_packs.format.errors import LibraryBusy, PackSpace, SignerUnknown
from content_packs.format.fields import is_local
from content_packs.format.manifest import FileEntry
from content_packs.format.vouching import PackNotListed, PackWithdrawn
from content_packs.installer import InstallResult, blob_store, measure_disk
from content_packs.installer.planning import MeasureDisk
from edgebox.services.allowance import FetchAllowance
from edgebox.services.library import Library
from edgebox.services.line import Line
from edgebox.services.loading import Loading
from edgebox.services.places import Places, Sources
from edgebox.settings import Settings
from edgebox.store import changes, packs
from edgebox.store.connections import NOT_WRITTEN, StoreUnavailable
from edgebox.store.database import Database
from sync.engine.lanes import Lane, lane_of

LOOK_AGAIN_MS = 6 * 3_600_000
KEPT_MS = 30 * 24 * 3_600_000
DEPOT_PATH = "/depot"
_CHUNK_BYTES = 1024 * 1024
PACKS_PART = "/packs/"

log = logging.getLogger(__name__)


class UpdateState(Enum):
    """Where a newer version of a pack stands."""

    AVAILABLE = "available"
    FETCHING = "fetching"
    INSTALLING = "installing"
    PAUSED = "paused"
    STOPPED = "stopped"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class Update:
    """A newer version of a pack.

    Attributes:
        version: 0 while it is not known.
        sources: from where it comes now, or where it is.
        error: code and fields of what went wrong.
    """

    pack: str
    version: int
    state: UpdateState
    sources: tuple[str, ...] = ()
    done_bytes: int = 0
    total_bytes: int = 0
    error: dict[str, Any] | None = None

    @property
    def is_open(self) -> bool:
        """Return whether it is still to come."""
        return self.state not in (UpdateState.DONE, UpdateState.STOPPED)


class Fetching:
    """Looks for updates and brings them; safe to call from any task of the loop."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        library: Library,
        loading: Loading,
        line: Line,
        *,
        measure: MeasureDisk = measure_disk,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._library = library
        self._loading = loading
        self._line = line
        self._measure = measure
        self._busy = asyncio.Lock()
        self._updates: dict[str, Update] = {}
        self._lengths: dict[str, int] = {}
        self._is_asked = False
        self._tasks: dict[str, asyncio.Task[InstallResult]] = {}
        self._looked_ms: int | None = None
        self._look: asyncio.Task[None] | None = None
        self.neighbours: tuple[str, ...] = settings.neighbours

    @property
    def is_busy(self) -> bool:
        """Return whether something is looked for or fetched, which may take hours on a slow line."""
        return self._busy.locked()

    def updates(self) -> list[Update]:
        """Return what is known of newer versions, by pack."""
        return [self._updates[pack] for pack in sorted(self._updates)]

    def waiting(self) -> dict[Lane, int]:
        """Return how many bytes wait to be fetched, by lane; of what was never begun nobody knows how many."""
        waiting: dict[Lane, int] = {}
        for update in self._updates.values():
            if update.is_open and (length_bytes := self._lengths.get(update.pack, 0)):
                lane = lane_of(length_bytes)
                waiting[lane] = waiting.get(lane, 0) + max(length_bytes - update.done_bytes, 0)
        return waiting

    async def fetch_when_due(self) -> int | None:
        """Begin to look for updates and bring them, if it is time to; return when it may be time for what waits."""
        now_ms = self._clock.now_ms()
        openings = [self._line.next_ms(lane) for lane in self._waiting_lanes()]
        is_waiting = bool(openings) and (min(openings) <= now_ms or bool(self.neighbours))
        is_fresh = self._looked_ms is not None and 0 <= now_ms - self._looked_ms < LOOK_AGAIN_MS
        may_look = self._line.next_ms(Lane.SMALL) <= now_ms or bool(self.neighbours)
        if is_waiting or (may_look and not is_fresh):
            self.begin(is_asked=False)
        return min((at_ms for at_ms in openings if at_ms > now_ms), default=None)

    def begin(self, *, is_asked: bool) -> None:
        """Look for updates and bring them in the background; if `is_asked`, also those that somebody stopped."""
        if self._look is None or self._look.done():
            self._look = asyncio.get_running_loop().create_task(self.update_all(is_asked=is_asked))

    async def look(self) -> list[Update]:
        """Look for updates without fetching them, and return them."""
        async with self._busy, self._places() as places:
            for pack, base in (await self._bases()).items():
                self._note_available(places, pack, base)
        return self.updates()

    async def update_all(self, *, is_asked: bool) -> None:
        """Bring every pack on the box to the newest version there is. What goes wrong with one is kept in its state."""
        async with self._busy, self._places() as places:
            self._looked_ms, self._is_asked = self._clock.now_ms(), is_asked
            await asyncio.to_thread(sweep, self._settings.fetched, self._looked_ms - KEPT_MS)
            for pack, base in (await self._bases()).items():
                known = self._updates.get(pack)
                if is_asked or known is None or known.state is not UpdateState.STOPPED:
                    self._note_available(places, pack, base)
                    await self._update(places, pack, base)

    async def install(self, address: str) -> InstallResult:
        """Install the pack at an address such as `http://hub.example:8090/depot/packs/org.example.fractions`.

        Raises:
            AddressInvalid: it names no pack.
            NotOffered, SourceDown, SourceCaptured, SourceLied, FetchPaused and the refusals of a pack and of a list.
        """
        depot, _, pack = address.rstrip("/").rpartition(PACKS_PART)
        if not depot or not urlsplit(depot).hostname or "/" in pack:
            raise AddressInvalid(address=address)
        async with self._busy, self._sources([depot], []) as sources:
            self._is_asked = True
            places = await self._look_from(sources)
            versions, base = places.offers[sources.depots[0]], (await self._bases()).get(pack, Base())
            try:
                return await self._bring_from(sources.depots[0], pack, base, (versions or {}).get(pack, 0))
            except (SourceLied, SignerUnknown, PackNotListed) as error:
                # Nobody here vouches for it: a list that was refused is then what is wrong.
                raise places.list_error or error from error

    async def repair(self, pack: str, version: int, entry: FileEntry) -> None:
        """Bring one file of an installed pack that is lost or damaged, from a neighbour if one has it.

        Raises:
            NotOffered, SourceLied, SourceDown, SourceCaptured, FetchPaused: nobody gives it, or nobody now.
        """
        async with self._busy, self._sources(await self._depots(), self.neighbours) as sources:
            # A class is missing it, at any hour.
            allowance = FetchAllowance(self._line, length_bytes=entry.size_bytes, is_asked=True)
            asked = (*sources.neighbours, *sources.depots)
            partial = await fetch_blob(asked, pack, version, entry, self._settings.fetched, allowance)
            await asyncio.to_thread(_take_in, self._settings.data, partial, entry)

    async def cancel(self, pack: str) -> None:
        """Stop bringing a pack; what came is kept, and it is not tried again until somebody asks for it."""
        if (known := self._updates.get(pack)) is not None and known.is_open:
            self._updates[pack] = replace(known, state=UpdateState.STOPPED)
        if (task := self._tasks.get(pack)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Stop; what came is kept for the next start. Safe to repeat."""
        tasks = [task for task in (self._look, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _waiting_lanes(self) -> set[Lane]:
        states = (UpdateState.PAUSED, UpdateState.AVAILABLE)
        waiting = [update.pack for update in self._updates.values() if update.state in states]
        return {lane_of(self._lengths.get(pack, 0)) for pack in waiting}

    async def _bases(self) -> dict[str, Base]:
        """Return the versions on the box that updates start from; what was made at this school has none."""
        roots = await self._database.read(packs.list_roots)
        return {
            pack: Base(shelved.version, roots[pack, shelved.version])
            for pack, shelved in self._library.shelf.current.items()
            if not is_local(pack) and (pack, shelved.version) in roots
        }

    def _note_available(self, places: Places, pack: str, base: Base) -> None:
        neighbours = places.neighbours_of(pack, base.version)
        depots, newest = places.depots_of(pack, base.version)
        if neighbours:
            source, version = neighbours[0]
            self._updates[pack] = Update(pack, version, UpdateState.AVAILABLE, (source.name,))
        elif newest > base.version:
            names = tuple(source.name for source in depots)
            self._updates[pack] = Update(pack, newest, UpdateState.AVAILABLE, names)
        elif pack in self._updates and self._updates[pack].version <= base.version:
            del self._updates[pack]

    async def _update(self, places: Places, pack: str, base: Base) -> None:
        """Bring one pack up to date, and keep in its state how that went."""
        work = self._bring(places, pack, base)
        task = self._tasks[pack] = asyncio.get_running_loop().create_task(work)
        try:
            result = await task
        except (NotOffered, PackWithdrawn) as error:
            self._note_nothing(pack, error)
        except FetchPaused as error:
            if pack in self._updates or not places.is_paused:
                self._set(pack, UpdateState.PAUSED, error)
        except EdgeboxError as error:
            log.warning("fetching.failed pack=%s error=%s", pack, error)
            self._set(pack, UpdateState.PAUSED if error.retryable else UpdateState.FAILED, error)
        except OSError as error:
            # The disk of the box: the other packs may still come.
            log.exception("fetching.disk_fault pack=%s", pack)
            self._set(pack, UpdateState.FAILED, StoreUnavailable(reason=NOT_WRITTEN, fault=type(error).__name__))
        except asyncio.CancelledError:
            if (known := self._updates.get(pack)) is None or known.state is not UpdateState.STOPPED:
                task.cancel()
                raise
        else:
            self._updates[pack] = Update(pack, result.manifest.version, UpdateState.DONE)
            self._lengths.pop(pack, None)
        finally:
            del self._tasks[pack]

    async def _bring(self, places: Places, pack: str, base: Base) -> InstallResult:
        """Bring the newest version there is; a neighbour's word for what it has keeps nobody from asking the next."""
        depots, newest = places.depots_of(pack, base.version)
        failed: EdgeboxError = NotOffered(file=pack)
        for source, version in places.neighbours_of(pack, base.version):
            if version >= newest:
                try:
                    return await self._bring_from_neighbour(source, version, pack)
                except (LibraryBusy, PackSpace):
                    raise
                except EdgeboxError as error:
                    log.warning("fetching.neighbour_failed pack=%s source=%s error=%s", pack, source.name, error)
                    failed = error
        if not depots:
            raise FetchPaused() if places.is_paused else failed
        # Without a list, only the patch says that there is something newer: a full one is not fetched to find out.
        return await self._bring_from_depots(depots, pack, base, or_full=newest > base.version)

    async def _bring_from(self, source: HttpSource, pack: str, base: Base, version: int) -> InstallResult:
        try:
            return await self._bring_from_depots([source], pack, base, or_full=True)
        except NotOffered:
            if version <= base.version:
                raise
        return await self._bring_from_neighbour(source, version, pack)

    async def _bring_from_neighbour(self, source: HttpSource, version: int, pack: str) -> InstallResult:
        return await self._brought(pack, lambda bringing: bringing.from_neighbour(source, pack, version))

    async def _bring_from_depots(
        self, sources: list[HttpSource], pack: str, base: Base, *, or_full: bool
    ) -> InstallResult:
        return await self._brought(pack, lambda bringing: bringing.from_depots(sources, pack, base, or_full=or_full))

    async def _brought(self, pack: str, bring: Callable[[Bringing], Awaitable[InstallResult]]) -> InstallResult:
        """Bring a pack and show it, if need be after making room."""
        try:
            async with self._bringing(pack) as bringing:
                result = await bring(bringing)
        except PackSpace:
            if not await self._loading.make_room():
                raise
            async with self._bringing(pack) as bringing:
                result = await bring(bringing)
        await self._loading.adopt(result)
        return result

    @asynccontextmanager
    async def _bringing(self, pack: str) -> AsyncIterator[Bringing]:
        """Give what brings a pack."""
        allowance = FetchAllowance(self._line, length_bytes=self._lengths.get(pack, 0), is_asked=self._is_asked)

        def tell(progress: Progress) -> None:
            if progress.total_bytes:
                allowance.length_bytes = self._lengths[pack] = progress.total_bytes
            self._tell(pack, progress)

        yield Bringing(
            self._settings.data,
            self._settings.fetched,
            await asyncio.to_thread(self._library.trust.keyring),
            budget=allowance,
            on_progress=tell,
            clock=self._clock,
            measure=self._measure,
        )

    def _tell(self, pack: str, progress: Progress) -> None:
        known = self._updates.get(pack, Update(pack, 0, UpdateState.FETCHING))
        is_whole = 0 < progress.total_bytes <= progress.done_bytes
        state = UpdateState.INSTALLING if is_whole else UpdateState.FETCHING
        if known.state is not UpdateState.STOPPED:
            self._updates[pack] = replace(
                known,
                state=state,
                sources=progress.sources or known.sources,
                done_bytes=progress.done_bytes,
                total_bytes=progress.total_bytes,
                error=None,
            )

    def _note_nothing(self, pack: str, error: EdgeboxError) -> None:
        """Nobody has what was looked for: that is a failure only of those who had said that they have it."""
        if (known := self._updates.get(pack)) is None:
            return
        if known.version:
            self._set(pack, UpdateState.FAILED, error)
        elif known.state is not UpdateState.STOPPED:
            del self._updates[pack]

    def _set(self, pack: str, state: UpdateState, error: EdgeboxError) -> None:
        known = self._updates.get(pack, Update(pack, 0, state))
        self._updates[pack] = replace(known, state=state, error=error.as_record())

    @asynccontextmanager
    async def _places(self) -> AsyncIterator[Places]:
        """Give the sources there are now, each asked once for its list of packs, and the depots for the platform's."""
        async with self._sources(await self._depots(), self.neighbours) as sources:
            yield await self._look_from(sources)

    async def _look_from(self, sources: Sources) -> Places:
        await self._library.notice_publishers()
        return await sources.look(self._library.trust, FetchAllowance(self._line, is_asked=self._is_asked))

    def _sources(self, depots: Sequence[str], neighbours: Sequence[str]) -> Sources:
        return Sources(depots, neighbours, self._clock, self._line.wire(Lane.SMALL))

    async def _depots(self) -> list[str]:
        hub = await self._database.read(changes.find_hub)
        return [*self._settings.depots, *([hub[0] + DEPOT_PATH] if hub else [])]


def _take_in(data: Path, partial: PartialFile, entry: FileEntry) -> None:
    """Put a file that came whole into the store, over what is there of it. Blocks."""
    try:
        with partial.path.open("rb") as file:
            blob_store(data).add(entry.hash, iter(lambda: file.read(_CHUNK_BYTES), b""), entry.path)
    finally:
        partial.discard()
