"""Who may upload a bundle now: one of each box, and few large ones at a time, so that no box holds up the others.

A day of a school is some 70 kB. Only larger bundles wait for a turn, so that slow boxes with a long absence behind them
keep nobody else from sending.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from weakref import WeakValueDictionary

SMALL_MAX_BYTES = 1024 * 1024


class Uploads:
    """Turns for uploads; whoever has none waits."""

    def __init__(self, large_max: int) -> None:
        self._turns = asyncio.Semaphore(large_max)
        # Weak, because a lock that nobody holds or waits for need not be remembered.
        self._of_origin: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, origin: bytes, size_bytes: int | None) -> AsyncIterator[None]:
        """Wait for the turn of a box and hold it; an upload of unknown size counts as large."""
        own = self._of_origin.setdefault(origin, asyncio.Lock())
        is_small = size_bytes is not None and size_bytes <= SMALL_MAX_BYTES
        async with own, nullcontext() if is_small else self._turns:
            yield
