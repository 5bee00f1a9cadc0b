"""What one upload leaves behind for the next: where the hub is, and what the way there is like."""

import ssl
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from sync.transport.connection import Address, Connection, open_connection
from sync.transport.contract import Wire


@dataclass
class Way:
    """What is remembered of the way to a hub from one upload to the next.

    Attributes:
        wire: the line there, if others use it too.
        is_held_back: something on it holds back requests or answers until they are whole.
        sent_bytes: of all connections.
    """

    address: Address
    tls: ssl.SSLContext | None
    wire: Wire | None = None
    is_held_back: bool = False
    round_trip_ms: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0

    def turn(self, size_bytes: int, *, is_whole: bool = False) -> AbstractAsyncContextManager[int]:
        """Give how many bytes may be sent now of those that are to be; see `Wire`."""
        return nullcontext(size_bytes) if self.wire is None else self.wire.turn(size_bytes, is_whole=is_whole)

    async def connect(self, seconds: float) -> Connection:
        """Return a connection to the hub; see `open_connection`."""
        make_socket = None if self.wire is None else self.wire.make_socket
        return await open_connection(self.address, self.tls, seconds, make_socket)


class UploadsUnknown(Exception):
    """The hub answers, but is of a time before resumable uploads."""
