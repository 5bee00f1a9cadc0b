"""A line that breaks: every connection through it ends after so many bytes of answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class CuttingProxy:
    """Counts what it lets through.

    Attributes:
        cut_after_bytes: of each connection; None for a line that holds. May be changed at any time.
        cuts_left: after so many cuts nobody answers any more; None for never.
    """

    to_port: int
    cut_after_bytes: int | None
    cuts_left: int | None = None
    port: int = 0
    cuts: int = 0
    answered_bytes: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side or the line ends it."""
        if self.cuts_left == 0:
            writer.close()
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        asking = asyncio.ensure_future(_pump(reader, there_writer))
        left = self.cut_after_bytes
        try:
            while part := await there_reader.read(4096 if left is None else min(left, 4096)):
                writer.write(part)
                await writer.drain()
                self.answered_bytes += len(part)
                left = None if left is None else left - len(part)
                if left == 0:
                    self.cuts += 1
                    self.cuts_left = None if self.cuts_left is None else self.cuts_left - 1
                    break
        except OSError:
            pass  # either side went away by itself
        finally:
            asking.cancel()
            for each in (writer, there_writer):
                each.close()
            await asyncio.gather(asking, writer.wait_closed(), there_writer.wait_closed(), return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await reader.read(4096):
            writer.write(part)
            await writer.drain()


@asynccontextmanager
async def cutting_proxy(to_port: int, cut_after_bytes: int | None) -> AsyncIterator[CuttingProxy]:
    """Listen on a free port for as long as the context lasts."""
    proxy = CuttingProxy(to_port, cut_after_bytes)

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.carry(reader, writer))
        proxy._tasks.add(task)
        task.add_done_callback(proxy._tasks.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    proxy.port = int(server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        server.close()
        for task in list(proxy._tasks):
            task.cancel()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)
        await server.wait_closed()
