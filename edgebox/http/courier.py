"""The page of couriers: bundles for the hub by phone or as one file, and the hub's answers back. Nobody signs in.

What is handed out is sealed to the hub; what is brought counts only when the hub signed it. The page may be kept by the
browser, so that it opens on the road as well.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from aiohttp import BodyPartReader, web

from content_packs.base.errors import N_, EdgeboxError
from edgebox.http import problems
from edgebox.http.body import in_time, read_body
from edgebox.http.guard import CONNECTS_TO
from edgebox.http.render import page, page_words
from edgebox.http.staff import problem_text
from edgebox.http.wording import language_of, words
from edgebox.keys import BOX, Box
from edgebox.services.receiving import HubForked
from edgebox.services.uploading import NOT_AN_ACK
from edgebox.store.changes import Made
from sync.bundle.limits import ACK_MAX_BYTES
from sync.transport import archive, folder
from sync.transport.archive import ArchiveReader, Begun, Whole
from sync.transport.http import BUNDLE_TYPE
from sync.transport.tus import ACK_TYPE

FILE_MAX_BYTES = 256 << 20
FILE_SECONDS = 900.0
# Acks and bundles for this box: what waits for months of absence; a stranger's file may have any number.
ANSWERS_MAX = 1_000
WRITE_SECONDS = 60.0
CHUNK_BYTES = 64 * 1024
_KEPT_SECONDS = 7 * 86_400
_HUB_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-]+(:[0-9]+)?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]+)?")

_WORDS = {
    "nothing": N_("Nothing waits here: the hub has everything."),
    "away": N_("Nothing is on this phone. Open this page in the Wi-Fi of the school's box."),
    "making": N_("The box is packing what waits. Stay near it."),
    "aboard": N_("On this phone for the hub: {count} ({size}). You can go; leave this page open."),
    "delivered": N_("Arrived at the hub: {delivered}. Bring this phone back to the school, and open this page there."),
    "handed": N_("The box has the receipts now. Thank you!"),
    "full": N_("This phone has no more room: not everything fits on it."),
    "refused": N_("The hub did not take {refused} of them. Tell the school."),
    "unable": N_("This browser cannot keep anything. Carry the file instead."),
}


async def show(request: web.Request) -> web.StreamResponse:
    """Show the page."""
    response = await _page(request)
    if await request.app[BOX].carrying.find_hub_url() is not None:
        response.headers["Cache-Control"] = f"private, max-age={_KEPT_SECONDS}"
    return response


async def list_bundles(request: web.Request) -> web.Response:
    """Answer with the names and sizes of what waits, and where it goes."""
    load = await request.app[BOX].carrying.load()
    listed = [[folder.bundle_name(made.epoch, made.seq), made.size_bytes] for made in load.bundles]
    found = {"box": load.box_id.hex(), "hub": load.hub_url, "bundles": listed, "is_making": load.is_making}
    return web.Response(body=json.dumps(found).encode(), content_type="application/json")


async def send_bundle(request: web.Request) -> web.StreamResponse:
    """Send one bundle that waits."""
    found = await request.app[BOX].carrying.find(request.match_info["name"])
    if found is None:
        raise problems.NotFound
    made, path = found
    response = web.StreamResponse(headers={"Content-Type": BUNDLE_TYPE})
    response.content_length = made.size_bytes
    await response.prepare(request)
    if request.method != "HEAD":
        await _copy(response, path, made.size_bytes)
    return response


async def send_archive(request: web.Request) -> web.StreamResponse:
    """Send all that waits as one file, laid out like the folder on a stick."""
    carrying = request.app[BOX].carrying
    load = await carrying.load()
    names = [folder.bundle_name(made.epoch, made.seq) for made in load.bundles]
    found = [entry for name in names if (entry := await carrying.find(name)) is not None]
    word = await carrying.find_word()
    response = web.StreamResponse(headers={"Content-Type": archive.MEDIA_TYPE})
    response.headers["Content-Disposition"] = f'attachment; filename="edgebox-{load.box_id.hex()[:12]}.tar"'
    sizes = [made.size_bytes for made, _path in found] + ([len(word[1])] if word else [])
    response.content_length = archive.archive_bytes(sizes)
    await response.prepare(request)
    if request.method != "HEAD":
        if word is not None:
            await response.write(archive.member(*word))
        await _write_archive(response, load.box_id, found)
    return response


async def take_answer(request: web.Request) -> web.Response:
    """Take one receipt of the hub."""
    if request.content_type != ACK_TYPE:
        raise problems.BodyMalformed(reason="content type")
    await request.app[BOX].carrying.take(await read_body(request, ACK_MAX_BYTES))
    return web.Response(status=204)


async def take_file(request: web.Request) -> web.StreamResponse:
    """Take the file that the hub gave a courier; whatever in it is not for this box is passed over."""
    try:
        async with asyncio.timeout(FILE_SECONDS):
            taken = await _take_all(request)
    except TimeoutError:
        return await _page(request, problems.BodyTooSlow())
    except EdgeboxError as error:
        return await _page(request, error)
    text = N_("The box has the receipts now. Thank you!")
    if not taken:
        text = N_("There was nothing in this file for this box.")
    return await _page(request, done=str(page_words(request).gettext(text)))


async def _page(request: web.Request, error: EdgeboxError | None = None, done: str = "") -> web.Response:
    hub_url = await request.app[BOX].carrying.find_hub_url()
    if hub_url is not None and (origin := _HUB_ORIGIN.match(hub_url)) is not None:
        request[CONNECTS_TO] = origin[0]
    return page(
        request,
        "courier.html",
        status=error.status if error else 200,
        problem=problem_text(request, error) if error else "",
        done=done,
        hub_url=hub_url,
        island_strings=_courier_words(language_of(request)),
    )


@cache
def _courier_words(language: str) -> dict[str, str]:
    """Return the ready words by the names that the script knows them by."""
    translate = words(language).gettext
    return {name: translate(message) for name, message in _WORDS.items()}


async def _take_all(request: web.Request) -> int:
    """Return how many answers for this box were in the file, or were the file."""
    box = request.app[BOX]
    ours = PurePosixPath(folder.INBOX.as_posix(), box.identity.box_id.hex())
    reader, taken = ArchiveReader(), 0
    async for found in _read_archive(request, reader):
        if isinstance(found, Begun):
            reader.keep = taken < ANSWERS_MAX and await _is_wanted(box, ours, found)
            continue
        is_down = folder.bundle_numbers(PurePosixPath(found.name).name) is not None
        try:
            await (box.carrying.take_down if is_down else box.carrying.take)(found.content)
        except (*NOT_AN_ACK, HubForked):
            continue
        taken += 1
    return taken


async def _is_wanted(box: Box, ours: PurePosixPath, found: Begun) -> bool:
    """Return whether a file is an ack, or its start that of a bundle which the hub made for this box."""
    size_bytes = len(found.start) if found.size_bytes is None else found.size_bytes
    if not found.name or _is_ack_in(ours, found.name):
        return size_bytes <= ACK_MAX_BYTES
    place = PurePosixPath(found.name)
    if place.parent != ours or folder.bundle_numbers(place.name) is None:
        return False
    try:
        await box.carrying.admit_down(found.start, size_bytes)
    except EdgeboxError:
        return False
    return True


def _is_ack_in(ours: PurePosixPath, name: str) -> bool:
    place = PurePosixPath(name)
    return place.parent == ours and folder.ack_epoch(place.name) is not None


async def _read_archive(request: web.Request, reader: ArchiveReader) -> AsyncIterator[Begun | Whole]:
    async for chunk in _file_chunks(request):
        for found in reader.feed(chunk):
            yield found
    for found in reader.finish():
        yield found


async def _file_chunks(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the content of the form's file."""
    if request.content_type != "multipart/form-data":
        raise problems.BodyMalformed(reason="form")
    left_bytes = FILE_MAX_BYTES
    try:
        part = await in_time((await request.multipart()).next())
        if not isinstance(part, BodyPartReader) or part.name != "file":
            raise problems.BodyMalformed(reason="form")
        while chunk := await in_time(part.read_chunk(CHUNK_BYTES)):
            left_bytes -= len(chunk)
            if left_bytes < 0:
                raise problems.BodyTooLarge(limit_bytes=FILE_MAX_BYTES)
            yield chunk
    except ValueError as error:
        raise problems.BodyMalformed(reason="form") from error


async def _write_archive(response: web.StreamResponse, box_id: bytes, found: list[tuple[Made, Path]]) -> None:
    for made, path in found:
        place = PurePosixPath(folder.bundle_place(box_id, made.epoch, made.seq).as_posix())
        await response.write(archive.member_header(place, made.size_bytes))
        await _copy(response, path, made.size_bytes)
        await response.write(archive.padding(made.size_bytes))
    await response.write(archive.END)


async def _copy(response: web.StreamResponse, path: Path, size_bytes: int) -> None:
    """Send a file piece by piece; whoever stops reading is dropped."""
    file: BinaryIO = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            size_bytes -= len(chunk)
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(chunk)
    finally:
        await asyncio.to_thread(file.close)
    if size_bytes:
        raise ConnectionResetError  # the receiver sees that bytes are missing, and asks again
