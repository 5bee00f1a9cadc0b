"""Answers of the content origin, on aiohttp's low-level server.

Answers are written to the transport in one piece: head and body of a small blob are joined and go out in one system
call, and a large one is sent by the kernel from the file. A full application with its router and header objects takes
several times as long per request. Clients that stop reading are dropped by the kernel (`content_packs.base.sockets`).
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import BinaryIO, cast
from urllib.parse import unquote

from aiohttp import web
from aiohttp.web_request import BaseRequest

from content_packs.base.byte_range import RangeUnsatisfiable, parse_range
from content_packs.base.codec import CodecMalformed
from content_packs.base.host import host_name, is_ours
from content_packs.fetch.offers import HEADER_BYTES, WANT_NAME, file_header, read_want
from content_packs.format.manifest import FileEntry
from edgebox.content.blobs import SMALL_MAX_BYTES, BlobDamaged, Blobs
from edgebox.content.depot import PREFIX as DEPOT_PREFIX
from edgebox.content.depot import Depot, SmallFile
from edgebox.content.media import DOCUMENTS, type_headers
from edgebox.content.packs import InstalledPacks
from edgebox.content.policy import Origins, document_headers

PREFIX = "/c/"
SLICE_BYTES = 1024 * 1024
KNOWN_HOSTS_MAX = 64
_EVERY_ANSWER = (
    "Server: edgebox\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    "Cross-Origin-Resource-Policy: cross-origin\r\nAccess-Control-Allow-Origin: *\r\n"
)
_BLOB = "Accept-Ranges: bytes\r\nCache-Control: public, max-age=31536000, immutable\r\n"
_PROBLEM = "Content-Security-Policy: sandbox; default-src 'none'\r\nCache-Control: no-store\r\n"
_REASONS = {
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    304: "Not Modified",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    416: "Range Not Satisfiable",
    421: "Misdirected Request",
    503: "Service Unavailable",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Sent:
    """What aiohttp gets for a response: everything is in the transport already."""

    keep_alive: bool

    async def prepare(self, _request: BaseRequest) -> None:
        """Do nothing."""

    async def write_eof(self) -> None:
        """Do nothing."""


_KEEP = cast(web.StreamResponse, _Sent(keep_alive=True))
_CLOSE = cast(web.StreamResponse, _Sent(keep_alive=False))


class ContentServer:
    """The handler of the content origin."""

    def __init__(
        self, packs: InstalledPacks, blobs: Blobs, depot: Depot, hostnames: tuple[str, ...], app_port: int
    ) -> None:
        self._packs = packs
        self._depot = depot
        self._blobs = blobs
        self._hostnames = frozenset(hostnames)
        self._app_port = app_port
        self._known_hosts: dict[str, Origins] = {}

    async def handle(self, request: BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        transport = request.transport
        if transport is None:
            return _CLOSE
        try:
            await self._answer(request, transport)
        except ConnectionError:
            return _CLOSE
        except BlobDamaged:
            log.error("content.blob_damaged path=%s", request.rel_url.raw_path)
            transport.abort()
            return _CLOSE
        except Exception:
            # A half-sent answer cannot be mended: the client sees that bytes are missing and asks again.
            log.exception("content.server_fault")
            transport.abort()
            return _CLOSE
        return _KEEP if request.keep_alive else _CLOSE

    async def _answer(self, request: BaseRequest, transport: asyncio.Transport) -> None:
        origins = self._origins(request)
        if origins is None:
            return _problem(request, transport, 421)
        raw_path = request.rel_url.raw_path
        if raw_path.startswith(DEPOT_PREFIX):
            return await self._answer_neighbour(request, transport, raw_path.removeprefix(DEPOT_PREFIX))
        if request.method == "OPTIONS":
            return _write(request, transport, 204, _allowed(), b"")
        if request.method not in ("GET", "HEAD"):
            return _problem(request, transport, 405, _allowed())
        pack, path = _split(raw_path)
        entry = await self._packs.find(pack, path)
        if entry is None:
            return _problem(request, transport, 404)
        document = document_headers(origins, pack, is_launched=self._packs.is_launched(pack))
        return await self._send_sound(request, transport, entry, document)

    async def _answer_neighbour(self, request: BaseRequest, transport: asyncio.Transport, name: str) -> None:
        """Answer another box, which asks for files under the names of a depot."""
        if name == WANT_NAME and request.method == "POST":
            return await self._send_wanted(request, transport)
        if request.method not in ("GET", "HEAD"):
            return _problem(request, transport, 405, _allowed())
        found = await self._depot.find(name)
        if found is None:
            return _problem(request, transport, 404)
        if isinstance(found, SmallFile):
            return _send_small(request, transport, found)
        # A box that repairs itself asks somebody else at once, rather than the same one again and again.
        return await self._send_sound(request, transport, found, "", if_damaged=404)

    async def _send_wanted(self, request: BaseRequest, transport: asyncio.Transport) -> None:
        try:
            want = read_want(await request.read())
        except CodecMalformed:
            return _problem(request, transport, 400)
        except web.HTTPRequestEntityTooLarge:
            _problem(request, transport, 400)
            return transport.close()
        entries = await self._depot.wanted(want)
        length = sum(HEADER_BYTES + entry.size_bytes for entry in entries)
        skip_bytes = min(want.skip_bytes, length)
        lines = f"{type_headers('')}Cache-Control: no-store\r\nContent-Length: {length - skip_bytes}\r\n"
        _write(request, transport, 200, lines, b"")
        for entry in entries:
            header = file_header(entry.hash, entry.size_bytes)
            transport.write(header[min(skip_bytes, HEADER_BYTES) :])
            skip_bytes = max(skip_bytes - HEADER_BYTES, 0)
            start = min(skip_bytes, entry.size_bytes)
            async with self._blobs.opened(entry) as file:
                await _send_file(transport, file, start, entry.size_bytes - start)
            skip_bytes -= start
        return None

    async def _send_sound(
        self,
        request: BaseRequest,
        transport: asyncio.Transport,
        entry: FileEntry,
        document: str,
        if_damaged: int = 503,
    ) -> None:
        try:
            await self._send(request, transport, entry, document)
        except BlobDamaged:
            log.error("content.blob_damaged hash=%s", entry.hash.hex())
            _problem(request, transport, if_damaged)

    async def _send(self, request: BaseRequest, transport: asyncio.Transport, entry: FileEntry, document: str) -> None:
        headers = request.headers
        etag = f'"{entry.hash.hex()}"'
        lines = f"{type_headers(entry.media_type)}{_BLOB}ETag: {etag}\r\n"
        if entry.media_type in DOCUMENTS:
            lines += document
        if "If-None-Match" in headers and _matches(headers["If-None-Match"], etag):
            return _write(request, transport, 304, lines, b"")
        status, start, length = 200, 0, entry.size_bytes
        if "Range" in headers and headers.get("If-Range", etag) == etag:
            try:
                wanted = parse_range(headers["Range"], entry.size_bytes)
            except RangeUnsatisfiable:
                return _problem(request, transport, 416, f"Content-Range: bytes */{entry.size_bytes}\r\n")
            if wanted is not None:
                status, (start, length) = 206, wanted
                lines += f"Content-Range: bytes {start}-{start + length - 1}/{entry.size_bytes}\r\n"
        lines += f"Content-Length: {length}\r\n"
        if request.method == "HEAD":
            return _write(request, transport, status, lines, b"")
        if entry.size_bytes <= SMALL_MAX_BYTES:
            body = await self._blobs.read(entry)
            _write(request, transport, status, lines, body if status == 200 else body[start : start + length])
            return await _drained(request)
        async with self._blobs.opened(entry) as file:
            _write(request, transport, status, lines, b"")
            await _send_file(transport, file, start, length)
        return None

    def _origins(self, request: BaseRequest) -> Origins | None:
        """Return the addresses of both origins for the Host of a request, or None when it is not ours."""
        host = request.headers.get("Host", "")
        if (known := self._known_hosts.get(host)) is not None:
            return known
        name = host_name(host)
        if not is_ours(name, self._hostnames):
            return None
        if len(self._known_hosts) >= KNOWN_HOSTS_MAX:
            self._known_hosts.clear()
        origins = Origins(app=f"{request.scheme}://{name}:{self._app_port}", content=f"{request.scheme}://{host}")
        self._known_hosts[host] = origins
        return origins


def _split(raw_path: str) -> tuple[str, str]:
    """Return pack and path of an address; both are only ever looked up, never put together to a file name."""
    if not raw_path.startswith(PREFIX):
        return "", ""
    pack, _, path = raw_path[len(PREFIX) :].partition("/")
    if "%" in raw_path:
        try:
            return unquote(pack, errors="strict"), unquote(path, errors="strict")
        except UnicodeDecodeError:
            return "", ""
    return pack, path


def _matches(header: str, etag: str) -> bool:
    candidates = [part.strip().removeprefix("W/") for part in header.split(",")]
    return etag in candidates or "*" in candidates


def _allowed() -> str:
    return (
        "Allow: GET, HEAD, OPTIONS\r\nAccess-Control-Allow-Methods: GET, HEAD\r\n"
        "Access-Control-Allow-Headers: Range, If-Range\r\nAccess-Control-Max-Age: 86400\r\n"
    )


async def _send_file(transport: asyncio.Transport, file: BinaryIO, start: int, length: int) -> None:
    loop = asyncio.get_running_loop()
    for offset in range(start, start + length, SLICE_BYTES):
        if transport.is_closing():
            raise ConnectionResetError
        await loop.sendfile(transport, file, offset, min(SLICE_BYTES, start + length - offset))


def _send_small(request: BaseRequest, transport: asyncio.Transport, file: SmallFile) -> None:
    """Send what is in memory, or a range of it."""
    status, start, length, size_bytes = 200, 0, len(file.content), len(file.content)
    lines = f"{type_headers('')}Accept-Ranges: bytes\r\nCache-Control: no-cache\r\nETag: {file.etag}\r\n"
    if "Range" in request.headers and request.headers.get("If-Range", file.etag) == file.etag:
        try:
            wanted = parse_range(request.headers["Range"], size_bytes)
        except RangeUnsatisfiable:
            return _problem(request, transport, 416, f"Content-Range: bytes */{size_bytes}\r\n")
        if wanted is not None:
            status, (start, length) = 206, wanted
            lines += f"Content-Range: bytes {start}-{start + length - 1}/{size_bytes}\r\n"
    lines += f"Content-Length: {length}\r\n"
    body = b"" if request.method == "HEAD" else file.content[start : start + length]
    return _write(request, transport, status, lines, body)


def _problem(request: BaseRequest, transport: asyncio.Transport, status: int, lines: str = "") -> None:
    body = b"" if request.method == "HEAD" else f"{status} {_REASONS[status]}\n".encode()
    lines += f"{_PROBLEM}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    _write(request, transport, status, lines, body)


def _write(request: BaseRequest, transport: asyncio.Transport, status: int, lines: str, body: bytes) -> None:
    connection = "" if request.keep_alive else "Connection: close\r\n"
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\n{_EVERY_ANSWER}{lines}{connection}\r\n"
    transport.write(head.encode("latin-1") + body)


async def _drained(request: BaseRequest) -> None:
    """Wait until the client took most of what was written, so that a slow one does not pile up answers."""
    if request.protocol.writing_paused:
        await request.protocol._drain_helper()
