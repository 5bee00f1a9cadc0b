"""What a box asks about the bundles that wait for it. They are sealed and have names nobody guesses: no sign-in."""

import asyncio
import re

from aiohttp import web

from sync.bundle.errors import BundleMalformed
from sync.bundle.limits import ACK_MAX_BYTES
from sync.hub.body import read_body
from sync.hub.file_parts import NEVER_CHANGES, send_file_part
from sync.hub.running import HUB
from sync.transport.http import BUNDLE_TYPE, WAITING_MAX
from sync.transport.tus import ACK_TYPE

_NAME = re.compile(r"[0-9a-f]{32}")


async def take_ack(request: web.Request) -> web.Response:
    """POST /api/acks: what a box holds, signed by it, in; name and size of each bundle that it lacks, in order, out."""
    hub = request.app[HUB]
    if request.content_type != ACK_TYPE:
        raise BundleMalformed(reason="content type")
    box, ack = await hub.sending.find_box(await read_body(request, hub.clock, ACK_MAX_BYTES))
    origin = box.verify_key.key_id
    async with hub.uploads.place(origin):
        await hub.uploads.make_up(origin)
        await hub.sending.take_ack(box, ack)
        await hub.sending.make_due(box)
        waiting = await hub.sending.waiting(box)
    named = [[bundle.name.hex(), bundle.size_bytes] for bundle in waiting[:WAITING_MAX]]
    return web.json_response({"waiting": named})


async def send_bundle(request: web.Request) -> web.StreamResponse:
    """GET /api/bundles/<name>: a bundle or one range of it; proxies may keep it for ever."""
    hub, name = request.app[HUB], request.match_info["name"]
    if not _NAME.fullmatch(name):
        raise web.HTTPNotFound(reason="bundle")
    with hub.downloads.turn(request.remote or ""):
        file = await hub.sending.open(bytes.fromhex(name))
        if file is None:
            raise web.HTTPNotFound(reason="bundle")
        try:
            return await send_file_part(request, file, f'"{name}"', NEVER_CHANGES, BUNDLE_TYPE)
        finally:
            await asyncio.to_thread(file.close)
