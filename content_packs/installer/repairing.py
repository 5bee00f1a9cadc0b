"""Bringing back files that were found damaged, from wherever somebody has them."""

from collections.abc import Sequence
from typing import Protocol

from content_packs.installer.blobs import BlobStore
from content_packs.installer.scrubbing import WantedBlob


class BlobSource(Protocol):
    """A place that may have files of packs: a stick, a neighbour, the hub."""

    async def bring(self, wanted: WantedBlob, store: BlobStore) -> bool:
        """Put the file into the store, which verifies it, and return whether it is there now.

        A source that is away, or has another content, returns False; it raises nothing. The caller holds the library
        lock, so nothing else is being added.
        """


async def repair(wanted: WantedBlob, sources: Sequence[BlobSource], store: BlobStore) -> bool:
    """Ask one source after the other for a file, and return whether one had it."""
    for source in sources:
        if await source.bring(wanted, store):
            return True
    return False
