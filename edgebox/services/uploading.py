"""The way to the hub and the one bundle that is on it: how far it is, and that it can be ended from outside."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from edgebox.services.confirmed import covers
from edgebox.services.identity import Identity
from edgebox.store.changes import Made
from sync.bundle.errors import BundleForged, BundleMalformed, BundleTooLarge, BundleUnknownOrigin, BundleUnsupported
from sync.bundle.layout import AckHead
from sync.bundle.read import read_ack
from sync.engine.lanes import Lane
from sync.enrolment import Hub
from sync.transport.contract import Downlink, Transport
from sync.transport.errors import LinkCaptured

log = logging.getLogger(__name__)

NOT_AN_ACK = (BundleMalformed, BundleTooLarge, BundleUnsupported, BundleUnknownOrigin, BundleForged)


class HubLink(Transport, Downlink, Protocol):
    """A transport that can also enrol and be closed."""

    async def enroll(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the hub's answer to an enrolment."""

    async def introduce(self, content: bytes) -> bytes:
        """Return the hub's answer to a request or a succession."""

    async def close(self) -> None:
        """Close the connection."""


class Uploading:
    """Sends one bundle at a time.

    Attributes:
        made: the bundle that is on its way, None for none.
        stored_bytes: what the hub said it has of it.
        has_progressed: the hub got more of the last bundle in the last try.
        is_closing: nothing is sent any more.
    """

    def __init__(self, identity: Identity, make_link: Callable[[str], HubLink]) -> None:
        self._identity = identity
        self.make_link = make_link
        self.made: Made | None = None
        self.stored_bytes = 0
        self.has_progressed = False
        self.is_closing = False
        self._link: tuple[str, HubLink] | None = None
        self._task: asyncio.Task[bytes] | None = None
        self._listeners: list[Callable[[int, int], None]] = []

    async def deliver(
        self, url: str, hub: Hub, made: Made, content: bytes, *, is_begun: bool, lane: Lane = Lane.PROGRESS
    ) -> AckHead | None:
        """Return the hub's ack of a bundle, None if the upload was ended from outside.

        Whatever is not the hub's signed word about this box counts as another page.

        Raises:
            LinkDown, LinkCaptured, HubRefused, HubBusy: like `Transport`.
        """
        if self.is_closing:
            return None
        self.made, self.stored_bytes, self.has_progressed = made, 0, False
        upload = self.open_link(url).deliver(content, is_begun=is_begun, lane=lane, on_stored=self._note)
        task = self._task = asyncio.ensure_future(upload)
        try:
            # Not awaited by itself: whoever ends the upload must not end the caller.
            await asyncio.wait({task})
            if task.cancelled():
                return None
            return _check(task.result(), hub, self._identity.box_id)
        finally:
            await self._stop(task)
            self.made = self._task = None

    async def end(self) -> None:
        """Stop the bundle that is on its way, if there is one."""
        if self._task is not None:
            await self._stop(self._task)

    async def end_covered(self, ack: AckHead) -> None:
        """Stop the bundle that is on its way if the hub has it already, brought by somebody else."""
        made = self.made
        is_chained = made is not None and not made.is_express and not made.is_file
        if made is not None and is_chained and covers(ack, made.epoch, made.seq):
            await self.end()

    async def close(self) -> None:
        """Stop, and close the connection; safe to repeat."""
        await self.end()
        if self._link is not None:
            await self._link[1].close()
            self._link = None

    @contextmanager
    def telling(self, listener: Callable[[int, int], None]) -> Iterator[None]:
        """Tell `listener`, whenever it changes, how many bytes the hub has and how many there are."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def open_link(self, url: str) -> HubLink:
        """Return the way to a hub, which is kept from one bundle to the next."""
        if self._link is None or self._link[0] != url:
            self._link = (url, self.make_link(url))
        return self._link[1]

    def _note(self, stored_bytes: int) -> None:
        self.has_progressed |= 0 < self.stored_bytes < stored_bytes
        self.stored_bytes = stored_bytes
        if self.made is not None:
            for listener in self._listeners:
                listener(stored_bytes, self.made.size_bytes)

    async def _stop(self, task: asyncio.Task[bytes]) -> None:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


def log_failure(looking: asyncio.Task[None]) -> None:
    """Log what went wrong with looking, beside an upload, for what goes before it; the upload goes on all the same."""
    if not looking.cancelled() and (error := looking.exception()) is not None:
        log.warning("sync.not_looked %s", error)


def _check(answer: bytes, hub: Hub, origin: bytes) -> AckHead:
    try:
        ack = read_ack(answer, hub.verify_key)
    except NOT_AN_ACK as error:
        raise LinkCaptured(reason=error.code) from error
    if ack.vector.origin != origin:
        raise LinkCaptured(reason="ack of another box")
    return ack
