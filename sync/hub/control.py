"""What the hub's own commands ask of the hub that runs, over a socket only the hub's user may open."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from sync.hub.body import read_json
from sync.hub.letter import LETTER_MAX_BYTES
from sync.hub.running import HUB
from sync.hub.sticks import exchange_stick
from sync.hub.sticks_down import fill_stick

SOCKET_NAME = "hub.sock"


async def make_code(request: web.Request) -> web.Response:
    """POST /control/enroll: a new enrolment code."""
    hub = request.app[HUB]
    asked = await read_json(request, hub.clock)
    return web.json_response({"code": await hub.enrolling.make_code(str(asked["school"]))})


async def make_admin_code(request: web.Request) -> web.Response:
    """POST /control/admin: a new one-time code for the operator."""
    return web.json_response({"code": await request.app[HUB].admin.make_code()})


async def announce(request: web.Request) -> web.Response:
    """POST /control/message: say something to the staff of a school."""
    hub = request.app[HUB]
    asked = await read_json(request, hub.clock)
    await hub.posting.send_message(str(asked["text"]), str(asked["school"]), int(asked["days"]))
    return web.json_response({"school": asked["school"]})


async def take_stick(request: web.Request) -> web.Response:
    """POST /control/import: take the bundles on a stick, and leave acks and bundles for its boxes on it."""
    hub = request.app[HUB]
    asked = await read_json(request, hub.clock)
    root = Path(asked["folder"])
    taken = await exchange_stick(hub.receiving, root)
    return web.json_response(taken | {"put": await fill_stick(hub.sending, root)})


async def send_letter(request: web.Request) -> web.Response:
    """POST /control/send: write what an operator sends to a school, or to all."""
    hub = request.app[HUB]
    asked = await read_json(request, hub.clock, 2 * LETTER_MAX_BYTES)
    return web.json_response({"lines": await hub.posting.send(str(asked["text"]), asked["school"])})


@contextmanager
def short_address(data: Path) -> Iterator[str]:
    """Yield an address of the socket in `data`; one holds 107 bytes at most, and a folder may be deeper than that."""
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)
