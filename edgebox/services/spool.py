"""Bundles on their way out: made of the change log, kept as files until the hub has confirmed them, and for a while.

A hub that is restored from a backup lacks the latest of what it confirmed. Those are kept for a week as far as they are
few; a box that does not have them any more sends everything in a new epoch.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from content_packs.base import atomic, ids
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import PairKey
from edgebox.services import copy_marks
from edgebox.services.box_clock import BoxClock
from edgebox.services.identity import Identity
from edgebox.services.packing import Order, Packing, sort_out
from edgebox.store import boots, changes, express, inbox, scrubbing, spans
from edgebox.store.changes import Cursor, Form, Made
from edgebox.store.connections import DAMAGED, NOT_WRITTEN, StoreUnavailable
from edgebox.store.database import Database
from edgebox.store.inbox import Pair
from edgebox.store.roster import Connection
from edgebox.store.spans import Span
from sync.bundle.errors import BundleMalformed, BundleTooLarge, BundleUnsupported
from sync.bundle.layout import BundleKind, ClockQuality, Vector
from sync.bundle.paired import write_paired
from sync.bundle.read import split_body
from sync.bundle.write import Packed, Range, pack, write_bundle
from sync.enrolment import Hub
from sync.transport import folder

log = logging.getLogger(__name__)

CHANGES_PER_BUNDLE = 20_000
ROW_BYTES_PER_BUNDLE = 32 << 20
# Above this a bundle is never short, so it need not be tried.
PAIRED_MAX_RECORDS = 2_000
KEEP_ACKNOWLEDGED_MS = 7 * 86_400_000
# A week of school days; more than that and what waits is not kept on the card.
KEEP_ACKNOWLEDGED_BYTES = 1 << 20
_EPOCH_STEP_BYTES = 3
_LOOKED_THROUGH_CHANGES = 50_000
_MENDING_MS = 1000  # at once: readers wait for it, and so does who stops the box
_PUT_RIGHT_CHANGES = 200  # putting more right at once would hold up the writer


@dataclass(frozen=True, slots=True)
class Word:
    """What a box holds of the hub's bundles, when it says so, and how good its clock was when the records were made."""

    vector: Vector
    said_ms: int
    clock_quality: ClockQuality


class _StatementDamaged(Exception):
    """The next statement of the log does not fit its seal."""


class Spool:
    """The folder of bundles out, and the rows that go with it.

    Attributes:
        packing: makes the large ones.
    """

    def __init__(self, database: Database, identity: Identity, clock: BoxClock, place: Path) -> None:
        self._database = database
        self._identity = identity
        self._clock = clock
        self._folder = place
        self.packing = Packing()
        self._packed_at_most: int | None = None

    async def list_waiting(self) -> list[Made]:
        """Return the bundles that the hub has not confirmed, in order."""
        return await self._database.read(changes.list_unacknowledged)

    async def make_next(self, hub: Hub) -> Made | None:
        """Make the next bundle of the log and return it; None when the log has nothing new.

        The file is on the disk before its row is, and the row before anything is sent: a bundle is never made twice.
        """
        cursor = await self._database.read(changes.find_cursor)
        form = await self._database.read(changes.find_form)
        first = cursor.from_change
        quality, next_boot = await self._database.read(lambda connection: boots.find_boot(connection, first))
        word = await self._find_word(hub, quality)
        # No bundle spans two boots: its head says how good the clock was.
        last = await self._database.read(changes.find_last_change) if next_boot is None else next_boot - 1
        if last < first:
            self._packed_at_most = None
        max_changes = min(self._packed_at_most or CHANGES_PER_BUNDLE, last - first + 1)
        while max_changes > 0:
            try:
                if max_changes > PAIRED_MAX_RECORDS:
                    found = await asyncio.to_thread(self._write_apart, cursor, max_changes, hub, form, word)
                else:
                    span = await self._read_span(first, max_changes)
                    found = None
                    if span is not None:
                        found = await asyncio.to_thread(self._write, cursor, span, hub, form, word)
            except _StatementDamaged:
                await self._put_right(first)
                continue
            except (BundleTooLarge, StoreUnavailable) as error:
                # Half of it is smaller, and takes less memory and time to pack.
                max_changes //= 2
                if self.packing.is_held or not max_changes:
                    raise
                if isinstance(error, StoreUnavailable):
                    # Whoever waits for the rest of the log does not wait for that again.
                    self._packed_at_most = max(max_changes, PAIRED_MAX_RECORDS)
                continue
            return None if found is None else await self._keep(*found)
        return None

    async def list_express(self) -> list[Made]:
        """Return the express bundles that are of use still, in order."""
        return await self._database.read(express.list_waiting)

    async def find_closing(self, after_change: int) -> Span | None:
        """Return the next closing results behind a change that the hub does not have; None when there are none."""
        cursor = await self._database.read(express.find_cursor)
        first = max(cursor.from_change, after_change + 1)
        while (span := await self._database.read(partial(_read_closing, from_change=first))) is not None:
            if span.records:
                return span
            first = span.through_change + 1
        return None

    async def make_express(self, hub: Hub, span: Span) -> Made:
        """Make an express bundle of closing results; its file is on the disk before its row is."""
        cursor = await self._database.read(express.find_cursor)
        form = await self._database.read(changes.find_form)
        last = span.through_change
        quality, _next_boot = await self._database.read(lambda connection: boots.find_boot(connection, last))
        word = await self._find_word(hub, quality)
        found = await asyncio.to_thread(self._write, cursor, span, hub, form, word, BundleKind.EXPRESS)
        return await self._keep(*found, is_express=True)

    async def drop_express(self, made: Made) -> None:
        """Let an express bundle go that is of no more use."""
        now_ms = self._clock.now_ms()
        await self._database.write(lambda connection: express.drop(connection, made.epoch, made.seq, now_ms))

    async def read(self, made: Made) -> bytes | None:
        """Return a bundle from the spool; None when the disk lost or changed it."""
        return await asyncio.to_thread(self._read_file, made)

    async def find_waiting(self, seq: int) -> tuple[Made | None, bytes | None]:
        """Return a bundle that waits, None when it waits no more, and its content, None when the disk lost it."""
        made = next((made for made in await self.list_waiting() if made.seq == seq), None)
        return made, None if made is None else await self.read(made)

    async def start_epoch(self) -> None:
        """Begin an epoch whose number a copy of this box is unlikely to choose as well."""
        step = 1 + int.from_bytes(ids.random_bytes(_EPOCH_STEP_BYTES), "big")
        epoch = step + await self._database.read(changes.find_epoch)
        await self._database.write(lambda connection: changes.begin_epoch(connection, epoch))
        await self.sweep()

    async def forget_old(self, now_ms: int) -> None:
        """Remove the bundles that the hub confirmed a week ago."""
        before_ms = now_ms - KEEP_ACKNOWLEDGED_MS
        await self._database.write(lambda connection: changes.forget_bundles(connection, before_ms))
        await self._database.write(lambda connection: express.forget(connection, before_ms))
        await self.sweep()

    async def sweep(self) -> None:
        """Remove files that have no right to be there; not while a bundle is being made, whose file is there first.

        The rows say which have. They change before the files, so a power cut between the two leaves files that nothing
        else would ever remove.
        """
        listed = await self._database.read(lambda connection: changes.list_kept(connection, KEEP_ACKNOWLEDGED_BYTES))
        kept = {folder.bundle_name(*place) for place in listed}
        kept |= {_name(made) for made in await self.list_express()}
        await asyncio.to_thread(self._remove_others, kept)

    async def _find_word(self, hub: Hub, quality: ClockQuality) -> Word:
        # Taken before the vector is read: the hub takes the later of two words of a box for the true one.
        said_ms = self._clock.now_ms()
        pair = Pair(hub.verify_key.key_id, self._identity.box_id)
        vector = await self._database.read(lambda connection: inbox.find_vector(connection, pair))
        return Word(vector, said_ms, quality)

    async def _read_span(self, from_change: int, max_changes: int) -> Span | None:
        span = await self._database.read(
            lambda connection: spans.read_span(
                connection, from_change, max_changes=max_changes, max_bytes=ROW_BYTES_PER_BUNDLE
            )
        )
        if span is not None and span.through_change < from_change:
            raise _StatementDamaged
        return span

    async def _put_right(self, from_change: int) -> None:
        """Put right the damaged statements that are next in the log, or aside, so that bundles can go past them.

        Raises:
            StoreUnavailable: that takes a new database, which the next start makes.
        """
        damaged = await self._database.read(
            lambda connection: spans.find_damaged(connection, from_change, _PUT_RIGHT_CHANGES)
        )
        end_ms = self._clock.monotonic_ms() + _MENDING_MS
        looked_at, mends = await self._database.read(
            lambda connection: scrubbing.find_mends(connection, damaged, lambda: self._clock.monotonic_ms() >= end_ms)
        )
        now_ms = self._clock.now_ms()
        noted = await self._database.write(lambda connection: scrubbing.put_right(connection, looked_at, mends, now_ms))
        log.error("sync.statements_damaged statements=%d lost=%d %s", len(looked_at), noted.lost, noted.fault)
        if noted.fault:
            await asyncio.to_thread(self._database.note_damage, scrubbing.suspicion(noted.fault))
        if noted.fault or not damaged:
            raise StoreUnavailable(reason=DAMAGED, fault=_StatementDamaged.__name__)

    def _write(
        self, cursor: Cursor, span: Span, hub: Hub, form: Form, word: Word, kind: BundleKind = BundleKind.RECORDS
    ) -> tuple[Range, bytes]:
        """Return the place and the bundle, in the shortest form that the hub reads."""
        records, staying = sort_out(span.records)
        _log_staying(staying)
        place = Range(cursor.epoch, cursor.seq, span.from_change, span.through_change, cursor.previous_hash)
        if form.is_short_read and hub.box_no and len(records) <= PAIRED_MAX_RECORDS:
            pair = PairKey(self._identity.signing.sealing_key, hub.sealing_key)
            with contextlib.suppress(BundleTooLarge):
                return place, write_paired(
                    records,
                    place,
                    pair=pair,
                    box_no=hub.box_no,
                    created_ms=word.said_ms,
                    clock_quality=word.clock_quality,
                    vector=word.vector if word.vector.epoch else None,
                    is_coarse=form.is_coarse,
                    kind=kind,
                )
        packed = pack(records, created_ms=word.said_ms, codec_no=form.codec_no, is_coarse=form.is_coarse)
        return place, self._seal(place, packed, hub, word, kind)

    def _write_apart(
        self, cursor: Cursor, max_changes: int, hub: Hub, form: Form, word: Word
    ) -> tuple[Range, bytes] | None:
        """Return the same for a part of the log that is large, read and packed by a process of its own."""
        first = cursor.from_change
        path = str(self._database.path.absolute())
        order = Order(
            path, first, max_changes, ROW_BYTES_PER_BUNDLE, word.said_ms, form.codec_no, is_coarse=form.is_coarse
        )
        parcel = self.packing.pack(order)
        if parcel is None:
            return None
        if parcel.through_change < first:
            raise _StatementDamaged
        _log_staying(parcel.staying)
        place = Range(cursor.epoch, cursor.seq, first, parcel.through_change, cursor.previous_hash)
        return place, self._seal(place, parcel.packed, hub, word)

    def _seal(self, place: Range, packed: Packed, hub: Hub, word: Word, kind: BundleKind = BundleKind.RECORDS) -> bytes:
        return write_bundle(
            packed,
            place,
            key=self._identity.signing,
            receiver_public=hub.sealing_key,
            created_ms=word.said_ms,
            clock_quality=word.clock_quality,
            acks=[word.vector],
            kind=kind,
        )

    async def _keep(self, place: Range, content: bytes, *, is_express: bool = False) -> Made:
        made = Made(
            epoch=place.epoch,
            seq=place.seq,
            from_change=place.from_change,
            through_change=place.through_change,
            hash=blake2b_256(split_body(content)),
            size_bytes=len(content),
            created_ms=self._clock.now_ms(),
            is_express=is_express,
        )
        path = self._folder / _name(made)
        try:
            await asyncio.to_thread(atomic.write_file, path, content, mode=atomic.PRIVATE_MODE)
        except OSError as error:
            raise StoreUnavailable(reason=NOT_WRITTEN, fault=type(error).__name__) from error

        def insert(connection: Connection) -> None:
            (express.insert if is_express else changes.insert_bundle)(connection, made)
            boots.save(connection, self._clock.saved())

        await self._database.write(insert)
        if not is_express:
            await asyncio.to_thread(copy_marks.note_made, self._identity.folder, made.epoch, made.seq)
        return made

    def _read_file(self, made: Made) -> bytes | None:
        try:
            content = (self._folder / _name(made)).read_bytes()
            return content if blake2b_256(split_body(content)) == made.hash else None
        except FileNotFoundError:
            log.warning("sync.spool_lacks %d-%d", made.epoch, made.seq)
            return None
        except (OSError, BundleMalformed, BundleTooLarge, BundleUnsupported):
            log.exception("sync.spool_damaged %d-%d", made.epoch, made.seq)
            return None

    def _remove_others(self, kept: set[str]) -> None:
        for path in self._folder.iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)


def _name(made: Made) -> str:
    return folder.bundle_name(made.epoch, made.seq, is_express=made.is_express)


def _read_closing(connection: Connection, from_change: int) -> Span | None:
    return express.read_closing(connection, from_change, _LOOKED_THROUGH_CHANGES)


def _log_staying(staying: list[str]) -> None:
    for record in staying:
        log.error("sync.record_stays %s", record)
