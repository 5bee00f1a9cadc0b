"""Closing results ahead of a long bundle: made into bundles of their own, before it and between its slices.

They are an addition: whatever happens to them, the long bundle brings the same rows in its turn. So nothing here may
hold it up for longer than a bundle of theirs takes.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from edgebox.services.box_clock import BoxClock
from edgebox.services.spool import Spool
from edgebox.services.uploading import Uploading, log_failure
from edgebox.store import changes, express
from edgebox.store.changes import Made
from edgebox.store.connections import StoreUnavailable
from edgebox.store.database import Database
from edgebox.store.spans import Span
from sync.bundle.layout import AckHead
from sync.engine.express import CHANGE_BYTES, is_time_to_look, is_worthwhile
from sync.engine.lanes import Lane
from sync.enrolment import Hub
from sync.transport.errors import HubBusy, HubRefused, LinkCaptured

REFUSED_MS = 86_400_000

log = logging.getLogger(__name__)

TakeAck = Callable[[AckHead], Awaitable[bool]]


class Expressing:
    """Sends express bundles while somebody holds the line; `books` are held while one is made.

    Attributes:
        left_bytes: what the tariff leaves the main bundles now, None for no limit.
    """

    def __init__(
        self, database: Database, clock: BoxClock, spool: Spool, uploading: Uploading, books: asyncio.Lock
    ) -> None:
        self._database = database
        self._clock = clock
        self._spool = spool
        self._uploading = uploading
        self._books = books
        self._looked: tuple[int, int] = (0, 0)
        self._looking: asyncio.Task[None] | None = None
        self._looked_bytes = 0
        self._refused_ms: int | None = None
        self._has_failed = False
        self._is_passed_over = False
        self._is_wanted = False
        self._fresh: Made | None = None
        self.left_bytes: Callable[[], int | None] = lambda: None

    def begin_anew(self) -> None:
        """Forget what the hub before did not want."""
        self._refused_ms, self._has_failed = None, False

    async def deliver(
        self, url: str, hub: Hub, made: Made, content: bytes, *, is_begun: bool, take_ack: TakeAck
    ) -> AckHead | None:
        """Return the hub's ack of a main bundle, which closing results went ahead of.

        None if it was ended from outside, or need not be sent any more; `take_ack` says the latter of an express one.

        Raises:
            LinkDown, LinkCaptured, HubRefused, HubBusy: like `Transport`.
        """
        stored_bytes, self._is_wanted = 0, False
        # What the hub had trouble with the last time keeps the main bundle back no second time.
        self._is_passed_over, self._has_failed = self._has_failed, False
        while await self._send_ahead(url, hub, made.size_bytes - stored_bytes, take_ack):
            if made not in await self._spool.list_waiting():
                return None
            async with self._between_slices(stored_bytes):
                ack = await self._uploading.deliver(url, hub, made, content, is_begun=is_begun)
            if ack is not None or not self._is_wanted:
                return ack
            is_begun, stored_bytes = True, self._uploading.stored_bytes
        return None

    @property
    def _is_off(self) -> bool:
        """Return whether no express bundle is to be sent for now. A hub that refused one may be another tomorrow."""
        refused_ms = self._refused_ms
        is_refused = refused_ms is not None and self._clock.monotonic_ms() - refused_ms < REFUSED_MS
        return is_refused or self._is_passed_over

    async def _send_ahead(self, url: str, hub: Hub, ahead_bytes: int, take_ack: TakeAck) -> bool:
        """Send the closing results that have so many bytes before them; return whether to go on with those.

        What comes about meanwhile waits until a slice of the others has gone.
        """
        last_change = await self._database.read(express.find_last_change)
        while (made := await self._next(hub, ahead_bytes)) is not None:
            content = await self._spool.read(made)
            if content is not None and not await self._send(url, hub, made, content, take_ack):
                return False
            async with self._books:
                await self._spool.drop_express(made)
            if made.through_change >= last_change:
                break
        return True

    async def _send(self, url: str, hub: Hub, made: Made, content: bytes, take_ack: TakeAck) -> bool:
        """Return whether a bundle of closing results is done with: it is there, or the hub does not want such."""
        is_begun, self._fresh = made != self._fresh, None
        try:
            ack = await self._uploading.deliver(url, hub, made, content, is_begun=is_begun, lane=Lane.CLOSING)
        except HubRefused as error:
            # The main bundle brings the same, and if that is refused as well, it says why.
            log.warning("sync.express_refused %s", error)
            self._refused_ms = self._clock.monotonic_ms()
            return True
        except (HubBusy, LinkCaptured):
            self._has_failed = True
            raise
        return ack is not None and not await take_ack(ack)

    @asynccontextmanager
    async def _between_slices(self, stored_bytes: int) -> AsyncIterator[None]:
        """End the upload that is sent meanwhile, at a slice from where it goes on, when closing results came about."""
        self._is_wanted, self._looked_bytes = False, stored_bytes
        with self._uploading.telling(self._note_progress):
            try:
                yield
            finally:
                if self._looking is not None:
                    self._looking.cancel()
                    await asyncio.wait({self._looking})
                    self._looking = None

    async def _next(self, hub: Hub, ahead_bytes: int) -> Made | None:
        """Return the express bundle to send now: one that was made before, or a new one."""
        async with self._books:
            waiting = await self._spool.list_express()
            if waiting and not self._is_off:
                return waiting[0]
            if not self._is_wanted and not is_worthwhile(await self._add_log(ahead_bytes), self.left_bytes()):
                return None
            span = await self._find()
            if span is None:
                return None
            try:
                self._fresh = await self._spool.make_express(hub, span)
            except StoreUnavailable as error:
                log.warning("sync.express_not_made %s", error)
                return None
            return self._fresh

    async def _find(self) -> Span | None:
        """Return closing results that the hub does not have."""
        if self._is_off or not (await self._database.read(changes.find_form)).is_short_read:
            return None
        epoch = await self._database.read(changes.find_epoch)
        last = await self._database.read(express.find_last_change)
        span = await self._spool.find_closing(self._looked[1] if self._looked[0] == epoch else 0)
        # What was looked through without a result need not be looked through again.
        self._looked = (epoch, last if span is None else span.through_change)
        return span

    async def _add_log(self, ahead_bytes: int) -> int:
        """Return the bytes ahead with what is in the log and in no bundle yet, roughly."""
        cursor = await self._database.read(changes.find_cursor)
        last = await self._database.read(express.find_last_change)
        return ahead_bytes + max(last + 1 - cursor.from_change, 0) * CHANGE_BYTES

    def _note_progress(self, stored_bytes: int, size_bytes: int) -> None:
        is_looking = self._looking is not None and not self._looking.done()
        if is_looking or not is_time_to_look(self._looked_bytes, stored_bytes, size_bytes):
            return
        self._looked_bytes = stored_bytes
        self._looking = asyncio.ensure_future(self._look())
        self._looking.add_done_callback(log_failure)

    async def _look(self) -> None:
        looked = self._looked
        if await self._find() is not None:
            self._looked, self._is_wanted = looked, True
            await self._uploading.end()
