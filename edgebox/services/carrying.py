"""What a courier takes along and brings back with a phone, without signing in.

Everything that is handed out is sealed to the hub, and nothing is believed that the hub did not sign. A courier who
never comes back has copies of what still waits here, for the line, a stick or the next courier. What strangers can make
the box do is bounded: new bundles are made once an hour at most while others wait, so that nobody can chop the log into
thousands; files are checked a few at a time; and few answers are waited for at once.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from edgebox.services.identity import Identity
from edgebox.services.receiving import Receiving
from edgebox.services.syncing import Syncing
from edgebox.store import changes
from edgebox.store.changes import Made
from edgebox.store.database import Database
from sync.transport import folder

log = logging.getLogger(__name__)

MAKE_EVERY_MS = 3_600_000
MAKE_PATIENCE_SECONDS = 5.0
TAKE_PATIENCE_SECONDS = 20.0
# What one courier is given: some years of a school, and no more than a phone can keep.
LOAD_MAX_BYTES = 64 << 20
CHECKS_AT_ONCE = 2
TAKES_AT_ONCE = 8


class CourierBusy(EdgeboxError):
    """The box cannot take what a courier brings just now."""

    code = "courier.busy"
    status = 503
    exit_code = 109
    retryable = True
    sentence = N_("The box is busy with something else.")
    remedy = N_("Leave this page open: it tries again by itself. Nothing is lost.")


@dataclass(frozen=True)
class Load:
    """What waits for a courier.

    Attributes:
        hub_url: where it goes; None while the box knows no hub.
        bundles: in order, from the oldest on, as many as one courier is given.
        is_making: more is being made.
    """

    hub_url: str | None
    box_id: bytes
    bundles: tuple[Made, ...] = ()
    is_making: bool = False


class Carrying:
    """Hands out what waits and takes what comes back."""

    def __init__(
        self, database: Database, identity: Identity, clock: Clock, syncing: Syncing, receiving: Receiving, spool: Path
    ) -> None:
        self._database = database
        self._identity = identity
        self._clock = clock
        self._syncing = syncing
        self._receiving = receiving
        self._folder = spool / "out"
        self._made_ms: int | None = None
        self._making: asyncio.Task[Any] | None = None
        self._taking: set[asyncio.Task[Any]] = set()
        self._checks = asyncio.Semaphore(CHECKS_AT_ONCE)

    async def find_hub_url(self) -> str | None:
        """Return the address of the hub, if one is known."""
        found = await self._database.read(changes.find_hub)
        return None if found is None else found[0]

    async def load(self) -> Load:
        """Return what a courier can take now. What is in no bundle yet is put in one, unless that was done lately."""
        hub_url = await self.find_hub_url()
        if hub_url is None:
            return Load(None, self._identity.box_id)
        waiting = await self._syncing.list_waiting()
        if not waiting or self._is_making_due():
            await self._make()
            waiting = await self._syncing.list_waiting()
        is_making = self._making is not None and not self._making.done()
        return Load(hub_url, self._identity.box_id, _as_many_as_fit(waiting), is_making)

    async def find(self, name: str) -> tuple[Made, Path] | None:
        """Return a bundle that waits, by the name of its file, and where it is; None when it is not there, whole."""
        waiting = await self._syncing.list_waiting()
        made = next((made for made in waiting if folder.bundle_name(made.epoch, made.seq) == name), None)
        if made is None:
            return None
        async with self._checks:
            is_whole = await self._syncing.read_waiting(made) is not None
        return (made, self._folder / name) if is_whole else None

    async def take(self, content: bytes) -> None:
        """Take an ack of the hub for this box. Safe to repeat.

        Raises:
            NotEnrolled, BundleMalformed, BundleTooLarge, BundleUnsupported, BundleUnknownOrigin, BundleForged: it is
                nothing of the hub's for this box.
            CourierBusy: it is the hub's word, and will be taken a little later.
        """
        await self._take(self._syncing.take_carried, content)

    async def take_down(self, content: bytes) -> None:
        """Take a bundle of the hub for this box. Safe to repeat. Raises like `take`, and HubForked."""
        await self._take(self._receiving.receive, content)
        await self._syncing.files.tidy()

    async def admit_down(self, start: bytes, size_bytes: int) -> None:
        """Return if a bundle of which only the start was read may be the hub's for this box.

        Raises:
            EdgeboxError: it is not.
        """
        await self._receiving.admit(start, size_bytes)

    async def find_word(self) -> tuple[PurePosixPath, bytes] | None:
        """Return what this box says it holds of the hub's bundles, and where that lies among what goes to the hub."""
        ack, vector = await self._receiving.make_ack(), await self._receiving.vector()
        if ack is None or vector is None:
            return None
        return PurePosixPath(folder.word_place(self._identity.box_id, vector.epoch).as_posix()), ack

    async def _take(self, take: Callable[[bytes], Coroutine[Any, Any, object]], content: bytes) -> None:
        if len(self._taking) >= TAKES_AT_ONCE:
            raise CourierBusy
        task = asyncio.get_running_loop().create_task(take(content))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)
        task.add_done_callback(_log_failure)
        await asyncio.wait({task}, timeout=TAKE_PATIENCE_SECONDS)
        if not task.done():
            raise CourierBusy
        task.result()

    async def close(self) -> None:
        """Stop what is being made or taken. Safe to repeat."""
        tasks = {*self._taking, *([self._making] if self._making else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _is_making_due(self) -> bool:
        return self._made_ms is None or self._clock.monotonic_ms() - self._made_ms >= MAKE_EVERY_MS

    async def _make(self) -> None:
        """Put the rest of the log into bundles, in the background when that takes long."""
        if self._making is None or self._making.done():
            if self._syncing.is_busy:
                return
            self._made_ms = self._clock.monotonic_ms()
            self._making = asyncio.get_running_loop().create_task(self._syncing.prepare())
            self._making.add_done_callback(_log_failure)
        await asyncio.wait({self._making}, timeout=MAKE_PATIENCE_SECONDS)
        if self._making.done():
            self._making.result()


def _log_failure(task: asyncio.Task[Any]) -> None:
    """Log what went wrong, for it may do so when nobody waits any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("carrying.failed %s", error)


def _as_many_as_fit(waiting: list[Made]) -> tuple[Made, ...]:
    """Return the oldest bundles, as many as a phone can carry, at least one."""
    found: list[Made] = []
    left_bytes = LOAD_MAX_BYTES
    for made in waiting:
        left_bytes -= made.size_bytes
        if left_bytes < 0 and found:
            break
        found.append(made)
    return tuple(found)
