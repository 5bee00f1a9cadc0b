"""Servers of one file that behave like the worst ones on the way to a school; and what fetches from them."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from content_packs.base.hashing import blake2b_256
from content_packs.fetch import BlockMap, HttpSource, Pace, Source, Target, Transfer

NAME = "packs/some.file"
BLOCK_BYTES = 4096
HASTE = Pace(give_up_ms=3_000)
ALL_AT_ONCE = Pace(recruit_ms=0, recruit_left_ms=-1, give_up_ms=3_000)


@dataclass
class Manners:
    """How a server behaves.

    Attributes:
        cut_after: bytes of body after which the connection is closed, every time.
        stall_after: bytes of body after which nothing comes any more.
        lies_at: bytes of the file that are wrong.
        pause_seconds: after every 1,000 bytes.
        more_headers: added to a good answer.
        meeting: what the answer to the first request waits for.
    """

    has_ranges: bool = True
    etag: str = '"one"'
    cut_after: int | None = None
    stall_after: int | None = None
    lies_at: Sequence[int] = ()
    page: bytes | None = None
    status: int = 0
    is_endless: bool = False
    pause_seconds: float = 0.0
    more_headers: str = ""
    meeting: asyncio.Barrier | None = None


@dataclass
class Server:
    """One running server; its content and manners may change while it runs."""

    content: bytes
    manners: Manners = field(default_factory=Manners)
    port: int = 0
    requests: list[dict[str, str]] = field(default_factory=list)
    sent_bytes: int = 0
    after_cut: Callable[[], None] = lambda: None
    absent: Sequence[str] = ()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer_one(reader, writer):
                    pass
            writer.close()
        finally:
            if not writer.is_closing():
                writer.transport.abort()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        asked = {"line": head[0]} | dict(line.lower().split(": ", 1) for line in head[1:] if line)
        self.requests.append(asked)
        if self.manners.meeting is not None and len(self.requests) == 1:
            await self.manners.meeting.wait()
        return await self._send(asked, writer)

    async def _send(self, asked: dict[str, str], writer: asyncio.StreamWriter) -> bool:
        manners = self.manners
        if manners.page is not None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(manners.page), manners.page))
            await writer.drain()
            return True
        if any(name in asked["line"] for name in self.absent):
            writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return True
        if manners.status:
            writer.write(f"HTTP/1.1 {manners.status} No\r\n{manners.more_headers}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return True
        start, end, status = self._range(asked)
        lines = [f"HTTP/1.1 {status} OK", "Content-Type: application/octet-stream"]
        lines += [f"ETag: {manners.etag}"] if manners.etag else []
        lines += [f"Content-Range: bytes {start}-{end - 1}/{len(self.content)}"] if status == 206 else []
        lines += [] if manners.is_endless else [f"Content-Length: {end - start}"]
        writer.write(("\r\n".join(lines) + "\r\n" + manners.more_headers + "\r\n").encode())
        return await self._send_body(writer, start, end)

    async def _send_body(self, writer: asyncio.StreamWriter, start: int, end: int) -> bool:
        manners, sent = self.manners, 0
        body = bytearray(self.content[start:end])
        for at in manners.lies_at:
            if start <= at < end:
                body[at - start] ^= 0xFF
        while sent < len(body) or manners.is_endless:
            stops = [stop for stop in (manners.cut_after, manners.stall_after) if stop is not None]
            piece = bytes(body[sent : min([sent + 1000, *stops])]) or (b"\0" * 1000 if manners.is_endless else b"")
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
            self.sent_bytes += len(piece)
            if manners.stall_after is not None and sent >= manners.stall_after:
                await asyncio.sleep(3600)
            if manners.cut_after is not None and sent >= manners.cut_after:
                self.after_cut()
                return False
            await asyncio.sleep(manners.pause_seconds)
        return True

    def _range(self, asked: dict[str, str]) -> tuple[int, int, int]:
        wanted = asked.get("range")
        if (
            wanted is None
            or not self.manners.has_ranges
            or asked.get("if-range", self.manners.etag) != self.manners.etag
        ):
            return 0, len(self.content), 200
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        return int(first), min(int(last) + 1, len(self.content)) if last else len(self.content), 206


@asynccontextmanager
async def serving(content: bytes, **manners: Any) -> AsyncIterator[Server]:
    """Run a server on loopback."""
    server = Server(content, Manners(**manners))
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(server.answer(reader, writer)))

    listener = await asyncio.start_server(begin, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


def block_map(content: bytes, block_bytes: int = BLOCK_BYTES) -> BlockMap:
    """Return the map of a file without a head."""
    hashes = tuple(blake2b_256(content[at : at + block_bytes]) for at in range(0, len(content), block_bytes))
    return BlockMap(len(content), block_bytes, hashes)


def transfer_of(content: bytes, sources: Sequence[Source], folder: Path, **options: Any) -> Transfer:
    """Return a transfer of `content`, whose block map is known."""
    target = Target(NAME, len(content), block_map(content))
    return Transfer(target, sources, folder, **{"pace": HASTE} | options)


async def fetched(transfer: Transfer) -> bytes:
    """Run a transfer and return what came, as it is on the disk."""
    partial = await transfer.run()
    content = await asyncio.to_thread(partial.path.read_bytes)
    await asyncio.to_thread(partial.close)
    return content


@asynccontextmanager
async def sources_of(*servers: Server, **options: Any) -> AsyncIterator[list[HttpSource]]:
    """Give a source per server."""
    sources = [HttpSource(server.address, **options) for server in servers]
    try:
        yield sources
    finally:
        for source in sources:
            await source.close()


def some_bytes(length: int) -> bytes:
    """Return random content."""
    return os.urandom(length)
