"""What boxes fetch from the hub: plain files of the depot folder, in whole or in part. No link is followed.

Nothing here is secret and nothing is verified: packs and patches are signed, and boxes check them.
"""

import asyncio
import os
from pathlib import Path
from typing import BinaryIO

from aiohttp import web

from content_packs.base.byte_range import RangeUnsatisfiable, parse_range
from content_packs.fetch.names import blob_hash_in, is_depot_name
from content_packs.fetch.offers import INDEX_NAME, PACKS_MAX, Offered, write_index
from content_packs.format import layout
from content_packs.format.errors import StickGone
from content_packs.usb.stick import NotPlain, StickFolder
from sync.hub.running import HUB

CHUNK_BYTES = 64 * 1024
WRITE_SECONDS = 60.0
_PLAIN = "application/octet-stream"
_NEVER_CHANGES = "public, max-age=31536000, immutable"
_MAY_CHANGE = "no-cache"


async def send_file(request: web.Request) -> web.StreamResponse:
    """GET /depot/...: a file or one range of it.

    A box that stops reading is dropped; and so many are served at once that the rest of the hub goes on.
    """
    hub = request.app[HUB]
    name = request.match_info["name"]
    if not is_depot_name(name):
        raise web.HTTPNotFound(reason="depot")
    folder = hub.settings.depot_folder
    with hub.downloads.turn(request.remote or ""):
        try:
            file = await asyncio.to_thread(_open, folder, name)
        except (OSError, NotPlain, StickGone) as error:
            if name == INDEX_NAME and (listed := await asyncio.to_thread(_list_packs, folder)):
                return web.Response(body=write_index(listed), content_type=_PLAIN)
            raise web.HTTPNotFound(reason="depot") from error
        try:
            return await _send(request, name, file)
        finally:
            await asyncio.to_thread(file.close)


def _open(folder: Path, name: str) -> BinaryIO:
    with StickFolder(folder) as depot:
        return depot.open(name)


def _list_packs(folder: Path) -> list[Offered]:
    """Return the packs in the depot, by the names of its folders."""
    found = []
    for manifest in sorted((folder / layout.PACKS_NAME).glob(f"*/*/{layout.MANIFEST_NAME}")):
        pack, version = manifest.parent.parent.name, manifest.parent.name
        if layout.parse_installed_name(f"{pack}@{version}.ebm"):
            found.append(Offered(pack, int(version)))
    return found[:PACKS_MAX]


async def _send(request: web.Request, name: str, file: BinaryIO) -> web.StreamResponse:
    status = os.fstat(file.fileno())
    blob_hash = blob_hash_in(name)
    etag = f'"{blob_hash}"' if blob_hash else f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": _NEVER_CHANGES if blob_hash else _MAY_CHANGE,
        "Content-Type": _PLAIN,
    }
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    code, start, length = 200, 0, status.st_size
    if request.headers.get("If-Range", etag) == etag:
        try:
            wanted = parse_range(request.headers.get("Range", ""), status.st_size)
        except RangeUnsatisfiable:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{status.st_size}"})
        if wanted is not None:
            code, (start, length) = 206, wanted
            headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{status.st_size}"
    response = web.StreamResponse(status=code, headers=headers)
    response.content_length = length
    await response.prepare(request)
    await _copy(response, file, start, length)
    return response


async def _copy(response: web.StreamResponse, file: BinaryIO, start: int, length: int) -> None:
    stop = start + length
    while start < stop:
        chunk = await asyncio.to_thread(os.pread, file.fileno(), min(CHUNK_BYTES, stop - start), start)
        if not chunk:
            # The file became shorter: the box sees that bytes are missing, and asks again.
            raise ConnectionResetError
        async with asyncio.timeout(WRITE_SECONDS):
            await response.write(chunk)
        start += len(chunk)
