"""Files that learners handed in: kept once in a school by the hash of their content, flushed before they are noted."""

import asyncio
from functools import partial

from content_packs.base.clock import Clock
from content_packs.base.hashing import blake2b_256
from content_packs.installer.blobs import BlobStore
from sync.bundle.file import open_file
from sync.bundle.read import SignedBundle
from sync.hub.effort import Effort
from sync.hub.keys import HubKeys
from sync.hub.settings import HubSettings
from sync.hub.store import files
from sync.hub.store.boxes import Box
from sync.hub.store.worker import Store


class Files:
    """Takes in the files of boxes. The same one again changes nothing."""

    def __init__(self, settings: HubSettings, store: Store, keys: HubKeys, clock: Clock) -> None:
        self._folder = settings.files
        self._day_quota_bytes = settings.files_day_quota_bytes
        self._store = store
        self._keys = keys
        self._clock = clock
        # Opening one takes twice its size of memory, and what is within the quota must be noted before the next asks.
        self._turn = asyncio.Semaphore(1)

    async def take(self, box: Box, bundle: SignedBundle, effort: Effort) -> None:
        """Keep the file of a bundle, which its box signed, and tell the school that it has arrived.

        Raises:
            BundleForged, BundleMalformed, BundleUnsupported: it cannot be opened; nothing is changed.
            QuotaReached: it is new here, and its box brought its share of today; nothing is changed.
            OSError: the disk is full or broken.
        """
        async with self._turn:
            content = await asyncio.to_thread(effort.timed(open_file), bundle, self._keys.sealing)
            digest = await asyncio.to_thread(effort.timed(blake2b_256), content)
            size_bytes, now_ms = len(content), self._clock.now_ms()
            check = partial(files.check_quota, limit_bytes=self._day_quota_bytes)
            await self._store.run(effort.timed(lambda connection: check(connection, box, digest, size_bytes, now_ms)))
            # Also when it is noted already: the disk may have lost it, and the box deletes what it hears has arrived.
            await asyncio.to_thread(effort.timed(self._keep), box.school_no, digest, content)
            await self._store.run(
                effort.timed(lambda connection: files.add_file(connection, box, digest, size_bytes, now_ms))
            )

    def _keep(self, school_no: int, digest: bytes, content: bytes) -> None:
        blobs = BlobStore(self._folder / str(school_no))
        if not blobs.has(digest, len(content)):
            blobs.add(digest, [content], digest.hex())
