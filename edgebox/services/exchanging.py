"""One button for a stick: take what it brings from the hub, put on it what the hub lacks, say that it may be pulled.

Pulled out at any moment, the stick has whole files or none; put in again, the exchange goes on by itself. A stick that
staff said is always to be exchanged with needs no button; with any other nothing happens by itself.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from content_packs.base.errors import EdgeboxError
from content_packs.format.errors import StickGone
from content_packs.usb.errors import StickBusy
from edgebox.services.confirmed import remove_confirmed
from edgebox.services.identity import Identity
from edgebox.services.receiving import Receiving
from edgebox.services.stick_ids import StickIds
from edgebox.services.sticks import Sticks
from edgebox.services.sync_state import read_hub
from edgebox.services.syncing import RESTARTS_MAX, Syncing
from edgebox.services.uploading import NOT_AN_ACK
from edgebox.store import changes
from edgebox.store.changes import Made
from edgebox.store.database import Database
from edgebox.store.hand_ins import FileRow
from sync.bundle.layout import AckHead
from sync.transport import folder
from sync.transport.errors import StickFilled, StickMissing, StickUnwritable
from sync.transport.stick_writing import StickWriter

log = logging.getLogger(__name__)

POLL_SECONDS = 3.0
# Of an epoch there is one ack on a stick, and a box has few epochs; a stranger's stick may have any number.
ACKS_MAX = 100

Note = Callable[..., Awaitable[None]]
OnProgress = Callable[[int, int], None]


class ExchangeState(Enum):
    """Where an exchange stands."""

    TAKING = "taking"
    PUTTING = "putting"
    STICK_GONE = "stick_gone"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        """Return whether it still wants to go on."""
        return self in (ExchangeState.TAKING, ExchangeState.PUTTING, ExchangeState.STICK_GONE)


@dataclass(frozen=True)
class Exchange:
    """One exchange with a stick.

    Attributes:
        stick_id: what the stick is known again by; None when nothing can be written on it.
        acks: acks and bundles of the hub that were taken.
        bundles: what is on the stick for the hub, of `bundles_bytes`.
        done_bytes: of `total_bytes`, written and read back; both count.
        error: code and fields of what went wrong.
    """

    stick: Path
    state: ExchangeState = ExchangeState.TAKING
    stick_id: bytes | None = None
    acks: int = 0
    bundles: int = 0
    bundles_bytes: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    error: Mapping[str, Any] | None = None


class Exchanging:
    """Exchanges with sticks, one at a time.

    Attributes:
        current: the exchange under way, or the last one; None before the first.
    """

    def __init__(
        self,
        database: Database,
        identity: Identity,
        syncing: Syncing,
        receiving: Receiving,
        sticks: Sticks,
        stick_ids: StickIds,
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._database = database
        self._identity = identity
        self._syncing = syncing
        self._receiving = receiving
        self._sticks = sticks
        self._poll_seconds = poll_seconds
        self._seen: frozenset[Path] = frozenset()
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self.stick_ids = stick_ids
        self.current: Exchange | None = None

    async def start(self, stick: Path) -> None:
        """Begin to exchange with a stick; one that was pulled out is waited for no longer.

        Raises:
            StickBusy: an exchange with a stick is under way.
        """
        if self.current is not None and self.current.state in (ExchangeState.TAKING, ExchangeState.PUTTING):
            raise StickBusy
        self.current = Exchange(stick)
        self._task = asyncio.get_running_loop().create_task(self._run(stick))

    async def watch(self) -> AsyncIterator[Exchange]:
        """Yield the exchange whenever it changed, until it has ended or waits for its stick."""
        seen: Exchange | None = None
        while self.current is not None and (seen is None or not _is_over(seen)):
            async with self._changed:
                if self.current == seen:
                    await self._changed.wait()
                    continue
                seen = self.current
            yield seen

    async def look(self) -> None:
        """Look for sticks that were put in since the last look, and begin what is to be done by itself."""
        mounted = await self._sticks.mounted()
        fresh = [stick for stick in mounted if stick not in self._seen]
        self._seen = frozenset(mounted)
        for stick in fresh:
            if not await self._goes_on_with(stick):
                continue
            try:
                await self.start(stick)
            except StickBusy:
                self._seen -= {stick}

    def resume(self) -> None:
        """Look for sticks from now on; safe to repeat."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look_on())

    async def close(self) -> None:
        """Stop; what is on the stick by then is whole. Safe to repeat."""
        tasks = {task for task in (self._looking, self._task) if task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def import_(self, stick: Path, on_progress: OnProgress = lambda *_: None) -> int:
        """Take the hub's acks and bundles off a stick and return how many were good. Safe to repeat.

        Bundles that they confirm are removed from the stick, if it can be written. `on_progress` hears how many bytes
        of the hub's bundles were looked at, and how many there are.

        Raises:
            NotEnrolled: no hub is known whose word would count.
            StickMissing, StickUnwritable: there is no such folder, or it cannot be read.
        """
        await self._syncing.take_introductions(stick)
        acks = [ack for path in await self._list_acks(stick) if (ack := await self._take_ack(path)) is not None]
        await remove_confirmed(self._database, self._identity, stick, acks)
        taken = len(acks) + await self._receiving.import_(stick, on_progress)
        await self._syncing.files.tidy()
        await self._syncing.files.tidy_stick(stick)
        return taken

    async def export(self, stick: Path, on_progress: OnProgress = lambda *_: None) -> int:
        """Put everything the hub does not have on a stick and return the number of bundles there. Safe to repeat.

        `on_progress` hears how many bytes were written and read back, both counted, and how many that will be.

        Raises:
            NotEnrolled: bundles are sealed to a hub, and none is known.
            StickMissing: there is no such folder.
            StickFilled, StickReadOnly, StickLies, StickPlaceTaken, StickGone: not all of it went there.
        """
        return await self._export(stick, _telling(on_progress))

    async def _export(self, stick: Path, note: Note) -> int:
        await read_hub(self._database)
        await self._syncing.introducing.put_on_stick(stick)
        for _ in range(RESTARTS_MAX):
            waiting = await self._syncing.prepare()
            try:
                is_whole = await self._put_all(stick, waiting, note)
            except StickFilled:
                # Without the word on what this box holds, the hub would send it again.
                with contextlib.suppress(EdgeboxError):
                    await self._receiving.export(stick)
                raise
            if is_whole:
                await self._receiving.export(stick)
                return len(waiting)
        raise StickUnwritable(reason="spool")

    async def _run(self, stick: Path) -> None:
        try:
            await self._check_mounted(stick)
            await self._note(stick_id=await self.stick_ids.give(stick))
            await self._note(acks=await self.import_(stick))
            await self._note(state=ExchangeState.PUTTING)
            await self._note(bundles=await self._export(stick, self._note))
            await self._note(state=ExchangeState.DONE)
        except (StickGone, StickMissing) as error:
            await self._note(state=ExchangeState.STICK_GONE, error=error.as_record())
        except EdgeboxError as error:
            await self._note(state=ExchangeState.FAILED, error=error.as_record())
        except Exception:
            log.exception("exchanging.fault")
            await self._note(state=ExchangeState.FAILED, error=StickUnwritable(reason="fault").as_record())

    async def _goes_on_with(self, stick: Path) -> bool:
        """Return whether this stick was pulled out of an exchange, or is always to be exchanged with."""
        awaited = self.current.stick_id if self.current and self.current.state is ExchangeState.STICK_GONE else None
        if awaited is not None and awaited == await self.stick_ids.find(stick):
            return True
        return await self.stick_ids.is_known(stick)

    async def _look_on(self) -> None:
        while True:
            try:
                await self.look()
            except (EdgeboxError, OSError):
                log.exception("exchanging.look_failed")
            await asyncio.sleep(self._poll_seconds)

    async def _list_acks(self, stick: Path) -> list[Path]:
        """Return the acks for this box, that of its epoch first, then as many of others as a box can have."""
        epoch = await self._database.read(changes.find_epoch)
        found = await asyncio.to_thread(folder.list_acks, stick, self._identity.box_id)
        return sorted(found, key=lambda path: folder.ack_epoch(path.name) != epoch)[:ACKS_MAX]

    async def _take_ack(self, path: Path) -> AckHead | None:
        try:
            return await self._syncing.take_carried(await asyncio.to_thread(folder.read_ack, path))
        except NOT_AN_ACK as error:
            log.warning("sync.stick_ack_refused %s %s", path.name, error)
            return None

    async def _check_mounted(self, stick: Path) -> None:
        """Return if the stick is in the box: what is written into a folder that is left lands on the memory card.

        Raises:
            StickGone
        """
        if stick not in await self._sticks.mounted():
            raise StickGone(place=str(stick), reason="ENOENT")

    async def _put_all(self, stick: Path, waiting: list[Made], note: Note) -> bool:
        """Return whether every bundle could be read from the spool and is on the stick, flushed and read back."""
        box_id, files = self._identity.box_id, await self._syncing.files.list_due()
        size_bytes = sum(made.size_bytes for made in waiting) + sum(file.size_bytes for file in files)
        writer = await asyncio.to_thread(StickWriter, stick)
        if note == self._note:
            # The writer knows now which file system it writes on, so no stick can be pulled unnoticed after this.
            await self._check_mounted(stick)
        note = partial(note, total_bytes=2 * size_bytes)
        await note(bundles_bytes=size_bytes, done_bytes=0)
        if not waiting and not files:
            with contextlib.suppress(EdgeboxError):  # nothing has to be written, so the stick may refuse it
                await asyncio.to_thread(_leave_ready, writer, stick, box_id)
            return True
        try:
            if not await self._put_bundles(writer, waiting, note):
                return False
            await self._put_files(writer, stick, files, size_bytes, note)
        except StickFilled:
            with contextlib.suppress(EdgeboxError):
                await asyncio.to_thread(_leave_ready, writer, stick, box_id)
            raise
        await asyncio.to_thread(_leave_ready, writer, stick, box_id)
        return True

    async def _put_bundles(self, writer: StickWriter, waiting: list[Made], note: Note) -> bool:
        put_bytes = 0
        for made in waiting:
            content = await self._syncing.read_waiting(made)
            if content is None:
                return False
            place = folder.bundle_place(self._identity.box_id, made.epoch, made.seq, is_express=made.is_express)
            await asyncio.to_thread(writer.put, place, content)
            put_bytes += made.size_bytes
            await note(done_bytes=2 * put_bytes - writer.pending_bytes)
        # What goes wrong with a file, or a stick that is too small for it, costs none of the records.
        await asyncio.to_thread(writer.settle)
        return True

    async def _put_files(
        self, writer: StickWriter, stick: Path, files: list[FileRow], size_bytes: int, note: Note
    ) -> None:
        """Put the files on the stick of which, with the bundles before them, all are `size_bytes`.

        Raises:
            StickFilled: one did not fit; those that are smaller and do are on the stick.
        """
        put_bytes, filled = size_bytes - sum(file.size_bytes for file in files), None
        too_large_bytes = max((file.size_bytes for file in files), default=0) + 1
        for file in files:
            if file.size_bytes >= too_large_bytes:
                continue
            try:
                if (found := await self._syncing.files.read_for_stick(file, stick)) is not None:
                    await asyncio.to_thread(writer.put, *found)
            except StickFilled as error:
                filled, too_large_bytes = error, file.size_bytes
                continue
            put_bytes += file.size_bytes
            await note(done_bytes=max(2 * put_bytes - writer.pending_bytes, 0))
        await asyncio.to_thread(writer.settle)
        await note(done_bytes=2 * put_bytes)
        if filled is not None:
            raise filled

    async def _note(self, **values: Any) -> None:
        assert self.current is not None
        async with self._changed:
            self.current = replace(self.current, **values)
            self._changed.notify_all()


def _telling(on_progress: OnProgress) -> Note:
    async def note(**values: Any) -> None:
        if values["total_bytes"]:
            on_progress(values["done_bytes"], values["total_bytes"])

    return note


def _is_over(exchange: Exchange) -> bool:
    return exchange.state not in (ExchangeState.TAKING, ExchangeState.PUTTING)


def _leave_ready(writer: StickWriter, stick: Path, box_id: bytes) -> None:
    """Leave the box's folder, by which the hub knows who meets this stick, without half files, and all flushed."""
    place = folder.OUTBOX / box_id.hex()
    writer.make_folder(place)
    folder.remove_left(writer, stick / place)
    writer.finish()
