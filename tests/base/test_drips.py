"""How often a connection is looked at that brings next to nothing at a time; and that nothing is lost by it."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from aiohttp.web_request import BaseRequest

from content_packs.base import sockets
from content_packs.base.drips import FREE_LOOKS, LOOKS_PER_SECOND, WORTH_BYTES, Looks, rest_between_drips

SEGMENT_BYTES = 536  # the smallest that every host must take (RFC 9293)


def looks_taken(size_bytes: int, per_second: float, seconds: float) -> int:
    """Return how often a connection is looked at, to which so much comes so often."""
    looks, now_seconds, taken, arrived_bytes, free_at = Looks(0.0), 0.0, 0, 0, 0.0
    while now_seconds < seconds:
        now_seconds += 1 / per_second
        arrived_bytes += size_bytes
        if now_seconds >= free_at:
            free_at = now_seconds + looks.rest_seconds(arrived_bytes, now_seconds)
            taken, arrived_bytes = taken + 1, 0
    return taken


@pytest.mark.parametrize("per_second", [50, 1_000, 20_000])
def test_a_drip_is_looked_at_a_few_times_a_second_however_fast_it_is(per_second: float) -> None:
    bytes_worth = 60 * per_second / WORTH_BYTES
    assert looks_taken(1, per_second, 60) <= FREE_LOOKS + 60 * LOOKS_PER_SECOND + bytes_worth + 1


@pytest.mark.parametrize("per_second", [0.5, 2, 100, 10_000])
def test_a_line_that_brings_whole_segments_is_never_left_waiting(per_second: float) -> None:
    looks = Looks(0.0)
    assert not any(looks.rest_seconds(SEGMENT_BYTES, turn / per_second) for turn in range(1, 2_000))


def test_requests_one_after_the_other_are_never_left_waiting() -> None:
    looks = Looks(0.0)
    assert not any(looks.rest_seconds(WORTH_BYTES, 0.0) for _ in range(10_000))


async def test_a_request_in_single_bytes_arrives_whole_and_the_kernel_holds_it_back() -> None:
    transports: list[Any] = []
    arrived = asyncio.Semaphore(0)

    async def handle(request: BaseRequest) -> web.Response:
        transports.append(request.transport)
        arrived.release()
        found = bytearray()
        while part := await request.content.readany():
            found += part
            for _ in part:
                arrived.release()
        return web.Response(body=bytes(found))

    server = web.Server(handle)
    rest_between_drips(server)
    runner = web.ServerRunner(server)
    await runner.setup()
    listener = sockets.listen("127.0.0.1", 0)
    await web.SockSite(runner, listener).start()
    content = bytes(index % 251 for index in range(200))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    head = f"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode())
    await arrived.acquire()
    lows = set()
    for byte in content:
        writer.write(bytes([byte]))
        await arrived.acquire()
        lows.add(transports[0].get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT))
        if len(lows) > 1:
            break
    writer.write(content[content.index(byte) + 1 :])
    assert (await reader.read()).endswith(content)
    assert max(lows) > 1
    writer.close()
    await writer.wait_closed()
    await runner.cleanup()
