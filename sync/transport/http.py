"""Bundles by HTTP: a resumable upload, at its end the signed ack.

Bundles are signed and sealed, so plain HTTP is safe; what is not safe is to believe an answer. A captive portal says
200 to everything: only the ack's media type passes here, and the caller checks its signature.
"""

import asyncio
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from content_packs.base.clock import Clock, SystemClock
from content_packs.base.errors import N_
from content_packs.fetch.http import HttpSource, why_down
from content_packs.fetch.http import Wire as DownWire
from sync.bundle.limits import ACK_MAX_BYTES
from sync.engine.lanes import Lane
from sync.transport.answers import JSON_TYPE, refusal
from sync.transport.connection import parse_address
from sync.transport.contract import Waiting, Wire
from sync.transport.errors import LinkCaptured, LinkDown
from sync.transport.tls import make_context
from sync.transport.tus import ACK_TYPE
from sync.transport.upload import Upload
from sync.transport.way import UploadsUnknown, Way

BUNDLE_TYPE = "application/vnd.edgebox.bundle"
BUNDLES_PATH = "/api/bundles"
ACKS_PATH = "/api/acks"
WAITING_MAX = 1_000
ENROLL_PATH = "/api/enroll"
INTRODUCTION_TYPE = "application/vnd.edgebox.introduction"
INTRODUCTIONS_PATH = "/api/introductions"
CONNECT_SECONDS = 20
SILENCE_SECONDS = 90
_ANSWER_MAX_BYTES = 64 * 1024


class HttpTransport:
    """One hub by its address. Close it when done; it may be used again after a failure.

    Attributes:
        way: what is remembered of the way to the hub; None before the first upload.
    """

    def __init__(
        self,
        url: str,
        *,
        authorities: Path | None = None,
        silence_seconds: float = SILENCE_SECONDS,
        clock: Clock | None = None,
        wire: Wire | None = None,
        down: DownWire | None = None,
    ) -> None:
        """Take the hub's address, and a file of certificate authorities if it has a private one.

        `wire` is the line to it if others use it too, and `down` the same for what is fetched.
        """
        self._wire = wire
        self._down = down
        self._url = url.rstrip("/")
        self._authorities = authorities
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._bundles: HttpSource | None = None
        self._tls: ssl.SSLContext | None = None
        self._clock = clock or SystemClock()
        self.way: Way | None = None

    async def deliver(
        self,
        bundle: bytes,
        *,
        is_begun: bool = False,
        lane: Lane = Lane.PROGRESS,
        on_stored: Callable[[int], None] = lambda _: None,
    ) -> bytes:
        """Return the hub's answer to `bundle`; see `Transport`."""
        if self._wire is not None:
            self._wire.lane = lane
        if self.way is None:
            self.way = Way(parse_address(self._url), await self._context(), self._wire)
        try:
            return await Upload(self.way, bundle, self._clock, is_begun=is_begun, on_stored=on_stored).run()
        except UploadsUnknown:
            return await self._deliver_whole(bundle)

    async def open_bundles(self) -> HttpSource:
        """Return where bundles for this box are fetched by their names; see `Downlink`."""
        if self._bundles is None:
            self._bundles = HttpSource(
                self._url + BUNDLES_PATH, clock=self._clock, tls=await self._context(), wire=self._down
            )
        return self._bundles

    async def ask_waiting(self, ack: bytes) -> list[Waiting]:
        """Return what waits at the hub for whoever signed `ack`; see `Downlink`."""
        media_type, answer = await self._post(ACKS_PATH, ack, ACK_TYPE)
        return _waiting(_json(media_type, answer))

    async def enroll(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the hub's answer to an enrolment; its signature is for the caller to check."""
        media_type, answer = await self._post(ENROLL_PATH, json.dumps(request).encode(), JSON_TYPE)
        return _json(media_type, answer)

    async def introduce(self, content: bytes) -> bytes:
        """Return the hub's answer to a request or a succession; its signature is for the caller to check."""
        media_type, answer = await self._post(INTRODUCTIONS_PATH, content, INTRODUCTION_TYPE)
        if media_type != INTRODUCTION_TYPE:
            raise LinkCaptured(reason=media_type[:40])
        return answer

    async def close(self) -> None:
        """Close the connection; safe to repeat."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._bundles is not None:
            await self._bundles.close()
            self._bundles = None

    async def _deliver_whole(self, bundle: bytes) -> bytes:
        """Send a bundle in one request, to a hub of a time before resumable uploads.

        Raises:
            LinkDown: among others, if the line does not have so many bytes now; what is cut off would be sent again.
        """
        assert self.way is not None
        async with self.way.turn(len(bundle), is_whole=True) as granted_bytes:
            if granted_bytes < len(bundle):
                raise LinkDown(reason=N_("it takes bundles only whole, and the bytes for now are too few"))
            media_type, answer = await self._post(BUNDLES_PATH, bundle, BUNDLE_TYPE)
        if media_type != ACK_TYPE or len(answer) > ACK_MAX_BYTES:
            raise LinkCaptured(reason=media_type[:40])
        return answer

    async def _context(self) -> ssl.SSLContext | None:
        """Return what TLS needs; one for all connections, because it keeps the session tickets."""
        if self._tls is None and self._url.startswith("https:"):
            try:
                self._tls = await asyncio.to_thread(make_context, self._authorities)
            except OSError as error:
                raise LinkCaptured(reason="certificate") from error
        return self._tls

    async def _post(self, path: str, body: bytes, media_type: str) -> tuple[str, bytes]:
        if self._session is None:
            make_socket = None if self._wire is None else self._wire.make_socket
            connector = aiohttp.TCPConnector(ssl=await self._context() or True, socket_factory=make_socket)
            jar = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=jar, connector=connector)
        try:
            async with self._session.post(
                self._url + path, data=body, headers={"Content-Type": media_type}, allow_redirects=False
            ) as response:
                answer = await _read(response)
                _raise_for_status(response, answer)
                return response.content_type, answer
        except aiohttp.ClientConnectorCertificateError as error:
            raise LinkCaptured(reason="certificate") from error
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise LinkDown(reason=why_down(error), fault=type(error).__name__) from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body up to a little over the limit; an endless answer is not worth more."""
    parts, total_bytes = [], 0
    async for part in response.content.iter_chunked(16 * 1024):
        parts.append(part)
        total_bytes += len(part)
        if total_bytes > _ANSWER_MAX_BYTES:
            raise LinkCaptured(reason="too long")
    return b"".join(parts)


def _raise_for_status(response: aiohttp.ClientResponse, answer: bytes) -> None:
    if response.status == 200:
        return
    is_json, code = response.content_type == JSON_TYPE, f"status {response.status}"
    if is_json:
        code = str(_json(JSON_TYPE, answer).get("code", code))[:80]
    raise refusal(response.status, code, is_json=is_json)


def _json(media_type: str, answer: bytes) -> dict[str, Any]:
    try:
        found = json.loads(answer) if media_type == JSON_TYPE else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise LinkCaptured(reason=media_type[:40])
    return found


def _waiting(found: dict[str, Any]) -> list[Waiting]:
    """Return the list in an answer. Whatever it says is fetched and verified, or not there; so nothing is believed."""
    try:
        return [Waiting(bytes.fromhex(name), int(size_bytes)) for name, size_bytes in found["waiting"]][:WAITING_MAX]
    except (KeyError, TypeError, ValueError) as error:
        raise LinkCaptured(reason="waiting") from error
