"""What every live transport owes its caller."""

from typing import Protocol


class Transport(Protocol):
    """Carries one bundle and brings back what the other end said about it.

    The bytes it returns are not verified: the caller checks that they are a signed ack. A transport never takes silence
    for success, and may deliver one bundle more than once.
    """

    async def deliver(self, bundle: bytes) -> bytes:
        """Return the answer to `bundle`.

        Raises:
            LinkDown: not delivered, or no answer came; try again later.
            LinkCaptured: somebody else answered, such as a hotel's or operator's sign-in page.
            HubRefused: the hub understood and said no, with its error code.
        """
