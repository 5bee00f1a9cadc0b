"""Statements with the files they name: multipart/mixed, in and out (1.0.3 part 3, 1.5.2; 2.0, 4.1.3).

What comes is written to the disk part by part, so its size takes no memory; what goes is read from there the same way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

from content_packs.base import ids
from edgebox.domain.xapi.places import hashes_of
from edgebox.domain.xapi.values import StatementMalformed, check_content_type
from edgebox.http import problems
from edgebox.http.body import in_time
from edgebox.http.xapi.call import JSON_TYPE, REQUEST_MAX_BYTES
from edgebox.keys import BOX
from edgebox.services.attachments import Part, Writing

T = TypeVar("T")

TYPE = "multipart/mixed"
FILES_MAX_BYTES = 20 * 1024 * 1024
FILES_MAX = 100
TOTAL_SECONDS = 600.0  # 20 MB at 35 kB a second
_HASH_HEADER = "X-Experience-API-Hash"
_ENCODING_HEADER = "Content-Transfer-Encoding"
_CHUNK_BYTES = 64 * 1024


def size_of(request: web.Request) -> int:
    """Return how large a request may get.

    Raises:
        BodyTooLarge: more than is taken, by its header.
    """
    size_bytes = FILES_MAX_BYTES if request.content_length is None else request.content_length
    if size_bytes > FILES_MAX_BYTES:
        raise problems.BodyTooLarge(limit_bytes=FILES_MAX_BYTES)
    return size_bytes


async def receive(request: web.Request, folder: Path) -> tuple[bytes, list[Part]]:
    """Return the JSON of the first part, after all others were written into the folder.

    Raises:
        StatementMalformed: a part is not what it must be.
        BodyTooLarge, BodyMalformed
        BodyTooSlow: nothing arrived for 15 seconds, or not everything within ten minutes.
    """
    try:
        return await _receive(request, folder, asyncio.get_running_loop().time() + TOTAL_SECONDS)
    except (ValueError, HttpProcessingError, web.RequestPayloadError) as error:
        raise problems.BodyMalformed(reason="multipart") from error


async def _receive(request: web.Request, folder: Path, end_seconds: float) -> tuple[bytes, list[Part]]:
    reader = await request.multipart()
    first = await _read(reader.next, end_seconds)
    if not isinstance(first, BodyPartReader) or _type_of(first) != JSON_TYPE:
        raise StatementMalformed(where="body", reason=f"the first part is not {JSON_TYPE}")
    body = b"".join([chunk async for chunk in _chunks(first, REQUEST_MAX_BYTES, end_seconds)])
    parts: list[Part] = []
    while (part := await _read(reader.next, end_seconds)) is not None:
        if not isinstance(part, BodyPartReader) or len(parts) >= FILES_MAX:
            raise StatementMalformed(where="body", reason="too many parts")
        left_bytes = FILES_MAX_BYTES - sum(known.size_bytes for known in parts)
        parts.append(await _write(part, folder, left_bytes, end_seconds))
    return body, parts


async def _write(part: BodyPartReader, folder: Path, limit_bytes: int, end_seconds: float) -> Part:
    if part.headers.get(_ENCODING_HEADER, "").strip().lower() != "binary":
        raise StatementMalformed(where=_ENCODING_HEADER, reason="not binary")
    content_type = part.headers.get("Content-Type", "application/octet-stream")
    check_content_type(content_type, "Content-Type")
    try:
        writing = await asyncio.to_thread(Writing, folder, part.headers.get(_HASH_HEADER, "").strip(), content_type)
    except ValueError as error:
        raise StatementMalformed(where=_HASH_HEADER, reason="not a SHA-2 hash") from error
    try:
        async for chunk in _chunks(part, limit_bytes, end_seconds):
            await asyncio.to_thread(writing.write, chunk)
        return await asyncio.to_thread(writing.finish)
    finally:
        await asyncio.to_thread(writing.close)


async def _chunks(part: BodyPartReader, limit_bytes: int, end_seconds: float) -> Any:
    left_bytes = limit_bytes
    while chunk := await _read(partial(part.read_chunk, _CHUNK_BYTES), end_seconds):
        left_bytes -= len(chunk)
        if left_bytes < 0:
            raise problems.BodyTooLarge(limit_bytes=limit_bytes)
        yield chunk


async def _read(reading: Callable[[], Awaitable[T]], end_seconds: float) -> T:
    """Return what comes next. Only the waiting is ever broken off: a thread that writes to the disk ends by itself."""
    left_seconds = end_seconds - asyncio.get_running_loop().time()
    if left_seconds <= 0:
        raise problems.BodyTooSlow
    try:
        async with asyncio.timeout(left_seconds):
            return await in_time(reading())
    except TimeoutError as error:
        raise problems.BodyTooSlow from error


def _type_of(part: BodyPartReader) -> str:
    return str(part.headers.get("Content-Type", "")).partition(";")[0].strip().lower()


async def send(
    request: web.Request, body: bytes, statements: Iterable[dict[str, Any]], headers: dict[str, str]
) -> web.StreamResponse:
    """Answer with JSON and then the files that came with the statements."""
    files = request.app[BOX].record_store.files
    found = await files.find({ids.parse_uuid(one["id"]): hashes_of(one) for one in statements})
    boundary = ids.new_token()
    response = web.StreamResponse(headers={**headers, "Content-Type": f"{TYPE}; boundary={boundary}"})
    # A browser that is led here must not run what a client has sent.
    response.headers["Content-Disposition"] = "attachment"
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    await response.write(_head(boundary, {"Content-Type": JSON_TYPE}) + body)
    for attachment in found:
        named = {
            "Content-Type": attachment.content_type,
            _ENCODING_HEADER: "binary",
            _HASH_HEADER: attachment.sha2,
        }
        await response.write(_head(boundary, named))
        await _send_file(response, files.path_of(attachment.sha2))
    await response.write(f"\r\n--{boundary}--\r\n".encode())
    await response.write_eof()
    return response


async def _send_file(response: web.StreamResponse, path: Path) -> None:
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            await response.write(chunk)


def _head(boundary: str, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"\r\n--{boundary}\r\n{lines}\r\n".encode()
