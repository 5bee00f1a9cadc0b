"""One connection of HTTP/1.1 (RFC 9112) on which an answer can be read while the request is still being sent."""

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11
from aiohappyeyeballs import SocketFactoryType, start_connection

from content_packs.base.errors import N_
from sync.transport import tcp
from sync.transport.errors import LinkCaptured, LinkDown

PIECE_BYTES = 8 * 1024
_READ_BYTES = 64 * 1024
_PORTS = {"http": 80, "https": 443}
_TLS_TURNS = 2
_NEXT_ADDRESS_SECONDS = 0.25
NEXT_TRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Address:
    """Where a hub is.

    Attributes:
        authority: what goes into the Host header.
        path: before the paths of the hub, without a slash at its end.
    """

    host: str
    port: int
    is_tls: bool
    authority: str
    path: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers of an answer; names in lower case."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def media_type(self) -> str:
        """Return the type of the body without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def parse_address(url: str) -> Address:
    """Return where the hub of a URL is.

    Raises:
        LinkDown: it is no address of a hub.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
        if not parts.hostname or parts.username or not parts.netloc.isascii():
            raise ValueError(url)
    except (ValueError, KeyError) as error:
        raise LinkDown(reason=N_("this is not an address"), fault=type(error).__name__) from error
    return Address(parts.hostname, port, parts.scheme == "https", parts.netloc, parts.path.rstrip("/"))


class Connection:
    """Use `open_connection`. One request at a time; what goes wrong on the way is raised as LinkDown.

    Attributes:
        sent_bytes: given to the socket, headers included; without what TLS adds.
        received_bytes: likewise.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: Address) -> None:
        self._reader = reader
        self._writer = writer
        self._address = address
        self._http = h11.Connection(h11.CLIENT)
        self._is_over = False
        self.sent_bytes = 0
        self.received_bytes = 0
        writer.transport.set_write_buffer_limits(high=PIECE_BYTES)

    @property
    def is_reusable(self) -> bool:
        """Return whether another request can be sent: the last one and its answer are over."""
        return self._http.our_state is h11.IDLE or self._http.our_state is self._http.their_state is h11.DONE

    def measure(self) -> tcp.Measure | None:
        """Return what the kernel knows of the connection."""
        sock = self._writer.get_extra_info("socket")
        return None if sock is None or sock.fileno() < 0 else tcp.measure(sock)

    async def begin(self, method: str, path: str, headers: dict[str, str]) -> None:
        """Send the head of a request; `path` is below the hub's address."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        target = path if path.startswith(self._address.path + "/") else self._address.path + path
        said = [("Host", self._address.authority), *headers.items()]
        await self._write(self._http.send(h11.Request(method=method, target=target, headers=said)))

    async def write(self, content: bytes) -> None:
        """Send a part of the body, in pieces small enough that little of it waits on this machine."""
        for at in range(0, len(content), PIECE_BYTES):
            await self._write(self._http.send(h11.Data(data=content[at : at + PIECE_BYTES])))

    async def end(self) -> None:
        """End the request."""
        await self._write(self._http.send(h11.EndOfMessage()))

    async def read_answer(self) -> Answer:
        """Return status and headers."""
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                return Answer(event.status_code, headers)
            if not isinstance(event, h11.InformationalResponse):
                raise _broken(EOFError())

    async def read_part(self) -> bytes:
        """Return a part of the body, nothing at its end."""
        event = await self._next_event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            return b""
        raise _broken(EOFError())

    async def read_body(self, max_bytes: int) -> bytes:
        """Return a whole body.

        Raises:
            LinkCaptured: it is longer than any answer of a hub.
        """
        parts, total_bytes = [], 0
        while part := await self.read_part():
            parts.append(part)
            total_bytes += len(part)
            if total_bytes > max_bytes:
                raise LinkCaptured(reason="too long")
        return b"".join(parts)

    async def close(self) -> None:
        """Drop the connection; safe to repeat."""
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _write(self, content: bytes | None) -> None:
        try:
            if content:
                self._writer.write(content)
                self.sent_bytes += len(content)
                await self._writer.drain()
        except OSError as error:
            raise _broken(error) from error

    async def _next_event(self) -> object:
        while True:
            try:
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    return event
                content = await self._reader.read(_READ_BYTES)
            except h11.RemoteProtocolError as error:
                # What breaks off may have been an answer of the hub; what makes no sense was none.
                raise _broken(error) if self._is_over else LinkCaptured(reason="HTTP") from error
            except OSError as error:
                raise _broken(error) from error
            self._is_over = not content
            self.received_bytes += len(content)
            self._http.receive_data(content)


async def open_connection(
    address: Address, tls: ssl.SSLContext | None, seconds: float, make_socket: SocketFactoryType | None = None
) -> Connection:
    """Connect within so many seconds; TLS has a few round trips more.

    Raises:
        LinkDown: nobody is there.
        LinkCaptured: somebody is, and cannot prove to be the hub.
    """
    try:
        async with asyncio.timeout(seconds):
            sock = await _first_of_many(address, make_socket)
        async with asyncio.timeout(_TLS_TURNS * seconds):
            name = address.host if address.is_tls else None
            context = tls if address.is_tls else None
            reader, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=name)
    except TimeoutError as error:
        raise LinkDown(reason=N_("it does not answer in time"), fault="TimeoutError") from error
    except ssl.SSLCertVerificationError as error:
        raise LinkCaptured(reason="certificate") from error
    except socket.gaierror as error:
        raise LinkDown(reason=N_("nobody here knows its name"), fault="gaierror") from error
    except (OSError, ValueError) as error:
        raise LinkDown(reason=N_("nothing answers at its address"), fault=type(error).__name__) from error
    return Connection(reader, writer, address)


async def _first_of_many(address: Address, make_socket: SocketFactoryType | None) -> socket.socket:
    """Return the first of several connections that comes about.

    One that is begun while the line is down can stay dead when it is back, and nothing tells when that is; so a new one
    is begun every half second, at the cost of one packet.
    """
    tries: set[asyncio.Task[socket.socket]] = set()
    try:
        while True:
            tries.add(asyncio.ensure_future(_connect(address, make_socket)))
            done, _ = await asyncio.wait(tries, timeout=NEXT_TRY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if done:
                first = done.pop()
                tries.discard(first)
                return first.result()
    finally:
        await _leave(tries)


async def _leave(tries: set[asyncio.Task[socket.socket]]) -> None:
    """End the tries that were not needed."""
    for task in tries:
        task.cancel()
    if tries:
        await asyncio.wait(tries)
    for task in tries:
        if not task.cancelled() and task.exception() is None:
            task.result().close()


async def _connect(address: Address, make_socket: SocketFactoryType | None) -> socket.socket:
    """Return a connected socket to the first of the host's addresses that answers (RFC 8305)."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    sock = await start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, socket_factory=make_socket)
    tcp.prepare(sock)
    return sock


def _broken(error: Exception) -> LinkDown:
    return LinkDown(reason=N_("the line broke"), fault=type(error).__name__)
