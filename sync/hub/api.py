"""What boxes ask of the hub."""

from aiohttp import web

from sync import introduction
from sync.bundle.errors import BundleMalformed
from sync.bundle.layout import start_bytes
from sync.bundle.limits import FILE_MAX_BYTES
from sync.hub.body import read_body, read_json, read_start
from sync.hub.errors import RequestMalformed
from sync.hub.running import HUB
from sync.transport.http import BUNDLE_TYPE, INTRODUCTION_TYPE
from sync.transport.tus import ACK_TYPE


async def take_bundle(request: web.Request) -> web.Response:
    """POST /api/bundles: one bundle file in, one ack file out, after the commit.

    Only who has shown a signed head waits for a turn: strangers who send slowly keep no box from sending.
    """
    hub = request.app[HUB]
    if request.content_type != BUNDLE_TYPE:
        raise BundleMalformed(reason="content type")
    start = await read_start(request, hub.clock, FILE_MAX_BYTES, start_bytes)
    origin = (await hub.receiving.admit(start)).origin
    async with hub.uploads.turn(origin, request.content_length) as reading:
        content = await read_body(request, hub.clock, FILE_MAX_BYTES, start, reading.take_part)
        acknowledged = await hub.receiving.receive(content)
    return web.Response(body=acknowledged.ack, content_type=ACK_TYPE)


async def enroll(request: web.Request) -> web.Response:
    """POST /api/enroll: a code and a proof in, the hub's keys and the box's number out, signed."""
    hub = request.app[HUB]
    answer = await hub.enrolling.enroll(await read_json(request, hub.clock), request.remote or "")
    return web.json_response(answer)


async def introduce(request: web.Request) -> web.Response:
    """POST /api/introductions: a request made of a ticket, or a succession of keys, in; the signed answer out."""
    hub = request.app[HUB]
    if request.content_type != INTRODUCTION_TYPE:
        raise RequestMalformed(reason="content type")
    content = await read_body(request, hub.clock, introduction.FILE_MAX_BYTES)
    answer = await hub.enrolling.introduce(content, request.remote or "unknown")
    return web.Response(body=answer, content_type=INTRODUCTION_TYPE)


async def ping(_request: web.Request) -> web.Response:
    """GET /ping: the hub is up."""
    return web.Response(status=204)
