"""Bundles that arrive in pieces: who may write to which upload, every byte flushed before it is told, then taken in.

A stranger can create nothing that is kept: bytes go to the disk once the first of them are a head signed by a box that
is known. The newest request for an upload speaks for its box; an older one is on a line that died, and is dropped.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from aiohttp import web

from content_packs.base.clock import Clock
from content_packs.base.errors import EdgeboxError
from sync.bundle.layout import start_bytes, upload_name
from sync.bundle.read import peek_length
from sync.hub.body import SILENCE_SECONDS, read_start
from sync.hub.errors import RequestMalformed, RequestTooLarge, RequestTooSlow, UploadChecksumWrong
from sync.hub.partials import KEPT_MS, Partial, Partials
from sync.hub.receiving import Receiving
from sync.hub.upload_names import Created, UploadNames, file_key
from sync.hub.uploads import Reading, Uploads
from sync.transport.tus import UPLOAD_LENGTH

FLUSH_BYTES = 16 * 1024
TOLD_EVERY_BYTES = 64 * 1024
TICK_SECONDS = 2.0
GRACE_SECONDS = 0.1
_SWEEP_MS = 3_600_000
_ENDED_MAX = 10_000

Tell = Callable[[int], Awaitable[None]]


@dataclass(eq=False)
class _Turn:
    """Who writes to one upload."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    holder: web.Request | None = None


@dataclass
class Upload:
    """An upload as one request sees it, while nobody else may write to it.

    Attributes:
        partial: None before a signed head was stored.
        created: what its name holds, None if it is named by its head.
    """

    name: str
    length_bytes: int
    expires_ms: int
    partial: Partial | None = None
    created: Created | None = None

    @property
    def stored_bytes(self) -> int:
        """Return how many bytes are flushed."""
        return self.partial.stored_bytes if self.partial else 0


class Incoming:
    """Everything between the requests that carry a bundle and `Receiving`."""

    def __init__(
        self, partials: Partials, names: UploadNames, receiving: Receiving, uploads: Uploads, clock: Clock
    ) -> None:
        self.names = names
        self._partials = partials
        self._receiving = receiving
        self._uploads = uploads
        self._clock = clock
        self._disk = asyncio.Lock()
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._swept_ms = clock.now_ms()

    @asynccontextmanager
    async def open(self, name: str, request: web.Request) -> AsyncIterator[Upload]:
        """Yield an upload that nobody else writes to meanwhile; one that is whole is taken in first.

        Raises:
            HTTPNotFound, HTTPGone: there is none, or not any more.
        """
        async with self._turn(name, request):
            upload = self._find(name)
            if upload.partial is not None and upload.partial.is_whole:
                await self.finish(upload)
            yield upload

    @asynccontextmanager
    async def begin(self, created: Created, request: web.Request) -> AsyncIterator[Upload]:
        """Create an upload with the first bytes of its bundle, which are stored then; one of the same head starts anew.

        Raises:
            EdgeboxError: they are no head signed by a box that is known.
        """
        start = await read_start(request, self._clock, created.length_bytes, start_bytes)
        head = start[: start_bytes(start)]
        name = self.names.make(created) if created.metadata else upload_name(head)
        # Before anybody is asked who the box is: who asks for this upload meanwhile, after a cut, has to wait for it.
        async with self._turn(name, request):
            upload = Upload(name, created.length_bytes, created.created_ms + KEPT_MS, None, created)
            await self._begin_part(upload, start)
            yield upload

    async def show_head(self, upload: Upload, request: web.Request) -> None:
        """Begin to store an upload that was created without bytes. Raises like `begin`."""
        if upload.partial is None:
            start = await read_start(request, self._clock, upload.length_bytes, start_bytes)
            await self._begin_part(upload, start)

    async def append(self, upload: Upload, request: web.Request, tell: Tell | None = None) -> None:
        """Store what the request brings, and tell every two seconds how much of it is flushed.

        Raises:
            RequestTooLarge: more than the upload has; RequestMalformed, RequestTooSlow: it broke off. What came counts.
            TooManyAtOnce: the box has no place left.
        """
        await self.show_head(upload, request)
        assert upload.partial is not None
        async with self._uploads.place(upload.partial.origin) as reading:
            await self._uploads.make_up(upload.partial.origin)
            await _Copy(upload.partial, self._clock, tell, reading).run(request)
        upload.expires_ms = self._clock.now_ms() + KEPT_MS

    async def append_checked(self, upload: Upload, request: web.Request, algorithm: str, digest: bytes) -> None:
        """Store what the request brings, all of it or, if its checksum is wrong or it broke off, nothing.

        Raises:
            UploadChecksumWrong: the bytes are others than were meant.
        """
        before_bytes, is_good = upload.stored_bytes, False
        try:
            await self.append(upload, request)
            assert upload.partial is not None
            is_good = await asyncio.to_thread(_has_digest, upload.partial, before_bytes, algorithm, digest)
        finally:
            if not is_good and upload.partial is not None:
                await self._take_back(upload, before_bytes)
        if not is_good:
            raise UploadChecksumWrong

    async def finish(self, upload: Upload) -> bytes:
        """Take in a bundle that is whole, once, and return the ack.

        Raises:
            EdgeboxError: the bundle is refused; it is kept only if the same can be accepted later.
        """
        partial = upload.partial
        assert partial is not None
        if partial.ack is not None:
            return partial.ack
        async with self._uploads.turn(partial.origin, partial.length_bytes):
            content = await asyncio.to_thread(partial.path.read_bytes)
            try:
                acknowledged = await self._receiving.receive(content)
            except EdgeboxError as error:
                if not error.retryable:
                    await self._remove(upload)
                raise
            async with self._disk:
                await asyncio.to_thread(self._partials.finish, partial, acknowledged.ack, self._clock.now_ms())
        return acknowledged.ack

    async def end(self, upload: Upload) -> None:
        """Forget an upload because its maker wants so."""
        await self._remove(upload)
        self._ended[upload.name] = None
        if len(self._ended) > _ENDED_MAX:
            self._ended.popitem(last=False)

    @asynccontextmanager
    async def _turn(self, name: str, request: web.Request) -> AsyncIterator[None]:
        turn = self._turns.setdefault(name, _Turn())
        try:
            # A line that was cut brings what it still has, and ends by itself; one that died does neither.
            async with asyncio.timeout(GRACE_SECONDS):
                await turn.lock.acquire()
        except TimeoutError:
            if turn.holder is not None and turn.holder.transport is not None:
                turn.holder.transport.abort()
            await turn.lock.acquire()
        turn.holder = request
        try:
            yield
        finally:
            turn.holder = None
            turn.lock.release()

    def _find(self, name: str) -> Upload:
        created, partial = self.names.read(name), self._partials.find(file_key(name))
        if name in self._ended:
            raise web.HTTPGone(reason="upload")
        if partial is not None:
            return Upload(name, partial.length_bytes, partial.touched_ms + KEPT_MS, partial, created)
        if created is None:
            raise web.HTTPNotFound(reason="upload")
        if self._clock.now_ms() > created.created_ms + KEPT_MS:
            raise web.HTTPGone(reason="upload")
        return Upload(name, created.length_bytes, created.created_ms + KEPT_MS, None, created)

    async def _begin_part(self, upload: Upload, start: bytes) -> None:
        """Store the first bytes of an upload, if the signed head of a known box is among them."""
        head = await self._receiving.admit(start)
        if peek_length(start) != upload.length_bytes:
            raise RequestMalformed(reason=UPLOAD_LENGTH)
        if len(start) > upload.length_bytes:
            raise RequestTooLarge(limit_bytes=upload.length_bytes)
        now_ms = self._clock.now_ms()
        async with self._disk:
            if now_ms - self._swept_ms > _SWEEP_MS:
                self._swept_ms = now_ms
                await asyncio.to_thread(self._partials.sweep, now_ms)
            upload.partial = await asyncio.to_thread(
                self._partials.begin, head.origin, file_key(upload.name), upload.length_bytes, now_ms
            )
        await asyncio.to_thread(upload.partial.append, start, now_ms)

    async def _take_back(self, upload: Upload, stored_bytes: int) -> None:
        if stored_bytes and upload.partial is not None:
            await asyncio.to_thread(upload.partial.truncate, stored_bytes)
        else:
            await self._remove(upload)

    async def _remove(self, upload: Upload) -> None:
        async with self._disk:
            await asyncio.to_thread(self._partials.remove, file_key(upload.name))
        upload.partial = None


class _Copy:
    """Moves one body to the disk: flushed at least every 16 kB, when nothing more comes, and before it is told."""

    def __init__(self, partial: Partial, clock: Clock, tell: Tell | None, reading: Reading) -> None:
        self._partial = partial
        self._reading = reading
        self._clock = clock
        self._tell = tell
        self._waiting = bytearray()
        self._told_bytes = partial.stored_bytes
        self._told_seconds = asyncio.get_running_loop().time()

    async def run(self, request: web.Request) -> None:
        """Copy until the body ends. Raises like `Incoming.append`."""
        try:
            async for part in _parts(request):
                self._waiting += part
                if self._partial.stored_bytes + len(self._waiting) > self._partial.length_bytes:
                    raise RequestTooLarge(limit_bytes=self._partial.length_bytes)
                await self._flush_and_tell()
                await self._reading.take_part(len(part))
        finally:
            await self._flush()

    async def _flush_and_tell(self) -> None:
        now_seconds = asyncio.get_running_loop().time()
        is_time = now_seconds - self._told_seconds >= TICK_SECONDS
        if is_time or len(self._waiting) >= FLUSH_BYTES:
            await self._flush()
        if self._tell and (is_time or self._partial.stored_bytes - self._told_bytes >= TOLD_EVERY_BYTES):
            self._told_bytes, self._told_seconds = self._partial.stored_bytes, now_seconds
            await self._tell(self._partial.stored_bytes)

    async def _flush(self) -> None:
        room_bytes = self._partial.length_bytes - self._partial.stored_bytes
        content = bytes(self._waiting[:room_bytes])
        self._waiting.clear()
        if content:
            await asyncio.to_thread(self._reading.effort.timed(self._partial.append), content, self._clock.now_ms())


async def _parts(request: web.Request) -> AsyncIterator[bytes]:
    """Yield a body as it comes, and nothing at least every two seconds.

    Raises:
        RequestTooSlow: silent for too long; RequestMalformed: it broke off.
    """
    content, silence_seconds = request.content, 0.0
    while True:
        try:
            async with asyncio.timeout(TICK_SECONDS):
                part = await content.readany()
        except TimeoutError:
            silence_seconds += TICK_SECONDS
            if silence_seconds >= SILENCE_SECONDS:
                raise RequestTooSlow from None
            yield b""
            continue
        except (web.RequestPayloadError, ConnectionError) as error:
            # What came before the line broke is in the buffer still, and cannot be had in any other way.
            yield content._read_nowait(-1)
            raise RequestMalformed(reason="broken off") from error
        if not part:
            return
        silence_seconds = 0.0
        yield part


def _has_digest(partial: Partial, from_bytes: int, algorithm: str, digest: bytes) -> bool:
    found = hashlib.new(algorithm, usedforsecurity=False)
    with partial.path.open("rb") as file:
        file.seek(from_bytes)
        while chunk := file.read(TOLD_EVERY_BYTES):
            found.update(chunk)
    return found.digest() == digest
