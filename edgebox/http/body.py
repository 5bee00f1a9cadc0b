"""Reading what a client sends: never more than the route allows, never longer than a patient person would wait."""

import asyncio
import json
from collections.abc import Awaitable
from math import inf
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web

from edgebox.http import problems

T = TypeVar("T")

PROGRESS_SECONDS = 15.0
TOTAL_SECONDS = 60.0  # a body of 256 kB, the largest that is read at once, at 4 kB a second
LEAST_BYTES_PER_SECOND = 4_000
# A stick with three hundred packs of four parts each, all of them ticked.
FORM_MAX_BYTES = 256 * 1024
FIELDS_MAX = 2_000
_BODY = web.RequestKey("BODY", bytes)


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """Return the whole body; the same bytes when asked again.

    Raises:
        BodyTooLarge: more than `limit_bytes`, by its header or by what arrives.
        BodyTooSlow: nothing arrived for 15 seconds, or not everything within a minute.
        BodyMalformed: not encoded as its header says.
    """
    known: bytes | None = request.get(_BODY)
    if known is not None:
        return known
    if (request.content_length or 0) > limit_bytes:
        raise problems.BodyTooLarge(limit_bytes=limit_bytes)
    request[_BODY] = body = await _read_all(request, limit_bytes)
    return body


async def read_json(request: web.Request, limit_bytes: int) -> Any:
    """Return the JSON value of the body.

    Raises:
        BodyMalformed: it is not JSON, or nested too deep to read.
    """
    body = await read_body(request, limit_bytes)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise problems.BodyMalformed(reason="JSON") from error


async def read_form(request: web.Request) -> dict[str, str]:
    """Return the fields of a form (`application/x-www-form-urlencoded`); of a repeated field the last value.

    Raises:
        BodyMalformed: another type, not UTF-8, or more than 2,000 fields.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise problems.BodyMalformed(reason="form")
    body = await read_body(request, FORM_MAX_BYTES)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as error:
        raise problems.BodyMalformed(reason="form") from error
    return dict(pairs)


def end_seconds(size_bytes: int) -> float:
    """Return until when, by the clock of the loop, a large body of this size may come: at 4 kB a second at least."""
    return asyncio.get_running_loop().time() + TOTAL_SECONDS + size_bytes / LEAST_BYTES_PER_SECOND


async def in_time(reading: Awaitable[T], until_seconds: float = inf) -> T:
    """Return what is read next of a body that is read in parts, all of them until a time of the loop's clock.

    Raises:
        BodyTooSlow: nothing arrived for 15 seconds, or not everything by then.
    """
    left_seconds = until_seconds - asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(min(PROGRESS_SECONDS, left_seconds)):
            return await reading
    except TimeoutError as error:
        raise problems.BodyTooSlow from error


async def _read_all(request: web.Request, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    left_bytes, end_seconds = limit_bytes, asyncio.get_running_loop().time() + TOTAL_SECONDS
    while part := await _next_part(request, end_seconds):
        left_bytes -= len(part)
        if left_bytes < 0:
            raise problems.BodyTooLarge(limit_bytes=limit_bytes)
        parts.append(part)
    return b"".join(parts)


async def _next_part(request: web.Request, end_seconds: float) -> bytes:
    left_seconds = end_seconds - asyncio.get_running_loop().time()
    try:
        if request.content.is_eof():
            return request.content.read_nowait()  # all of it is here: the common case needs no timer
        async with asyncio.timeout(min(PROGRESS_SECONDS, left_seconds)):
            return await request.content.readany()
    except TimeoutError as error:
        raise problems.BodyTooSlow from error
    except web.RequestPayloadError as error:
        raise problems.BodyMalformed(reason="encoding") from error
