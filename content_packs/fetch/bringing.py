"""One pack version from other places onto the box, by the shortest way there is.

From a neighbour that has it, for that costs nothing; else the patch from the version on the box, one request; else the
full patch. Whatever stops it, what came is kept, and the packs of the box are as before until the new one is whole.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.budget import Allowance, Budget
from content_packs.base.clock import Clock, SystemClock
from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import VerifyKey
from content_packs.fetch.contract import Source
from content_packs.fetch.errors import FetchPaused, NotOffered, SourceLied
from content_packs.fetch.packs import patch_target
from content_packs.fetch.small import SmallFiles
from content_packs.fetch.target import Progress, Target
from content_packs.fetch.transfer import Transfer
from content_packs.fetch.want import Neighbour, WantFetch
from content_packs.format import layout
from content_packs.format.envelope import ENVELOPE_MAX_BYTES, open_envelope
from content_packs.format.errors import PackRollback, PackSpace
from content_packs.format.manifest import FileEntry, Manifest
from content_packs.format.selection import EVERYTHING
from content_packs.installer import Installer, InstallPlan, InstallResult, blob_store, measure_disk, plan
from content_packs.installer.library import highest_version, library_lock, parts_to_take
from content_packs.installer.planning import MeasureDisk, check_space
from content_packs.patch import USE_WHOLE_PACK, PatchLimits, apply_patch
from content_packs.usb.writing import make_folder


@dataclass(frozen=True, slots=True)
class Base:
    """The version a box has of a pack; version 0 and no root when it has none."""

    version: int = 0
    root: bytes = b""


class Bringing:
    """Brings packs to the box whose folder is `data`; what is on its way is in `folder`."""

    def __init__(
        self,
        data: Path,
        folder: Path,
        trusted: Mapping[bytes, VerifyKey],
        *,
        budget: Allowance | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
        clock: Clock | None = None,
        measure: MeasureDisk = measure_disk,
    ) -> None:
        self._data = data
        self._folder = folder
        self._trusted = trusted
        self._budget = Budget() if budget is None else budget
        self._on_progress = on_progress
        self._clock = clock or SystemClock()
        self._measure = measure

    async def from_depots(self, sources: Sequence[Source], pack: str, base: Base, *, or_full: bool) -> InstallResult:
        """Fetch and apply the patch from the version on the box; if nobody has it, the full one when `or_full` is set.

        Raises:
            NotOffered: nobody has anything newer.
            SourceLied, SourceDown, SourceCaptured, FetchPaused: like `Transfer`.
            PackSpace: the file that has to be fetched does not fit, found before it is; or what it makes.
            EdgeboxError: what applying says of it; what was fetched is then removed, unless space is all that lacks.
        """
        if base.root:
            try:
                return await self._patch(sources, patch_target(pack, base.root, base.version, self._trusted))
            except (NotOffered, *USE_WHOLE_PACK):
                if not or_full:
                    raise
        return await self._patch(sources, patch_target(pack, b"", base.version, self._trusted))

    async def from_neighbour(self, source: Neighbour, pack: str, version: int) -> InstallResult:
        """Fetch the manifest and every file that is missing, and install.

        Raises:
            NotOffered, SourceLied, SourceDown, SourceCaptured, FetchPaused: it does not come.
            PackRollback, PackSpace and the refusals of a manifest: it is not wanted here.
            LibraryBusy: something else is being installed; run it again, what came is kept.
        """
        name = f"{layout.PACKS_NAME}/{pack}/{version}/{layout.MANIFEST_NAME}"
        files = SmallFiles(source, budget=self._budget, clock=self._clock)
        envelope = await files.read(name, ENVELOPE_MAX_BYTES)
        manifest, _ = open_envelope(envelope, self._trusted)
        if (manifest.pack, manifest.version) != (pack, version):
            raise SourceLied(source=source.name, file=name)
        await self._fetch_missing(source, manifest)
        return await asyncio.to_thread(self._install, manifest, envelope)

    async def _fetch_missing(self, source: Neighbour, manifest: Manifest) -> None:
        to_copy = await asyncio.to_thread(self._plan, manifest)
        if not to_copy.missing:
            return
        done_bytes = to_copy.bytes_total - to_copy.bytes_to_copy

        def tell(came_bytes: int) -> None:
            nonlocal done_bytes
            done_bytes = min(done_bytes + came_bytes, to_copy.bytes_total)
            self._on_progress(Progress(done_bytes, to_copy.bytes_total, (source.name,)))
            if source.is_metered:
                self._budget.spend(self._clock.now_ms(), came_bytes)
                if self._budget.left_bytes(self._clock.now_ms()) == 0:
                    raise FetchPaused

        entries = list(to_copy.missing.values())
        fetch = WantFetch(
            source,
            manifest.pack,
            manifest.version,
            entries,
            self._take_in,
            self._folder,
            on_bytes=tell,
            clock=self._clock,
        )
        await fetch.run()

    def _take_in(self, entry: FileEntry, content: Iterable[bytes]) -> None:
        """Put a file that came into the store, while nobody sweeps there what is on its way. Blocks."""
        with library_lock(self._data):
            blob_store(self._data).add(entry.hash, content, entry.path)

    def _plan(self, manifest: Manifest) -> InstallPlan:
        highest = highest_version(self._data, manifest.pack)
        if manifest.version < highest:
            raise PackRollback(pack=manifest.pack, installed=highest, offered=manifest.version)
        space = self._measure(self._data)
        selection = parts_to_take(self._data, manifest.pack, manifest.version, EVERYTHING)
        store = blob_store(self._data)
        to_copy = plan(manifest, store, space.free_bytes, space.total_bytes, selection=selection)
        to_copy.check()
        return to_copy

    def _install(self, manifest: Manifest, envelope: bytes) -> InstallResult:
        """Install from a folder that holds the manifest only: all files are in the store. Blocks."""
        folder = self._folder / f"{manifest.pack}@{manifest.version}"
        make_folder(folder)
        try:
            atomic.write_file(folder / layout.MANIFEST_NAME, envelope)
            return Installer(folder, self._data, self._trusted, measure=self._measure).run()
        finally:
            (folder / layout.MANIFEST_NAME).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()

    async def _patch(self, sources: Sequence[Source], target: Target) -> InstallResult:
        transfer = Transfer(
            target,
            sources,
            self._folder,
            budget=self._budget,
            on_progress=self._on_progress,
            check_space=lambda needed_bytes: check_space(self._measure(self._data), needed_bytes),
            clock=self._clock,
        )
        partial = await transfer.run()
        try:
            limits = PatchLimits(measure=self._measure)
            result = await asyncio.to_thread(apply_patch, self._data, partial.path, self._trusted, limits=limits)
        except EdgeboxError as error:
            # What can be tried again is kept whole; anything else would fail the same way for ever.
            is_kept = error.retryable or isinstance(error, PackSpace)
            await asyncio.to_thread(partial.close if is_kept else partial.discard)
            raise
        await asyncio.to_thread(partial.discard)
        return result
