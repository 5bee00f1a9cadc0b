"""Take in bundles: check, keep the file, apply, commit, and only then acknowledge."""

import asyncio
from dataclasses import dataclass

from content_packs.base.clock import Clock
from content_packs.base.errors import EdgeboxError
from sync.bundle.layout import AckHead, BundleKind, Head, Notice
from sync.bundle.write import write_ack
from sync.hub.arrivals import Arrival, Arrivals
from sync.hub.catching_up import CatchingUp
from sync.hub.chain import Chain, find_word
from sync.hub.effort import Effort
from sync.hub.enrolling import Enrolling
from sync.hub.errors import BoxRevoked
from sync.hub.files import Files
from sync.hub.keys import HubKeys
from sync.hub.opening import check, check_start, find_sender
from sync.hub.sending import Sending
from sync.hub.settings import HubSettings
from sync.hub.shares import Shares
from sync.hub.store import boxes
from sync.hub.store.boxes import Box
from sync.hub.store.bundles import Held, Place
from sync.hub.store.worker import Store, Transaction
from sync.hub.uploads import Uploads


@dataclass(frozen=True)
class Acknowledged:
    """An ack, and which file on a stick it goes to."""

    origin: bytes
    epoch: int
    ack: bytes


class Receiving:
    """Everything between the bytes of a bundle and its ack.

    Attributes:
        enrolling: makes boxes known; a stick may bring a box and its bundles at once.
        catching_up: applies what waited once its turn has come; to be started when the hub listens, and closed.
    """

    def __init__(
        self,
        settings: HubSettings,
        store: Store,
        keys: HubKeys,
        clock: Clock,
        sending: Sending,
        enrolling: Enrolling,
        shares: Shares,
        uploads: Uploads,
    ) -> None:
        self.enrolling = enrolling
        self._settings = settings
        self._shares = shares
        self._chain = Chain(store, clock, Arrivals(settings.bundles, store, keys, shares))
        self.catching_up = CatchingUp(store, self._chain, uploads)
        self._sending = sending
        self._store = store
        self._keys = keys
        self._clock = clock
        self._files = Files(settings, store, keys, clock)

    async def admit(self, start: bytes) -> Head:
        """Return the head of a bundle whose body is still to come, once it is signed by a box that is known.

        Raises:
            EdgeboxError: a refusal with a code; the body need not be read.
        """
        box = await self._store.run(lambda connection: find_sender(connection, start))
        return await asyncio.to_thread(check_start, start, box, self._keys)

    async def receive(self, content: bytes) -> Acknowledged:
        """Take in one bundle and return the ack. The same bundle again changes nothing and is acknowledged again.

        What it costs is put on its box's account, see `sync.hub.shares`.

        Raises:
            EdgeboxError: a refusal with a code; nothing was changed.
        """
        box = await self._store.run(lambda connection: find_sender(connection, content))
        effort, origin, loop = Effort(), box.verify_key.key_id, asyncio.get_running_loop()
        try:
            acknowledged = await self._receive_from(box, content, effort)
        except EdgeboxError as error:
            if not error.retryable:  # a full disk or a used quota says nothing about the bundle
                self._shares.note(origin, loop.time(), is_refused=True)
            raise
        finally:
            self._shares.charge(origin, effort.seconds, loop.time())
        self._shares.note(origin, loop.time(), is_refused=False)
        return acknowledged

    async def _receive_from(self, box: Box, content: bytes, effort: Effort) -> Acknowledged:
        checked = await asyncio.to_thread(effort.timed(check), content, box, self._keys)
        place = Place(box.no, checked.head.epoch, checked.head.seq)
        now_ms, limit_bytes = self._clock.now_ms(), self._settings.day_quota_bytes

        def count(connection: Transaction) -> None:
            boxes.spend_quota(connection, box.no, now_ms, len(content), limit_bytes)

        if checked.with_file is None:  # files have a quota of their own
            await self._store.run(effort.timed(count))
        if box.is_revoked:
            unread = Arrival(box, checked.head, content)
            if checked.head.kind is BundleKind.RECORDS:
                await self._store.run(lambda connection: self._chain.put_aside(connection, unread))
            raise BoxRevoked
        if checked.with_file is not None:
            await self._files.take(box, checked.with_file, effort)
            return await self._acknowledge_file(box, place)
        (held, notice), is_any_due = await self._chain.take(box, checked, content, effort)
        if is_any_due:
            self.catching_up.go_on(box.no)
        if await self._sending.take_heads_word(box, checked.head) and notice is Notice.NONE:
            notice = Notice.WAITING
        return self._acknowledged(held, notice, reads_tail=checked.head.codec > 0)

    async def _acknowledge_file(self, box: Box, place: Place) -> Acknowledged:
        """Return the word on the chain; the one on the file waits for the box by now, with what else goes down."""
        origin, now_ms = box.verify_key.key_id, self._clock.now_ms()
        await self._store.run(lambda connection: boxes.note_contact(connection, box.no, now_ms))
        held, notice = await self._store.run(lambda connection: find_word(connection, origin, place))
        notice = Notice.WAITING if notice is Notice.NONE else notice
        return self._acknowledged(held, notice, reads_tail=True)

    async def acknowledge(self, origin: bytes, epoch: int) -> Acknowledged | None:
        """Return the ack for what is held of a box already; None when that is nothing."""
        box = await self._store.run(lambda connection: boxes.find_box(connection, origin))
        if box is None or box.is_revoked:
            return None
        place = Place(box.no, epoch, 0)
        held, notice = await self._store.run(lambda connection: find_word(connection, origin, place))
        is_any_held = held.vector.through_seq or held.vector.ranges or held.is_forked or held.express
        return self._acknowledged(held, notice) if is_any_held else None

    async def resume(self) -> None:
        """Deal with files that nobody noted; only before anything is received."""
        await self._files.sweep()

    def _acknowledged(self, held: Held, notice: Notice, *, reads_tail: bool = False) -> Acknowledged:
        vector = held.vector
        ack = AckHead(
            maker=self._keys.signing.verify_key.key_id,
            vector=vector,
            created_ms=max(self._clock.now_ms(), 0),
            notice=notice,
            reads_short=True,
            tail=held.tail if reads_tail or held.express else b"",
            express=held.express,
            express_tail=held.express_tail,
        )
        return Acknowledged(vector.origin, vector.epoch, write_ack(ack, self._keys.signing))
