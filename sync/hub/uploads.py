"""Who may upload a bundle now: a few at a time, and one of each box, so that no box holds up the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Uploads:
    """Turns for uploads; whoever has none waits."""

    def __init__(self, at_once_max: int) -> None:
        self._turns = asyncio.Semaphore(at_once_max)
        # Weak, because a lock that nobody holds or waits for need not be remembered.
        self._of_origin: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, origin: bytes) -> AsyncIterator[None]:
        """Wait for the turn of a box, and hold it."""
        own = self._of_origin.setdefault(origin, asyncio.Lock())
        async with own, self._turns:
            yield
