"""Files that come with statements: on the disk under their hash before the statement is stored.

A file is written beside, flushed and renamed, so that after a power cut a statement never names half a file. One whose
statement was then refused is nobody's and is removed; where nobody knew what became of the statement, at the start.
"""

import asyncio
import errno
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import new as new_hash
from pathlib import Path

from content_packs.base import atomic, ids
from content_packs.installer import measure_disk
from content_packs.installer.planning import MeasureDisk, reserve_bytes
from edgebox.store import attachments, repairs
from edgebox.store.connections import DISK_FULL, StoreUnavailable
from edgebox.store.database import Database

# By the length of their hexadecimal form.
_HASHES = {56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
_COMING = "coming"


@dataclass(frozen=True, slots=True)
class Part:
    """A file that came with a request and waits beside the others.

    Attributes:
        sha2: as the request says, in lower case; `is_whole` tells whether that is so.
    """

    sha2: str
    content_type: str
    size_bytes: int
    path: Path
    is_whole: bool


class Writing:
    """A file as it comes."""

    def __init__(self, folder: Path, sha2: str, content_type: str) -> None:
        """Begin. Blocks.

        Raises:
            ValueError: `sha2` is no hash of a kind that is known.
        """
        if (kind := _HASHES.get(len(sha2))) is None or not sha2.isalnum():
            raise ValueError("not a hash")
        self._hash = new_hash(kind)
        self._sha2 = sha2.lower()
        self._content_type = content_type
        self._size_bytes = 0
        self._path = folder / ids.new_token()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, atomic.PRIVATE_MODE)
        self._file = os.fdopen(descriptor, "wb")

    def write(self, chunk: bytes) -> None:
        """Write some more. Blocks."""
        self._hash.update(chunk)
        self._size_bytes += len(chunk)
        self._file.write(chunk)

    def finish(self) -> Part:
        """Flush it to the disk. Blocks."""
        self._file.flush()
        os.fsync(self._file.fileno())
        is_whole = self._hash.hexdigest() == self._sha2
        return Part(self._sha2, self._content_type, self._size_bytes, self._path, is_whole)

    def close(self) -> None:
        """Let go of the file, whole or not. Blocks."""
        self._file.close()


class Attachments:
    """The files of a box that came with statements."""

    def __init__(self, database: Database, folder: Path, *, measure: MeasureDisk = measure_disk) -> None:
        self._database = database
        self._folder = folder
        self._measure = measure
        self._coming_bytes = 0  # what the requests that are under way may bring
        self._waiting: Counter[str] = Counter()  # files with a place whose statement is not stored yet
        self._placing = asyncio.Lock()

    @asynccontextmanager
    async def receiving(self, size_bytes: int) -> AsyncIterator[Path]:
        """Give a folder for the files of one request of at most this size, which is gone afterwards.

        Raises:
            StoreUnavailable: the disk is full, or so nearly that what is left is for statements without files.
        """
        disk = await asyncio.to_thread(self._measure, self._folder)
        if disk.free_bytes - self._coming_bytes - size_bytes < reserve_bytes(disk.total_bytes) // 2:
            raise StoreUnavailable(reason=DISK_FULL, fault="reserve")
        folder = self._folder / _COMING / ids.new_token()
        self._coming_bytes += size_bytes
        try:
            await asyncio.to_thread(folder.mkdir, parents=True)
            yield folder
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreUnavailable(reason=DISK_FULL, fault=type(error).__name__) from error
            raise
        finally:
            self._coming_bytes -= size_bytes
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def keep(self, parts: Sequence[Part]) -> None:
        """Give files their place; after return they survive a power cut, and wait for their statement."""
        async with self._placing:
            self._waiting.update(part.sha2 for part in parts)
            await asyncio.to_thread(self._keep, parts)

    async def settle(self, parts: Sequence[Part], *, is_stored: bool) -> None:
        """Wait no longer for the statement of files that were kept; remove what is nobody's when it was refused.

        Not to be called when a failure left open whether it was stored.
        """
        async with self._placing:
            self._waiting -= Counter(part.sha2 for part in parts)
            left = {part.sha2 for part in parts} - self._waiting.keys()
            if left and not is_stored and not await self._database.read(repairs.was_rebuilt):
                named = await self._database.read(lambda connection: attachments.find_named(connection, left))
                await asyncio.to_thread(self._remove, left - named)

    def _remove(self, hashes: Iterable[str]) -> None:
        for sha2 in hashes:
            self.path_of(sha2).unlink(missing_ok=True)

    def _keep(self, parts: Sequence[Part]) -> None:
        for part in parts:
            path = self.path_of(part.sha2)
            path.parent.mkdir(exist_ok=True)
            part.path.replace(path)
            atomic.sync_directory(path.parent)
        atomic.sync_directory(self._folder)

    def path_of(self, sha2: str) -> Path:
        """Return where a file is, if it is here."""
        return self._folder / sha2[:2] / sha2

    async def find(self, named: Mapping[bytes, frozenset[str]]) -> list[attachments.Attachment]:
        """Return each file once that came with a statement and is here.

        Args:
            named: the hashes that each statement names, by its id.
        """
        wanted = [id_ for id_, hashes in named.items() if hashes]
        came = await self._database.read(lambda connection: attachments.list_attachments(connection, wanted))
        by_hash = {one.sha2: one for one in came if one.sha2 in named[one.statement_id]}
        found = [by_hash[sha2] for sha2 in sorted(by_hash)]
        return await asyncio.to_thread(lambda: [one for one in found if self.path_of(one.sha2).is_file()])

    async def sweep(self) -> None:
        """Remove what came with no statement: only at the start, while no request is under way.

        In a database that was made anew a statement may be missing that comes back, and its file with it stays.
        """
        await asyncio.to_thread(shutil.rmtree, self._folder / _COMING, ignore_errors=True)
        if not await self._database.read(repairs.was_rebuilt):
            here = await asyncio.to_thread(lambda: [path.name for path in self._folder.glob("*/*")])
            left = await self._database.read(lambda connection: attachments.find_nobodys(connection, here))
            await asyncio.to_thread(self._remove, left)
