"""Packs onto the box and off it: one at a time, through pulled sticks and restarts, and how far it is.

An install is a row that says what is wanted; its work may stop anywhere and be done again: what was copying when the
power went goes on at the next start, and what came from a pulled stick when it is back.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from content_packs import installer
from content_packs.base.clock import Clock
from content_packs.base.errors import EdgeboxError
from content_packs.format import layout
from content_packs.format.errors import InstallCancelled, LibraryBusy, PackNotFound, PackRollback, PackSpace, StickGone
from content_packs.format.selection import name_parts
from content_packs.installer import DiskSpace, Installer, InstallResult, measure_disk
from content_packs.installer.library import highest_version, want_parts
from content_packs.installer.planning import MeasureDisk
from content_packs.patch import PatchFile, PatchLimits, apply_patch, inspect_patch
from content_packs.usb.scanning import read_offer
from edgebox.services.library import Library
from edgebox.services.shelf import ResourceGone
from edgebox.services.sticks import Sticks, claimed, depot_of, find_again
from edgebox.settings import Settings
from edgebox.store import jobs, packs, versions
from edgebox.store.connections import NOT_WRITTEN, StoreUnavailable
from edgebox.store.database import Database, Job
from edgebox.store.jobs import InstallJob, JobState, Wanted

PROGRESS_SECONDS = 0.5
POLL_SECONDS = 3.0
RECENT_MAX = 20

log = logging.getLogger(__name__)


class _Running:
    """The install at work: what its thread tells, and the word to stop."""

    def __init__(self, no: int) -> None:
        self.no = no
        self.done_bytes = 0
        self.total_bytes = 0
        self.stop = threading.Event()

    def tell(self, done_bytes: int, total_bytes: int, _file: str) -> None:
        """Take note of progress; called in the thread."""
        self.done_bytes, self.total_bytes = done_bytes, total_bytes


class Loading:
    """Installs and removes packs.

    Attributes:
        sticks: what could be installed.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        library: Library,
        *,
        poll_seconds: float = POLL_SECONDS,
        measure: MeasureDisk = measure_disk,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._library = library
        self._poll_seconds = poll_seconds
        self._measure = measure
        self.sticks = Sticks(library, settings, clock)
        self.make_room: Callable[[], Awaitable[bool]] = _no_room  # asked when a pack does not fit
        self._wake = asyncio.Event()
        self._changed = asyncio.Condition()
        self._running: _Running | None = None
        self._worker: asyncio.Task[None] | None = None

    def resume(self) -> None:
        """Take up what is left to do; safe to repeat."""
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())
        self._wake.set()

    async def close(self) -> None:
        """Stop at the next step of what is being copied; it goes on at the next start. Safe to repeat."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait({self._worker})

    async def start(self, folder: Path, parts: Sequence[str] | None = None) -> int:
        """Ask for the pack in a folder, or what a patch file makes, to be installed; return the number of the job.

        `parts` are ids; None stands for those of the version before, or all.

        Raises:
            PackNotFound, PackUnsigned, SignerUnknown and the other refusals of a manifest; PartUnknown, PackRollback,
                PackSpace.
        """
        await self._library.notice_publishers()
        pack, version, total_bytes = await self._look_at(folder, parts)
        now_ms = self._clock.now_ms()
        no = await self._database.write(
            lambda connection: jobs.insert_job(
                connection, folder=str(folder), pack=pack, version=version, total_bytes=total_bytes, now_ms=now_ms
            )
        )
        self.resume()
        return no

    async def start_all(
        self, folders: Sequence[Path], parts: Mapping[Path, Sequence[str]] = MappingProxyType({})
    ) -> list[int]:
        """Ask for the packs in several folders, which make one run; return the numbers of the jobs.

        `parts` are the ids of those that are chosen of the pack in a folder. A pack that cannot be installed does not
        keep the others from it: its job has failed, with the reason.
        """
        await self._library.notice_publishers()
        wanted = [await self._want(folder, parts.get(folder)) for folder in folders]
        now_ms = self._clock.now_ms()
        numbers = await self._database.write(lambda connection: jobs.insert_jobs(connection, wanted, now_ms))
        self.resume()
        return numbers

    async def cancel_all(self) -> None:
        """Stop every install that has not ended."""
        for job in reversed(await self._database.read(jobs.list_open_jobs)):
            await self.cancel(job.no)

    async def cancel(self, no: int) -> None:
        """Stop an install. What was copied stays until a pack is removed, so that a second try is short."""
        now_ms = self._clock.now_ms()
        await self._write(lambda connection: jobs.update_job(connection, no, JobState.CANCELLED, now_ms=now_ms))
        if self._running is not None and self._running.no == no:
            self._running.stop.set()

    async def job(self, no: int) -> InstallJob:
        """Return one install.

        Raises:
            ResourceGone: there is no such number.
        """
        job = await self._database.read(lambda connection: jobs.find_job(connection, no))
        if job is None:
            raise ResourceGone(pack="", name=str(no))
        return job

    async def recent(self) -> list[InstallJob]:
        """Return the latest installs, newest first."""
        return await self._database.read(lambda connection: jobs.list_recent_jobs(connection, RECENT_MAX))

    async def run(self) -> list[InstallJob]:
        """Return the installs that are on their way together, with those of the same run that have ended."""
        return await self._database.read(jobs.list_run)

    async def disk(self) -> DiskSpace:
        """Return the space of the box's disk."""
        return await asyncio.to_thread(self._measure, self._settings.data)

    async def watch(self, no: int) -> AsyncIterator[InstallJob]:
        """Yield the install whenever it changed; the last one yielded has ended, or waits for its stick."""
        seen: InstallJob | None = None
        while seen is None or seen.state in (JobState.WAITING, JobState.COPYING):
            async with self._changed:
                job = await self.job(no)
                if job == seen:
                    await self._changed.wait()
                    continue
            seen = job
            yield job

    async def watch_all(self, numbers: Sequence[int]) -> AsyncIterator[list[InstallJob]]:
        """Yield several installs whenever one changed, until each has ended or waits for its stick."""
        seen: list[InstallJob] = []
        while not seen or any(job.state in (JobState.WAITING, JobState.COPYING) for job in seen):
            async with self._changed:
                found = [await self.job(no) for no in numbers]
                if found == seen:
                    await self._changed.wait()
                    continue
            seen = found
            yield found

    async def remove(self, pack: str) -> None:
        """Take a pack with all its versions off the box, and free the space of what nobody uses.

        Raises:
            PackInUse: a class has a lesson of it, or a learner is at work in it.
            PackNotFound: it is not there.
            LibraryBusy: something is being installed.
        """
        now_ms = self._clock.now_ms()
        await self._database.read(lambda connection: versions.check_unused(connection, pack, now_ms))
        await asyncio.to_thread(installer.remove, self._settings.data, pack)
        await self._database.write(lambda connection: packs.record_removal(connection, pack))
        if not await self._database.read(jobs.list_open_jobs):
            with contextlib.suppress(LibraryBusy):
                await asyncio.to_thread(installer.sweep, self._settings.data)
        await self._reload()

    async def adopt(self, result: InstallResult) -> None:
        """Show a pack that was put on the box by other means than a stick, and write its row."""
        manifest, now_ms = result.manifest, self._clock.now_ms()
        await self._reload()
        await self._write(lambda connection: packs.record_install(connection, manifest, result.signer, now_ms))

    async def trust(self, content: bytes) -> str:
        """Trust a publisher, by the public key file, or a platform, by its root, from now on; return the name of it.

        Raises:
            SourceInvalid: it is no public key file.
            RootRefused: it is no root.
        """
        name = await asyncio.to_thread(self._library.trust.add, content)
        await self._reload()
        return name

    async def _want(self, folder: Path, parts: Sequence[str] | None) -> Wanted:
        """Look at a pack that is asked for; what is wrong with it goes into its job."""
        try:
            return Wanted(str(folder), *await self._look_at(folder, parts))
        except EdgeboxError as error:
            pack, version = await asyncio.to_thread(claimed, folder)
            return Wanted(str(folder), pack, version, 0, error.as_record())

    async def _look_at(self, folder: Path, parts: Sequence[str] | None) -> tuple[str, int, int]:
        """Return what `_inspect` does, if need be after making room."""
        try:
            return await asyncio.to_thread(self._inspect, folder, parts)
        except PackSpace:
            if not await self.make_room():
                raise
            return await asyncio.to_thread(self._inspect, folder, parts)

    def _inspect(self, folder: Path, parts: Sequence[str] | None) -> tuple[str, int, int]:
        """Return pack, version and bytes of what can be installed from there."""
        self._library.trust.refresh_from([depot_of(folder)])
        if _is_patch(folder):
            limits = PatchLimits(measure=self._measure)
            found = inspect_patch(self._settings.data, folder, self._library.trust.keyring(), limits=limits)
            found.check()
            return found.head.pack, found.head.to_version, found.needed_bytes
        offer = read_offer(folder, self._library.trust.keyring())
        if offer.error is not None or offer.manifest is None:
            raise offer.error or PackNotFound(place=str(folder))
        highest = highest_version(self._settings.data, offer.manifest.pack)
        if offer.manifest.version < highest:
            raise PackRollback(pack=offer.manifest.pack, installed=highest, offered=offer.manifest.version)
        wanted = None if parts is None else name_parts(offer.manifest, parts)
        want_parts(self._settings.data, offer.manifest.pack, offer.manifest.version, wanted)
        to_copy = self._installer(folder).plan()
        to_copy.check()
        return offer.manifest.pack, offer.manifest.version, to_copy.bytes_total

    def _installer(self, folder: Path) -> Installer:
        return Installer(folder, self._settings.data, self._library.trust.keyring(), measure=self._measure)

    async def _work(self) -> None:
        """Do one install after the other; while only pulled sticks are waited for, look for them now and then."""
        while True:
            self._wake.clear()
            try:
                open_jobs = await self._database.read(jobs.list_open_jobs)
                ready = await self._first_ready(open_jobs)
                if ready is not None and await self._run(*ready):
                    continue
            except StoreUnavailable:
                log.exception("loading.store_unavailable")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds if open_jobs else None):
                    await self._wake.wait()

    async def _first_ready(self, open_jobs: list[InstallJob]) -> tuple[InstallJob, Path] | None:
        """Return the first install that can go on, and where its pack is now; those with a bad stick come last."""
        for job in sorted(open_jobs, key=lambda each: (each.state is JobState.STICK_GONE, each.no)):
            if job.state is not JobState.STICK_GONE:
                return job, Path(job.folder)
            found = await asyncio.to_thread(self._find_again, job)
            if found := found or await self.sticks.find(job.pack, job.version):
                return job, found
        return None

    def _find_again(self, job: InstallJob) -> Path | None:
        folders, trusted = self._settings.stick_folders, self._library.trust.keyring()
        return find_again(folders, Path(job.folder), job.pack, job.version, trusted)

    async def _run(self, job: InstallJob, folder: Path) -> bool:
        """Do one install and return whether it ended; one that did not is taken up again after a pause."""
        await self._set_state(job.no, JobState.COPYING)
        try:
            result = await self._install(job, folder)
            await self._finish(job, result)
        except InstallCancelled:
            await self._set_state(job.no, JobState.CANCELLED)
        except StickGone as error:
            await self._set_state(job.no, JobState.STICK_GONE, error)
            return False
        except LibraryBusy:
            await self._set_state(job.no, JobState.WAITING)
            return False
        except OSError as error:
            log.exception("loading.disk_fault job=%d", job.no)
            await self._set_state(
                job.no, JobState.FAILED, StoreUnavailable(reason=NOT_WRITTEN, fault=type(error).__name__)
            )
        except EdgeboxError as error:
            await self._set_state(job.no, JobState.FAILED, error)
        return True

    async def _install(self, job: InstallJob, folder: Path) -> InstallResult:
        """Copy in a thread, writing progress at most every half second; when cancelled, wait for the thread."""
        running = self._running = _Running(job.no)
        thread = asyncio.create_task(asyncio.to_thread(self._copy, job, folder, running))
        written_bytes = -1
        try:
            while not thread.done():
                await asyncio.wait({thread}, timeout=PROGRESS_SECONDS)
                if running.done_bytes != written_bytes:
                    written_bytes = running.done_bytes
                    await self._write_progress(running)
            return await thread
        finally:
            running.stop.set()
            self._running = None
            await asyncio.gather(thread, return_exceptions=True)

    def _copy(self, job: InstallJob, folder: Path, running: _Running) -> InstallResult:
        try:
            if _is_patch(folder):
                with PatchFile(folder, self._library.trust.keyring()) as file:
                    _check_same(job, folder, file.head.pack, file.head.to_version)
                return apply_patch(
                    self._settings.data,
                    folder,
                    self._library.trust.keyring(),
                    limits=PatchLimits(measure=self._measure),
                    on_progress=running.tell,
                    cancelled=running.stop.is_set,
                )
            manifest = read_offer(folder, self._library.trust.keyring()).manifest
            if manifest is not None:
                _check_same(job, folder, manifest.pack, manifest.version)
            return self._installer(folder).run(running.tell, running.stop.is_set)
        except PackNotFound as error:
            raise StickGone(place=str(folder), reason="ENOENT") from error

    async def _finish(self, job: InstallJob, result: InstallResult) -> None:
        """Show the pack, then write its row and the end of the job together: `done` means that it can be used."""
        manifest, now_ms = result.manifest, self._clock.now_ms()
        await self._reload()
        await self._write(lambda connection: packs.finish_install(connection, job.no, manifest, result.signer, now_ms))

    async def _reload(self) -> None:
        await self._library.reload()
        self.sticks.forget()

    async def _set_state(self, no: int, state: JobState, error: EdgeboxError | None = None) -> None:
        now_ms = self._clock.now_ms()
        record = error.as_record() if error is not None else None
        # Before anybody hears of it: what is still to be copied has changed.
        self.sticks.forget()
        await self._write(lambda connection: jobs.update_job(connection, no, state, error=record, now_ms=now_ms))

    async def _write_progress(self, running: _Running) -> None:
        now_ms, done_bytes, total_bytes = self._clock.now_ms(), running.done_bytes, running.total_bytes
        await self._write(
            lambda connection: jobs.update_job_progress(
                connection, running.no, done_bytes=done_bytes, total_bytes=total_bytes, now_ms=now_ms
            )
        )

    async def _write(self, job: Job) -> None:
        """Write, and wake whoever watches an install."""
        await self._database.write(job)
        async with self._changed:
            self._changed.notify_all()


async def _no_room() -> bool:
    return False


def _check_same(job: InstallJob, folder: Path, pack: str, version: int) -> None:
    """Return if this is what was asked for: another stick may be in the place of the first one."""
    if (pack, version) != (job.pack, job.version):
        raise StickGone(place=str(folder), reason="another pack")


def _is_patch(place: Path) -> bool:
    return place.suffix == layout.PATCH_ENDING
