"""What learners hand in: a text, a photo, a recording or a PDF for a lesson they were given.

The file is on the disk before its row is, and before the file a note that its row is still to come: a file whose row
could not be written is told by that from one whose row a rebuilt database does not have back yet. It never travels
under a name, and nothing that it calls itself is believed.
"""

import asyncio
import logging
import os
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.hashing import Hasher, blake2b_256
from content_packs.format.errors import PackSpace
from content_packs.installer import measure_disk
from content_packs.installer.blobs import INCOMING, BlobStore
from content_packs.installer.install import full_disk
from content_packs.installer.planning import MeasureDisk, reserve_bytes
from content_packs.usb.writing import write_all
from edgebox.domain.media_type import START_BYTES, media_type_of
from edgebox.services.shelf import ResourceGone
from edgebox.settings import Settings
from edgebox.store import hand_ins
from edgebox.store.database import Database
from edgebox.store.hand_ins import Assigned, Handed
from sync.records.sizes import TEXT_TYPE, text_travels

FILE_MAX_BYTES = 20_000_000
TEXT_MAX_CHARACTERS = 20_000
HAND_INS_MAX = 20
AT_ONCE_MAX = 2
# Learners' work may use most of what packs must leave free, but the database has to go on.
_KEPT_SHARE = 4
_UNSETTLED = ".unsettled"

log = logging.getLogger(__name__)


class HandInRefused(EdgeboxError):
    """Something that a learner cannot hand in like this."""

    code = "hand_in.refused"
    status = 422
    exit_code = 254
    sentence = N_("This cannot be handed in: {reason}.")
    remedy = N_("Photos, recordings and PDF files of up to 20 MB can be handed in. What you handed in before is safe.")


@dataclass(frozen=True)
class Taken:
    """A file that came whole and is not visible yet."""

    beside: Path
    media_type: str
    size_bytes: int
    hash: bytes


class HandIns:
    """Takes in, lists and gives out what was handed in.

    Attributes:
        on_stored: called when something was handed in, which is worth sending.
    """

    def __init__(
        self, database: Database, settings: Settings, clock: Clock, *, measure: MeasureDisk = measure_disk
    ) -> None:
        self.blobs = BlobStore(settings.hand_ins)
        self._database = database
        self._data = settings.data
        self._clock = clock
        self._measure = measure
        self._promised_bytes = 0
        self._under_way: Counter[int] = Counter()
        self._keeping = asyncio.Lock()
        self.on_stored: Callable[[], None] = lambda: None

    async def assigned(self, person_no: int, assignment_no: int) -> Assigned:
        """Return a lesson that a learner was given.

        Raises:
            ResourceGone: the learner does not have it.
        """
        found = await self._database.read(
            lambda connection: hand_ins.find_assigned(connection, person_no, assignment_no)
        )
        if found is None:
            raise ResourceGone(pack="", name=str(assignment_no))
        return found

    async def assigned_lesson(self, person_no: int, pack: str, lesson: str) -> Assigned | None:
        """Return by which assignment a learner was given a lesson; None when by none."""
        find = partial(hand_ins.find_assigned_lesson, person_no=person_no, pack=pack, lesson=lesson)
        return await self._database.read(find)

    async def of_assignment(self, assignment: bytes) -> dict[bytes, list[Handed]]:
        """Return what was handed in for an assignment, by the learner's pseudonym; newest first."""
        return await self._database.read(lambda connection: hand_ins.list_handed(connection, assignment))

    async def of_learner(self, assigned: Assigned) -> list[Handed]:
        """Return what a learner handed in for a lesson, newest first."""
        find = partial(hand_ins.list_handed, assignment=assigned.id, learner=assigned.learner)
        return (await self._database.read(find)).get(assigned.learner, [])

    async def count(self, class_no: int) -> dict[int, int]:
        """Return how many learners of a class handed something in, by the number of the assignment."""
        return await self._database.read(lambda connection: hand_ins.count_learners(connection, class_no))

    async def find(self, no: int) -> Handed:
        """Return what was handed in under a number.

        Raises:
            ResourceGone: there is none.
        """
        found = await self._database.read(lambda connection: hand_ins.find_handed(connection, no))
        if found is None:
            raise ResourceGone(pack="", name=str(no))
        return found

    async def path_of(self, handed: Handed) -> Path:
        """Return where a file that was handed in lies.

        Raises:
            ResourceGone: it was handed in at another box, or the disk lost it.
        """
        record = handed.record
        if not handed.has_file or not await asyncio.to_thread(self.blobs.has, record.hash, record.size_bytes):
            raise ResourceGone(pack="", name=str(handed.no))
        return self.blobs.path_of(record.hash)

    @contextmanager
    def under_way(self, person_no: int) -> Iterator[None]:
        """Count what a learner is handing in: each has room promised that others lack, however slowly it comes.

        Raises:
            HandInRefused: too much at once.
        """
        if self._under_way[person_no] >= AT_ONCE_MAX:
            raise HandInRefused(reason=N_("two files of yours are still on their way"))
        self._under_way[person_no] += 1
        try:
            yield
        finally:
            self._under_way[person_no] -= 1

    @asynccontextmanager
    async def room(self, size_bytes: int) -> AsyncIterator[None]:
        """Keep room for a file while it comes; many tablets send at once.

        Raises:
            PackSpace: it would leave too little for the database.
        """
        usable_bytes = await self._usable_bytes()
        if size_bytes > usable_bytes:
            raise PackSpace(needed_bytes=size_bytes, usable_bytes=max(usable_bytes, 0))
        self._promised_bytes += size_bytes
        try:
            yield
        finally:
            self._promised_bytes -= size_bytes

    async def has_room(self, size_bytes: int) -> bool:
        """Return whether there is room for a copy of a file beside what is promised and what the database needs."""
        return size_bytes <= await self._usable_bytes()

    async def take(self, content: AsyncIterator[bytes]) -> Taken | None:
        """Write a file as it comes and return it, or None when it is empty; then hand it in or `drop` it.

        Raises:
            HandInRefused: it is too large, or not of a kind that can be handed in; nothing of it is kept.
            PackSpace: the disk is full.
        """
        beside = await asyncio.to_thread(self.blobs.begin)
        try:
            with full_disk(FILE_MAX_BYTES):
                taken = await _write(beside, content)
        except BaseException:
            await asyncio.to_thread(beside.unlink, missing_ok=True)
            raise
        if taken is None:
            await asyncio.to_thread(beside.unlink, missing_ok=True)
        return taken

    async def drop(self, taken: Taken) -> None:
        """Remove a file that is not handed in after all; safe to repeat."""
        await asyncio.to_thread(taken.beside.unlink, missing_ok=True)

    async def hand_in(self, person_no: int, assignment_no: int, text: str, taken: Taken | None) -> bool:
        """Hand in a text, a file or both, and return whether that is more than what was handed in last.

        Raises:
            HandInRefused: nothing, too much, too often, or a long text beside a file.
            PackSpace: the disk is full.
            ResourceGone: the learner does not have the lesson.
        """
        assigned, plain = await self.assigned(person_no, assignment_no), _plain(text)
        raw = plain.encode()
        if taken is None and not raw:
            raise HandInRefused(reason=N_("there is nothing to hand in"))
        if len(plain) > TEXT_MAX_CHARACTERS or (taken is not None and not text_travels(len(raw))):
            raise HandInRefused(reason=N_("the text is too long; hand in a long text by itself"))
        if taken is None and text_travels(len(raw)):
            return await self._note(assigned, TEXT_TYPE, len(raw), blake2b_256(raw), plain)
        if taken is None:
            taken, plain = await self._take_text(raw), ""
        return await self._keep(assigned, taken, plain)

    async def release(self, no: int) -> None:
        """Let a large file go over the line. Safe to repeat."""
        handed = await self.find(no)
        if handed.file_no is not None:
            file_no = handed.file_no
            await self._database.write(lambda connection: hand_ins.release(connection, file_no))

    async def sweep(self) -> None:
        """Remove what a power cut left of files that did not come whole, or without a row; only before any is taken.

        Files whose records came back from the hub, after the database was made anew, become due again.
        """
        await asyncio.to_thread(self.blobs.sweep_incoming)
        await self._settle()
        unnoted = await self._database.read(hand_ins.list_unnoted_files)
        here = await asyncio.to_thread(lambda: [each for each in unnoted if self.blobs.has(*each)])
        if here:
            now_ms = self._clock.now_ms()
            await self._database.write(lambda connection: hand_ins.add_files(connection, here, now_ms))

    async def _usable_bytes(self) -> int:
        space = await asyncio.to_thread(self._measure, self._data)
        return space.free_bytes - reserve_bytes(space.total_bytes) // _KEPT_SHARE - self._promised_bytes

    async def _take_text(self, raw: bytes) -> Taken:
        beside = await asyncio.to_thread(self.blobs.begin)
        taken = Taken(beside, TEXT_TYPE, len(raw), blake2b_256(raw))
        try:
            with full_disk(len(raw)):
                await asyncio.to_thread(_append, beside, raw)
        except BaseException:
            await self.drop(taken)
            raise
        return taken

    async def _keep(self, assigned: Assigned, taken: Taken, text: str) -> bool:
        """Make a file visible and note it; of one that is refused nothing is left."""
        # One at a time: what removes a file must not meet the same file of another learner.
        async with self._keeping:
            try:
                with full_disk(taken.size_bytes):
                    await asyncio.to_thread(self._adopt, taken)
                is_new = await self._note(assigned, taken.media_type, taken.size_bytes, taken.hash, text)
            except (HandInRefused, PackSpace, OSError):  # a row that the database refused may come yet
                await self._settle()
                raise
            finally:
                await self.drop(taken)
            await self._settle()
        return is_new

    def _adopt(self, taken: Taken) -> None:
        """Make a file visible; one that is not there yet may go again until its row is written."""
        if not self.blobs.has(taken.hash, taken.size_bytes):
            atomic.write_file(taken.beside.with_name(taken.hash.hex() + _UNSETTLED), b"", mode=atomic.PRIVATE_MODE)
        self.blobs.adopt(taken.beside, taken.hash)

    async def _settle(self) -> None:
        """Remove the files whose rows could not be written. Never raises: what it cannot do is done the next time.

        Only while no row may come yet: at the start, when one was just written, and when none was begun.
        """
        try:
            found = await asyncio.to_thread(lambda: list((self.blobs.root / INCOMING).glob(f"*{_UNSETTLED}")))
            for path in found:
                digest = bytes.fromhex(path.stem)
                is_named = await self._database.read(partial(hand_ins.is_named, digest=digest))
                await asyncio.to_thread(self._settle_one, path, digest, is_named=is_named)
        except (EdgeboxError, OSError) as error:
            log.warning("hand_ins.not_settled %s", error)

    def _settle_one(self, path: Path, digest: bytes, *, is_named: bool) -> None:
        if not is_named:
            log.warning("hand_ins.removed_without_row %s", digest.hex()[:12])
            self.blobs.remove(digest)
        path.unlink(missing_ok=True)
        # A note that came back, and a database that did not, would take a file that was promised.
        atomic.sync_directory(path.parent)

    async def _note(self, assigned: Assigned, media_type: str, size_bytes: int, digest: bytes, text: str) -> bool:
        insert = partial(
            hand_ins.insert_hand_in,
            assigned=assigned,
            media_type=media_type,
            size_bytes=size_bytes,
            digest=digest,
            text=text,
            now_ms=self._clock.now_ms(),
            at_most=HAND_INS_MAX,
        )
        is_new = await self._database.write(insert)
        if is_new is None:
            raise HandInRefused(reason=N_("you have handed in too often for this lesson"))
        self.on_stored()
        return is_new


async def _write(beside: Path, content: AsyncIterator[bytes]) -> Taken | None:
    hasher, start, size_bytes, media_type = Hasher(), b"", 0, None
    async for chunk in content:
        size_bytes += len(chunk)
        if size_bytes > FILE_MAX_BYTES:
            raise HandInRefused(reason=N_("the file is larger than 20 MB"))
        if media_type is None:
            start = (start + chunk)[:START_BYTES]
            media_type = media_type_of(start)
            if media_type is None and len(start) == START_BYTES:
                raise _kind_refused()
        await asyncio.to_thread(_append, beside, chunk, hasher)
    if size_bytes and media_type is None:
        raise _kind_refused()
    return Taken(beside, media_type, size_bytes, hasher.digest()) if media_type else None


def _append(beside: Path, chunk: bytes, hasher: Hasher | None = None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(beside, flags, 0o600)
    try:
        write_all(descriptor, chunk)
    finally:
        os.close(descriptor)
    if hasher is not None:
        hasher.update(chunk)


def _kind_refused() -> HandInRefused:
    return HandInRefused(reason=N_("it is no photo, recording or PDF"))


def _plain(text: str) -> str:
    """Return a text in normal form, with line ends as they are stored and nothing that cannot be."""
    lines = unicodedata.normalize("NFC", text.replace("\0", "").replace("\r\n", "\n")).strip()
    return lines.encode(errors="ignore").decode()
