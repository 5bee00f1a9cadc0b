"""Packs of files that teachers bring: read in a child, built, and handed on as packs made at this school."""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from content_packs.format.errors import PackNotFound, PackSpace
from content_packs.importers import staging
from content_packs.importers.contract import Remark
from content_packs.importers.errors import ArchiveTooLarge, ImportUnsupported
from content_packs.importers.importing import Imported, Wishes, imported
from content_packs.importers.zip_directory import TOTAL_MAX_BYTES
from content_packs.installer.planning import reserve_bytes
from edgebox.services.loading import Loading
from edgebox.services.local_packs import LocalPacks
from edgebox.settings import Settings

UPLOAD_MAX_BYTES = 1024**3
COPIES = 3
STICK_FILES_MAX = 50
ENDINGS = (".zip", ".xml")
T = TypeVar("T")


@dataclass(frozen=True)
class MadePack:
    """A pack that was made and is being installed: the number of the job, and what of the file will not work."""

    job_no: int
    pack: str
    remarks: tuple[Remark, ...]


@dataclass(frozen=True)
class StickFile:
    """A file on a stick that could be made into a pack."""

    path: Path
    size_bytes: int


class Importing:
    """Makes packs of files, one at a time: a box has little memory."""

    def __init__(self, settings: Settings, loading: Loading, local_packs: LocalPacks) -> None:
        self._settings = settings
        self._loading = loading
        self._local_packs = local_packs
        self._turn = asyncio.Lock()
        self._watching: set[asyncio.Task[None]] = set()

    async def sweep(self) -> None:
        """Remove what a power cut left of imports; called once, before anything is imported."""
        await asyncio.to_thread(staging.sweep, self._settings.staging)

    async def close(self) -> None:
        """Stop watching; what is being installed is taken up at the next start."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[Path]:
        """Give a folder for a file that is being uploaded; it is gone afterwards, whatever happened."""
        async with _in_thread(staging.staging(self._settings.staging)) as folder:
            yield folder

    async def check_space(self, size_bytes: int) -> None:
        """Return if a file of this size may be taken in.

        Raises:
            PackSpace: it and what is made of it would eat into the space that learners' work needs.
        """
        usable_bytes = await self._usable_bytes()
        if size_bytes * (COPIES + 1) > usable_bytes:
            raise PackSpace(needed_bytes=size_bytes * (COPIES + 1), usable_bytes=usable_bytes)

    async def stick_files(self) -> list[StickFile]:
        """Return the files at the top of sticks that could be made into packs; nothing of them is read."""
        mounted = await self._loading.sticks.mounted()
        return await asyncio.to_thread(lambda: [file for path in mounted for file in _files_of(path)])

    async def make_from_stick(self, path: str, wishes: Wishes) -> MadePack:
        """Make a pack of a file that a stick has right now. Raises like `make`, and PackNotFound."""
        for file in await self.stick_files():
            if str(file.path) == path:
                return await self.make(file.path, wishes)
        raise PackNotFound(place=path)

    async def make(self, path: Path, wishes: Wishes, *, only: str = "") -> MadePack:
        """Make a pack of the file `path`, signed by the box, and begin to install it.

        The same title again is the next version of the same pack. `only` names the one format that is taken.

        Raises:
            The errors of `content_packs.importers.errors`, SourceInvalid, PathRefused, FileTooLarge: it is refused.
            LocalPackRefused: it has programs, and the school does not allow them in packs of its own.
            PackSpace and the other refusals of an install.
        """
        local = self._local_packs
        wishes = replace(wishes, pack="", name_pack=local.new_id, version=local.next_version)
        async with self._turn:
            limit_bytes = min(TOTAL_MAX_BYTES, await self._usable_bytes() // COPIES)
            async with _in_thread(self._imported(path, wishes, limit_bytes)) as course:
                if only and course.format != only:
                    raise ImportUnsupported(format=course.format)
                no = await local.add_course(course.source)
        task = asyncio.get_running_loop().create_task(self._sweep_after(no))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return MadePack(no, course.pack, course.remarks)

    @contextmanager
    def _imported(self, path: Path, wishes: Wishes, limit_bytes: int) -> Iterator[Imported]:
        with (
            _full_disk(limit_bytes),
            imported(path, self._settings.staging, wishes, total_max_bytes=limit_bytes) as course,
        ):
            yield course

    async def _usable_bytes(self) -> int:
        space = await self._loading.disk()
        return max(space.free_bytes - reserve_bytes(space.total_bytes), 0)

    async def _sweep_after(self, no: int) -> None:
        """Free the space of the pack as it was made once it is installed, stopped or refused."""
        async for job in self._loading.watch(no):
            if not job.state.is_open:
                await self._local_packs.sweep()


@asynccontextmanager
async def _in_thread(context: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a context that blocks in a thread."""
    stack = contextlib.ExitStack()
    value = await asyncio.to_thread(stack.enter_context, context)
    try:
        yield value
    except BaseException as error:
        if not await asyncio.to_thread(stack.__exit__, type(error), error, error.__traceback__):
            raise
    else:
        await asyncio.to_thread(stack.close)


@contextmanager
def _full_disk(limit_bytes: int) -> Iterator[None]:
    """Say that there is too little space when that is the reason, whoever noticed."""
    try:
        yield
    except ArchiveTooLarge as error:
        if limit_bytes < error.fields["size_bytes"] <= TOTAL_MAX_BYTES:
            needed_bytes = error.fields["size_bytes"] * COPIES
            raise PackSpace(needed_bytes=needed_bytes, usable_bytes=limit_bytes * COPIES) from error
        raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise PackSpace(needed_bytes=limit_bytes, usable_bytes=0) from error
        raise


def _files_of(stick: Path) -> Iterator[StickFile]:
    try:
        found = sorted(path for path in stick.iterdir() if path.suffix.lower() in ENDINGS)
        for path in found[:STICK_FILES_MAX]:
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                yield StickFile(path, path.stat().st_size)
    except OSError:
        return
