"""What the hub's own commands ask of the hub that runs, over a socket only the hub's user may open."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from sync.hub.body import read_json
from sync.hub.letter import LETTER_MAX_BYTES
from sync.hub.operations import OPERATIONS
from sync.hub.running import HUB

SOCKET_NAME = "hub.sock"


async def operate(request: web.Request) -> web.Response:
    """POST /control/{name}: do what a command asks, with its arguments as JSON."""
    hub = request.app[HUB]
    operation = OPERATIONS.get(request.match_info["name"])
    if operation is None:
        raise web.HTTPNotFound
    return web.json_response(await operation(hub, await read_json(request, hub.clock, 2 * LETTER_MAX_BYTES)))


@contextmanager
def short_address(data: Path) -> Iterator[str]:
    """Yield an address of the socket in `data`; one holds 107 bytes at most, and a folder may be deeper than that."""
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)
