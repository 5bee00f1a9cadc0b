"""Connections that bring next to nothing at a time are looked at less often, so that they cost next to nothing.

Each look at a connection costs some 0.1 ms, however little has come. A client that sends single bytes could have a
server look thousands of times a second. What rests here is only the looking: the kernel takes in what comes meanwhile,
and wakes us earlier when it is worth it, so that no line gets slower.
"""

import asyncio
import socket
from dataclasses import dataclass
from typing import Any

from content_packs.base.sockets import Server

FREE_LOOKS = 16.0
LOOKS_PER_SECOND = 2.0
WORTH_BYTES = 128  # less than any segment of a real line, and than any request
ENOUGH_BYTES = 16 * 1024
_ANY_BYTES = 1


@dataclass(slots=True)
class Looks:
    """How many looks one connection has left: some come with the time, one with every 128 bytes that it brings."""

    at_seconds: float
    left: float = FREE_LOOKS

    def rest_seconds(self, size_bytes: int, now_seconds: float) -> float:
        """Take off one look that found `size_bytes`, and return how long not to look again."""
        earned = (now_seconds - self.at_seconds) * LOOKS_PER_SECOND + size_bytes / WORTH_BYTES
        self.left, self.at_seconds = min(self.left + earned, FREE_LOOKS) - 1, now_seconds
        return max(-self.left, 0.0) / LOOKS_PER_SECOND


class _Unhurried(asyncio.Protocol):
    """A protocol as it is, on a connection that is looked at less often when it is not worth it."""

    def __init__(self, protocol: asyncio.Protocol, connection: socket.socket) -> None:
        self._protocol = protocol
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._looks = Looks(self._loop.time())
        self._resting: asyncio.TimerHandle | None = None
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def data_received(self, data: bytes) -> None:
        self._protocol.data_received(data)
        seconds = self._looks.rest_seconds(len(data), self._loop.time())
        if seconds and self._resting is None:
            self._wake_from(ENOUGH_BYTES)
            self._resting = self._loop.call_later(seconds, self._look_again)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._resting is not None:
            self._resting.cancel()
        self._protocol.connection_lost(exc)

    def _look_again(self) -> None:
        self._resting = None
        self._wake_from(_ANY_BYTES)

    def _wake_from(self, size_bytes: int) -> None:
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size_bytes)


def rest_between_drips(server: Server) -> None:
    """Let `server`, before it listens, look less often at connections that bring next to nothing at a time."""
    made = server.connection_made

    def connection_made(handler: Any, transport: asyncio.Transport) -> None:
        made(handler, transport)
        transport.set_protocol(_Unhurried(handler, transport.get_extra_info("socket")))

    # aiohttp has no hook for this either; see `sockets.cap_connections`.
    server.connection_made = connection_made  # type: ignore[method-assign]
