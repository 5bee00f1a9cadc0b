"""Take the files that a courier gives through a browser: archives of bundles, or bundles.

What arrives is read as it comes and passed over, unless it is a bundle that a box signed which is enrolled here; only
then its body is kept, one of each upload at a time. So what strangers send costs the line and nothing else.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import PurePosixPath

from content_packs.base.errors import EdgeboxError
from sync.bundle.errors import BundleMalformed
from sync.bundle.limits import ACK_MAX_BYTES
from sync.hub.receiving import Acknowledged, Receiving
from sync.hub.sending import Sending
from sync.hub.sticks import REFUSED_MAX, Taken, admit_start
from sync.hub.uploads import SMALL_MAX_BYTES, Uploads
from sync.transport import folder
from sync.transport.archive import ArchiveReader, Begun, Whole

LARGE_AT_ONCE = 4
NAME_MAX = 80


class CarriedFiles:
    """Takes files; of bundles over 1 MiB a few at a time."""

    def __init__(self, receiving: Receiving, sending: Sending, uploads: Uploads) -> None:
        self._receiving = receiving
        self._sending = sending
        self._uploads = uploads
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def take(self, name: str, chunks: AsyncIterator[bytes], taken: Taken) -> None:
        """Take the bundles of one file and note in `taken` what came of them. The same file again changes nothing."""
        reader = ArchiveReader()
        async with AsyncExitStack() as turn:
            try:
                async for chunk in chunks:
                    for found in reader.feed(chunk):
                        await self._step(name, found, reader, turn, taken)
                for found in reader.finish():
                    await self._step(name, found, reader, turn, taken)
            except BundleMalformed as error:
                _refuse(taken, name, error)
                async for _rest in chunks:
                    pass

    async def _step(
        self, name: str, found: Begun | Whole, reader: ArchiveReader, turn: AsyncExitStack, taken: Taken
    ) -> None:
        try:
            if isinstance(found, Whole):
                await self._take_whole(found, taken)
                await turn.aclose()
                return
            if _is_word(found):
                reader.keep = True
                return
            head = await admit_start(self._receiving, found.start, found.size_bytes)
            if head.sealed_bytes > SMALL_MAX_BYTES:
                await turn.enter_async_context(self._large)
            reader.keep = True
        except EdgeboxError as error:
            await turn.aclose()
            _refuse(taken, found.name or name, error)

    async def _take_whole(self, found: Whole, taken: Taken) -> None:
        if folder.ack_epoch(PurePosixPath(found.name).name) is None:
            taken.add(await self._receive(found.content))
            return
        box, ack = await self._sending.find_box(found.content)
        await self._sending.take_ack(box, ack)
        taken.origins.add(box.verify_key.key_id)

    async def _receive(self, content: bytes) -> Acknowledged:
        origin = (await self._receiving.admit(content)).origin
        async with self._uploads.turn(origin, len(content)):
            return await self._receiving.receive(content)


def _is_word(found: Begun) -> bool:
    """Return whether a file may be a box's word on what it holds of the bundles for it."""
    is_small = found.size_bytes is not None and found.size_bytes <= ACK_MAX_BYTES
    return is_small and folder.ack_epoch(PurePosixPath(found.name).name) is not None


def _refuse(taken: Taken, name: str, error: EdgeboxError) -> None:
    if len(taken.refused) < REFUSED_MAX:
        taken.refused[name[-NAME_MAX:]] = error.code
