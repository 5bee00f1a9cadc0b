"""The page for couriers: a file of bundles in, a file of answers out. Nobody signs in: bundles are signed."""

import asyncio
import re
from pathlib import Path, PurePosixPath

from aiohttp import web

from sync.hub.body import read_files
from sync.hub.errors import RequestMalformed
from sync.hub.render import render_for
from sync.hub.running import HUB
from sync.hub.sending import Sending
from sync.hub.sticks import Taken
from sync.transport import archive, folder

UPLOAD_MAX_BYTES = 1 << 30
ANSWERS_MAX = 100
DOWN_MAX_BYTES = 64 << 20
WRITE_SECONDS = 600.0
_FOR = re.compile(r"([0-9a-f]{32})-(0|[1-9][0-9]{0,15})")


async def show(request: web.Request) -> web.StreamResponse:
    """GET /carry: where to give the file."""
    return render_for(request, "carry.html", taken=None, answers="")


async def take(request: web.Request) -> web.StreamResponse:
    """POST /carry: take the bundles of the files, and say where the answers are."""
    hub, taken = request.app[HUB], Taken()
    async for name, chunks in read_files(request, hub.clock, UPLOAD_MAX_BYTES):
        await hub.carried.take(name, chunks, taken)
    silent = taken.origins - {origin for origin, _epoch in taken.acks}
    places = [*sorted(taken.acks), *((origin, 0) for origin in sorted(silent))]
    asked = [f"for={origin.hex()}-{epoch}" for origin, epoch in places[:ANSWERS_MAX]]
    return render_for(request, "carry.html", taken=taken, boxes=len(taken.origins), answers="&".join(asked))


async def send_answers(request: web.Request) -> web.StreamResponse:
    """GET /carry/answers.tar?for=<box>-<epoch>: what the hub has for these boxes, laid out like a stick's folder."""
    asked = [_FOR.fullmatch(value) for value in request.query.getall("for", [])]
    if not 0 < len(asked) <= ANSWERS_MAX:
        raise RequestMalformed(reason="for")
    places = [(bytes.fromhex(found[1]), int(found[2])) for found in asked if found is not None]
    if len(places) < len(asked):
        raise RequestMalformed(reason="for")
    hub = request.app[HUB]
    response = web.StreamResponse(headers={"Content-Type": archive.MEDIA_TYPE})
    response.headers["Content-Disposition"] = 'attachment; filename="edgebox-answers.tar"'
    with hub.downloads.turn(request.remote or ""):
        await response.prepare(request)
        for origin, epoch in places:
            acknowledged = await hub.receiving.acknowledge(origin, epoch)
            if acknowledged is not None:
                await _write(response, folder.ack_place(origin, epoch), acknowledged.ack)
        for origin in dict.fromkeys(origin for origin, _epoch in places):
            await _write_waiting(response, hub.sending, origin)
        await response.write(archive.END)
    return response


async def _write_waiting(response: web.StreamResponse, sending: Sending, origin: bytes) -> None:
    """Write the bundles that wait for a box, as many as a courier is given at once."""
    box = await sending.find_box_of(origin)
    if box is None:
        return
    await sending.make_due(box)
    left_bytes = DOWN_MAX_BYTES
    for bundle in await sending.waiting(box):
        left_bytes -= bundle.size_bytes
        if left_bytes < 0:
            return
        content = await sending.read(bundle)
        if content is not None:
            await _write(response, folder.down_place(origin, bundle.epoch, bundle.seq), content)


async def _write(response: web.StreamResponse, place: Path, content: bytes) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(archive.member(PurePosixPath(place.as_posix()), content))


async def allow_courier(_request: web.Request) -> web.Response:
    """OPTIONS /api/bundles: a courier's page is a page of a box, and may send bundles and read the answers.

    Cookies play no part here: a bundle is taken for its signature, whoever brings it.
    """
    headers = {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Content-Type",
        "Access-Control-Max-Age": "86400",
    }
    return web.Response(status=204, headers=headers)
