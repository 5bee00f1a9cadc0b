"""Ask the hub what waits for this box, and bring it: when the hub has said so, when somebody wants it, now and then."""

import asyncio

from edgebox.services.box_clock import BoxClock
from edgebox.services.line import Line
from edgebox.services.receiving import Receiving
from sync.engine.lanes import SLICE_BYTES, Lane
from sync.transport.contract import Downlink

ASK_EVERY_MS = 6 * 3_600_000


class Asking:
    """The way down over a line.

    Attributes:
        has_waiting: the hub said that something waits.
    """

    def __init__(self, receiving: Receiving, line: Line, clock: BoxClock) -> None:
        self._receiving = receiving
        self._line = line
        self._clock = clock
        self._asked_ms: int | None = None
        self._task: asyncio.Task[int] | None = None
        self.has_waiting = False

    @property
    def is_due(self) -> bool:
        """Return whether something waits, or the hub was not asked for long."""
        is_long_ago = self._asked_ms is None or self._clock.monotonic_ms() - self._asked_ms >= ASK_EVERY_MS
        return self.has_waiting or is_long_ago

    @property
    def is_busy(self) -> bool:
        """Return whether something is on its way down."""
        return self._task is not None and not self._task.done()

    async def bring(self, link: Downlink) -> None:
        """Bring what waits; returns as well when `end` was called meanwhile. Raises like `Receiving.exchange`."""
        if self._task is not None and self.is_busy:
            await asyncio.wait({self._task})
            return
        now_ms = self._clock.monotonic_ms()
        task = self._task = asyncio.ensure_future(self._receiving.exchange(link, self._may_come))
        try:
            # Not awaited by itself: whoever ends it must not end the caller.
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
                self.has_waiting, self._asked_ms = False, now_ms
        finally:
            await self.end()

    async def end(self) -> None:
        """Stop what is on its way down; what came of it is kept."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    def _may_come(self, size_bytes: int) -> bool:
        """Return whether a bundle may come down now; a small one may be a revocation, and goes before."""
        left_bytes = self._line.left_bytes(Lane.CLOSING if size_bytes <= SLICE_BYTES else Lane.SMALL)
        return left_bytes is None or size_bytes <= left_bytes
