"""Take in what the hub sends: verify, keep, apply with the cursor in one transaction, and say what is held.

It makes no difference whether a bundle comes over a line or on a stick, nor in which order, nor how often. One that
cannot be read here, as after a newer hub made it, is kept aside and tried again by the next version of this program.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.signing import SigningKey, VerifyKey
from content_packs.fetch import BlockMap, Pace, Target, Transfer
from content_packs.fetch.errors import NotOffered, SourceLied
from content_packs.fetch.partial import PartialFile, sweep
from edgebox.services.identity import Identity
from edgebox.store import changes, inbox
from edgebox.store.database import Database
from edgebox.store.inbox import Arrival, InboxState, Kept, Pair
from sync.bundle.errors import (
    BundleForged,
    BundleMalformed,
    BundleTooLarge,
    BundleUnknownOrigin,
    BundleUnsupported,
)
from sync.bundle.layout import AckHead, Head, Notice, Vector, start_bytes
from sync.bundle.limits import FILE_MAX_BYTES
from sync.bundle.read import SignedBundle, open_bundle, verify_bundle, verify_head
from sync.bundle.write import sealing_key_id, write_ack
from sync.engine.receiver import Verdict
from sync.records.rows import Record
from sync.transport import folder
from sync.transport.contract import Downlink, Waiting

log = logging.getLogger(__name__)

ROUNDS_MAX = 20
GIVE_UP_MS = 60_000
KEEP_PARTS_MS = 30 * 86_400_000
NOT_FOR_US = (BundleForged, BundleMalformed, BundleTooLarge, BundleUnknownOrigin, BundleUnsupported)


class HubForked(EdgeboxError):
    """The hub made two different bundles under one number."""

    code = "sync.hub_forked"
    status = 409
    exit_code = 250
    retryable = True
    sentence = N_("The hub sent two different things under one number ({number}). Nothing more of it is taken.")
    remedy = N_("Nothing is lost here. The hub is told at the next contact, and sends everything again.")


@dataclass(frozen=True)
class _Down:
    """A bundle of the hub on a stick, under the numbers of its name."""

    epoch: int
    seq: int
    path: Path
    size_bytes: int


class Receiving:
    """Everything that comes down to this box. Safe to call from any task of the loop.

    Attributes:
        waiting_bytes: of the bundles that the hub named last and that did not come yet.
    """

    def __init__(
        self,
        database: Database,
        identity: Identity,
        clock: Clock,
        spool: Path,
        *,
        on_applied: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._identity = identity
        self._clock = clock
        self._folder = spool / "in"
        self._fetched = spool / "fetch"
        self._on_applied = on_applied
        self._busy = asyncio.Lock()
        self.waiting_bytes = 0

    async def receive(self, content: bytes) -> Verdict:
        """Take in one bundle of the hub and return what was done. The same one again changes nothing.

        Raises:
            HubForked: another bundle came under its number, or it follows another than ours; it is kept aside.
            EdgeboxError: not a bundle of our hub for this box; nothing was changed.
        """
        async with self._busy:
            signed = await asyncio.to_thread(verify_bundle, content, await self._trusted())
            key = self._key_for(signed.head)
            head, pair = signed.head, Pair(signed.head.origin, key.verify_key.key_id)
            verdict = await self._database.read(lambda connection: inbox.judge_arrival(connection, pair, head))
            if verdict is Verdict.DUPLICATE:
                return verdict
            arrival = await asyncio.to_thread(self._open, pair, key, signed)
            await asyncio.to_thread(self._keep_file, head, content)
            verdict, state = await self._database.write(lambda connection: inbox.take(connection, arrival))
            await self._tidy(_kept(head), state)
            await self._take_held(pair)
        if verdict is Verdict.FORK:
            raise HubForked(number=f"{head.epoch}-{head.seq}")
        return verdict

    async def admit(self, start: bytes, size_bytes: int) -> Head:
        """Return the head of a bundle of which only the start was read: it is the hub's, and its size is what it says.

        Raises:
            EdgeboxError: a refusal with a code; the rest need not be read.
        """
        head = verify_head(start, await self._trusted())
        if size_bytes != start_bytes(start) + head.sealed_bytes:
            raise BundleMalformed(reason="cut in the body")
        self._key_for(head)
        return head

    async def vector(self) -> Vector | None:
        """Return what is held of the hub's bundles; None without a hub."""
        pair = await self._find_pair()
        return (
            None if pair is None else await self._database.read(lambda connection: inbox.find_vector(connection, pair))
        )

    async def make_ack(self) -> bytes | None:
        """Return what is held of the hub's bundles as a file that this box signed; None without a hub."""
        pair, said_ms = await self._find_pair(), max(self._clock.now_ms(), 0)
        if pair is None:
            return None
        vector, notice = await self._database.read(lambda connection: _find_word(connection, pair))
        return write_ack(AckHead(pair.box, vector, said_ms, notice), self._identity.signing)

    async def exchange(self, link: Downlink, may_come: Callable[[int], bool] = lambda _: True) -> int:
        """Fetch and take in whatever waits at the hub, until nothing does; return how many bundles came.

        What is of a size that may not come now is left at the hub.

        Raises:
            LinkDown, LinkCaptured, HubRefused, HubBusy: no answer to the question what waits.
            SourceDown, SourceCaptured: the line broke; what came is kept, and gone on with at the byte.
        """
        tried: set[bytes] = set()
        taken = 0
        for _ in range(ROUNDS_MAX):
            ack = await self.make_ack()
            waiting = [] if ack is None else await link.ask_waiting(ack)
            self.waiting_bytes = sum(_size_bytes(each) for each in waiting)
            new = [each for each in waiting if each.name not in tried and may_come(_size_bytes(each))]
            for each in new:
                tried.add(each.name)
                if may_come(_size_bytes(each)) and await self._bring(link, each):
                    taken += 1
                    self.waiting_bytes -= _size_bytes(each)
            if not new:
                break
        return taken

    async def import_(self, root: Path, on_progress: Callable[[int, int], None] = lambda *_: None) -> int:
        """Take in what a stick has for this box and return how many bundles were new. Safe to repeat.

        One that is refused stops no other. What this box holds afterwards is written on the stick, if it can be.
        `on_progress` hears how many bytes of the bundles were looked at, and how many there are.

        Raises:
            StickMissing, StickUnwritable: there is no such folder, or it cannot be read.
        """
        taken = done_bytes = 0
        found = await asyncio.to_thread(_list_down, root, self._identity.box_id)
        total_bytes = sum(down.size_bytes for down in found)
        for down in found:
            try:
                taken += await self._take_down(down)
            except EdgeboxError as error:
                log.warning("sync.stick_bundle_refused %s %s", down.path.name, error)
            done_bytes += down.size_bytes
            on_progress(done_bytes, total_bytes)
        try:
            await self.export(root)
        except EdgeboxError as error:
            log.info("sync.stick_word_not_written %s", error)
        return taken

    async def _take_down(self, down: _Down) -> bool:
        """Take in one file of a stick and return whether it was new."""
        if await self._is_taken(down.epoch, down.seq):
            return False
        head = await self.admit(await asyncio.to_thread(folder.read_start, down.path), down.size_bytes)
        if (head.epoch, head.seq) != (down.epoch, down.seq):
            raise BundleForged(part="name")
        content = await asyncio.to_thread(folder.read_bundle, down.path)
        return await self.receive(content) is not Verdict.DUPLICATE

    async def export(self, root: Path) -> None:
        """Write on a stick what this box holds of the hub's bundles, so that the hub knows what to give it.

        Raises:
            StickMissing: there is no such folder.
            StickFilled, StickReadOnly, StickLies, StickPlaceTaken, StickGone: as they say.
        """
        ack, vector = await self.make_ack(), await self.vector()
        if ack is not None and vector is not None:
            await asyncio.to_thread(folder.write_word, root, self._identity.box_id, vector.epoch, ack)

    async def resume(self) -> None:
        """Go on with what a power cut stopped, and try what was set aside once more. At the start of the program."""
        async with self._busy:
            pair = await self._find_pair()
            if pair is not None:
                await self._take_held(pair)
                for kept in await self._database.read(lambda connection: inbox.list_aside(connection, pair)):
                    await self._take_kept(pair, kept, inbox.take_aside)
            listed = await self._database.read(inbox.list_kept)
            await asyncio.to_thread(self._remove_others, {self._path(kept).name for kept in listed})
            await asyncio.to_thread(sweep, self._fetched, self._clock.now_ms() - KEEP_PARTS_MS)

    async def _is_taken(self, epoch: int, seq: int) -> bool:
        """Return whether a number is behind us; another bundle under it is found when it comes over the line."""
        vector = await self.vector()
        return vector is not None and vector.epoch == epoch and seq <= vector.through_seq

    async def _bring(self, link: Downlink, waiting: Waiting) -> bool:
        """Fetch one bundle, from where an earlier try stopped, and take it in; return whether one came."""
        trusted = await self._trusted()
        target = Target(waiting.name.hex(), FILE_MAX_BYTES, read_head=lambda start: _read_head(start, waiting, trusted))
        pace = Pace(give_up_ms=GIVE_UP_MS)
        try:
            partial = await Transfer(
                target, [await link.open_bundles()], self._fetched, clock=self._clock, pace=pace
            ).run()
        except (NotOffered, SourceLied) as error:
            # The others may be good all the same; the hub is asked for this one again the next time.
            log.warning("sync.bundle_not_fetched %s %s", target.name, error)
            return False
        content = await asyncio.to_thread(partial.path.read_bytes)
        try:
            await self.receive(content)
        except HubForked as error:
            log.warning("sync.hub_forked %s", error)
        except NOT_FOR_US as error:
            log.warning("sync.bundle_refused %s %s", target.name, error)
            return False
        finally:
            await asyncio.to_thread(PartialFile.discard, partial)
        return True

    async def _take_held(self, pair: Pair) -> None:
        """Take in what was held and has no hole before it any more, one transaction each."""
        while (
            kept := await self._database.read(lambda connection: inbox.find_next_held(connection, pair))
        ) is not None:
            await self._take_kept(pair, kept, inbox.take_held)

    async def _take_kept(self, pair: Pair, kept: Kept, take: Callable[[inbox.Connection, Arrival], InboxState]) -> None:
        arrival = await self._read_kept(pair, kept)
        if arrival is None:
            await self._database.write(lambda connection: inbox.forget(connection, pair, kept))
            return
        await self._tidy(kept, await self._database.write(lambda connection: take(connection, arrival)))

    async def _read_kept(self, pair: Pair, kept: Kept) -> Arrival | None:
        """Return a bundle from its file, checked again; None when the disk lost it."""
        trusted = await self._trusted()

        def read() -> Arrival | None:
            try:
                signed = verify_bundle(self._path(kept).read_bytes(), trusted)
                return self._open(pair, self._key_for(signed.head), signed)
            except (OSError, EdgeboxError):
                log.exception("sync.kept_bundle_unreadable %d-%d", kept.epoch, kept.seq)
                return None

        return await asyncio.to_thread(read)

    async def _tidy(self, kept: Kept, state: InboxState) -> None:
        if state is InboxState.APPLIED:
            await self._on_applied()
            await asyncio.to_thread(self._path(kept).unlink, missing_ok=True)

    def _open(self, pair: Pair, key: SigningKey, signed: SignedBundle) -> Arrival:
        """Return a bundle with its records; one whose body makes no sense here stands without any."""
        records: list[Record] = []
        fault = None
        try:
            records = open_bundle(signed, key.sealing_key)
        except EdgeboxError as error:
            log.warning("sync.bundle_set_aside %d-%d %s", signed.head.epoch, signed.head.seq, error)
            fault = error.code
        return Arrival(pair, signed.head, records, fault, self._clock.now_ms())

    def _key_for(self, head: Head) -> SigningKey:
        """Return the key that a bundle is sealed to.

        Raises:
            BundleForged: it is for another box, whoever put it in our way.
        """
        for key in self._identity.keys:
            if sealing_key_id(key.verify_key.sealing_public) == head.sealed_to:
                return key
        raise BundleForged(part="seal")

    async def _trusted(self) -> Mapping[bytes, VerifyKey]:
        found = await self._database.read(changes.find_hub)
        return {} if found is None else {found[1].verify_key.key_id: found[1].verify_key}

    async def _find_pair(self) -> Pair | None:
        found = await self._database.read(changes.find_hub)
        return None if found is None else Pair(found[1].verify_key.key_id, self._identity.box_id)

    def _keep_file(self, head: Head, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        atomic.write_file(self._path(_kept(head)), content, mode=atomic.PRIVATE_MODE)

    def _remove_others(self, kept: set[str]) -> None:
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def _path(self, kept: Kept) -> Path:
        return self._folder / f"{kept.epoch}-{kept.seq}-{kept.hash.hex()[:16]}.eb"


def _kept(head: Head) -> Kept:
    return Kept(head.epoch, head.seq, head.hash)


def _find_word(connection: inbox.Connection, pair: Pair) -> tuple[Vector, Notice]:
    vector = inbox.find_vector(connection, pair)
    if inbox.is_forked(connection, pair, vector.epoch):
        return vector, Notice.FORKED
    return vector, Notice.SET_ASIDE if inbox.list_aside(connection, pair) else Notice.NONE


def _read_head(start: bytes, waiting: Waiting, trusted: Mapping[bytes, VerifyKey]) -> BlockMap | None:
    """Return what a bundle's body has to hash to, once its head is there and the hub has signed it.

    Raises:
        EdgeboxError: it is none of the hub's, or not the one that was asked for.
    """
    head_bytes = start_bytes(start)
    if len(start) < head_bytes:
        return None
    head = verify_head(start[:head_bytes], trusted)
    if not head.hash.startswith(waiting.name):
        raise BundleForged(part="hash")
    return BlockMap(head_bytes + head.sealed_bytes, max(head.sealed_bytes, 1), (head.hash,), head_bytes)


def _size_bytes(waiting: Waiting) -> int:
    """Return a size that a bundle can have, whatever the hub says."""
    return min(max(waiting.size_bytes, 0), FILE_MAX_BYTES)


def _list_down(root: Path, box: bytes) -> list[_Down]:
    return [_Down(epoch, seq, path, _size_on_stick(path)) for epoch, seq, path in folder.list_down(root, box)]


def _size_on_stick(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # pulled out: reading it says so
        return 0
