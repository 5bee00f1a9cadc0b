"""Filling a stick for the next school: one stick at a time, goes on by itself when it was pulled and is back.

What is on its way is not kept across a restart: a stick without manifests offers nothing, and asking again goes on
where it stopped. Besides packs, a stick carries what the box has of a depot: lists of packs, and patches of what was
chosen.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from content_packs import installer
from content_packs.base.errors import EdgeboxError
from content_packs.format import layout
from content_packs.format.errors import BlobMissing, PackNotFound, StickGone
from content_packs.format.manifest import FileEntry, Manifest
from content_packs.format.selection import Selection, selected_size_bytes
from content_packs.installer import InstalledPack
from content_packs.usb.errors import ExportCancelled, NothingChosen, StickBusy
from content_packs.usb.export import Cargo, Exporter, ExportPlan, ExportResult, OnProgress
from content_packs.usb.stick import stick_errors
from edgebox.services.library import Library
from edgebox.services.sticks import Sticks
from edgebox.settings import Settings

PROGRESS_SECONDS = 0.5
POLL_SECONDS = 3.0
BESIDE_MAX_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024

log = logging.getLogger(__name__)


class ExportState(Enum):
    """Where filling a stick stands."""

    WRITING = "writing"
    STICK_GONE = "stick_gone"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        """Return whether it still wants to go on."""
        return self in (ExportState.WRITING, ExportState.STICK_GONE)


@dataclass(frozen=True)
class Choice:
    """A pack that can be put on a stick, with the parts of it that are on this box.

    Attributes:
        manifest: without files, lessons and resources: a page shows hundreds of packs.
        size_bytes: of what is there.
        least_bytes: of what is there in no part.
        part_bytes: what each part that is there takes besides, by its id.
    """

    manifest: Manifest
    size_bytes: int
    least_bytes: int
    part_bytes: Mapping[str, int]


@dataclass(frozen=True)
class ExportJob:
    """One stick that is being filled, or was.

    Attributes:
        done_bytes: written and read back; both count.
        error: code and fields of what went wrong with the stick.
        refused: packs that could not be put on it, with what was wrong with each.
    """

    stick: Path
    packs: tuple[Manifest, ...]
    state: ExportState = ExportState.WRITING
    done_bytes: int = 0
    total_bytes: int = 0
    error: Mapping[str, Any] | None = None
    exported: tuple[Manifest, ...] = ()
    refused: tuple[tuple[Manifest, Mapping[str, Any]], ...] = ()


class Exporting:
    """Puts packs on sticks.

    Attributes:
        job: the stick that is being filled or was the last; None before the first.
    """

    def __init__(
        self, settings: Settings, library: Library, sticks: Sticks, *, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._settings = settings
        self._library = library
        self._sticks = sticks
        self._poll_seconds = poll_seconds
        self._changed = asyncio.Condition()
        self._starting = asyncio.Lock()
        self._stop = threading.Event()
        self._known: dict[tuple[str, int, str], Choice] = {}
        self._task: asyncio.Task[None] | None = None
        self.job: ExportJob | None = None

    async def choices(self) -> list[Choice]:
        """Return every pack that is shown here, by id; only manifests that changed since the last time are read."""
        shown = {(one.pack, one.version, one.stamp) for one in self._library.shelf.current.values()}
        return await asyncio.to_thread(self._look_at, sorted(shown))

    def _look_at(self, shown: Sequence[tuple[str, int, str]]) -> list[Choice]:
        found: dict[tuple[str, int, str], Choice] = {}
        for named in shown:
            with suppress(PackNotFound):
                pack, version, _ = named
                known = self._known.get(named)
                found[named] = known or choice_of(installer.find_installed(self._settings.data, pack, version))
        self._known = found
        return list(found.values())

    async def plan(self, stick: Path, packs: Sequence[str], parts: Mapping[str, Selection]) -> ExportPlan:
        """Return what these packs take on the stick, and how much room there is. Raises like `start`."""
        cargo = await asyncio.to_thread(self._cargo, packs, parts)
        return await asyncio.to_thread(Exporter(stick, cargo).plan)

    async def start(self, stick: Path, packs: Sequence[str], parts: Mapping[str, Selection]) -> None:
        """Begin to put packs on a stick; of those in `parts` only these parts.

        Raises:
            StickBusy: another stick is being filled.
            NothingChosen, PackNotFound: no pack was named, or one that is not on this box.
            StickFull: they do not fit; nothing was written.
        """
        if not packs:
            raise NothingChosen
        # A form that is sent twice must not fill the stick twice at the same time.
        async with self._starting:
            if self.job is not None and self.job.state.is_open:
                raise StickBusy
            cargo = await asyncio.to_thread(self._cargo, packs, parts)
            exporter = Exporter(stick, cargo)
            await asyncio.to_thread(exporter.check)
            self._stop.clear()
            self.job = ExportJob(stick, tuple(one.manifest for one in cargo), total_bytes=exporter.total_bytes)
            self._task = asyncio.get_running_loop().create_task(self._work(cargo))

    async def cancel(self) -> None:
        """Stop; what was written stays on the stick, where it offers nothing."""
        self._stop.set()
        if self.job is not None and self.job.state is ExportState.STICK_GONE:
            await self._end(ExportState.CANCELLED)

    async def close(self) -> None:
        """Stop at the next step. Safe to repeat."""
        self._stop.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def watch(self) -> AsyncIterator[ExportJob]:
        """Yield the job whenever it changed, until it has ended or waits for its stick."""
        seen: ExportJob | None = None
        while self.job is not None and (seen is None or seen.state is ExportState.WRITING):
            async with self._changed:
                if self.job == seen:
                    await self._changed.wait()
                    continue
                seen = self.job
            yield seen

    def _cargo(self, packs: Sequence[str], parts: Mapping[str, Selection]) -> list[Cargo]:
        shown = self._library.shelf.current
        for name in packs:
            if name not in shown:
                raise PackNotFound(place=name)
        found = [
            installer.find_installed(self._settings.data, name, shown[name].version) for name in dict.fromkeys(packs)
        ]
        return [self._one(pack, parts.get(pack.manifest.pack), is_first=pack is found[0]) for pack in found]

    def _one(self, pack: InstalledPack, wanted: Selection | None, *, is_first: bool) -> Cargo:
        here = pack.selection
        taken = here if wanted is None else wanted if here.parts is None else _common(here, wanted)
        beside = dict(_patches(self._settings.data, pack.manifest.pack))
        if is_first:
            beside |= dict(_records(self._settings.data))
        return Cargo(pack.manifest, pack.path.read_bytes(), self._read, taken, beside)

    def _read(self, entry: FileEntry) -> Iterator[bytes]:
        """Yield a file of the box; what is wrong with the box's own disk must not be taken for a fault of the stick."""
        try:
            with installer.blob_store(self._settings.data).open(entry.hash) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise BlobMissing(file=entry.path) from error

    async def _work(self, cargo: list[Cargo]) -> None:
        """Fill the stick; while it is pulled, look for it now and then."""
        assert self.job is not None
        stick: Path | None = self.job.stick
        while self.job.state.is_open:
            if stick is not None:
                await self._fill(Exporter(stick, cargo))
            if self.job.state is ExportState.STICK_GONE:
                await asyncio.sleep(self._poll_seconds)
                stick = await self._find_again(cargo)
        self._sticks.forget()

    async def _fill(self, exporter: Exporter) -> None:
        try:
            result = await self._run(exporter)
        except StickGone as error:
            await self._end(ExportState.STICK_GONE, error)
        except ExportCancelled:
            await self._end(ExportState.CANCELLED)
        except EdgeboxError as error:
            await self._end(ExportState.FAILED, error)
        except OSError as error:
            log.exception("exporting.fault")
            await self._end(ExportState.FAILED, StickGone(place=str(error.filename or ""), reason=type(error).__name__))
        else:
            refused = tuple((one.manifest, one.error.as_record()) for one in result.refused)
            await self._change(state=ExportState.DONE, exported=result.exported, refused=refused, error=None)

    async def _run(self, exporter: Exporter) -> ExportResult:
        """Write in a thread, telling of progress at most every half second; when cancelled, wait for the thread."""
        done = [0, exporter.total_bytes]

        def tell(done_bytes: int, total_bytes: int, _file: str) -> None:
            done[:] = [done_bytes, total_bytes]

        await self._change(state=ExportState.WRITING, error=None)
        thread = asyncio.create_task(asyncio.to_thread(self._put_all, exporter, tell))
        try:
            while not thread.done():
                await asyncio.wait({thread}, timeout=PROGRESS_SECONDS)
                await self._change(done_bytes=done[0], total_bytes=done[1])
            return await thread
        finally:
            if not thread.done():
                self._stop.set()
                await asyncio.gather(thread, return_exceptions=True)

    def _put_all(self, exporter: Exporter, on_progress: OnProgress) -> ExportResult:
        """Put the packs on the stick, and the list without which the next school may not take them. Blocks."""
        result = exporter.run(on_progress, self._stop.is_set)
        with stick_errors(exporter.stick):
            self._library.trust.hand_on(exporter.stick / layout.STICK_NAME)
        return result

    async def _find_again(self, cargo: list[Cargo]) -> Path | None:
        """Return where the stick is now: in its old place, or where one holds what was begun."""
        assert self.job is not None
        mounted = await self._sticks.mounted()
        if self.job.stick in mounted:
            return self.job.stick
        begun = f"{cargo[0].place}/{layout.BLOBS_NAME}"
        return await asyncio.to_thread(lambda: next((stick for stick in mounted if (stick / begun).is_dir()), None))

    async def _end(self, state: ExportState, error: EdgeboxError | None = None) -> None:
        await self._change(state=state, error=None if error is None else error.as_record())

    async def _change(self, **changes: Any) -> None:
        assert self.job is not None
        self.job = replace(self.job, **changes)
        async with self._changed:
            self._changed.notify_all()


def choice_of(pack: InstalledPack) -> Choice:
    """Return a pack of the box as it can be chosen."""
    manifest = pack.manifest
    least_bytes = selected_size_bytes(manifest, Selection(frozenset()))
    return Choice(
        manifest=replace(manifest, files=(), lessons=(), resources=()),
        size_bytes=selected_size_bytes(manifest, pack.selection),
        least_bytes=least_bytes,
        part_bytes={
            part.id: selected_size_bytes(manifest, Selection(frozenset({part.id}))) - least_bytes
            for part in manifest.parts
            if pack.selection.takes(part)
        },
    )


async def usable_bytes(stick: Path) -> int:
    """Return how much of the space on a stick packs may take; 0 when it does not answer."""
    try:
        return (await asyncio.to_thread(Exporter(stick, []).plan)).usable_bytes
    except EdgeboxError:
        return 0


def matches(manifest: Manifest, languages: Sequence[str], levels: Sequence[str]) -> bool:
    """Return whether a pack is for one of the languages and one of the levels; no wish is none."""
    speaks = not languages or any(language_fits(own, wish) for own in manifest.languages for wish in languages)
    return speaks and (not levels or manifest.educational_level in levels)


def language_fits(own: str, wish: str) -> bool:
    """Return whether a language is the one wished for, or a variety of it."""
    return f"{own}-".lower().startswith(f"{wish}-".lower())


def choose_fitting(choices: Sequence[Choice], usable_bytes: int) -> list[str]:
    """Return the packs that fit on a stick together, the smallest first, so that they are as many as possible."""
    fitting: list[str] = []
    for choice in sorted(choices, key=lambda each: (each.size_bytes, each.manifest.pack)):
        usable_bytes -= choice.size_bytes + choice.size_bytes // 50
        if usable_bytes < 0:
            break
        fitting.append(choice.manifest.pack)
    return fitting


def _common(here: Selection, wanted: Selection) -> Selection:
    """Return the wanted parts that are on this box."""
    return here if wanted.parts is None or here.parts is None else Selection(here.parts & wanted.parts)


def _records(data: Path) -> Iterator[tuple[str, Path]]:
    """Yield the signed lists of packs in the box's own depot, by their place in any depot."""
    return _files(data / "depot", "metadata")


def _patches(data: Path, pack: str) -> Iterator[tuple[str, Path]]:
    """Yield the patches of a pack in the box's own depot; that from nothing is not one, the pack itself goes along."""
    for name, path in _files(data / "depot", f"{layout.PATCHES_NAME}/{pack}"):
        if path.stem != layout.FULL_NAME:
            yield name, path


def _files(depot: Path, folder: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((depot / folder).glob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= BESIDE_MAX_BYTES:
            yield path.relative_to(depot).as_posix(), path
