"""A socket that tells what crossed it: headers, bodies and TLS, both ways.

Linux counts by itself (TCP_INFO) and is asked, also when the connection ends. Elsewhere the calls are counted. A byte
counts once, also if a packet was lost and sent again.
"""

import socket
import struct
from collections.abc import Callable
from typing import Any

from sync.transport import tcp

# linux/tcp.h: bytes received, waiting to be sent, sent, and sent again. The last two are known since Linux 4.19.
_RECEIVED_AT, _UNSENT_AT, _SENT_AT, _INFO_BYTES = 128, 144, 200, 216


class CountedSocket(socket.socket):
    """Calls `on_bytes` with what crossed since the last time, whenever it is asked to `sample`, and when it is closed.

    Attributes:
        receive_bytes: limit of what may be on its way to it, 0 for the system's own.
    """

    def __init__(self, family: int, kind: int, protocol: int, on_bytes: Callable[[int], None]) -> None:
        super().__init__(family, kind, protocol)
        self.receive_bytes = 0
        self._on_bytes = on_bytes
        self._counted_bytes = 0
        self._told_bytes = 0

    def sample(self, *, is_last: bool = False) -> None:
        """Report what crossed since the last report; if it `is_last`, with what the system will still send."""
        crossed_bytes = self._crossed_bytes(is_last=is_last)
        if crossed_bytes > self._told_bytes:
            new_bytes, self._told_bytes = crossed_bytes - self._told_bytes, crossed_bytes
            self._on_bytes(new_bytes)

    def limit_receive(self, size_bytes: int) -> None:
        """Let no more than about so many bytes be on their way to this socket; to be said again now and then.

        The window is made smaller and not the buffer: a buffer that shrinks drops what is on its way, and that is sent,
        and paid, twice. The system raises the window again when it raises the buffer.
        """
        if hasattr(socket, "TCP_WINDOW_CLAMP") and self.fileno() >= 0:
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, size_bytes)
            self.receive_bytes = size_bytes

    def close(self) -> None:
        """Report a last time and close, whatever becomes of the report."""
        try:
            if self.fileno() >= 0:
                self.sample(is_last=True)
        finally:
            super().close()

    def send(self, content: Any, flags: int = 0, /) -> int:
        """Send, and count it where nobody else does."""
        sent_bytes = super().send(content, flags)
        self._counted_bytes += sent_bytes
        return sent_bytes

    def sendmsg(self, contents: Any, *more: Any) -> int:
        """Send, and count it where nobody else does."""
        sent_bytes = super().sendmsg(contents, *more)
        self._counted_bytes += sent_bytes
        return sent_bytes

    def recv(self, size_bytes: int, flags: int = 0, /) -> bytes:
        """Receive, and count it where nobody else does."""
        content = super().recv(size_bytes, flags)
        self._counted_bytes += len(content)
        return content

    def recv_into(self, buffer: Any, *more: Any) -> int:
        """Receive, and count it where nobody else does."""
        received_bytes = super().recv_into(buffer, *more)
        self._counted_bytes += received_bytes
        return received_bytes

    def _crossed_bytes(self, *, is_last: bool) -> int:
        if self.fileno() < 0:
            return self._told_bytes
        told = tcp.ask_kernel(self, _INFO_BYTES)
        if told is None:
            return self._counted_bytes
        (received,) = struct.unpack_from("=Q", told, _RECEIVED_AT)
        (unsent,) = struct.unpack_from("=I", told, _UNSENT_AT)
        sent, again = struct.unpack_from("=QQ", told, _SENT_AT)
        return int(received + sent - again + (unsent if is_last else 0))
