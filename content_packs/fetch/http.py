"""Files of a depot by HTTP: a hub, a neighbour box, or any server of static files.

Whatever answers may be somebody else: a hotel's or an operator's page says 200 to everything. So nothing is taken that
calls itself a web page, comes compressed, or does not fit the range that was asked for; and what is taken is not yet
believed.
"""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from typing import Protocol
from urllib.parse import quote, urlsplit

import aiohttp

from content_packs.base.clock import Clock, SystemClock
from content_packs.base.errors import N_
from content_packs.fetch.contract import Ask
from content_packs.fetch.errors import AddressInvalid, NotOffered, SourceCaptured, SourceDown
from content_packs.fetch.offers import WANT_NAME, WANT_TYPE, Want, write_want
from content_packs.fetch.probe import Probe
from content_packs.fetch.pulse import DOUBT_MIN_MS, Pulse, connect_max_ms

REDIRECTS_MAX = 3
LISTEN_SECONDS = 0.25
STREAMS_MAX = 2
_PORTS = {"http": 80, "https": 443}
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_ABSENT = frozenset({404, 410, 416})
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
# linux/tcp.h: microseconds from an acknowledgement to the data it let go; packets received; the shortest round trip.
_TCP_INFO_BYTES = 160
_RECEIVE_AT, _PACKETS_AT, _SHORTEST_AT = 92, 140, 148


class Wire(Protocol):
    """The way to a source over a line that others use as well, and some of them first."""

    def make_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """Return a socket for an address."""

    def begin(self, total_bytes: int | None) -> int:
        """Begin to listen to an answer about a file of so many bytes; return its lane, which is to be ended."""

    def end(self, lane: int) -> None:
        """Stop listening."""

    def may_go(self, lane: int) -> bool:
        """Return whether `wait` would return at once."""

    async def wait(self, lane: int | None = None) -> None:
        """Return when nobody more urgent wants the line, than who is in this lane or in that of the answer before."""


class HttpSource:
    """One address. Close it when done; it may be used again after a failure."""

    def __init__(
        self,
        address: str,
        *,
        is_metered: bool = True,
        streams_max: int = STREAMS_MAX,
        clock: Clock | None = None,
        tls: ssl.SSLContext | None = None,
        wire: Wire | None = None,
    ) -> None:
        """Take the address of the folder that holds the depot, by which authorities it proves who it is, and the way
        there if others use it too.

        Raises:
            AddressInvalid: it is none.
        """
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise AddressInvalid(address=address)
        self.name = parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
        self.is_metered = is_metered
        self.streams_max = streams_max
        self.wire = wire
        self._address = address.rstrip("/")
        self._clock = clock or SystemClock()
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._round_trip_ms = 0
        self._heard_ms: int | None = None
        self.probe = Probe(parts.hostname, parts.port or _PORTS[parts.scheme], self._clock)

    async def open(self, ask: Ask) -> "HttpStream":
        """Return the answer to a request; see `Source`."""
        return await self._request(ask, "GET", _headers(ask), None)

    async def want(self, want: Want, patience: int = 0) -> "HttpStream":
        """Return the answer to a request for many files; only boxes answer it. Raises like `open`."""
        headers = {"Accept-Encoding": "identity", "Content-Type": WANT_TYPE}
        return await self._request(Ask(WANT_NAME, patience=patience), "POST", headers, write_want(want))

    async def _request(self, ask: Ask, method: str, headers: dict[str, str], body: bytes | None) -> "HttpStream":
        if self.wire is not None:
            await self.wire.wait()
        now_ms = self._clock.monotonic_ms()
        is_alive = self._heard_ms is not None and now_ms - self._heard_ms < DOUBT_MIN_MS
        pulse = Pulse(now_ms, round_trip_ms=self._round_trip_ms, patience=ask.patience)
        connect_seconds = connect_max_ms(self._round_trip_ms, ask.patience, is_alive=is_alive) / 1000
        try:
            async with asyncio.timeout(connect_seconds + pulse.silence_max_ms / 1000):
                response = await self._connected().request(
                    method,
                    f"{self._address}/{quote(ask.name)}",
                    data=body,
                    headers=headers,
                    max_redirects=REDIRECTS_MAX,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds),
                )
        except aiohttp.TooManyRedirects as error:
            raise SourceCaptured(source=self.name, reason="redirects") from error
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise SourceDown(source=self.name, reason=why_down(error), fault=type(error).__name__) from error
        try:
            start, total_bytes = self._read_answer(response, ask)
        except BaseException:
            response.close()
            raise
        return HttpStream(self, response, start, total_bytes, self._clock, pulse)

    async def close(self) -> None:
        """Close the connections; safe to repeat."""
        await self.probe.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def learn(self, heard_ms: int, shortest_ms: int, receive_ms: int) -> tuple[int, int]:
        """Return the round trip without any queue, and the queue, after what one connection measured.

        A connection that was made while others fill the line has never seen it empty; the source has.
        """
        self._heard_ms = max(self._heard_ms or 0, heard_ms)
        self._round_trip_ms = min(self._round_trip_ms or shortest_ms, shortest_ms)
        return self._round_trip_ms, max(receive_ms - self._round_trip_ms, 0)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            make_socket = None if self.wire is None else self.wire.make_socket
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                connector=aiohttp.TCPConnector(limit=0, ssl=self._tls or True, socket_factory=make_socket),
            )
        return self._session

    def _read_answer(self, response: aiohttp.ClientResponse, ask: Ask) -> tuple[int, int | None]:
        """Return where the bytes begin and the length of the file, from an answer that can be one."""
        if response.status in _ABSENT:
            raise NotOffered(file=ask.name)
        if response.status in _BUSY:
            raise SourceDown(source=self.name, reason=N_("it is busy"), fault=f"status {response.status}")
        if response.status not in (200, 206):
            raise SourceCaptured(source=self.name, reason=f"status {response.status}")
        if response.content_type in _PAGES or response.headers.get("Content-Encoding", "identity") != "identity":
            raise SourceCaptured(source=self.name, reason=response.content_type[:40])
        if response.status == 200:
            return 0, response.content_length
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != ask.start:
            raise SourceCaptured(source=self.name, reason="range")
        return ask.start, int(match[3])


class HttpStream:
    """One answer, listened to packet by packet; see `Stream`."""

    def __init__(
        self,
        source: HttpSource,
        response: aiohttp.ClientResponse,
        start: int,
        total_bytes: int | None,
        clock: Clock,
        pulse: Pulse,
    ) -> None:
        etag = response.headers.get("ETag", "")
        self.start = start
        self.total_bytes = total_bytes
        self.validator = "" if etag.startswith("W/") else etag
        self._source = source
        self._response = response
        self._clock = clock
        self._pulse = pulse
        self._received = 0
        self._lane = None if source.wire is None else source.wire.begin(total_bytes)

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the bytes as they come; see `Stream`."""
        self._pulse.heard_ms = self._clock.monotonic_ms()
        while True:
            await self._wait_for_turn()
            try:
                async with asyncio.timeout(LISTEN_SECONDS):
                    part = await self._response.content.readany()
            except TimeoutError:
                self._listen()
                continue
            except (aiohttp.ClientError, OSError) as error:
                # What came before the line broke is in the buffer still, and cannot be had in any other way.
                if rest := self._response.content._read_nowait(-1):
                    yield rest
                raise self._down(N_("the line broke"), error) from error
            if not part:
                return
            self._received += len(part)
            self._listen()
            yield part
            # Whoever takes the bytes may be slow; that silence is not the source's.
            self._pulse.heard_ms = self._clock.monotonic_ms()

    async def close(self) -> None:
        """Close the connection, unless the answer was read to its end."""
        if self._source.wire is not None and self._lane is not None:
            self._source.wire.end(self._lane)
            self._lane = None
        if not self._response.content.at_eof():
            self._response.close()
        self._response.release()

    async def _wait_for_turn(self) -> None:
        """Stop taking bytes off the line while somebody more urgent wants it."""
        wire, connection = self._source.wire, self._response.connection
        if wire is None or self._lane is None or wire.may_go(self._lane):
            return
        transport = connection.transport if connection else None
        is_reading = transport is not None and transport.is_reading()
        if transport and is_reading:
            transport.pause_reading()
        try:
            await wire.wait(self._lane)
        finally:
            if transport and is_reading:
                transport.resume_reading()
        # That silence is not the source's.
        self._pulse.heard_ms = self._clock.monotonic_ms()

    def _listen(self) -> None:
        """Hear whether the source is alive.

        Raises:
            SourceDown: it is not, or this connection to it.
        """
        now_ms, pulse, packets = self._clock.monotonic_ms(), self._pulse, self._received
        connection = self._response.connection
        sock = connection.transport.get_extra_info("socket") if connection and connection.transport else None
        if (told := _tcp_info(sock)) is not None:
            packets, shortest_ms, receive_ms = told
            pulse.hear(now_ms, packets)
            pulse.round_trip_ms, pulse.queue_ms = self._source.learn(pulse.heard_ms, shortest_ms, receive_ms)
        pulse.hear(now_ms, packets)
        is_dead = pulse.is_dead(now_ms)
        if not is_dead and pulse.is_doubtful(now_ms):
            self._source.probe.start(pulse.doubt_ms / 1000)
            is_dead = self._source.probe.proves_dead(pulse.heard_ms)
        if is_dead:
            raise self._down(N_("it went silent"), TimeoutError())

    def _down(self, reason: str, error: Exception) -> SourceDown:
        return SourceDown(source=self._source.name, reason=reason, fault=type(error).__name__)


def why_down(error: Exception) -> str:
    """Return in words for people, as a message id, what kept a request from being answered."""
    if isinstance(error, TimeoutError):
        return N_("it does not answer in time")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return N_("nobody here knows its name")
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return N_("it cannot prove who it is")
    if isinstance(error, aiohttp.InvalidURL):
        return N_("this is not an address")
    if isinstance(error, aiohttp.ClientConnectorError):
        return N_("nothing answers at its address")
    return N_("the line broke")


def _headers(ask: Ask) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if ask.start or ask.end is not None:
        headers["Range"] = f"bytes={ask.start}-{'' if ask.end is None else ask.end - 1}"
        if ask.validator:
            headers["If-Range"] = ask.validator
    return headers


def _tcp_info(sock: socket.socket | None) -> tuple[int, int, int] | None:
    """Return the packets heard, and the shortest and the latest round trip in milliseconds; None if nobody knows."""
    if sock is None or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None
    if len(told) < _TCP_INFO_BYTES:
        return None
    packets, shortest, receive = (
        struct.unpack_from("=I", told, at)[0] for at in (_PACKETS_AT, _SHORTEST_AT, _RECEIVE_AT)
    )
    return packets, shortest // 1000, receive // 1000
