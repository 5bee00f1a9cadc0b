"""Listening sockets of box and hub: who stops reading is dropped, and one address cannot take every place."""

import asyncio
import socket
from collections import Counter
from typing import Any, Protocol

from content_packs.base.errors import EdgeboxError
from content_packs.base.starting import listen_errors

STALLED_SECONDS = 30.0
CONNECTIONS_PER_ADDRESS = 400
BACKLOG = 512
_LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


def listen(host: str, port: int, *, stalled_seconds: float = STALLED_SECONDS) -> socket.socket:
    """Return a listening socket; port 0 lets the system choose.

    A client that takes nothing for `stalled_seconds` while something is on its way to it, or that went out of reach, is
    dropped by the kernel (TCP_USER_TIMEOUT, which accepted connections inherit). A slow client that takes a little now
    and then is served to the end.

    Raises:
        PortTaken, PortRefused, HostUnknown: nobody can listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stalled_seconds * 1000))
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        with listen_errors(host, port):
            listener.bind((host, port))
            # Not left to the server: two sockets of one address meet only when the second begins to listen.
            listener.listen(BACKLOG)
        listener.setblocking(False)
    except (OSError, EdgeboxError):
        listener.close()
        raise
    return listener


class Server(Protocol):
    """The part of aiohttp's server that hears of connections."""

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        """Hear of a new connection."""

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """Hear of an ended one."""


def cap_connections(server: Server, most: int = CONNECTIONS_PER_ADDRESS, *, spares_loopback: bool = True) -> None:
    """Let `server` drop connections beyond `most` of one address; programs on the box itself are spared.

    The cap is generous: behind a router in a classroom, a whole class is one address.
    """
    made, lost = server.connection_made, server.connection_lost
    addresses: dict[Any, str] = {}
    count: Counter[str] = Counter()

    def connection_made(handler: Any, transport: asyncio.Transport) -> None:
        made(handler, transport)
        address = str((transport.get_extra_info("peername") or ("",))[0])
        addresses[handler] = address
        count[address] += 1
        if count[address] > most and not (spares_loopback and address in _LOOPBACK):
            # In the next turn of the loop: aiohttp starts its task for the connection in this one.
            asyncio.get_running_loop().call_soon(transport.abort)

    def connection_lost(handler: Any, exc: BaseException | None = None) -> None:
        address = addresses.pop(handler, "")
        count[address] -= 1
        if count[address] <= 0:
            del count[address]
        lost(handler, exc)

    # aiohttp has no hook for this, so the two methods of this one server are wrapped.
    server.connection_made = connection_made  # type: ignore[method-assign]
    server.connection_lost = connection_lost  # type: ignore[method-assign]
