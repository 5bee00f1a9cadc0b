"""A line that can be cut after any number of bytes, go silent, or pass through machines that hold things back."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class CutProxy:
    """Carries bytes to a port of this machine and back.

    Attributes:
        cuts: for each connection to come, after how many bytes `up` or `down` it is cut; none when there are no more.
        up_cuts: after how many bytes to the hub in all, in order, the connection that carries them is cut.
        cuts_made: how many of both kinds came.
        is_down: no connection is taken.
        is_silent_after_cut: a connection that is cut stays open and carries nothing, as behind a modem that re-dialled.
        up_bytes_per_second: how fast it carries to the hub, None for as fast as it can.
        up_bytes: carried to the hub, of all connections.
        part_seconds: how long 4 kB take, both ways together.
    """

    target_port: int
    cuts: Iterator[tuple[str, int]] = field(default_factory=lambda: iter(()))
    up_cuts: deque[int] = field(default_factory=deque)
    cuts_made: int = 0
    is_down: bool = False
    is_silent_after_cut: bool = False
    up_bytes_per_second: float | None = None
    port: int = 0
    connections: int = 0
    up_bytes: int = 0
    down_bytes: int = 0
    part_seconds: float = 0.0
    _line: asyncio.Lock = field(default_factory=asyncio.Lock)
    _carrying: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Return the address to use in place of the hub's."""
        return f"http://127.0.0.1:{self.port}"

    def go_down(self) -> None:
        """Cut what is carried, and take nothing until `is_down` is taken back."""
        self.is_down = True
        for writer in self._carrying:
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either end closes it or it is cut."""
        if self.is_down:
            writer.transport.abort()
            return
        self._carrying.add(writer)
        try:
            await self._carry(reader, writer)
        finally:
            self._carrying.discard(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        direction, left_bytes = next(self.cuts, ("", 0))
        with contextlib.closing(writer):
            try:
                hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            except OSError:
                writer.transport.abort()
                return
            with contextlib.closing(hub_writer):
                up = self._pump(reader, hub_writer, "up", left_bytes if direction == "up" else None)
                down = self._pump(hub_reader, writer, "down", left_bytes if direction == "down" else None)
                pumps = {asyncio.ensure_future(up), asyncio.ensure_future(down)}
                try:
                    done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                    if self.is_silent_after_cut and any(pump.result() for pump in done):
                        await asyncio.Event().wait()
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.wait(pumps)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str, left_bytes: int | None
    ) -> bool:
        """Return whether the cut came."""
        with contextlib.suppress(OSError):
            while left_bytes != 0:
                content = await reader.read(
                    min(4096 if left_bytes is None else left_bytes, self._before_cut(direction))
                )
                if not content:
                    return False
                if self.part_seconds:
                    async with self._line:
                        await asyncio.sleep(self.part_seconds * len(content) / 4096)
                writer.write(content)
                if direction == "up":
                    self.up_bytes += len(content)
                else:
                    self.down_bytes += len(content)
                if left_bytes is not None:
                    left_bytes -= len(content)
                if direction == "up" and self.up_cuts and self.up_bytes >= self.up_cuts[0]:
                    self.up_cuts.popleft()
                    left_bytes = 0
                await writer.drain()
                if direction == "up" and self.up_bytes_per_second is not None:
                    await asyncio.sleep(len(content) / self.up_bytes_per_second)
        self.cuts_made += left_bytes == 0
        return left_bytes == 0

    def _before_cut(self, direction: str) -> int:
        """Return how many bytes may be read at once."""
        if direction == "up" and self.up_cuts:
            return max(min(self.up_cuts[0] - self.up_bytes, 4096), 1)
        return 4096


@asynccontextmanager
async def cut_proxy(target_port: int) -> AsyncIterator[CutProxy]:
    """Run a proxy; set its `cuts` when they are wanted."""
    proxy = CutProxy(target_port)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.carry(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
