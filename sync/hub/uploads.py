"""Who may upload a bundle now: one of each box, and few large ones at a time, so that no box holds up the others.

A day of a school is some 70 kB. Only larger bundles wait for a turn, so that slow boxes with a long absence behind them
keep nobody else from sending. A box that cost the hub more than its share waits until it has made up for it; and few
requests of one box are read at a time, the others wait and are then told to come back later.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from weakref import WeakValueDictionary

from sync.hub.effort import Effort
from sync.hub.errors import TooManyAtOnce
from sync.hub.shares import Shares

SMALL_MAX_BYTES = 1024 * 1024
LOOK_AGAIN_SECONDS = 1.0
AT_ONCE_MAX = 4  # a bundle, an express one, a question beside them, and one on a line that died and was not missed yet
PLACE_SECONDS = 30.0
PART_SECONDS = 0.0002  # what taking one part of a body from the line costs, however small
BYTE_SECONDS = 5e-9  # what each byte costs more until it is read, beside the work that is measured
SETTLE_SECONDS = 0.02


class Uploads:
    """Turns for uploads; whoever has none waits."""

    def __init__(self, large_max: int, shares: Shares) -> None:
        self._turns = asyncio.Semaphore(large_max)
        self._shares = shares
        self._closing = asyncio.Event()
        # Weak, because what nobody holds or waits for need not be remembered.
        self._of_origin: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._places: WeakValueDictionary[bytes, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, origin: bytes, size_bytes: int | None) -> AsyncIterator["Reading"]:
        """Wait for the turn of a box and hold it; an upload of unknown size counts as large. Raises like `place`."""
        is_small = size_bytes is not None and size_bytes <= SMALL_MAX_BYTES
        async with self.place(origin) as reading, self._of_origin.setdefault(origin, asyncio.Lock()):
            await self.make_up(origin)
            async with nullcontext() if is_small else self._turns:
                yield reading

    @asynccontextmanager
    async def place(self, origin: bytes) -> AsyncIterator["Reading"]:
        """Hold one of the few places that a box has at a time.

        Raises:
            TooManyAtOnce: none became free in half a minute. Who is refused at once is back at once.
        """
        places = self._places.setdefault(origin, asyncio.Semaphore(AT_ONCE_MAX))
        try:
            async with asyncio.timeout(PLACE_SECONDS):
                await places.acquire()
        except TimeoutError:
            raise TooManyAtOnce(most=AT_ONCE_MAX) from None
        try:
            with Reading(self, origin) as reading:
                yield reading
        finally:
            places.release()

    async def make_up(self, origin: bytes) -> None:
        """Note that the box came, and wait until it has credit again, or nobody else comes any more."""
        self._shares.come(origin, _now_seconds())
        await self.wait_all(origin)

    async def wait_all(self, origin: bytes) -> None:
        """Wait until a box has credit, however long; nobody waits once the hub is being stopped."""
        while await self.wait(origin):
            pass

    async def wait(self, origin: bytes) -> bool:
        """Wait a second or less for a box to have credit; return whether there was anything to wait for."""
        wait_seconds = self._shares.wait_seconds(origin, _now_seconds())
        if not wait_seconds or self._closing.is_set():
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(min(wait_seconds, LOOK_AGAIN_SECONDS)):
                await self._closing.wait()
        return True

    def close(self) -> None:
        """Let nobody wait any more: the hub is being stopped, and whoever has a turn is served first."""
        self._closing.set()

    def spend(self, origin: bytes, seconds: float) -> None:
        """Take off what was done for a box beside taking in bundles."""
        self._shares.charge(origin, seconds, _now_seconds())


class Reading:
    """What taking one body from the line costs its box, on whose account it is put as it grows.

    Attributes:
        effort: what is to be put there yet.
    """

    def __init__(self, uploads: Uploads, origin: bytes) -> None:
        self.effort = Effort()
        self._uploads = uploads
        self._origin = origin

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_ended: object) -> None:
        self._settle()

    async def take_part(self, size_bytes: int) -> None:
        """Note that a part came. A box without credit waits now and then, so briefly that its line is not given up."""
        self.effort.seconds += PART_SECONDS + size_bytes * BYTE_SECONDS
        if self.effort.seconds >= SETTLE_SECONDS:
            self._settle()
            await self._uploads.wait(self._origin)

    def _settle(self) -> None:
        self._uploads.spend(self._origin, self.effort.seconds)
        self.effort.seconds = 0.0


def _now_seconds() -> float:
    return asyncio.get_running_loop().time()
