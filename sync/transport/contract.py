"""What every live transport owes its caller."""

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from content_packs.fetch.contract import Source
from sync.engine.lanes import Lane


@dataclass(frozen=True, slots=True)
class Waiting:
    """A bundle that waits at the hub, as the hub says."""

    name: bytes
    size_bytes: int


class Transport(Protocol):
    """Carries one bundle and brings back what the other end said about it.

    The bytes it returns are not verified: the caller checks that they are a signed ack. A transport never takes silence
    for success, and may deliver one bundle more than once.
    """

    async def deliver(self, bundle: bytes, *, is_begun: bool, lane: Lane, on_stored: Callable[[int], None]) -> bytes:
        """Return the answer to `bundle`, which goes in a lane, and of which the hub may have some if `is_begun`.

        `on_stored` hears how many of its bytes are durable at the hub, as far as it says so.

        Raises:
            LinkDown: not delivered, or no answer came; try again later.
            LinkCaptured: somebody else answered, such as a hotel's or operator's sign-in page.
            HubRefused: the hub understood and said no, with its error code.
        """


class Wire(Protocol):
    """The way out over a line that others use as well, some of them first, and that may cost.

    Attributes:
        lane: in which lane the next turns are.
    """

    lane: Lane

    def make_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Return a socket for an address as the resolver gives it."""

    def turn(self, size_bytes: int, *, is_whole: bool = False) -> AbstractAsyncContextManager[int]:
        """Wait for the right to send so many bytes, and give how many may be sent now, at least 1.

        All of them if `is_whole`; fewer say then that so many may not be sent now, and none is to be.

        Raises:
            EdgeboxError: nothing may be sent now.
        """


class Downlink(Protocol):
    """Tells what waits at the hub, and gives it. Nothing of it is verified here."""

    async def open_bundles(self) -> Source:
        """Return where bundles are fetched, by their names in hexadecimal digits; it is closed with the link."""

    async def ask_waiting(self, ack: bytes) -> list[Waiting]:
        """Return what waits for the box that signed `ack`, in order. Raises like `Transport.deliver`."""
