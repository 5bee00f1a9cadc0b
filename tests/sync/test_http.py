"""What answers on the other end is believed only when it is the hub's signed word."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from sync.transport.errors import HubBusy, HubRefused, LinkCaptured, LinkDown
from sync.transport.http import HttpTransport
from sync.transport.tus import ACK_TYPE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[HttpTransport]:
    """Run a server that answers everything with `handler`, and yield a transport to it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    transport = HttpTransport(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    try:
        yield transport
    finally:
        await transport.close()
        await runner.cleanup()


def always(**response: object) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(**response)  # type: ignore[arg-type]

    return handler


async def test_the_answer_of_a_hub_is_brought_back_as_it_is() -> None:
    async with answering(always(body=b"ack", content_type=ACK_TYPE)) as transport:
        assert await transport.deliver(b"bundle") == b"ack"


@pytest.mark.parametrize(
    "response",
    [
        {"text": "<html>Welcome to our Wi-Fi, sign in here</html>", "content_type": "text/html"},
        {"status": 302, "headers": {"Location": "http://login.example/"}},
        {"status": 511, "text": "<html>", "content_type": "text/html"},
        {"text": "{}", "content_type": "application/json"},
        {"status": 404, "text": "not here", "content_type": "text/plain"},
        {"body": bytes(100_000), "content_type": ACK_TYPE},
        {"body": bytes(5_000), "content_type": ACK_TYPE},
    ],
)
async def test_a_captive_portal_is_never_taken_for_an_ack(response: dict[str, object]) -> None:
    async with answering(always(**response)) as transport:
        with pytest.raises(LinkCaptured):
            await transport.deliver(b"bundle")


async def test_an_error_of_the_hub_keeps_its_code() -> None:
    body = '{"code": "sync.bundle_unknown_origin"}'
    async with answering(always(status=403, text=body, content_type="application/json")) as transport:
        with pytest.raises(HubRefused) as refusal:
            await transport.deliver(b"bundle")
    assert refusal.value.fields["hub_code"] == "sync.bundle_unknown_origin"
    assert not refusal.value.retryable


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_hub_that_is_busy_is_tried_again(status: int) -> None:
    async with answering(always(status=status, text="later")) as transport:
        with pytest.raises(HubBusy) as refusal:
            await transport.deliver(b"bundle")
    assert refusal.value.retryable


async def test_nobody_listening_is_a_link_that_is_down(unused_port: int, hasty: None) -> None:
    transport = HttpTransport(f"http://127.0.0.1:{unused_port}")
    with pytest.raises(LinkDown) as down:
        await transport.deliver(b"bundle")
    assert down.value.fields["reason"] == "nothing answers at its address"
    await transport.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://no-such-hub.invalid", "nobody here knows its name"), ("http://[::1", "this is not an address")],
)
async def test_a_link_that_is_down_says_why_in_words(url: str, reason: str, hasty: None) -> None:
    transport = HttpTransport(url)
    with pytest.raises(LinkDown) as down:
        await transport.deliver(b"bundle")
    await transport.close()
    assert down.value.fields["reason"] == reason


async def test_an_answer_that_never_comes_is_a_link_that_is_down(hasty: None) -> None:
    never = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await never.wait()
        raise AssertionError

    async with answering(hang) as transport:
        with pytest.raises(LinkDown) as down:
            await transport.deliver(b"bundle")
        assert down.value.fields["reason"] == "it went silent"
        never.set()


async def test_a_connection_cut_in_the_answer_is_a_link_that_is_down(hasty: None) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": ACK_TYPE, "Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with answering(cut) as transport:
        with pytest.raises(LinkDown):
            await transport.deliver(b"bundle")


@pytest.fixture
async def unused_port() -> int:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
