"""Drive the sender: make bundles of the change log, send them, believe only signed acks.

At most one bundle waits for the line: what happens while the box is offline stays in the log and goes into the next
bundle, so a long silence costs one large bundle and not a thousand small ones. A courier takes everything at once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from content_packs.base import ids
from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.clock_rules import Source
from edgebox.services.box_clock import BoxClock
from edgebox.services.confirmed import covers
from edgebox.services.identity import Identity
from edgebox.services.receiving import Receiving
from edgebox.services.spool import Spool
from edgebox.services.uploading import HubLink, Uploading
from edgebox.store import changes, switches
from edgebox.store.changes import Made
from edgebox.store.database import Database
from sync import enrolment
from sync.bundle.errors import BundleUnknownOrigin
from sync.bundle.layout import AckHead, Notice
from sync.bundle.read import read_ack
from sync.engine.sender import Acknowledged, Due, Event, Failed, Phase, Queued, Send, Sender
from sync.enrolment import EnrolmentRefused, Hub
from sync.transport.errors import HubBusy, HubRefused, HubUnreached, LinkCaptured, LinkDown

log = logging.getLogger(__name__)

RESTARTS_MAX = 3
# How often a box asks for what waits when it has nothing to send whose answer would tell.
ASK_EVERY_MS = 6 * 3_600_000
# What a hub answers to an enrolment, by its code.
_CODE_REFUSED = frozenset({"hub.enrolment_code_invalid", EnrolmentRefused.code})
_BUSY_REASONS = {"hub.too_many_tries": N_("too many wrong codes were tried; wait ten minutes")}


class NotEnrolled(EdgeboxError):
    """The box does not know a hub to send to."""

    code = "sync.not_enrolled"
    status = 409
    exit_code = 45
    sentence = N_("This box is not connected to a hub.")
    remedy = N_("Ask the hub for a code and enrol the box with it. Until then everything is kept here.")


@dataclass(frozen=True)
class SyncStatus:
    """What the teacher's page shows.

    Attributes:
        waiting_changes: rows that the hub does not have yet.
        waiting_bytes: size of the bundles made and not confirmed.
        sending_bytes: size of the bundle that is on its way, 0 for none.
        stored_bytes: what the hub has of it.
        last_error: code and fields of the last failure, None since the last success.
    """

    hub_url: str | None
    box_id: str
    waiting_changes: int
    waiting_bundles: int
    waiting_bytes: int
    sending_bytes: int
    stored_bytes: int
    last_success_ms: int | None
    next_try_ms: int | None
    is_sending: bool
    last_error: dict[str, Any] | None


class Syncing:
    """Everything the box does towards the hub; safe to call from any task of the loop.

    `_line` is held by whoever sends, which may take hours; `_books` by whoever reads or changes what waits, which is
    short. So a stick is taken while a bundle is on its way, and ends that upload if the hub has the bundle already.
    """

    def __init__(
        self,
        database: Database,
        identity: Identity,
        clock: BoxClock,
        spool: Path,
        receiving: Receiving,
        make_link: Callable[[str], HubLink],
    ) -> None:
        self._database = database
        self._identity = identity
        self._clock = clock
        self._spool = Spool(database, identity, clock, spool / "out")
        self._receiving = receiving
        self._has_waiting = False
        self._asked_ms: int | None = None
        self._bringing: asyncio.Task[int] | None = None
        self._uploading = Uploading(identity.box_id, make_link)
        self._sender = Sender()
        self._last_error: EdgeboxError | None = None
        self._fresh: Made | None = None
        self._is_closing = False
        self._line = asyncio.Lock()
        self._books = asyncio.Lock()
        self.on_told_time: Callable[[Source, int], Awaitable[object]] = _nobody_listens

    async def enroll(self, url: str, code: str) -> Hub:
        """Enrol this box with the hub at `url`, by a one-time code from its operator. Safe to repeat with one code.

        Raises:
            EnrolmentRefused, SignatureInvalid: the code or the answer is not good; nothing is changed.
            HubUnreached, LinkCaptured, HubRefused: no answer, or no.
        """
        async with self._interrupted():
            link = self._uploading.make_link(url)
            try:
                answer = await link.enroll(enrolment.make_request(code, self._identity.signing))
            except LinkDown as error:
                raise HubUnreached(**error.fields) from error
            except HubBusy as error:
                reason = _BUSY_REASONS.get(error.fields["hub_code"], N_("it is busy"))
                raise HubUnreached(reason=reason, fault=error.fields["hub_code"]) from error
            except HubRefused as error:
                if error.fields["hub_code"] in _CODE_REFUSED:
                    raise EnrolmentRefused(reason=N_("the code is wrong, used or too old")) from error
                raise
            finally:
                await link.close()
            hub = enrolment.check_answer(answer, code, self._identity.signing.verify_key)
            now_ms = self._clock.now_ms()
            await self._database.write(lambda connection: changes.put_hub(connection, url, hub, now_ms))
            await self._spool.sweep()
            self._sender, self._last_error = Sender(), None
            return hub

    async def sync_now(self) -> SyncStatus:
        """Send whatever waits, now, whatever the waiting time says; return how it went."""
        await self._send_waiting(is_asked=True)
        return await self.status()

    async def sync_when_due(self) -> int | None:
        """Send whatever waits if it is time to; return when to come back, or None when nothing waits."""
        await self._send_waiting(is_asked=False)
        return self._next_try_ms()

    async def status(self) -> SyncStatus:
        """Return what the teacher's page shows."""
        found = await self._database.read(changes.find_hub)
        backlog = await self._database.read(changes.find_backlog)
        sending = self._uploading.made
        return SyncStatus(
            hub_url=None if found is None else found[0],
            box_id=self._identity.box_id.hex(),
            waiting_changes=backlog.changes,
            waiting_bundles=backlog.bundles,
            waiting_bytes=backlog.size_bytes,
            sending_bytes=0 if sending is None else sending.size_bytes,
            stored_bytes=0 if sending is None else self._uploading.stored_bytes,
            last_success_ms=backlog.last_success_ms,
            next_try_ms=self._next_try_ms(),
            is_sending=self._sender.phase is Phase.SENDING,
            last_error=None if self._last_error is None else self._last_error.as_record(),
        )

    async def prepare(self) -> list[Made]:
        """Make bundles of everything the hub does not have, and return those that wait, in order. Safe to repeat.

        Raises:
            NotEnrolled: bundles are sealed to a hub, and none is known.
        """
        async with self._books:
            _url, hub = await self._find_hub()
            while await self._spool.make_next(hub) is not None:
                pass
            return await self._spool.list_waiting()

    @property
    def is_busy(self) -> bool:
        """Return whether something is on its way, so that whoever asks for more has to wait."""
        return self._books.locked()

    async def check_enrolled(self) -> None:
        """Return if a hub is known.

        Raises:
            NotEnrolled
        """
        await self._find_hub()

    async def list_waiting(self) -> list[Made]:
        """Return the bundles that wait already, in order."""
        return await self._spool.list_waiting()

    async def read_waiting(self, made: Made) -> bytes | None:
        """Return a bundle; None when the disk lost or changed it: everything is in a new epoch then."""
        content = await self._spool.read(made)
        if content is None:
            async with self._books:
                if made.epoch == await self._database.read(changes.find_epoch):
                    await self._start_over()
        return content

    async def take_carried(self, content: bytes) -> AckHead:
        """Take an ack that somebody carried here, and return what it says. Safe to repeat, and with an old one.

        Raises:
            NotEnrolled: no hub is known whose word would count.
            BundleMalformed, BundleTooLarge, BundleUnsupported, BundleUnknownOrigin, BundleForged: not the hub's word
                about this box.
        """
        _url, hub = await self._find_hub()
        ack = read_ack(content, hub.verify_key)
        if ack.vector.origin != self._identity.box_id:
            raise BundleUnknownOrigin(origin=ack.vector.origin.hex()[:12])
        async with self._books:
            await self._take_carried(ack)
        await self.on_told_time(Source.SIGNED, ack.created_ms)
        return ack

    async def close(self) -> None:
        """End what is on its way, and close the connection to the hub; safe to repeat."""
        async with self._interrupted():
            pass

    @asynccontextmanager
    async def _interrupted(self) -> AsyncIterator[None]:
        """Hold everything while nothing is sent, and leave the connection to the hub."""
        self._is_closing = True
        try:
            await self._uploading.end()
            await self._end_bringing()
            async with self._line, self._books:
                await self._uploading.close()
                yield
        finally:
            self._is_closing = False

    async def _send_waiting(self, *, is_asked: bool) -> None:
        async with self._line:
            found = await self._database.read(changes.find_hub)
            if found is None:
                return
            try:
                async with self._books:
                    await self._spool.sweep()
                await self._send_all(*found, is_asked=is_asked)
                await self._receive_waiting(found[0], is_asked=is_asked)
            finally:
                # A cancelled task or a fault of ours must not leave a bundle on its way for ever.
                if self._sender.phase is Phase.SENDING:
                    self._advance(Failed(self._clock.now_ms(), _random_unit()))

    async def _send_all(self, url: str, hub: Hub, *, is_asked: bool) -> None:
        restarts = 0
        seq = await self._queue_and_start(hub, is_asked=is_asked)
        while seq is not None and not self._is_closing:
            outcome = await self._send(url, hub, seq)
            if outcome is None:
                restarts += 1
                seq = await self._queue_and_start(hub, is_asked=True) if restarts <= RESTARTS_MAX else None
                continue
            seq = self._advance(outcome)
            if seq is None and isinstance(outcome, Acknowledged):
                seq = await self._queue_and_start(hub, is_asked=is_asked)

    async def _receive_waiting(self, url: str, *, is_asked: bool) -> None:
        """Bring what waits at the hub, if it said that something does, or was not asked for long."""
        now_ms = self._clock.monotonic_ms()
        is_due = self._asked_ms is None or now_ms - self._asked_ms >= ASK_EVERY_MS
        if self._is_closing or self._sender.phase is not Phase.IDLE or not (is_asked or self._has_waiting or is_due):
            return
        try:
            link = self._uploading.open_link(url)
            self._bringing = asyncio.ensure_future(self._receiving.exchange(link))
            # Not awaited by itself: whoever ends it must not end the caller.
            await asyncio.wait({self._bringing})
            if not self._bringing.cancelled():
                self._bringing.result()
                self._has_waiting, self._asked_ms = False, now_ms
        except EdgeboxError as error:
            log.warning("sync.not_received %s", error)
            self._last_error = error
        finally:
            await self._end_bringing()

    async def _end_bringing(self) -> None:
        """Stop what is on its way down; what came of it is kept."""
        if self._bringing is not None and not self._bringing.done():
            self._bringing.cancel()
            await asyncio.wait({self._bringing})

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
        """Deliver one bundle and return what that means for the sender; None if it is to look again what waits."""
        try:
            async with self._books:
                made, content = await self._read(seq)
                if made is None or content is None:
                    await self._start_over()
                    return None
                # The hub can have a part of any bundle but one that was made just now.
                is_begun, self._fresh = made != self._fresh, None
            if self._is_closing:
                return None
            ack = await self._uploading.deliver(url, hub, made, content, is_begun=is_begun)
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
        except EdgeboxError as error:
            log.warning("sync.not_sent %s", error)
            self._last_error = error
            now_ms, has_progressed = self._clock.now_ms(), self._uploading.has_progressed
            return Failed(now_ms, _random_unit(), error.retryable, has_progressed)
        self._last_error = None
        return Acknowledged(ack.vector.through_seq, ack.vector.ranges)

    async def _read(self, seq: int) -> tuple[Made | None, bytes | None]:
        waiting = await self._spool.list_waiting()
        made = next((made for made in waiting if made.seq == seq), None)
        return made, None if made is None else await self._spool.read(made)

    async def _look_again(self) -> None:
        """The upload was ended, because a stick was faster or the line is wanted: what waits may be another bundle."""
        async with self._books:
            if self._sender.phase is Phase.SENDING:
                self._sender = replace(self._sender, phase=Phase.IDLE)

    async def _take_ack(self, ack: AckHead, *, is_carried: bool = False) -> bool:
        """Move the cursor, and return whether everything has to be sent again in a new epoch, which is begun then.

        That is so when two boxes use this identity, and when the hub lost bundles that are no longer kept here.
        """
        now_ms = self._clock.now_ms()
        self._has_waiting |= ack.notice == Notice.WAITING
        is_ours = await self._database.read(lambda connection: changes.is_own_history(connection, ack.vector, ack.tail))
        is_whole = is_ours and await self._database.write(
            lambda connection: changes.settle(
                connection, ack.vector, now_ms, said_ms=ack.created_ms, is_carried=is_carried
            )
        )
        if ack.reads_short:
            await self._database.write(
                lambda connection: switches.set_switch(connection, switches.HUB_READS_SHORT, on=True)
            )
        epoch = await self._database.read(changes.find_epoch)
        is_forked = not is_ours or (ack.notice == Notice.FORKED and ack.vector.epoch == epoch)
        if is_forked or not is_whole:
            log.warning("sync.starts_over epoch=%d forked=%s", epoch, is_forked)
            await self._start_over()
        await self._spool.forget_old(now_ms)
        return is_forked or not is_whole

    async def _take_carried(self, ack: AckHead) -> None:
        """Move the cursor, and tell the sender, which may be waiting to try one of these bundles again."""
        starts_over = await self._take_ack(ack, is_carried=True)
        if not starts_over and ack.vector.epoch == await self._database.read(changes.find_epoch):
            await self._uploading.end_covered(ack)
            self._advance(Acknowledged(ack.vector.through_seq, ack.vector.ranges))
            if not self._sender.pending:
                # What the line could not do, the courier did.
                self._last_error = None

    async def _start_over(self) -> None:
        await self._uploading.end()
        await self._spool.start_epoch()
        self._sender = Sender()

    async def _find_hub(self) -> tuple[str, Hub]:
        found = await self._database.read(changes.find_hub)
        if found is None:
            raise NotEnrolled
        return found

    def _next_try_ms(self) -> int | None:
        return self._sender.next_try_ms if self._sender.phase in (Phase.WAITING, Phase.REFUSED) else None


async def _nobody_listens(_source: Source, _told_ms: int) -> None:
    return None


def _random_unit() -> float:
    return int.from_bytes(ids.random_bytes(4), "big") / (1 << 32)
