"""Clients that stop in the middle: each is dropped after its deadline, here shortened, and others are served."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from content_packs.base import sockets
from edgebox import app as edgebox_app
from edgebox.app import listening, running_box
from edgebox.http import body
from tests.support.box import make_school
from tests.support.content import send_raw

POST_HEAD = (
    b"POST /api/outbox HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
)


@pytest.fixture
async def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(edgebox_app, "KEEPALIVE_SECONDS", 0.2)
    monkeypatch.setattr(edgebox_app, "LINGER_SECONDS", 0.1)
    monkeypatch.setattr(body, "PROGRESS_SECONDS", 0.2)
    school = await asyncio.to_thread(make_school, tmp_path)
    async with running_box(school.settings) as running:
        yield running.settings.port


async def test_a_client_that_says_nothing_is_dropped(port: int) -> None:
    assert await send_raw(port, b"") == b""


@pytest.mark.parametrize("start", [b"GET", b"GET /ping HTTP/1.1\r\n", b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX: "])
async def test_half_a_head_is_dropped(port: int, start: bytes) -> None:
    assert await send_raw(port, start) == b""


@pytest.mark.parametrize("start", [b"", b'{"device"'])
async def test_half_a_body_is_answered_and_dropped(port: int, start: bytes) -> None:
    answer = await send_raw(port, POST_HEAD + start)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"http.body_too_slow" in answer


async def test_a_body_that_drips_is_answered_and_dropped(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "PROGRESS_SECONDS", 30.0)
    monkeypatch.setattr(body, "TOTAL_SECONDS", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.readline())
    writer.write(POST_HEAD)
    with suppress(ConnectionError):
        while not answer.done():
            writer.write(b" ")
            await writer.drain()
            await asyncio.wait({answer}, timeout=0.05)
    writer.close()
    assert (await answer).startswith(b"HTTP/1.1 408 ")


async def test_an_idle_connection_is_closed_after_its_answer(port: int) -> None:
    answer = await send_raw(port, b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 204 ")


async def test_others_are_served_while_many_hang(port: int) -> None:
    hanging = [asyncio.create_task(send_raw(port, POST_HEAD)) for _ in range(100)]
    async with ClientSession(f"http://127.0.0.1:{port}") as client, client.get("/ping") as answer:
        assert answer.status == 204
    answers = await asyncio.gather(*hanging)
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)


async def test_a_reader_that_stops_in_an_answer_is_dropped() -> None:
    ended = asyncio.Event()

    async def large(request: web.Request) -> web.StreamResponse:
        try:
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(1000):
                await response.write(bytes(64 * 1024))
        finally:
            ended.set()
        return response

    app = web.Application()
    app.router.add_get("/large", large)
    listener = sockets.listen("127.0.0.1", 0, stalled_seconds=0.3)
    async with listening(app, listener):
        with socket.socket() as client:
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, listener.getsockname())
            await loop.sock_sendall(client, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            await ended.wait()
            taken = 0
            with suppress(ConnectionResetError):
                while part := await loop.sock_recv(client, 1 << 20):
                    taken += len(part)
    assert taken < 64_000_000
