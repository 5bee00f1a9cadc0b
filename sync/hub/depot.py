"""What boxes fetch from the hub: plain files of the depot folder, in whole or in part. No link is followed.

Nothing here is secret and nothing is verified: packs and patches are signed, and boxes check them.
"""

import asyncio
import os
from pathlib import Path
from typing import BinaryIO

from aiohttp import web

from content_packs.fetch.names import blob_hash_in, is_depot_name
from content_packs.fetch.offers import INDEX_NAME, PACKS_MAX, Offered, write_index
from content_packs.format import layout
from content_packs.format.errors import StickGone
from content_packs.usb.stick import NotPlain, StickFolder
from sync.hub.file_parts import MAY_CHANGE, NEVER_CHANGES, PLAIN, send_file_part
from sync.hub.running import HUB


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
                return web.Response(body=write_index(listed), content_type=PLAIN)
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
    blob_hash = blob_hash_in(name)
    if blob_hash:
        return await send_file_part(request, file, f'"{blob_hash}"', NEVER_CHANGES)
    status = os.fstat(file.fileno())
    etag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
    return await send_file_part(request, file, etag, MAY_CHANGE)
