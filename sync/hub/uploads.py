"""Who may upload a bundle now: one of each box, and few large ones at a time, so that no box holds up the others.

A day of a school is some 70 kB. Only larger bundles wait for a turn, so that slow boxes with a long absence behind them
keep nobody else from sending. A box that cost the hub more than its share waits until it has made up for it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from weakref import WeakValueDictionary

from sync.hub.shares import Shares

SMALL_MAX_BYTES = 1024 * 1024
LOOK_AGAIN_SECONDS = 1.0


class Uploads:
    """Turns for uploads; whoever has none waits."""

    def __init__(self, large_max: int, shares: Shares) -> None:
        self._turns = asyncio.Semaphore(large_max)
        self._shares = shares
        self._closing = asyncio.Event()
        # Weak, because a lock that nobody holds or waits for need not be remembered.
        self._of_origin: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, origin: bytes, size_bytes: int | None) -> AsyncIterator[None]:
        """Wait for the turn of a box and hold it; an upload of unknown size counts as large."""
        own = self._of_origin.setdefault(origin, asyncio.Lock())
        is_small = size_bytes is not None and size_bytes <= SMALL_MAX_BYTES
        async with own:
            await self.make_up(origin)
            async with nullcontext() if is_small else self._turns:
                yield

    async def make_up(self, origin: bytes) -> None:
        """Note that the box came, and wait until it has credit again, or nobody else comes any more."""
        self._shares.come(origin, _now_seconds())
        while True:
            wait_seconds = self._shares.wait_seconds(origin, _now_seconds())
            if not wait_seconds or self._closing.is_set():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait_seconds, LOOK_AGAIN_SECONDS)):
                    await self._closing.wait()

    def close(self) -> None:
        """Let nobody wait any more: the hub is being stopped, and whoever has a turn is served first."""
        self._closing.set()

    def spend(self, origin: bytes, seconds: float) -> None:
        """Take off what was done for a box beside taking in bundles."""
        self._shares.charge(origin, seconds, _now_seconds())


def _now_seconds() -> float:
    return asyncio.get_running_loop().time()
