"""The parts of a form with a file (`multipart/form-data`), read as they come and each against a limit."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import BodyPartReader, web

from edgebox.http import problems
from edgebox.http.body import PROGRESS_SECONDS
from edgebox.keys import SESSION

CHUNK_BYTES = 256 * 1024


def check_csrf(request: web.Request, fields: dict[str, str]) -> None:
    """Return if a form repeats the session's `csrf`, so that a strange page is refused before anything is written.

    Raises:
        OriginRefused
    """
    if fields.get("csrf") != request[SESSION].csrf:
        raise problems.OriginRefused


async def read_part(part: BodyPartReader, limit_bytes: int) -> str:
    """Return a field.

    Raises:
        BodyTooLarge, BodyTooSlow, BodyMalformed.
    """
    content = b""
    async for chunk in chunks_of(part, limit_bytes):
        content += chunk
        if len(content) > limit_bytes:
            raise problems.BodyTooLarge(limit_bytes=limit_bytes)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise problems.BodyMalformed(reason="form") from error


async def chunks_of(part: BodyPartReader, chunk_bytes: int = CHUNK_BYTES) -> AsyncIterator[bytes]:
    """Yield a part as it comes.

    Raises:
        BodyTooSlow: nothing came for 15 seconds; BodyMalformed: it broke off.
    """
    while chunk := await in_time(part.read_chunk(chunk_bytes)):
        yield chunk


async def in_time(reading: Any) -> Any:
    """Wait for a part, or more of one. Raises like `chunks_of`."""
    try:
        async with asyncio.timeout(PROGRESS_SECONDS):
            return await reading
    except TimeoutError as error:
        raise problems.BodyTooSlow from error
    except (web.RequestPayloadError, ValueError) as error:
        raise problems.BodyMalformed(reason="form") from error
