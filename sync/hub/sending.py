"""What goes down to boxes: bundles of what is due to a box's school, kept until the box has them, and a week longer.

A bundle is made once, sealed to its box, and its file is on the disk before its row is. Whether a box asks for it over
a line or a courier carries it makes no difference, nor whether it comes twice.
"""

import asyncio
import logging
from pathlib import Path
from typing import BinaryIO
from weakref import WeakValueDictionary

from content_packs.base import atomic, ids
from content_packs.base.clock import Clock
from content_packs.base.hashing import blake2b_256
from sync.bundle.errors import BundleTooLarge, BundleUnknownOrigin
from sync.bundle.layout import AckHead, Head, Notice
from sync.bundle.read import peek_maker, read_ack, split_body
from sync.bundle.write import Range, write_bundle
from sync.engine.stream import Lesson, Said, learn
from sync.hub.errors import BoxRevoked
from sync.hub.keys import HubKeys
from sync.hub.settings import HubSettings
from sync.hub.store import boxes, files, outgoing, streams
from sync.hub.store.boxes import Box
from sync.hub.store.streams import Outgoing, Position
from sync.hub.store.worker import Store, Transaction
from sync.records.rows import Record

log = logging.getLogger(__name__)

# A box applies a bundle in one transaction, and lessons go on meanwhile.
RECORDS_PER_BUNDLE = 2_000
# To tell whether anything waits, with every bundle that a box sends.
RECORDS_LOOKED_AT = 50
KEEP_SETTLED_MS = 7 * boxes.DAY_MS
_EPOCH_STEP_BYTES = 3


class Sending:
    """The bundles for every box of this hub."""

    def __init__(self, settings: HubSettings, store: Store, keys: HubKeys, clock: Clock) -> None:
        self._folder = settings.outgoing
        self._store = store
        self._keys = keys
        self._clock = clock
        # Weak, because a lock that nobody holds or waits for need not be remembered.
        self._of_box: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def find_box(self, ack: bytes) -> tuple[Box, AckHead]:
        """Return the box that signed an ack, and what it says.

        Raises:
            BundleTooLarge, BundleMalformed, BundleUnsupported, BundleUnknownOrigin, BundleForged: not an ack, or not
                of a box that is enrolled here, or about another sender than this hub.
            BoxRevoked: nothing goes to it any more.
        """
        maker = peek_maker(ack)
        box = await self.find_box_of(maker)
        if box is None:
            raise BundleUnknownOrigin(origin=maker.hex()[:12])
        head = read_ack(ack, box.verify_key)
        if head.vector.origin != self._keys.signing.verify_key.key_id:
            raise BundleUnknownOrigin(origin=head.vector.origin.hex()[:12])
        if box.is_revoked:
            raise BoxRevoked
        return box, head

    async def find_box_of(self, key_id: bytes) -> Box | None:
        """Return the box of that key."""
        return await self._store.run(lambda connection: boxes.find_box(connection, key_id))

    async def take_ack(self, box: Box, ack: AckHead) -> None:
        """Take over what a box says in an ack of its own. Safe to repeat, and with an old one."""
        said = Said(ack.vector, ack.created_ms, ack.notice == Notice.FORKED)
        await self._take(box, said, ack.notice)

    async def take_heads_word(self, box: Box, head: Head) -> bool:
        """Take over what the head of a box's bundle says beside, and return whether something waits for the box."""
        hub = self._keys.signing.verify_key.key_id
        vector = next((vector for vector in head.acks if vector.origin == hub), None)
        if vector is None:
            return False  # made before boxes could take anything
        await self._take(box, Said(vector, head.created_ms))
        return await self._is_any_due(box)

    async def make_due(self, box: Box) -> None:
        """Make bundles of everything that is due to a box. Safe to repeat.

        Raises:
            SealBroken: nothing can be sealed to the box's key.
        """
        async with self._of_box.setdefault(box.no, asyncio.Lock()):
            await self._replace_lost(box)
            max_records = RECORDS_PER_BUNDLE
            while True:
                position, records, through_no = await self._read_due(box, max_records)
                if through_no <= position.through_no:
                    return
                try:
                    await self._make(box, position, records, through_no)
                    max_records = RECORDS_PER_BUNDLE
                except BundleTooLarge:
                    if max_records == 1:
                        raise
                    max_records = max(len(records) // 2, 1)

    async def waiting(self, box: Box) -> list[Outgoing]:
        """Return the bundles that the box has not confirmed, in order."""
        return await self._store.run(lambda connection: streams.list_waiting(connection, box.no))

    async def open(self, name: bytes) -> BinaryIO | None:
        """Return the file of a bundle, to be closed by the caller; None when there is none of that name."""
        found = await self._store.run(lambda connection: streams.find_by_name(connection, name))
        return None if found is None else await asyncio.to_thread(_open, self._path(name))

    async def read(self, bundle: Outgoing) -> bytes | None:
        """Return a bundle; None when the disk lost it."""
        file = await asyncio.to_thread(_open, self._path(bundle.name))
        if file is None:
            return None
        with file:
            return await asyncio.to_thread(file.read)

    async def sweep(self) -> None:
        """Remove files that have no row: the power went between the two. Only while no bundle is being made."""
        kept = await self._store.run(streams.list_names)
        await asyncio.to_thread(self._remove_others, {self._path(name).name for name in kept})

    async def _take(self, box: Box, said: Said, notice: int | None = None) -> None:
        now_ms = self._clock.now_ms()
        step = 1 + int.from_bytes(ids.random_bytes(_EPOCH_STEP_BYTES), "big")

        def take(connection: Transaction) -> list[bytes]:
            if notice is not None:
                streams.note(connection, box.no, notice)
            dropped = _learn(connection, box, said, now_ms, step)
            return dropped + streams.forget_settled(connection, box.no, now_ms - KEEP_SETTLED_MS)

        await asyncio.to_thread(self._remove, await self._store.run(take))

    async def _replace_lost(self, box: Box) -> None:
        """Start over when the disk lost a bundle that waits: what is made again is another one under its number."""
        waiting = await self.waiting(box)
        lost = await asyncio.to_thread(self._first_lost, waiting)
        if lost is None:
            return
        log.error("hub.outgoing_lost box=%d %d-%d", box.no, lost.epoch, lost.seq)
        epoch = lost.epoch + 1 + int.from_bytes(ids.random_bytes(_EPOCH_STEP_BYTES), "big")
        dropped = await self._store.run(lambda connection: streams.begin_epoch(connection, box.no, epoch))
        await asyncio.to_thread(self._remove, dropped)

    async def _is_any_due(self, box: Box) -> bool:
        if await self.waiting(box):
            return True
        position, records, through_no = await self._read_due(box, RECORDS_LOOKED_AT)
        while not records and through_no > position.through_no:
            await self._skip(box, through_no)
            position, records, through_no = await self._read_due(box, RECORDS_LOOKED_AT)
        return bool(records)

    async def _read_due(self, box: Box, max_records: int) -> tuple[Position, list[Record], int]:
        def read(connection: Transaction) -> tuple[Position, list[Record], int]:
            position = streams.find_position(connection, box.no)
            return position, *outgoing.read_due(connection, box.school_no, box.no, position.through_no, max_records)

        return await self._store.run(read)

    async def _make(self, box: Box, position: Position, records: list[Record], through_no: int) -> None:
        now_ms = self._clock.now_ms()
        if not records:
            await self._skip(box, through_no)
            return
        content = await asyncio.to_thread(self._write, box, position, records, through_no)
        digest = blake2b_256(split_body(content))
        made = Outgoing(box.no, position.epoch, position.made_seq + 1, digest, len(content))
        await asyncio.to_thread(atomic.write_file, self._path(made.name), content, mode=atomic.PRIVATE_MODE)
        await self._store.run(lambda connection: streams.add_bundle(connection, made, through_no, now_ms))

    async def _skip(self, box: Box, through_no: int) -> None:
        await self._store.run(lambda connection: streams.skip(connection, box.no, through_no))

    def _write(self, box: Box, position: Position, records: list[Record], through_no: int) -> bytes:
        return write_bundle(
            records,
            Range(position.epoch, position.made_seq + 1, position.through_no + 1, through_no, position.tail),
            key=self._keys.signing,
            receiver_public=box.verify_key.sealing_public,
            created_ms=self._clock.now_ms(),
        )

    def _path(self, name: bytes) -> Path:
        return self._folder / f"{name.hex()}.eb"

    def _first_lost(self, waiting: list[Outgoing]) -> Outgoing | None:
        return next((bundle for bundle in waiting if not _has_size(self._path(bundle.name), bundle.size_bytes)), None)

    def _remove(self, names: list[bytes]) -> None:
        for name in names:
            self._path(name).unlink(missing_ok=True)

    def _remove_others(self, kept: set[str]) -> None:
        for path in self._folder.iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)


def _learn(connection: Transaction, box: Box, said: Said, now_ms: int, step: int) -> list[bytes]:
    """Do what follows from a word of the box, and return the names of files that are not needed any more."""
    position = streams.find_position(connection, box.no)
    lesson = learn(position.stream, said, now_ms)
    is_whole = lesson is not Lesson.START_OVER
    vector = said.held_of(position.epoch)
    if is_whole:
        streams.settle(connection, box.no, vector, said.said_ms, now_ms)
    if lesson is Lesson.WAIT_AGAIN:
        is_whole = streams.wait_again(connection, box.no, vector, position.made_seq)
    if is_whole:
        return []
    epoch = max(position.epoch, said.vector.epoch) + step
    log.warning("hub.stream_starts_over box=%d epoch=%d", box.no, epoch)
    files.tell_all_lacking(connection, box.school_no, now_ms)
    return streams.begin_epoch(connection, box.no, epoch)


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except OSError:
        return None


def _has_size(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except OSError:
        return False
