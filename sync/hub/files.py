"""Files that learners handed in: kept once in a school by the hash of their content, flushed before they are noted."""

import asyncio
from functools import partial
from pathlib import Path

from content_packs.base.clock import Clock
from content_packs.base.hashing import blake2b_256
from content_packs.installer.blobs import BlobStore
from sync.bundle.file import open_file
from sync.bundle.read import SignedBundle
from sync.hub.effort import Effort
from sync.hub.keys import HubKeys
from sync.hub.store import files
from sync.hub.store.boxes import Box
from sync.hub.store.worker import Store


class Files:
    """Takes in the files of boxes. The same one again changes nothing."""

    def __init__(self, folder: Path, store: Store, keys: HubKeys, clock: Clock) -> None:
        self._folder = folder
        self._store = store
        self._keys = keys
        self._clock = clock
        # Opening one takes twice its size of memory.
        self._opening = asyncio.Semaphore(1)

    async def take(self, box: Box, bundle: SignedBundle, effort: Effort) -> None:
        """Keep the file of a bundle, which its box signed, and tell the school that it has arrived.

        Raises:
            BundleForged, BundleMalformed, BundleUnsupported: it cannot be opened; nothing is changed.
            OSError: the disk is full or broken.
        """
        async with self._opening:
            content = await asyncio.to_thread(effort.timed(open_file), bundle, self._keys.sealing)
            digest = await asyncio.to_thread(effort.timed(blake2b_256), content)
            is_known = partial(files.has_file, school_no=box.school_no, digest=digest)
            if not await self._store.run(effort.timed(is_known)):
                await asyncio.to_thread(effort.timed(self._keep), box.school_no, digest, content)
        now_ms = self._clock.now_ms()
        note = partial(files.add_file, box=box, digest=digest, size_bytes=len(content), now_ms=now_ms)
        await self._store.run(effort.timed(note))

    def _keep(self, school_no: int, digest: bytes, content: bytes) -> None:
        blobs = BlobStore(self._folder / str(school_no))
        if not blobs.has(digest, len(content)):
            blobs.add(digest, [content], digest.hex())
