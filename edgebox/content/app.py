"""Composition of the content origin: it needs settings only, so it can be a process of its own."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web, web_response

from content_packs.base import sockets
from content_packs.base.starting import folder_errors
from edgebox.content.blobs import Blobs
from edgebox.content.depot import Depot
from edgebox.content.packs import InstalledPacks
from edgebox.content.server import ContentServer
from edgebox.settings import Settings

KEEPALIVE_SECONDS = 20.0
# What aiohttp cannot parse it answers by itself, without our headers; it need not say which version it is.
web_response.SERVER_SOFTWARE = "edgebox"  # type: ignore[attr-defined]


@asynccontextmanager
async def serving_content(settings: Settings, listener: socket.socket) -> AsyncIterator[None]:
    """Serve the installed packs on a socket from `sockets.listen`, to be embedded by the pages on `settings.port`."""
    blobs = Blobs(settings.data)
    packs = InstalledPacks(settings.packs, on_change=blobs.close_idle)
    depot = Depot(packs, settings.packs)
    server = ContentServer(packs, blobs, depot, settings.hostnames, settings.port)
    http = web.Server(server.handle, keepalive_timeout=KEEPALIVE_SECONDS, access_log=None)
    sockets.cap_connections(http)
    runner = web.ServerRunner(http, shutdown_timeout=1.0)
    await runner.setup()
    try:
        with folder_errors(settings.data):
            await packs.look()
        await web.SockSite(runner, listener, backlog=sockets.BACKLOG).start()
        yield
    finally:
        await runner.cleanup()
        await packs.close()
        blobs.close()
