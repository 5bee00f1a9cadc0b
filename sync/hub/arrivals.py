"""Bundles that passed every check: kept as files, and read where that delays nobody, large ones one at a time."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.errors import EdgeboxError
from sync.bundle.layout import Head
from sync.hub.decoding import Leash
from sync.hub.effort import Effort
from sync.hub.keys import HubKeys
from sync.hub.opening import Checked, check
from sync.hub.shares import Shares
from sync.hub.store.boxes import Box
from sync.hub.store.bundles import Place
from sync.hub.store.statement_rows import Row, make_rows, read_numbers
from sync.hub.store.worker import Store
from sync.records.rows import Record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arrival:
    """A bundle that its box made.

    Attributes:
        records: None as long as nobody has read them.
        rows: of its statements, which are not among the records then, where they were made before.
    """

    box: Box
    head: Head
    content: bytes
    records: list[Record] | None = None
    rows: Sequence[Row] = ()

    @property
    def place(self) -> Place:
        """Return where it stands."""
        return Place(self.box.no, self.head.epoch, self.head.seq)


class Arrivals:
    """The files of bundles, and their records."""

    def __init__(self, folder: Path, store: Store, keys: HubKeys, shares: Shares) -> None:
        self._folder = folder
        self._store = store
        self._keys = keys
        self._shares = shares
        self._apart = asyncio.Semaphore(1)

    async def read(self, arrival: Arrival, checked: Checked, effort: Effort) -> Arrival:
        """Return a bundle with its records, everything done that can be done without holding the database.

        Raises:
            EdgeboxError: a refusal with a code.
        """
        arrival = replace(arrival, records=await self._open(checked, effort))
        if checked.is_large and not arrival.head.is_express:  # whose numbers are explained in itself
            arrival = await self._make_rows(arrival, effort)
        return arrival

    async def load(self, box: Box, place: Place, digest: bytes, effort: Effort) -> Arrival | None:
        """Return a bundle from its file, checked again and read; None when the disk lost or changed it.

        Raises:
            EdgeboxError: its body is refused; of `BundleTooLarge` that may be for want of memory or time only now.
            OSError: the disk, or the process that reads it, failed; it may be read again later.
        """
        try:
            content = await asyncio.to_thread(self._path(box, place, digest).read_bytes)
            checked = await asyncio.to_thread(effort.timed(check), content, box, self._keys)
        except (FileNotFoundError, EdgeboxError):  # what was kept had passed every check
            log.exception("hub.bundle_lost box=%d %s", box.no, place)
            return None
        if checked.head.hash != digest:
            log.error("hub.bundle_lost box=%d %s", box.no, place)
            return None
        return await self.read(Arrival(box, checked.head, content), checked, effort)

    def keep(self, arrival: Arrival) -> None:
        """Write the file of a bundle, flushed. Blocks."""
        path = self._path(arrival.box, arrival.place, arrival.head.hash)
        path.parent.mkdir(exist_ok=True)
        atomic.write_file(path, arrival.content, mode=atomic.PRIVATE_MODE)

    async def _open(self, checked: Checked, effort: Effort) -> list[Record]:
        """Return the records. Large bundles are read elsewhere, one at a time, and so is all of a box that was refused.

        The rest of this process goes on meanwhile; what turns out to be in vain is on the box's account all the same.
        """
        if not checked.is_large and not self._shares.is_suspect(checked.head.origin):
            return await asyncio.to_thread(effort.timed(checked.open), self._keys.sealing)
        async with self._apart:
            start_seconds, leash = time.perf_counter(), Leash()
            try:
                return await asyncio.to_thread(checked.open_apart, self._keys.sealing, leash)
            except asyncio.CancelledError:
                leash.cut()
                raise
            except EdgeboxError:
                effort.seconds += time.perf_counter() - start_seconds
                raise

    async def _make_rows(self, arrival: Arrival, effort: Effort) -> Arrival:
        box, epoch = arrival.box, arrival.head.epoch
        numbers = await self._store.run(effort.timed(lambda connection: read_numbers(connection, box.no, epoch)))
        others, rows = await asyncio.to_thread(effort.timed(make_rows), numbers, box, arrival.records or [])
        return replace(arrival, records=others, rows=rows)

    def _path(self, box: Box, place: Place, digest: bytes) -> Path:
        name = f"{place.epoch}-{place.seq}-{digest.hex()[:16]}.eb"
        return self._folder / box.verify_key.key_id.hex() / name
