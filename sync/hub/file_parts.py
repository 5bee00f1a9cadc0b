"""A file, or one range of it, as an answer that proxies may keep and that a box can go on with at the byte."""

import asyncio
import os
from typing import BinaryIO

from aiohttp import web

from content_packs.base.byte_range import RangeUnsatisfiable, parse_range

CHUNK_BYTES = 64 * 1024
WRITE_SECONDS = 60.0
PLAIN = "application/octet-stream"
NEVER_CHANGES = "public, max-age=31536000, immutable"
MAY_CHANGE = "no-cache"


async def send_file_part(
    request: web.Request, file: BinaryIO, etag: str, cache_control: str, media_type: str = PLAIN
) -> web.StreamResponse:
    """Answer with what Range, If-Range and If-None-Match (RFC 9110) ask for; one who stops reading is dropped."""
    size_bytes = os.fstat(file.fileno()).st_size
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": cache_control, "Content-Type": media_type}
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    code, start, length = 200, 0, size_bytes
    if request.headers.get("If-Range", etag) == etag:
        try:
            wanted = parse_range(request.headers.get("Range", ""), size_bytes)
        except RangeUnsatisfiable:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{size_bytes}"})
        if wanted is not None:
            code, (start, length) = 206, wanted
            headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size_bytes}"
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
