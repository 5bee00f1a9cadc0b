"""A proxy on loopback that counts what it passes on, as the meter of an operator would: every byte, both ways."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class CountingProxy:
    """What was passed on.

    Attributes:
        up_bytes: from whoever connected.
        down_bytes: to them.
    """

    to_port: int
    port: int = 0
    up_bytes: int = 0
    down_bytes: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    ends: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def crossed_bytes(self) -> int:
        """Return the bytes of both ways."""
        return self.up_bytes + self.down_bytes

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one connection until either end closes it."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        self.ends |= {writer, to_writer}
        try:
            await asyncio.gather(self._pass(reader, to_writer, is_up=True), self._pass(to_reader, writer, is_up=False))
        finally:
            self.tasks.discard(task)
            self.ends -= {writer, to_writer}
            for end in (writer, to_writer):
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_up: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while content := await reader.read(16 * 1024):
                if is_up:
                    self.up_bytes += len(content)
                else:
                    self.down_bytes += len(content)
                writer.write(content)
                await writer.drain()
            writer.write_eof() if writer.can_write_eof() else writer.close()


@asynccontextmanager
async def counting_proxy(to_port: int) -> AsyncIterator[CountingProxy]:
    """Run a proxy to a port of this machine."""
    proxy = CountingProxy(to_port)
    server = await asyncio.start_server(proxy.answer, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for end in proxy.ends:
            end.transport.abort()
        if proxy.tasks:
            await asyncio.wait(proxy.tasks)
