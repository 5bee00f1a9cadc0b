"""A load of HTTP/1.1 requests over keep-alive connections, light enough to run beside the server on two cores."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass
class Load:
    """What came back.

    Attributes:
        statuses: how often each status line's code was seen.
    """

    seconds: float
    latencies_ms: list[float] = field(default_factory=list)
    received_bytes: int = 0
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Return the number of complete answers."""
        return len(self.latencies_ms)

    def percentile_ms(self, percent: float) -> float:
        """Return the latency that `percent` of the answers did not exceed."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


class _Connection(asyncio.Protocol):
    def __init__(self, next_request: Callable[[], bytes], load: Load, stop_at: float) -> None:
        self._next_request, self._load, self._stop_at = next_request, load, stop_at
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = b""
        self._left_bytes = -1
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._load.received_bytes += len(data)
        if self._left_bytes >= 0:
            self._take_body(len(data))
            return
        self._head += data
        end = self._head.find(_HEAD_END)
        if end >= 0:
            head, rest = self._head[:end].lower(), len(self._head) - end - len(_HEAD_END)
            status = int(head[9:12])
            self._load.statuses[status] = self._load.statuses.get(status, 0) + 1
            self._left_bytes = _length_in(head)
            self._head = b""
            self._take_body(rest)

    def _take_body(self, count: int) -> None:
        self._left_bytes -= count
        if self._left_bytes > 0:
            return
        self._left_bytes = -1
        self._load.latencies_ms.append((time.perf_counter() - self._sent_at) * 1000)
        if time.perf_counter() < self._stop_at:
            self._send()
        else:
            self._transport.close()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._next_request())


def _length_in(head: bytes) -> int:
    start = head.find(_LENGTH)
    return int(head[start + len(_LENGTH) :].split(b"\r\n", 1)[0]) if start >= 0 else 0


async def run_load(port: int, requests: list[Callable[[], bytes]], seconds: float) -> Load:
    """Open one connection per entry of `requests` and keep each busy for `seconds`."""
    load = Load(seconds)
    start = time.perf_counter()
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda make=make: _Connection(make, load, start + seconds), "127.0.0.1", port)
        for make in requests
    ]
    await asyncio.wait_for(asyncio.gather(*(protocol.closed for _transport, protocol in opened)), seconds + 30)
    load.seconds = time.perf_counter() - start
    return load
