"""A server of a depot's files in the test's own loop, that tells what it was asked and misbehaves on demand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web


@dataclass
class DepotServer:
    """One running server.

    Attributes:
        asked: the names, in order.
        sent_bytes: of bodies.
        stalls_at: of this file, half is sent and then nothing.
        stalled: set when that has happened.
        closing: set when the server ends.
        page: a web page that is the answer to everything.
        changed: other contents of some files.
    """

    folder: Path
    address: str = ""
    asked: list[str] = field(default_factory=list)
    sent_bytes: int = 0
    stalls_at: str = ""
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    page: str = ""
    changed: dict[str, bytes] = field(default_factory=dict)

    def asked_again(self) -> list[str]:
        """Return what was asked since the last time."""
        asked, self.asked = self.asked, []
        return asked

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        name = request.match_info["name"]
        self.asked.append(name)
        if self.page:
            return web.Response(text=self.page, content_type="text/html")
        try:
            content = self.changed[name] if name in self.changed else await asyncio.to_thread(self._read, name)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return web.Response(status=404)
        if name == self.stalls_at:
            return await self._stall(request, content)
        self.sent_bytes += len(content)
        return web.Response(body=content)

    def _read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    async def _stall(self, request: web.Request, content: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        self.stalled.set()
        await self.closing.wait()
        return response


@asynccontextmanager
async def serving_depot(folder: Path) -> AsyncIterator[DepotServer]:
    """Serve a folder on loopback."""
    server = DepotServer(folder)
    app = web.Application()
    app.router.add_get("/{name:.+}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.closing.set()
        await runner.cleanup()
