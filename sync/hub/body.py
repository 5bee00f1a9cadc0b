"""Read a request's body against a size and a pace, so that a slow or endless client holds nothing for long."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, web

from content_packs.base.clock import Clock
from sync.hub.errors import RequestMalformed, RequestTooLarge, RequestTooSlow

SMALL_MAX_BYTES = 16 * 1024
FILES_MAX = 100
CHUNK_BYTES = 64 * 1024
SILENCE_SECONDS = 30.0
GRACE_MS = 30_000
PACE_BYTES_PER_SECOND = 500


async def _go_on(_size_bytes: int) -> None:
    return None


async def read_start(request: web.Request, clock: Clock, max_bytes: int, start_bytes: Callable[[bytes], int]) -> bytes:
    """Return the start of the body: as much as `start_bytes` asks for, seeing what is there, or all of a shorter one.

    Of a body that broke off it is what came, if that is enough; reading on says that it broke.

    Raises:
        RequestTooLarge, RequestTooSlow, RequestMalformed: like `read_body`.
    """
    _check_length(request, max_bytes)
    start, start_ms = b"", clock.monotonic_ms()
    while len(start) < start_bytes(start) and (part := await _next_or_last(request)):
        start += part
        _check_pace(len(start), clock.monotonic_ms() - start_ms)
    return start


async def read_body(
    request: web.Request,
    clock: Clock,
    max_bytes: int,
    start: bytes = b"",
    take_part: Callable[[int], Awaitable[None]] = _go_on,
) -> bytes:
    """Return the whole body, of which `start` was read before; `take_part` hears of every part's length.

    Raises:
        RequestTooLarge: over `max_bytes`, announced or not.
        RequestTooSlow: silent for too long, or slower than 500 bytes a second after the first half minute.
        RequestMalformed: not encoded as its header says.
    """
    _check_length(request, max_bytes)
    parts = [start]
    total_bytes, start_ms = len(start), clock.monotonic_ms()
    while part := await _next_part(request):
        parts.append(part)
        total_bytes += len(part)
        if total_bytes > max_bytes:
            raise RequestTooLarge(limit_bytes=max_bytes)
        _check_pace(total_bytes, clock.monotonic_ms() - start_ms)
        await take_part(len(part))
    return b"".join(parts)


async def read_json(request: web.Request, clock: Clock, max_bytes: int = SMALL_MAX_BYTES) -> dict[str, Any]:
    """Return a JSON object, a small one unless told otherwise.

    Raises:
        RequestMalformed: it is not one.
    """
    if request.content_type != "application/json":
        raise RequestMalformed(reason="content type")
    try:
        found = json.loads(await read_body(request, clock, max_bytes))
    except (ValueError, RecursionError) as error:
        raise RequestMalformed(reason="JSON") from error
    if not isinstance(found, dict):
        raise RequestMalformed(reason="JSON")
    return found


async def read_form(request: web.Request, clock: Clock) -> dict[str, str]:
    """Return the fields of a small form, the first of each name."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise RequestMalformed(reason="content type")
    body = await read_body(request, clock, SMALL_MAX_BYTES)
    try:
        pairs = parse_qsl(body.decode(), max_num_fields=20)
    except ValueError as error:
        raise RequestMalformed(reason="form") from error
    return dict(reversed(pairs))


async def read_files(
    request: web.Request, clock: Clock, max_bytes: int
) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
    """Yield the files of a form with the names they have, each with its content as it arrives.

    Raises:
        RequestTooLarge, RequestTooSlow, RequestMalformed: like `read_body`; at most 100 files.
    """
    if request.content_type != "multipart/form-data":
        raise RequestMalformed(reason="content type")
    _check_length(request, max_bytes)
    pace = _Pace(clock, max_bytes)
    try:
        reader = await request.multipart()
        for _ in range(FILES_MAX):
            part = await _in_time(reader.next())
            if part is None:
                return
            if not isinstance(part, BodyPartReader):
                raise RequestMalformed(reason="form")
            yield part.filename or "", pace.chunks(part)
    except ValueError as error:
        raise RequestMalformed(reason="form") from error


class _Pace:
    """How much of a form has arrived, and how fast."""

    def __init__(self, clock: Clock, max_bytes: int) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._start_ms = clock.monotonic_ms()
        self._total_bytes = 0

    async def chunks(self, part: BodyPartReader) -> AsyncIterator[bytes]:
        while chunk := await _in_time(part.read_chunk(CHUNK_BYTES)):
            self._total_bytes += len(chunk)
            if self._total_bytes > self._max_bytes:
                raise RequestTooLarge(limit_bytes=self._max_bytes)
            _check_pace(self._total_bytes, self._clock.monotonic_ms() - self._start_ms)
            yield chunk


def _check_length(request: web.Request, max_bytes: int) -> None:
    if (request.content_length or 0) > max_bytes:
        raise RequestTooLarge(limit_bytes=max_bytes)


def _check_pace(total_bytes: int, took_ms: int) -> None:
    if total_bytes * 1000 < (took_ms - GRACE_MS) * PACE_BYTES_PER_SECOND:
        raise RequestTooSlow


async def _next_part(request: web.Request) -> bytes:
    return bytes(await _in_time(request.content.readany()))


async def _next_or_last(request: web.Request) -> bytes:
    try:
        return await _next_part(request)
    except RequestMalformed:
        # What came before the line broke is in the buffer still, and cannot be had in any other way.
        if rest := request.content._read_nowait(-1):
            return rest
        raise


async def _in_time(reading: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            return await reading
    except TimeoutError as error:
        raise RequestTooSlow from error
    except web.RequestPayloadError as error:
        raise RequestMalformed(reason="encoding") from error
    except ConnectionError as error:
        raise RequestMalformed(reason="broken off") from error
