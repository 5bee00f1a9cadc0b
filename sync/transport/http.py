"""Bundles by HTTP: POST the file, read the signed ack.

Bundles are signed and sealed, so plain HTTP is safe; what is not safe is to believe an answer. A captive portal says
200 to everything: only the ack's media type passes here, and the caller checks its signature.
"""

import json
from typing import Any

import aiohttp

from content_packs.fetch.http import HttpSource, why_down
from sync.bundle.limits import ACK_MAX_BYTES
from sync.transport.contract import Waiting
from sync.transport.errors import HubBusy, HubRefused, LinkCaptured, LinkDown

BUNDLE_TYPE = "application/vnd.edgebox.bundle"
ACK_TYPE = "application/vnd.edgebox.ack"
JSON_TYPE = "application/json"
BUNDLES_PATH = "/api/bundles"
ACKS_PATH = "/api/acks"
WAITING_MAX = 1_000
ENROLL_PATH = "/api/enroll"
CONNECT_SECONDS = 20
SILENCE_SECONDS = 90
_ANSWER_MAX_BYTES = 64 * 1024
_BUSY = frozenset({408, 429, 500, 502, 503, 504})


class HttpTransport:
    """One hub by its address. Close it when done; it may be used again after a failure."""

    def __init__(self, url: str, *, silence_seconds: float = SILENCE_SECONDS) -> None:
        self._url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._bundles: HttpSource | None = None

    @property
    def bundles(self) -> HttpSource:
        """Return where bundles for this box are fetched by their names; see `Downlink`."""
        if self._bundles is None:
            self._bundles = HttpSource(self._url + BUNDLES_PATH)
        return self._bundles

    async def deliver(self, bundle: bytes) -> bytes:
        """Return the hub's answer to `bundle`; see `Transport`."""
        media_type, answer = await self._post(BUNDLES_PATH, bundle, BUNDLE_TYPE)
        if media_type != ACK_TYPE or len(answer) > ACK_MAX_BYTES:
            raise LinkCaptured(reason=media_type[:40])
        return answer

    async def ask_waiting(self, ack: bytes) -> list[Waiting]:
        """Return what waits at the hub for whoever signed `ack`; see `Downlink`."""
        media_type, answer = await self._post(ACKS_PATH, ack, ACK_TYPE)
        return _waiting(_json(media_type, answer))

    async def enroll(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the hub's answer to an enrolment; its signature is for the caller to check."""
        media_type, answer = await self._post(ENROLL_PATH, json.dumps(request).encode(), JSON_TYPE)
        return _json(media_type, answer)

    async def close(self) -> None:
        """Close the connection; safe to repeat."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._bundles is not None:
            await self._bundles.close()
            self._bundles = None

    async def _post(self, path: str, body: bytes, media_type: str) -> tuple[str, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with self._session.post(
                self._url + path, data=body, headers={"Content-Type": media_type}, allow_redirects=False
            ) as response:
                answer = await _read(response)
                _raise_for_status(response, answer)
                return response.content_type, answer
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
    if response.status not in _BUSY and response.content_type != JSON_TYPE:
        raise LinkCaptured(reason=f"status {response.status}")
    code = f"status {response.status}"
    if response.content_type == JSON_TYPE:
        code = str(_json(JSON_TYPE, answer).get("code", code))[:80]
    raise HubBusy(hub_code=code) if response.status in _BUSY else HubRefused(hub_code=code)


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
