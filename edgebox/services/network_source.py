"""Files for repair over a line: from neighbours first, then from the depots a box knows."""

import asyncio
import logging

from content_packs.base.errors import EdgeboxError
from content_packs.installer import BlobStore, WantedBlob
from edgebox.services.fetching import Fetching

log = logging.getLogger(__name__)


class NetworkSource:
    """Whoever answers now and has one of the packs that need the file."""

    def __init__(self, fetching: Fetching) -> None:
        self._fetching = fetching

    async def bring(self, wanted: WantedBlob, store: BlobStore) -> bool:
        """See `BlobSource`. While packs are fetched nothing is asked: whoever repairs holds up every installation."""
        if self._fetching.is_busy:
            return False
        for pack, version in wanted.packs:
            try:
                await self._fetching.repair(pack, version, wanted.entry)
            except EdgeboxError as error:
                log.info("check.source_failed pack=%s error=%s", pack, error)
                continue
            return await asyncio.to_thread(store.has, wanted.entry.hash, wanted.entry.size_bytes)
        return False
