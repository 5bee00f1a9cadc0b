"""Ask the hub what waits for this box, and bring it: when the hub has said so, when somebody wants it, now and then."""

import asyncio
import logging
from collections.abc import Callable

from content_packs.base.errors import EdgeboxError
from edgebox.services.box_clock import BoxClock
from edgebox.services.file_sending import FileSending
from edgebox.services.line import Line
from edgebox.services.receiving import Receiving
from edgebox.services.sync_state import LastFailure
from edgebox.services.uploading import Uploading
from edgebox.store import changes
from edgebox.store.connections import NOT_WRITTEN, StoreUnavailable
from edgebox.store.database import Database
from sync.engine.lanes import SLICE_BYTES, Lane
from sync.transport.contract import Downlink

log = logging.getLogger(__name__)

ASK_EVERY_MS = 6 * 3_600_000


class Asking:
    """The way down over a line.

    Attributes:
        has_waiting: the hub said that something waits.
        may_ask: whether nothing is on its way up; what waits there, or was refused, keeps nothing from coming down.
        bringing: what was begun last without waiting for its end.
    """

    def __init__(
        self,
        database: Database,
        receiving: Receiving,
        line: Line,
        clock: BoxClock,
        uploading: Uploading,
        files: FileSending,
        failure: LastFailure,
    ) -> None:
        self._database = database
        self._receiving = receiving
        self._line = line
        self._clock = clock
        self._uploading = uploading
        self._files = files
        self._failure = failure
        self._asked_ms: int | None = None
        self._left_bytes: int | None = None
        self._task: asyncio.Task[int] | None = None
        self.has_waiting = False
        self.may_ask: Callable[[], bool] = lambda: True
        self.bringing: asyncio.Task[None] | None = None

    @property
    def is_due(self) -> bool:
        """Return whether something waits, or what was left there may come now, or the hub was not asked for long."""
        is_long_ago = self._asked_ms is None or self._clock.monotonic_ms() - self._asked_ms >= ASK_EVERY_MS
        may_come = self._left_bytes is not None and self._may_come(self._left_bytes)
        return self.has_waiting or may_come or is_long_ago

    @property
    def is_busy(self) -> bool:
        """Return whether something is on its way down."""
        return self._task is not None and not self._task.done()

    def begin(self) -> None:
        """Bring what waits if it is time to, without waiting for its end; safe to repeat."""
        if self.bringing is None or self.bringing.done():
            # What comes down may take an hour, and what is to go up meanwhile does not wait for it.
            self.bringing = asyncio.get_running_loop().create_task(self.bring(is_asked=False))

    async def bring(self, *, is_asked: bool) -> None:
        """Bring what waits at the hub, if it said that something does, or was not asked for long; note a failure."""
        try:
            found = await self._database.read(changes.find_hub)
            if found is None or not self._may_begin() or not (is_asked or self.is_due):
                return
            await self._bring(self._uploading.open_link(found[0]))
            await self._files.tidy()
        except EdgeboxError as error:
            log.warning("sync.not_received %s", error)
            self._failure.error = error
        except OSError as error:
            log.exception("sync.not_received")
            self._failure.error = StoreUnavailable(reason=NOT_WRITTEN, fault=type(error).__name__)

    async def end(self) -> None:
        """Stop what is on its way down, and see the end of it; what came of it is kept. Safe to repeat."""
        await self._stop()
        if self.bringing is not None:
            await asyncio.wait({self.bringing})

    def _may_begin(self) -> bool:
        return self.may_ask() and not self._uploading.is_closing and not self._line.is_at_rest

    async def _bring(self, link: Downlink) -> None:
        """Bring what waits; returns as well when `end` was called meanwhile. Raises like `Receiving.exchange`."""
        if self._task is not None and self.is_busy:
            await asyncio.wait({self._task})
            return
        now_ms, self._left_bytes = self._clock.monotonic_ms(), None
        task = self._task = asyncio.ensure_future(self._receiving.exchange(link, self._take_or_leave))
        try:
            # Not awaited by itself: whoever ends it must not end the caller.
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
                self.has_waiting, self._asked_ms = False, now_ms
        finally:
            await self._stop()

    async def _stop(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    def _take_or_leave(self, size_bytes: int) -> bool:
        """Return whether a bundle may come down now, and remember the smallest of those that may not."""
        may_come = self._may_come(size_bytes)
        if not may_come:
            self._left_bytes = size_bytes if self._left_bytes is None else min(self._left_bytes, size_bytes)
        return may_come

    def _may_come(self, size_bytes: int) -> bool:
        """Return whether a bundle may come down now; a small one may be a revocation, and goes before."""
        left_bytes = self._line.left_bytes(Lane.CLOSING if size_bytes <= SLICE_BYTES else Lane.SMALL)
        return left_bytes is None or size_bytes <= left_bytes
