"""Files that learners handed in: kept once in a school by the hash of their content, flushed before they are noted."""

import asyncio
import logging
from functools import partial

from content_packs.base.clock import Clock
from content_packs.base.hashing import blake2b_256
from content_packs.installer.blobs import BlobStore, Verdict
from sync.bundle.file import open_file
from sync.bundle.read import SignedBundle
from sync.hub.effort import Effort
from sync.hub.keys import HubKeys
from sync.hub.settings import HubSettings
from sync.hub.store import files
from sync.hub.store.boxes import DAY_MS, Box
from sync.hub.store.worker import Store

UNNOTED_MS = 90 * DAY_MS

log = logging.getLogger(__name__)


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

    async def sweep(self) -> None:
        """Deal with files that nobody noted: the power went between the two, or the database is older than the disk.

        Of a hand-in that is known, the file may be the only one there is, so it is noted now. Another waits a quarter
        of a year for its record, from the first start that found it, and is put aside then; so is one at once that is
        damaged or cannot be read. What goes wrong with one keeps no hub from starting. Only while no file is taken in.
        """
        noted = await self._store.run(files.list_noted)
        for school_no, digest in await asyncio.to_thread(self._list_others, noted):
            try:
                await self._sweep_file(school_no, digest)
            except Exception:
                log.exception("hub.file_left school=%d %s", school_no, digest.hex())

    async def _sweep_file(self, school_no: int, digest: bytes) -> None:
        blobs, now_ms = self._blobs(school_no), self._clock.now_ms()
        verdict = await asyncio.to_thread(blobs.check, digest)
        if verdict is Verdict.INTACT:
            size_bytes = (await asyncio.to_thread(blobs.path_of(digest).stat)).st_size
            adopt = partial(files.adopt, school_no=school_no, digest=digest, size_bytes=size_bytes, now_ms=now_ms)
            see = partial(files.see_unnoted, school_no=school_no, digest=digest, now_ms=now_ms)
            if await self._store.run(adopt) or now_ms - await self._store.run(see) < UNNOTED_MS:
                return
        log.warning("hub.file_put_aside school=%d %s %s", school_no, digest.hex(), verdict)
        await asyncio.to_thread(blobs.put_aside, digest)
        await self._store.run(partial(files.forget_unnoted, school_no=school_no, digest=digest))

    def _list_others(self, noted: set[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Return what is on the disk and not noted, and remove what was only begun."""
        found = list[tuple[int, bytes]]()
        for school_no in sorted(int(path.name) for path in self._folder.iterdir() if path.name.isdecimal()):
            try:
                self._blobs(school_no).sweep_incoming()
                found += [(school_no, digest) for digest in self._blobs(school_no).hashes()]
            except OSError:
                log.exception("hub.files_left school=%d", school_no)
        return [each for each in found if each not in noted]

    def _blobs(self, school_no: int) -> BlobStore:
        return BlobStore(self._folder / str(school_no))

    def _keep(self, school_no: int, digest: bytes, content: bytes) -> None:
        blobs = self._blobs(school_no)
        if not blobs.has(digest, len(content)):
            blobs.add(digest, [content], digest.hex())
