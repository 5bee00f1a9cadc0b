"""The parts of a form with a file (`multipart/form-data`), read as they come and each against a limit."""

from collections.abc import AsyncIterator, Awaitable
from math import inf
from typing import TypeVar

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import BadHttpMessage

from edgebox.http import problems
from edgebox.http.body import in_time
from edgebox.keys import SESSION

T = TypeVar("T")

CHUNK_BYTES = 256 * 1024


def check_csrf(request: web.Request, fields: dict[str, str]) -> None:
    """Return if a form repeats the session's `csrf`, so that a strange page is refused before anything is written.

    Raises:
        OriginRefused
    """
    if fields.get("csrf") != request[SESSION].csrf:
        raise problems.OriginRefused


async def read_part(part: BodyPartReader, limit_bytes: int, until_seconds: float = inf) -> str:
    """Return a field.

    Raises:
        BodyTooLarge, BodyTooSlow, BodyMalformed.
    """
    content = b""
    async for chunk in chunks_of(part, limit_bytes, until_seconds):
        content += chunk
        if len(content) > limit_bytes:
            raise problems.BodyTooLarge(limit_bytes=limit_bytes)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise problems.BodyMalformed(reason="form") from error


async def chunks_of(
    part: BodyPartReader, chunk_bytes: int = CHUNK_BYTES, until_seconds: float = inf
) -> AsyncIterator[bytes]:
    """Yield a part as it comes.

    Raises:
        BodyTooSlow: nothing came for 15 seconds, or not all by the loop's clock in time; BodyMalformed: it broke off.
    """
    while chunk := await wait_for_part(part.read_chunk(chunk_bytes), until_seconds):
        yield chunk


async def wait_for_part(reading: Awaitable[T], until_seconds: float = inf) -> T:
    """Wait for a part, or more of one. Raises like `chunks_of`."""
    try:
        return await in_time(reading, until_seconds)
    except (web.RequestPayloadError, BadHttpMessage, ValueError) as error:
        raise problems.BodyMalformed(reason="form") from error
