"""Drive the sender: make bundles of the change log, send them, believe only signed acks.

At most one bundle waits for the line: what happens while the box is offline stays in the log and goes into the next
bundle, so a long silence costs one large bundle and not a thousand small ones. A courier takes everything at once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from content_packs.base import ids
from content_packs.base.errors import EdgeboxError
from content_packs.installer.blobs import BlobStore
from edgebox.domain.clock_rules import Source
from edgebox.services import enrolling
from edgebox.services.asking import Asking
from edgebox.services.box_clock import BoxClock
from edgebox.services.confirmed import covers
from edgebox.services.expressing import Expressing
from edgebox.services.file_sending import FileSending
from edgebox.services.identity import Identity
from edgebox.services.introducing import Introducing
from edgebox.services.line import Line, LinePaused
from edgebox.services.receiving import Receiving
from edgebox.services.settling import Settling, read_carried
from edgebox.services.spool import Spool
from edgebox.services.sync_state import LastFailure, SyncStatus, read_hub, read_status
from edgebox.services.uploading import HubLink, Uploading
from edgebox.store import changes, identities
from edgebox.store.changes import Made
from edgebox.store.connections import StoreUnavailable
from edgebox.store.database import Database
from sync.bundle.layout import AckHead
from sync.engine.lanes import Lane
from sync.engine.sender import Acknowledged, Due, Event, Failed, Phase, Queued, Send, Sender
from sync.enrolment import Hub
from sync.introduction import Ticket
from sync.transport.errors import LinkCaptured

log = logging.getLogger(__name__)

RESTARTS_MAX = 3


class Syncing:
    """Everything the box does towards the hub; safe to call from any task of the loop.

    `_sending` is held by whoever sends, which may take hours; `_books` by whoever reads or changes what waits, which is
    short. So a stick is taken while a bundle is on its way, and ends that upload if the hub has the bundle already.
    """

    def __init__(
        self,
        database: Database,
        identity: Identity,
        clock: BoxClock,
        spool: Path,
        line: Line,
        receiving: Receiving,
        make_link: Callable[[str], HubLink],
        blobs: BlobStore,
    ) -> None:
        self._database = database
        self._identity = identity
        self._clock = clock
        self._line = line
        self._spool = Spool(database, identity, clock, spool / "out")
        self.introducing = Introducing(database, identity, clock)
        self._uploading = Uploading(identity, make_link)
        self._failure = LastFailure()
        self._refusal: EdgeboxError | None = None
        self._sender = Sender()
        self._fresh: Made | None = None
        self._sending = asyncio.Lock()
        self._books = asyncio.Lock()
        way_up = line, self._uploading, self.introducing, self._failure
        self.files = FileSending(database, identity, clock, blobs, spool / "files", *way_up)
        self._asking = Asking(database, receiving, line, clock, self._uploading, self.files, self._failure)
        self._asking.may_ask = lambda: self._sender.phase is not Phase.SENDING
        self.files.may_give_way = self._may_send
        self._settling = Settling(database, clock, self._spool, self.introducing, self._asking, self._uploading)
        self.expressing = Expressing(database, clock, self._spool, self._uploading, self._books)
        self.expressing.left_bytes = lambda: self._line.left_bytes(Lane.PROGRESS)
        self.on_told_time: Callable[[Source, int], Awaitable[object]] = _nobody_listens

    async def enroll(self, url: str, code: str) -> Hub:
        """Enrol this box with the hub at `url`, by a one-time code from its operator. Safe to repeat with one code.

        Raises:
            EnrolmentRefused, SignatureInvalid: the code or the answer is not good; nothing is changed.
            HubUnreached, LinkCaptured, HubRefused: no answer, or no.
        """
        async with self._interrupted():
            hub = await enrolling.enroll(self._uploading.make_link(url), code, self._identity.signing)
            now_ms = self._clock.now_ms()
            await self._database.write(lambda connection: identities.meet_hub(connection, url, hub, now_ms))
            await self._meet_hub()
            return hub

    async def accept(self, ticket: Ticket) -> Hub:
        """Connect this box to the hub of a ticket, which need not be reachable; the hub is told by line or stick.

        Raises:
            EnrolmentExpired, EnrolmentRefused: the ticket is not good; nothing is changed.
        """
        async with self._interrupted():
            hub = await self.introducing.accept(ticket)
            await self._meet_hub()
            return hub

    async def _meet_hub(self) -> None:
        await self._spool.sweep()
        self._sender, self._failure.error = Sender(), None
        self.expressing.begin_anew()
        self.files.begin_anew()

    async def sync_now(self, on_progress: Callable[[int, int], None] = lambda *_: None) -> SyncStatus:
        """Send whatever waits, now, whatever the waiting time says; return how it went.

        `on_progress` hears how many bytes of the bundle on its way the hub has, and how many it has in all.
        """
        with self._uploading.telling(on_progress):
            await self._send_waiting(is_asked=True)
        await self._asking.bring(is_asked=True)
        return await self.status()

    async def sync_when_due(self) -> int | None:
        """Send whatever waits if it is time to; return when to come back, or None when nothing waits."""
        await self._send_waiting(is_asked=False)
        self._asking.begin()
        return self._next_try_ms()

    async def status(self) -> SyncStatus:
        """Return what the teacher's page shows."""
        stored = self._database, self._identity.box_id, self.introducing, self._uploading
        is_sending = self._sender.phase is Phase.SENDING
        return await read_status(*stored, self._next_try_ms(), self._shown_error(), is_sending=is_sending)

    async def prepare(self) -> list[Made]:
        """Make bundles of everything the hub does not have, and return those that wait, in order. Safe to repeat.

        Express bundles that were made for the line and did not go by it come first, for a stick may be full.

        Raises:
            NotEnrolled: bundles are sealed to a hub, and none is known.
        """
        async with self._books:
            _url, hub = await read_hub(self._database)
            while await self._spool.make_next(hub) is not None:
                pass
            return [*await self._spool.list_express(), *await self._spool.list_waiting()]

    @property
    def is_busy(self) -> bool:
        """Return whether something is on its way, so that whoever asks for more has to wait."""
        return self._books.locked()

    async def list_waiting(self) -> list[Made]:
        """Return the bundles that wait already, in order."""
        return await self._spool.list_waiting()

    async def read_waiting(self, made: Made) -> bytes | None:
        """Return a bundle; None when it waits no more, or the disk lost or changed it.

        Everything is in a new epoch then, unless it was an express one.
        """
        content = await self._spool.read(made)
        if content is None:
            async with self._books:
                if made.is_express:
                    await self._spool.drop_express(made)
                elif made in await self._spool.list_waiting():
                    await self._start_over()
        return content

    async def take_carried(self, content: bytes) -> AckHead:
        """Take an ack that somebody carried here, and return what it says. Safe to repeat, and with an old one.

        Raises:
            NotEnrolled: no hub is known whose word would count.
            BundleMalformed, BundleTooLarge, BundleUnsupported, BundleUnknownOrigin, BundleForged: not the hub's word
                about this box.
        """
        _url, hub = await read_hub(self._database)
        ack = read_carried(content, hub, self._identity.box_id)
        async with self._books:
            await self._take_carried(ack)
        await self.on_told_time(Source.SIGNED, ack.created_ms)
        return ack

    async def take_introductions(self, root: Path) -> None:
        """Take the hub's answers to that off a stick; a refusal is shown like one of the line."""
        _url, hub = await read_hub(self._database)
        async with self._books:
            self._failure.error = await self.introducing.take_from_stick(root, hub.verify_key) or self._failure.error

    async def close(self) -> None:
        """End what is on its way, and close the connection to the hub; safe to repeat."""
        async with self._interrupted():
            pass

    @asynccontextmanager
    async def _interrupted(self) -> AsyncIterator[None]:
        """Hold everything while nothing is sent, and leave the connection to the hub."""
        self._uploading.is_closing = True
        self._spool.packing.hold()
        try:
            await self._uploading.end()
            await self._asking.end()
            async with self._sending, self._books:
                await self._uploading.close()
                yield
        finally:
            self._spool.packing.release()
            self._uploading.is_closing = False

    async def _send_waiting(self, *, is_asked: bool) -> None:
        async with self._sending:
            found = await self._database.read(changes.find_hub)
            if found is None:
                return
            try:
                async with self._books:
                    await self._spool.sweep()
                await self._send_all(*found, is_asked=is_asked)
                while await self._send_file(*found):
                    # What was refused is asked about once, and not again after each file.
                    is_asked = is_asked and self._sender.phase is not Phase.REFUSED
                    await self._send_all(*found, is_asked=is_asked)
            except (LinePaused, StoreUnavailable) as error:
                log.warning("sync.stopped %s", error)
                self._failure.error = error
                await self._look_again()
            finally:
                # A cancelled task or a fault of ours must not leave a bundle on its way for ever.
                if self._sender.phase is Phase.SENDING:
                    self._advance(Failed(self._clock.now_ms(), ids.random_unit()))

    async def _send_all(self, url: str, hub: Hub, *, is_asked: bool) -> None:
        restarts = 0
        seq = await self._queue_and_start(hub, is_asked=is_asked)
        if seq is None and not self._sender.pending and not self._line.is_at_rest:
            await self._introduce_alone(url, hub)
        while seq is not None and not self._uploading.is_closing:
            outcome = await self._send(url, hub, seq)
            if outcome is None:
                restarts += 1
                seq = await self._queue_and_start(hub, is_asked=True) if restarts <= RESTARTS_MAX else None
                continue
            seq = self._advance(outcome)
            if seq is None and isinstance(outcome, Acknowledged):
                seq = await self._queue_and_start(hub, is_asked=is_asked)

    async def _send_file(self, url: str, hub: Hub) -> bool:
        """Send one file, or a part of one if there is something to send before it; return whether to look on.

        Behind a bundle that the hub refused, for days maybe, files go on: they are no part of its chain.
        """
        if self._sender.phase not in (Phase.IDLE, Phase.REFUSED) or self._uploading.is_closing:
            return False
        sent = await self.files.send_next(url, hub)
        if sent is None:
            return False
        async with self._books:
            return sent.ack is None or not await self._take_ack(sent.ack)

    async def _introduce_alone(self, url: str, hub: Hub) -> None:
        """Make the box known although it has nothing to send."""
        try:
            if await self.introducing.tell(self._uploading.open_link(url), hub.verify_key):
                self._failure.error = None
        except EdgeboxError as error:
            log.warning("sync.not_introduced %s", error)
            self._failure.error = error

    async def _queue_and_start(self, hub: Hub, *, is_asked: bool) -> int | None:
        """Queue what the spool has, or one new bundle when it has none; return the number to send now, if any."""
        async with self._books:
            waiting = await self._spool.list_waiting()
            if not waiting and (made := await self._spool.make_next(hub)) is not None:
                waiting, self._fresh = [made], made
            self._advance(Queued(tuple(made.seq for made in waiting)))
            return self._advance(Due(self._clock.now_ms(), is_asked))

    def _advance(self, event: Event) -> int | None:
        """Feed the machine and return the number it wants sent."""
        self._sender, actions = self._sender.on(event)
        return next((action.seq for action in actions if isinstance(action, Send)), None)

    async def _send(self, url: str, hub: Hub, seq: int) -> Acknowledged | Failed | None:
        """Deliver one bundle and return what that means for the sender; None if it is to look again what waits.

        Raises:
            LinePaused: no more may be sent for now; the hub keeps what it has of the bundle.
        """
        self._line.check(Lane.CLOSING)
        try:
            async with self._books:
                made, content = await self._spool.find_waiting(seq)
                if made is None:
                    # Somebody else brought it, or the hub said so in another ack.
                    return Acknowledged(0, ((seq, seq),))
                if content is None:
                    await self._start_over()
                    return None
                # The hub can have a part of any bundle but one that was made just now.
                is_begun, self._fresh = made != self._fresh, None
            if self._uploading.is_closing:
                return None
            await self.introducing.tell(self._uploading.open_link(url), hub.verify_key)
            ack = await self.expressing.deliver(
                url, hub, made, content, is_begun=is_begun, take_ack=self._take_express_ack
            )
            if ack is None:
                await self._look_again()
                return None
            if covers(ack, made.epoch, seq):  # so it was made after the bundle came, which is a moment ago
                await self.on_told_time(Source.HUB, ack.created_ms)
            async with self._books:
                if await self._take_ack(ack):
                    return None
            if not covers(ack, made.epoch, seq):
                raise LinkCaptured(reason="ack of another bundle")
        except LinePaused:
            raise
        except EdgeboxError as error:
            log.warning("sync.not_sent %s", error)
            self._failure.error = self._refusal = error
            await self.introducing.note_error(error)
            now_ms, has_progressed = self._clock.now_ms(), self._uploading.has_progressed
            return Failed(now_ms, ids.random_unit(), error.retryable, has_progressed)
        self._failure.error = None
        return Acknowledged(ack.vector.through_seq, ack.vector.ranges)

    async def _look_again(self) -> None:
        """The upload was ended, because a stick was faster or the line is wanted: what waits may be another bundle."""
        async with self._books:
            if self._sender.phase is Phase.SENDING:
                self._sender = replace(self._sender, phase=Phase.IDLE)

    async def _take_ack(self, ack: AckHead, *, is_carried: bool = False) -> bool:
        """Move the cursor, and return whether everything has to be sent again; the sender is a new one then."""
        starts_over = await self._settling.take(ack, is_carried=is_carried)
        if starts_over:
            self._sender = Sender()
        return starts_over

    async def _take_express_ack(self, ack: AckHead) -> bool:
        """Take what the hub answers to an express bundle: its number is none of the chain, its word on that counts."""
        async with self._books:
            return await self._take_ack(ack)

    async def _take_carried(self, ack: AckHead) -> None:
        """Move the cursor, and tell the sender, which may be waiting to try one of these bundles again."""
        starts_over = await self._take_ack(ack, is_carried=True)
        if not starts_over and ack.vector.epoch == await self._database.read(changes.find_epoch):
            await self._uploading.end_covered(ack)
            self._advance(Acknowledged(ack.vector.through_seq, ack.vector.ranges))
            if not self._sender.pending:
                # What the line could not do, the courier did.
                self._failure.error = None

    def _may_send(self) -> bool:
        """Return whether a bundle would go now if nothing else were on its way."""
        return self._sender.phase is not Phase.REFUSED or self._sender.next_try_ms <= self._clock.now_ms()

    def _shown_error(self) -> EdgeboxError | None:
        """Return what went wrong last; while the hub refuses a bundle, that: no file that arrives makes it good."""
        is_refused = self._sender.phase is Phase.REFUSED and self._sender.pending
        return self._refusal if is_refused else self._failure.error

    async def _start_over(self) -> None:
        await self._settling.start_over()
        self._sender = Sender()

    def _next_try_ms(self) -> int | None:
        if isinstance(self._failure.error, LinePaused) and self._sender.pending:
            return max(self._line.next_ms(Lane.PROGRESS), self._sender.next_try_ms)
        return self._sender.next_try_ms if self._sender.phase in (Phase.WAITING, Phase.REFUSED) else None


async def _nobody_listens(_source: Source, _told_ms: int) -> None:
    return None
