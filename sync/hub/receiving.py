"""Take in bundles: check, keep the file, apply, commit, and only then acknowledge."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.clock import Clock
from content_packs.base.errors import EdgeboxError
from sync.bundle.layout import AckHead, BundleKind, Head, Notice
from sync.bundle.write import write_ack
from sync.engine.receiver import Verdict, judge
from sync.hub.effort import Effort
from sync.hub.enrolling import Enrolling
from sync.hub.errors import BoxRevoked
from sync.hub.files import Files
from sync.hub.keys import HubKeys
from sync.hub.opening import Checked, check, check_start, find_sender
from sync.hub.sending import Sending
from sync.hub.settings import HubSettings
from sync.hub.shares import Shares
from sync.hub.store import boxes, bundles, express, outgoing
from sync.hub.store.applying import Applier
from sync.hub.store.boxes import Box
from sync.hub.store.bundles import BundleState, Held, Place, SetAside
from sync.hub.store.express import ExpressApplier
from sync.hub.store.statement_rows import RecordUnresolved, Row, make_rows, read_numbers
from sync.hub.store.worker import Store, Transaction
from sync.records.kinds import kind_of
from sync.records.rows import Activity, Boot, Class, Device, Learner, Record, Verb

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arrival:
    """A bundle that passed every check.

    Attributes:
        rows: of its statements, which are not among the records then, where they were made before.
    """

    box: Box
    head: Head
    records: list[Record]
    content: bytes
    rows: Sequence[Row] = ()

    @property
    def place(self) -> Place:
        """Return where it stands."""
        return Place(self.box.no, self.head.epoch, self.head.seq)


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
    ) -> None:
        self.enrolling = enrolling
        self._settings = settings
        self._shares = shares
        self._apart = asyncio.Semaphore(1)
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
        is_chained = checked.head.kind is BundleKind.RECORDS

        def count(connection: Transaction) -> bool:
            if checked.with_file is None:  # files have a quota of their own
                boxes.spend_quota(connection, box.no, now_ms, len(content), limit_bytes)
            return is_chained and bundles.is_known(connection, place, checked.head.hash)

        is_known = await self._store.run(effort.timed(count))
        if box.is_revoked:
            unread = Arrival(box, checked.head, [], content)
            if is_chained:
                await self._store.run(lambda connection: self._put_aside(connection, unread))
            raise BoxRevoked
        if checked.with_file is not None:
            await self._files.take(box, checked.with_file, effort)
            return await self._acknowledge_file(box, place)
        word = None
        if is_known:
            word = await self._store.run(effort.timed(partial(self._meet_again, box=box, checked=checked)))
        held, notice = word or await self._take_in(box, checked, content, effort)
        if await self._sending.take_heads_word(box, checked.head) and notice is Notice.NONE:
            notice = Notice.WAITING
        return self._acknowledged(held, notice, reads_tail=checked.head.codec > 0)

    async def _acknowledge_file(self, box: Box, place: Place) -> Acknowledged:
        """Return the word on the chain; the one on the file waits for the box by now, with what else goes down."""
        origin, now_ms = box.verify_key.key_id, self._clock.now_ms()
        await self._store.run(lambda connection: boxes.note_contact(connection, box.no, now_ms))
        held, notice = await self._store.run(lambda connection: _find_word(connection, origin, place))
        notice = Notice.WAITING if notice is Notice.NONE else notice
        return self._acknowledged(held, notice, reads_tail=True)

    async def _take_in(self, box: Box, checked: Checked, content: bytes, effort: Effort) -> tuple[Held, Notice]:
        """Read a bundle and do with it what is to be done."""
        arrival = Arrival(box, checked.head, await self._open(checked, effort), content)
        if checked.head.is_express:
            return await self._store.run(effort.timed(partial(self._take_express, arrival=arrival)))
        if checked.is_large:
            arrival = await self._make_rows(arrival, effort)
        return await self._store.run(effort.timed(partial(self._take, arrival=arrival)))

    async def _open(self, checked: Checked, effort: Effort) -> list[Record]:
        """Return the records. Large bundles are read elsewhere, one at a time, and so is all of a box that was refused.

        The rest of this process goes on meanwhile; what turns out to be in vain is on the box's account all the same.
        """
        if not checked.is_large and not self._shares.is_suspect(checked.head.origin):
            return await asyncio.to_thread(effort.timed(checked.open), self._keys.sealing)
        async with self._apart:
            start_seconds = time.perf_counter()
            try:
                return await asyncio.to_thread(checked.open_apart, self._keys.sealing)
            except EdgeboxError:
                effort.seconds += time.perf_counter() - start_seconds
                raise

    async def _make_rows(self, arrival: Arrival, effort: Effort) -> Arrival:
        """Return the same with everything done that can be done without holding the database."""
        box, epoch = arrival.box, arrival.head.epoch
        numbers = await self._store.run(effort.timed(lambda connection: read_numbers(connection, box.no, epoch)))
        others, rows = await asyncio.to_thread(effort.timed(make_rows), numbers, box, arrival.records)
        return replace(arrival, records=others, rows=rows)

    def _meet_again(self, connection: Transaction, box: Box, checked: Checked) -> tuple[Held, Notice] | None:
        """Return the word on what is held if this very bundle is part of it, so that nothing need be read again."""
        head, place = checked.head, Place(box.no, checked.head.epoch, checked.head.seq)
        holding = bundles.find_holding(connection, place)
        if judge(holding, head.seq, head.hash, head.previous) is not Verdict.DUPLICATE:
            return None
        boxes.note_contact(connection, box.no, self._clock.now_ms())
        return _find_word(connection, head.origin, place)

    async def acknowledge(self, origin: bytes, epoch: int) -> Acknowledged | None:
        """Return the ack for what is held of a box already; None when that is nothing."""
        box = await self._store.run(lambda connection: boxes.find_box(connection, origin))
        if box is None or box.is_revoked:
            return None
        place = Place(box.no, epoch, 0)
        held, notice = await self._store.run(lambda connection: _find_word(connection, origin, place))
        is_any_held = held.vector.through_seq or held.vector.ranges or held.is_forked or held.express
        return self._acknowledged(held, notice) if is_any_held else None

    async def retry_set_aside(self) -> None:
        """Try the bundles that could not be applied once more: this program may be newer than the one that gave up."""
        is_any_done = True
        while is_any_done:
            waiting = await self._store.run(bundles.list_set_aside)
            done = [await self._store.run(partial(self._apply_stored, aside=aside)) for aside in waiting]
            is_any_done = any(done)

    def _apply_stored(self, connection: Transaction, aside: SetAside) -> bool:
        box = boxes.get_box(connection, aside.place.box_no)
        return self._apply_again(connection, box, aside) is not None

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

    def _put_aside(self, connection: Transaction, arrival: Arrival) -> None:
        """Keep a bundle of a box that was revoked, unread; nothing of it counts unless the box is taken back."""
        if not bundles.is_known(connection, arrival.place, arrival.head.hash):
            self._keep_file(arrival)
            self._add(connection, arrival, BundleState.REFUSED)

    def _take(self, connection: Transaction, arrival: Arrival) -> tuple[Held, Notice]:
        """Do what the receiver's table says, inside one transaction."""
        place, head = arrival.place, arrival.head
        holding = bundles.find_holding(connection, place)
        verdict = judge(holding, head.seq, head.hash, head.previous)
        if verdict is not Verdict.DUPLICATE:
            self._keep_file(arrival)
        if verdict is Verdict.APPLY:
            state, reason = self._apply(connection, arrival)
            self._add(connection, arrival, state, reason)
            self._move(connection, arrival)
            self._apply_explained(connection, arrival, state)
            self._apply_held(connection, arrival)
        elif verdict is Verdict.HOLD:
            self._add(connection, arrival, BundleState.HELD)
        elif verdict is Verdict.FORK:
            self._add(connection, arrival, BundleState.FORKED)
            bundles.mark_forked(connection, place)
        boxes.note_contact(connection, arrival.box.no, self._clock.now_ms(), is_forked=verdict is Verdict.FORK)
        return _find_word(connection, head.origin, place)

    def _take_express(self, connection: Transaction, arrival: Arrival) -> tuple[Held, Notice]:
        """Apply what came ahead of the chain, once; what cannot be applied is left to the chain, which brings it."""
        place, head, now_ms = arrival.place, arrival.head, self._clock.now_ms()
        known = express.find_hashes(connection, place)
        is_forked = bool(known - {head.hash})
        if is_forked:
            bundles.mark_forked(connection, place)
        if head.hash not in known:
            state = BundleState.FORKED
            if not bundles.find_holding(connection, place).is_forked:
                state, _reason = self._apply(connection, arrival)
            express.add(connection, place, head, state, size_bytes=len(arrival.content), now_ms=now_ms)
        boxes.note_contact(connection, arrival.box.no, now_ms, is_forked=is_forked)
        return _find_word(connection, head.origin, place)

    def _move(self, connection: Transaction, arrival: Arrival) -> None:
        logged_no = outgoing.last_place(connection, arrival.box.school_no)
        bundles.note_logged(connection, arrival.place, arrival.head.hash, logged_no)
        bundles.move_cursor(connection, arrival.place, arrival.head)

    def _apply_held(self, connection: Transaction, arrival: Arrival) -> None:
        """Apply what was held behind the hole that `arrival` filled."""
        before, place = arrival.head, arrival.place
        while True:
            place = Place(place.box_no, place.epoch, place.seq + 1)
            digest = bundles.find_held(connection, place)
            if digest is None:
                return
            held = self._read_file(arrival.box, place, digest)
            if held is None:
                bundles.forget(connection, place, digest)  # the next ack lacks it, so the box sends it again
                return
            if not before.hash.startswith(held.head.previous):
                bundles.set_state(connection, place, digest, BundleState.FORKED)
                bundles.mark_forked(connection, place)
                return
            state, reason = self._apply(connection, held)
            bundles.set_state(connection, place, digest, state, reason)
            self._move(connection, held)
            self._apply_explained(connection, held, state)
            before = held.head

    def _apply_explained(self, connection: Transaction, arrival: Arrival, state: BundleState) -> None:
        """Apply what was set aside for the lack of a number that an applied bundle brings."""
        explained = _explained_by(arrival) if state is BundleState.APPLIED else set()
        tried: set[SetAside] = set()
        while explained:
            waiting = bundles.list_set_aside(connection, arrival.box.no, arrival.place.epoch)
            ready = next((aside for aside in waiting if aside.reason in explained and aside not in tried), None)
            if ready is None:
                return
            tried.add(ready)
            applied = self._apply_again(connection, arrival.box, ready)
            explained |= _explained_by(applied) if applied is not None else set()

    def _apply_again(self, connection: Transaction, box: Box, aside: SetAside) -> Arrival | None:
        """Return the bundle if it can be applied by now. A fault in it must stop neither another bundle nor the hub."""
        stored = self._read_file(box, aside.place, aside.digest)
        if stored is None:
            return None
        try:
            state, reason = self._apply(connection, stored)
        except Exception:
            log.exception("hub.bundle_stays_aside box=%d %s", box.no, aside.place)
            return None
        bundles.set_state(connection, aside.place, aside.digest, state, reason)
        return stored if state is BundleState.APPLIED else None

    def _apply(self, connection: Transaction, arrival: Arrival) -> tuple[BundleState, str | None]:
        """Apply the records, or set the whole bundle aside when they make no sense; the box must not get stuck."""
        try:
            with connection.begin_nested():
                applier = ExpressApplier if arrival.head.is_express else Applier
                applier(connection, arrival.box, arrival.place, self._clock.now_ms()).apply(
                    arrival.records, arrival.rows
                )
        except RecordUnresolved as error:
            log.warning("hub.bundle_quarantined box=%d %s %s", arrival.box.no, arrival.place, error)
            return BundleState.QUARANTINED, _reason(error.fields["kind"], error.fields["no"])
        return BundleState.APPLIED, None

    def _add(self, connection: Transaction, arrival: Arrival, state: BundleState, reason: str | None = None) -> None:
        bundles.add_bundle(
            connection,
            arrival.place,
            arrival.head,
            state,
            size_bytes=len(arrival.content),
            now_ms=self._clock.now_ms(),
            reason=reason,
        )

    def _path(self, box: Box, place: Place, digest: bytes) -> Path:
        name = f"{place.epoch}-{place.seq}-{digest.hex()[:16]}.eb"
        return self._settings.bundles / box.verify_key.key_id.hex() / name

    def _keep_file(self, arrival: Arrival) -> None:
        path = self._path(arrival.box, arrival.place, arrival.head.hash)
        path.parent.mkdir(exist_ok=True)
        atomic.write_file(path, arrival.content, mode=atomic.PRIVATE_MODE)

    def _read_file(self, box: Box, place: Place, digest: bytes) -> Arrival | None:
        """Return a held bundle from its file, checked again; None when the disk lost it."""
        try:
            content = self._path(box, place, digest).read_bytes()
            checked = check(content, box, self._keys)
            return Arrival(box, checked.head, checked.open(self._keys.sealing), content)
        except (OSError, EdgeboxError):
            log.exception("hub.held_bundle_unreadable box=%d %s", box.no, place)
            return None


def _find_word(connection: Transaction, origin: bytes, place: Place) -> tuple[Held, Notice]:
    """Return what is held of an epoch, and what its box has to know besides."""
    held = express.with_express(connection, place, bundles.find_held_of(connection, origin, place))
    if held.is_forked:
        return held, Notice.FORKED
    is_succeeded = boxes.has_successor(connection, place.box_no)
    return held, Notice.SUCCEEDED if is_succeeded else Notice.NONE


def _explained_by(arrival: Arrival) -> set[str]:
    """Return the reasons for setting a bundle aside that are gone once this one is applied."""
    numbered = (record for record in arrival.records if isinstance(record, _NUMBERED))
    return {_reason(kind_of(record).name.lower(), record.no) for record in numbered}


def _reason(kind: object, no: object) -> str:
    return f"{kind} {no}"[:80]


_NUMBERED = (Activity, Boot, Class, Device, Learner, Verb)
