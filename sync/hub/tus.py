"""Resumable uploads after tus 1.0.0 (https://tus.io/protocols/resumable-upload), and what boxes may ask beyond it.

See docs/sync-protocol.md. Extensions: creation, creation-with-upload, expiration, termination, checksum.
"""

import asyncio
import json
import logging
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from types import MappingProxyType

from aiohttp import web

from content_packs.base.errors import EdgeboxError
from sync.bundle.limits import FILE_MAX_BYTES
from sync.hub.errors import HubFault, RequestMalformed, RequestTooLarge, UploadChecksumWrong, UploadMoved
from sync.hub.incoming import TICK_SECONDS, Incoming, Upload
from sync.hub.running import HUB
from sync.hub.upload_names import METADATA_MAX_BYTES, Created
from sync.transport.tus import (
    ACK_TYPE,
    HEARTBEAT,
    OFFSETS_TYPE,
    TUS_RESUMABLE,
    TUS_VERSION,
    UPLOAD_LENGTH,
    UPLOAD_OFFSET,
    UPLOAD_TYPE,
    UPLOADS_PATH,
)

log = logging.getLogger(__name__)

EXTENSIONS = "creation,creation-with-upload,expiration,termination,checksum"
CHECKSUMS = ("sha1", "sha256")
_NUMBER_DIGITS_MAX = 15
_SAID = web.RequestKey("SAID", dict[str, str])
_FREE_OF_VERSION = frozenset({"OPTIONS", "GET"})


async def answer(request: web.Request) -> web.StreamResponse:
    """Do what a request to /api/uploads, or to one upload, asks for."""
    request[_SAID] = {TUS_RESUMABLE: TUS_VERSION}
    method = request.headers.get("X-HTTP-Method-Override", request.method).upper()
    methods = _OF_ONE if "name" in request.match_info else _OF_ALL
    if method not in methods:
        raise web.HTTPMethodNotAllowed(method, methods)
    if method not in _FREE_OF_VERSION and request.headers.get(TUS_RESUMABLE) != TUS_VERSION:
        _say(request, {"Tus-Version": TUS_VERSION})
        raise web.HTTPPreconditionFailed(reason=TUS_RESUMABLE)
    return await methods[method](request)


async def set_tus_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer about uploads, errors included, what was said for it."""
    response.headers.update(request.get(_SAID, {}))


async def tell_options(request: web.Request) -> web.StreamResponse:
    """OPTIONS: what this server can do."""
    _say(
        request,
        {
            "Tus-Version": TUS_VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(FILE_MAX_BYTES),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
        },
    )
    return web.Response(status=204)


async def create(request: web.Request) -> web.StreamResponse:
    """POST /api/uploads: a new upload, with the first bytes of its bundle or without."""
    hub = request.app[HUB]
    length_bytes = _number(request, UPLOAD_LENGTH)
    if length_bytes > FILE_MAX_BYTES:
        raise RequestTooLarge(limit_bytes=FILE_MAX_BYTES)
    created = Created(length_bytes, max(hub.clock.now_ms(), 0), _metadata(request))
    if not request.can_read_body or request.content_length == 0:
        name = hub.incoming.names.make(created)
        async with hub.incoming.open(name, request) as upload:
            _describe(request, upload, location=True)
        return web.Response(status=201)
    _check_type(request)
    async with hub.incoming.begin(created, request) as upload:
        _describe(request, upload, location=True)
        return await _take(request, hub.incoming, upload, created=True)


async def append(request: web.Request) -> web.StreamResponse:
    """PATCH /api/uploads/NAME: more bytes, exactly behind those that are stored."""
    hub = request.app[HUB]
    _check_type(request)
    offset = _number(request, UPLOAD_OFFSET)
    async with hub.incoming.open(request.match_info["name"], request) as upload:
        _describe(request, upload)
        if offset != upload.stored_bytes:
            raise UploadMoved(offset_bytes=upload.stored_bytes)
        if (request.content_length or 0) > upload.length_bytes - offset:
            raise RequestTooLarge(limit_bytes=upload.length_bytes)
        if offset == upload.length_bytes:
            return _final(request, await hub.incoming.finish(upload)) if upload.partial else web.Response(status=204)
        return await _take(request, hub.incoming, upload)


async def tell_offset(request: web.Request) -> web.StreamResponse:
    """HEAD /api/uploads/NAME: how much of it is stored."""
    async with request.app[HUB].incoming.open(request.match_info["name"], request) as upload:
        _describe(request, upload)
        _say(request, {UPLOAD_LENGTH: str(upload.length_bytes)})
        if upload.created is not None and upload.created.metadata:
            _say(request, {"Upload-Metadata": upload.created.metadata})
    return web.Response(status=200)


async def give_ack(request: web.Request) -> web.StreamResponse:
    """GET /api/uploads/NAME: what the hub said to the whole bundle."""
    async with request.app[HUB].incoming.open(request.match_info["name"], request) as upload:
        if upload.partial is None or upload.partial.ack is None:
            raise web.HTTPNotFound(reason="ack")
        return web.Response(body=upload.partial.ack, content_type=ACK_TYPE)


async def end(request: web.Request) -> web.StreamResponse:
    """DELETE /api/uploads/NAME: forget it."""
    incoming = request.app[HUB].incoming
    async with incoming.open(request.match_info["name"], request) as upload:
        await incoming.end(upload)
    return web.Response(status=204)


_OF_ALL: Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = MappingProxyType(
    {"OPTIONS": tell_options, "POST": create}
)
_OF_ONE: Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = MappingProxyType(
    {"OPTIONS": tell_options, "PATCH": append, "HEAD": tell_offset, "GET": give_ack, "DELETE": end}
)


async def _take(
    request: web.Request, incoming: Incoming, upload: Upload, *, created: bool = False
) -> web.StreamResponse:
    """Store the body and answer, at its end or, if the box wants to hear of it meanwhile, at once."""
    if request.headers.get(HEARTBEAT) and "Upload-Checksum" not in request.headers:
        return await _Heartbeat(request, incoming, upload).run(201 if created else 200)
    if (checksum := _checksum(request)) is not None:
        await incoming.append_checked(upload, request, *checksum)
    else:
        await incoming.append(upload, request)
    _describe(request, upload)
    if upload.stored_bytes == upload.length_bytes:
        return _final(request, await incoming.finish(upload), created=created)
    return web.Response(status=201 if created else 204)


def _final(request: web.Request, ack: bytes, *, created: bool = False) -> web.Response:
    if ACK_TYPE in request.headers.get("Accept", ""):
        return web.Response(body=ack, content_type=ACK_TYPE)
    return web.Response(status=201 if created else 204)


class _Heartbeat:
    """An answer that begins at once: lines of JSON, the stored offset every two seconds and the ack at the end."""

    def __init__(self, request: web.Request, incoming: Incoming, upload: Upload) -> None:
        self._request = request
        self._incoming = incoming
        self._upload = upload
        self._response = web.StreamResponse(headers={"Content-Type": OFFSETS_TYPE})
        self._is_heard = True

    async def run(self, status: int) -> web.StreamResponse:
        """Answer until the bundle is taken in or refused, or the request broke off."""
        # What cannot be a bundle is refused with a status of its own, before the answer begins.
        await self._incoming.show_head(self._upload, self._request)
        self._response.set_status(status)
        _describe(self._request, self._upload)
        try:
            await self._response.prepare(self._request)
        except ConnectionError:
            self._is_heard = False
        try:
            await self._tell(self._upload.stored_bytes)
            await self._incoming.append(self._upload, self._request, self._tell)
            if self._upload.stored_bytes == self._upload.length_bytes:
                ack = await self._while_telling(self._incoming.finish(self._upload))
                await self._write({"ack": b64encode(ack).decode()})
        except EdgeboxError as error:
            await self._refuse(error)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            # The answer has begun, so no other can be given in its place.
            log.exception("hub.fault")
            await self._refuse(HubFault())
        return self._response

    async def _refuse(self, error: EdgeboxError) -> None:
        await self._write({"error": error.as_record(), "status": error.status})
        self._response.force_close()

    async def _while_telling(self, work: Awaitable[bytes]) -> bytes:
        """Wait for something that may take long, and stay heard; it goes on even if nobody listens any more."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=TICK_SECONDS)
                if not task.done():
                    await self._tell(self._upload.length_bytes)
        finally:
            await asyncio.wait({task})
        return await task

    async def _tell(self, stored_bytes: int) -> None:
        await self._write({"offset": stored_bytes})

    async def _write(self, record: dict[str, object]) -> None:
        """Write a line; that nobody hears it any more does not end what it tells of."""
        line = json.dumps(record, separators=(",", ":"), default=str).encode() + b"\n"
        if self._is_heard:
            try:
                await self._response.write(line)
            except ConnectionError:
                self._is_heard = False


def _say(request: web.Request, headers: dict[str, str]) -> None:
    request[_SAID].update(headers)


def _describe(request: web.Request, upload: Upload, *, location: bool = False) -> None:
    _say(request, {UPLOAD_OFFSET: str(upload.stored_bytes)})
    if upload.partial is None or upload.partial.ack is None:
        _say(request, {"Upload-Expires": formatdate(upload.expires_ms / 1000, usegmt=True)})
    if location:
        _say(request, {"Location": f"{UPLOADS_PATH}/{upload.name}"})


def _number(request: web.Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdigit() and len(text) <= _NUMBER_DIGITS_MAX):
        raise RequestMalformed(reason=header)
    return int(text)


def _metadata(request: web.Request) -> str:
    """Return the metadata as it was said; keys and Base64 values as the protocol wants them."""
    text = request.headers.get("Upload-Metadata", "").strip()
    if not text:
        return ""
    keys = [_metadata_key(pair.strip()) for pair in text.split(",")]
    if len(text) > METADATA_MAX_BYTES or not text.isascii() or len(set(keys)) != len(keys):
        raise RequestMalformed(reason="Upload-Metadata")
    return text


def _metadata_key(pair: str) -> str:
    key, _, value = pair.partition(" ")
    try:
        b64decode(value, validate=True)
    except (NotBase64, ValueError) as error:
        raise RequestMalformed(reason="Upload-Metadata") from error
    if not key:
        raise RequestMalformed(reason="Upload-Metadata")
    return key


def _checksum(request: web.Request) -> tuple[str, bytes] | None:
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    algorithm, _, digest = text.partition(" ")
    if algorithm not in CHECKSUMS:
        raise RequestMalformed(reason="Upload-Checksum")
    try:
        return algorithm, b64decode(digest, validate=True)
    except (NotBase64, ValueError) as error:
        raise UploadChecksumWrong from error


def _check_type(request: web.Request) -> None:
    if request.content_type != UPLOAD_TYPE:
        raise web.HTTPUnsupportedMediaType(reason="Content-Type")
