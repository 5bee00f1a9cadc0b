"""Blobs for serving: small ones from a bounded memory cache, large ones as open files for sendfile."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from content_packs.base.hashing import blake2b_256
from content_packs.format.layout import blob_name
from content_packs.format.manifest import FileEntry

SMALL_MAX_BYTES = 256 * 1024
CACHE_MAX_BYTES = 32 * 1024 * 1024
OPEN_FILES_MAX = 64


class BlobDamaged(Exception):
    """The bytes on the disk are not the ones that were installed."""


@dataclass
class _SharedFile:
    file: BinaryIO
    users: int = 0


class Blobs:
    """Reads blobs of the box whose data folder is `data`."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._small: OrderedDict[bytes, bytes] = OrderedDict()
        self._small_bytes = 0
        self._files: OrderedDict[bytes, _SharedFile] = OrderedDict()
        self._reading = asyncio.Lock()

    async def read(self, entry: FileEntry) -> bytes:
        """Return a blob of at most 256 KiB.

        Raises:
            BlobDamaged: missing, or not what its hash says.
        """
        if (body := self._small.get(entry.hash)) is not None:
            self._small.move_to_end(entry.hash)
            return body
        async with self._reading:
            if (body := self._small.get(entry.hash)) is None:
                body = await asyncio.to_thread(self._read_verified, entry)
                self._keep(entry.hash, body)
        return body

    @asynccontextmanager
    async def opened(self, entry: FileEntry) -> AsyncIterator[BinaryIO]:
        """Give a file to send from at explicit offsets; it is shared, and stays open for the next one who asks.

        Raises:
            BlobDamaged: missing, or of another size.
        """
        if (shared := self._files.get(entry.hash)) is None:
            file = await asyncio.to_thread(self._open, entry)
            shared = self._files.setdefault(entry.hash, _SharedFile(file))
            if shared.file is not file:
                file.close()
        self._files.move_to_end(entry.hash)
        shared.users += 1
        try:
            yield shared.file
        finally:
            shared.users -= 1
            if len(self._files) > OPEN_FILES_MAX:
                self.close_idle()

    def close_idle(self) -> None:
        """Close the files nobody is being sent, so that a removed pack gives its space back."""
        for blob_hash, shared in list(self._files.items()):
            if not shared.users:
                del self._files[blob_hash]
                shared.file.close()

    def close(self) -> None:
        """Close the files and forget the memory; nobody may be served any more."""
        for shared in self._files.values():
            shared.file.close()
        self._files.clear()
        self._small.clear()

    def _keep(self, blob_hash: bytes, body: bytes) -> None:
        self._small[blob_hash] = body
        self._small_bytes += len(body)
        while self._small_bytes > CACHE_MAX_BYTES:
            self._small_bytes -= len(self._small.popitem(last=False)[1])

    def _read_verified(self, entry: FileEntry) -> bytes:
        try:
            body = (self._data / blob_name(entry.hash)).read_bytes()
        except OSError as error:
            raise BlobDamaged from error
        if blake2b_256(body) != entry.hash:
            raise BlobDamaged
        return body

    def _open(self, entry: FileEntry) -> BinaryIO:
        try:
            file = (self._data / blob_name(entry.hash)).open("rb", buffering=0)
        except OSError as error:
            raise BlobDamaged from error
        if file.seek(0, 2) != entry.size_bytes:
            file.close()
            raise BlobDamaged
        return file
