"""Files that were handed in, on their way to the hub: with the line, at its hours, or on a stick, by their size.

For the line a file is sealed once for its hub, and kept in the spool until the hub has said that it has it, so that an
upload goes on where it broke off; not where that would take the room that the database needs. A stick gets what is
sealed already, in the spool or on it, or a sealed file that the box keeps no copy of. That the hub answered to its last
byte is no such word: an old answer looks the same. The word comes down with the other records, by line or by stick, and
until then the file goes again after a day, or on the next stick.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.errors import EdgeboxError
from content_packs.installer.blobs import BlobStore
from edgebox.services.box_clock import BoxClock
from edgebox.services.identity import Identity
from edgebox.services.introducing import Introducing
from edgebox.services.line import Line, LinePaused
from edgebox.services.sync_state import LastFailure
from edgebox.services.uploading import Uploading, log_failure
from edgebox.store import changes, hand_ins
from edgebox.store.changes import Made
from edgebox.store.database import Database
from edgebox.store.hand_ins import FileRow
from sync.bundle.errors import BundleUnknownOrigin, BundleUnsupported
from sync.bundle.file import write_file_bundle
from sync.bundle.layout import ONLY_FILE, AckHead
from sync.bundle.read import verify_bundle
from sync.bundle.write import sealing_key_id
from sync.engine.express import is_time_to_look
from sync.engine.lanes import Lane
from sync.enrolment import Hub
from sync.transport import folder
from sync.transport.errors import HubRefused
from sync.transport.stick_writing import StickWriter

log = logging.getLogger(__name__)

SENT_AGAIN_MS = 86_400_000
_SUFFIX = ".ebf"
_ALL_FILES = 0  # the numbers of files begin with 1
_REFUSES_THE_BOX = frozenset({BundleUnknownOrigin.code, "hub.box_revoked"})


@dataclass(frozen=True)
class Sent:
    """A file that was on its way; `ack` is what the hub said to the whole, None if something goes before the rest."""

    ack: AckHead | None


class FileSending:
    """Sends one file at a time while somebody holds the line.

    Attributes:
        has_room: whether the card has room for so many bytes more.
        may_give_way: whether what is new in the log would go if an upload ended for it.
    """

    def __init__(
        self,
        database: Database,
        identity: Identity,
        clock: BoxClock,
        blobs: BlobStore,
        place: Path,
        line: Line,
        uploading: Uploading,
        introducing: Introducing,
        failure: LastFailure,
    ) -> None:
        self._database = database
        self._identity = identity
        self._clock = clock
        self._blobs = blobs
        self._folder = place
        self._line = line
        self._uploading = uploading
        self._introducing = introducing
        self._failure = failure
        self._error: EdgeboxError | None = None
        self._looked_bytes = 0
        self._looking: asyncio.Task[None] | None = None
        self._refused_ms: dict[int, int] = {}
        self._at_spool = asyncio.Lock()
        self.has_room: Callable[[int], Awaitable[bool]] = _always
        self.may_give_way: Callable[[], bool] = lambda: True

    def begin_anew(self) -> None:
        """Forget what the hub before did not want."""
        self._refused_ms.clear()

    async def waiting(self) -> Mapping[Lane, int]:
        """Return how many bytes wait for the line, by lane; what waits for a stick is not among them."""
        sizes: Counter[Lane] = Counter()
        for file, lane in await self._list_for_line():
            sizes[lane] += file.size_bytes
        return sizes

    async def send_next(self, url: str, hub: Hub) -> Sent | None:
        """Send the next file that may use the line now, or a part of it; None when there is none, or it went wrong."""
        if not await self.waiting():
            # What the line could not do may be done by now: the hub has said so, or a stick was faster.
            if self._failure.error is self._error:
                self._failure.error = None
            return None
        try:
            await self._introducing.tell(self._uploading.open_link(url), hub.verify_key)
            sent = await self._send_first(url, hub)
        except EdgeboxError as error:
            log.warning("sync.file_not_sent %s", error)
            self._failure.error = self._error = error
            return None
        if sent is not None:
            self._failure.error = None
        return sent

    async def list_due(self) -> list[FileRow]:
        """Return the files that the hub has not said to have; all of them go on a stick."""
        return await self._database.read(hand_ins.list_due_files)

    async def read_for_stick(self, file: FileRow, root: Path) -> tuple[Path, bytes] | None:
        """Return where a file lies on a stick, and its bundle; None when no hub is known or the disk lost the file."""
        found = await self._database.read(changes.find_hub)
        if found is None:
            return None
        epoch = await self._database.read(changes.find_epoch)
        place = folder.file_place(self._identity.box_id, epoch, file.no)

        def read_or_make() -> bytes | None:
            order = file, found[1], epoch
            return self._read_sealed(*order) or self._read_sealed(*order, on_stick=root / place) or self._make(*order)

        async with self._at_spool:
            content = await asyncio.to_thread(read_or_make)
        return None if content is None else (place, content)

    async def tidy(self) -> None:
        """Remove what the hub has by now from the spool; after all that may have brought its word. Safe to repeat."""
        async with self._at_spool:
            arrived = await self._database.read(hand_ins.list_arrived_files)
            try:
                await asyncio.to_thread(self._sweep, arrived)
            except OSError as error:
                log.warning("sync.spool_not_tidied %s", error)

    async def tidy_stick(self, root: Path) -> None:
        """Remove what the hub said to have from a stick, if that can be written.

        A file that this box does not know any more stays: its numbers may be those of another one by now.
        """
        epoch = await self._database.read(changes.find_epoch)
        confirmed = {(epoch, no) for no in await self._database.read(hand_ins.list_arrived_files)}
        found = await asyncio.to_thread(folder.list_files, root, self._identity.box_id)
        arrived = [path for path in found if folder.file_numbers(path.name) in confirmed]
        if not arrived:
            return
        try:
            writer = await asyncio.to_thread(StickWriter, root)
            for path in arrived:
                await asyncio.to_thread(writer.remove, path)
        except EdgeboxError as error:
            log.info("sync.stick_not_tidied %s", error)

    async def _send_first(self, url: str, hub: Hub) -> Sent | None:
        """Send the first file that the line has bytes for, or a part of it; None when there is none.

        A file that the hub does not want keeps no other back, and a hub of a time before files is not asked for each.

        Raises:
            LinkDown, LinkCaptured, HubBusy: like `Transport`; the hub keeps what it has of it.
            HubRefused: the hub takes nothing of this box.
        """
        for file, lane in await self._list_for_line():
            if self._line.left_bytes(lane) == 0 or (content := await self._sealed(file, hub)) is None:
                continue
            try:
                return Sent(await self._send(url, hub, file, content, lane))
            except LinePaused:
                continue
            except HubRefused as error:
                log.warning("sync.file_refused %d %s", file.no, error)
                hub_code = error.fields["hub_code"]
                if hub_code in _REFUSES_THE_BOX:
                    raise
                is_of_all = hub_code == BundleUnsupported.code
                self._refused_ms[_ALL_FILES if is_of_all else file.no] = self._clock.monotonic_ms()
                if is_of_all:
                    return None
        return None

    async def _list_for_line(self) -> list[tuple[FileRow, Lane]]:
        """Return the files that go over the line by their size, each with its lane, the first lane first."""
        now_ms, tariff = self._clock.now_ms(), self._line.tariff
        found = []
        for file in await self.list_due():
            lane = tariff.lane_of_file(file.size_bytes, is_released=file.is_released)
            # A clock that was set back must not keep a file here for years.
            is_sent = file.sent_ms is not None and file.sent_ms <= now_ms < file.sent_ms + SENT_AGAIN_MS
            was_refused = self._was_refused(_ALL_FILES) or self._was_refused(file.no)
            if lane is not None and not is_sent and not was_refused:
                found.append((file, lane))
        return sorted(found, key=lambda each: each[1])

    def _was_refused(self, no: int) -> bool:
        refused_ms = self._refused_ms.get(no)
        return refused_ms is not None and self._clock.monotonic_ms() - refused_ms < SENT_AGAIN_MS

    async def _send(self, url: str, hub: Hub, file: FileRow, content: bytes, lane: Lane) -> AckHead | None:
        epoch, now_ms = await self._database.read(changes.find_epoch), self._clock.now_ms()
        made = Made(epoch, file.no, 1, 1, file.hash, len(content), now_ms, is_file=True)
        self._looked_bytes = 0
        with self._uploading.telling(self._note_progress):
            try:
                ack = await self._uploading.deliver(url, hub, made, content, is_begun=True, lane=lane)
            finally:
                if self._looking is not None:
                    self._looking.cancel()
                    await asyncio.wait({self._looking})
                    self._looking = None
        if ack is not None:
            await self._database.write(lambda connection: hand_ins.note_sent(connection, file.no, now_ms))
            await asyncio.to_thread(self._place(file).unlink, missing_ok=True)
        return ack

    def _note_progress(self, stored_bytes: int, size_bytes: int) -> None:
        """At every slice, look whether there is anything to send that goes before files."""
        is_looking = self._looking is not None and not self._looking.done()
        if not is_looking and is_time_to_look(self._looked_bytes, stored_bytes, size_bytes):
            self._looked_bytes = stored_bytes
            self._looking = asyncio.ensure_future(self._look())
            self._looking.add_done_callback(log_failure)

    async def _look(self) -> None:
        if self.may_give_way() and (await self._database.read(changes.find_backlog)).changes:
            await self._uploading.end()

    async def _sealed(self, file: FileRow, hub: Hub) -> bytes | None:
        """Return the bundle of a file for this hub, made and kept if need be; None when the disk lost the file."""

        def read_or_make() -> bytes | None:
            content = self._read_sealed(file, hub, epoch)
            if content is None and (content := self._make(file, hub, epoch)) is not None and has_room:
                self._keep(file, content)
            return content

        has_room = await self.has_room(file.size_bytes)
        # What tidies would take away the half file of one that is being sealed.
        async with self._at_spool:
            epoch = await self._database.read(changes.find_epoch)
            return await asyncio.to_thread(read_or_make)

    def _read_sealed(self, file: FileRow, hub: Hub, epoch: int, on_stick: Path | None = None) -> bytes | None:
        """Return the bundle that was made before, if it is still for this hub and whole."""
        path = on_stick or self._place(file)
        try:
            if not path.is_file():
                return None
            content = folder.read_bundle(path) if on_stick else path.read_bytes()
            head = verify_bundle(content, {self._identity.box_id: self._identity.signing.verify_key}, ONLY_FILE).head
            found = head.epoch, head.seq, head.plain_bytes, head.sealed_to
            if found == (epoch, file.no, file.size_bytes, sealing_key_id(hub.sealing_key)):
                return content
        except (EdgeboxError, OSError) as error:
            log.warning("sync.sealed_file_damaged %d %s", file.no, error)
        return None

    def _make(self, file: FileRow, hub: Hub, epoch: int) -> bytes | None:
        plain = self._read(file)
        if plain is None:
            return None
        return write_file_bundle(
            plain,
            epoch=epoch,
            no=file.no,
            key=self._identity.signing,
            receiver_public=hub.sealing_key,
            created_ms=self._clock.now_ms(),
        )

    def _keep(self, file: FileRow, content: bytes) -> None:
        path = self._place(file)
        try:
            path.parent.mkdir(exist_ok=True)
            atomic.write_file(path, content, mode=atomic.PRIVATE_MODE)
        except OSError as error:
            # Without a copy of it an upload that breaks off begins anew, which is better than none.
            log.warning("sync.sealed_file_not_kept %d %s", file.no, error)

    def _place(self, file: FileRow) -> Path:
        return self._folder / f"{file.no}{_SUFFIX}"

    def _read(self, file: FileRow) -> bytes | None:
        """Return what was handed in; None when the disk lost it, or cannot read it now."""
        try:
            if self._blobs.is_intact(file.hash):
                return self._blobs.path_of(file.hash).read_bytes()
            log.error("sync.file_lost %d", file.no)
        except OSError as error:
            log.error("sync.file_unreadable %d %s", file.no, error)
        return None

    def _sweep(self, arrived: set[int]) -> None:
        names = {f"{no}{_SUFFIX}" for no in arrived}
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if path.suffix == ".part" or path.name in names:
                path.unlink(missing_ok=True)


async def _always(_size_bytes: int) -> bool:
    return True
