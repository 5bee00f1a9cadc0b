"""What the kernel knows of a connection, and how little of it may wait in its buffers."""

import socket
import struct
from dataclasses import dataclass

UNSENT_MAX_BYTES = 8 * 1024
# linux/tcp.h, struct tcp_info: packets not confirmed; smoothed round trip in microseconds; packets received; bytes not
# sent; the shortest round trip.
_INFO_BYTES = 160
_UNACKED_AT, _ROUND_TRIP_AT, _PACKETS_AT, _UNSENT_AT, _SHORTEST_AT = 24, 68, 140, 144, 148


@dataclass(frozen=True, slots=True)
class Measure:
    """A connection as the kernel sees it.

    Attributes:
        packets: received.
        round_trip_ms: the shortest, which no queue made longer.
        queue_ms: by how much the usual one is longer than that.
        is_outstanding: bytes of ours are unsent or not confirmed.
    """

    packets: int
    round_trip_ms: int
    queue_ms: int
    is_outstanding: bool


def prepare(sock: socket.socket) -> None:
    """Send at once what is written, and keep little waiting, so that what comes next can still be decided late."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_MAX_BYTES)


def ask_kernel(sock: socket.socket, size_bytes: int) -> bytes | None:
    """Return the start of what the kernel says of a connection (`struct tcp_info`), None if it does not say as much."""
    if not hasattr(socket, "TCP_INFO"):
        return None
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size_bytes)
    except OSError:
        return None
    return told if len(told) == size_bytes else None


def measure(sock: socket.socket) -> Measure | None:
    """Return what the kernel knows, None where it does not tell."""
    if (told := ask_kernel(sock, _INFO_BYTES)) is None:
        return None
    unacked, usual, packets, unsent, shortest = (
        struct.unpack_from("=I", told, at)[0]
        for at in (_UNACKED_AT, _ROUND_TRIP_AT, _PACKETS_AT, _UNSENT_AT, _SHORTEST_AT)
    )
    return Measure(packets, shortest // 1000, max(usual - shortest, 0) // 1000, unacked > 0 or unsent > 0)
