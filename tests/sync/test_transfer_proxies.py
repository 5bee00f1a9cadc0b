"""Machines between box and hub that hold back, copy, refuse or lie: a bundle gets through, or stays on the box."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sync.bundle.read import read_ack
from sync.engine.transfer import SLICE_BYTES
from sync.transport.errors import LinkCaptured
from sync.transport.http import HttpTransport
from tests.support.holding_proxy import holding_proxy
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import registries
from tests.sync.test_http import answering
from tests.sync.test_hub_uploads import long_records, statements


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[TestHub]:
    async with hub_on(tmp_path) as running:
        yield running


async def delivered(hub: TestHub, transport: HttpTransport, bundle: bytes) -> int:
    answer = await transport.deliver(bundle)
    return read_ack(answer, hub.listening.hub.keys.signing.verify_key).vector.through_seq


@pytest.mark.parametrize("manners", [{"holds_answers": False}, {"holds_requests": False}, {}])
async def test_what_is_held_back_on_the_way_goes_slice_by_slice(
    hub: TestHub, hasty: None, manners: dict[str, Any]
) -> None:
    maker = await hub.enrolled()
    async with holding_proxy(hub.url, **manners) as proxy:
        transport = HttpTransport(proxy.url)
        assert await delivered(hub, transport, maker.next(long_records(300, 1_000))) == 1
        assert transport.way is not None
        assert transport.way.is_held_back
        first = len(proxy.requests)
        assert await delivered(hub, transport, maker.next(long_records(301, 1_000)[-250:])) == 2
        await transport.close()
    assert await statements(hub) == 301
    later = [length for method, length in proxy.requests[first:] if method in ("POST", "PATCH")]
    assert (later[:3], max(later)) == ([SLICE_BYTES] * 3, SLICE_BYTES)


async def test_a_short_bundle_needs_one_request_through_anything(hub: TestHub) -> None:
    maker = await hub.enrolled()
    async with holding_proxy(hub.url) as proxy:
        transport = HttpTransport(proxy.url)
        assert await delivered(hub, transport, maker.next(registries())) == 1
        await transport.close()
    assert [method for method, _ in proxy.requests] == ["POST"]


async def test_a_cache_gives_no_old_offset_and_no_old_ack(hub: TestHub) -> None:
    maker = await hub.enrolled()
    async with holding_proxy(hub.url, is_caching=True) as proxy:
        for seq in (1, 2, 3):
            transport = HttpTransport(proxy.url)
            assert await delivered(hub, transport, maker.next(registries())) == seq
            await transport.close()
    assert proxy.copies == {}


@pytest.mark.parametrize(
    "said",
    [
        {"status": 302, "headers": {"Location": "http://login.example/", "Tus-Resumable": "1.0.0"}},
        {"status": 201, "headers": {"Location": "http://elsewhere.example/x", "Tus-Resumable": "1.0.0"}},
        {"status": 201, "headers": {"Upload-Offset": "99999999", "Tus-Resumable": "1.0.0"}},
        {"status": 201, "headers": {"Upload-Offset": "x", "Tus-Resumable": "1.0.0"}},
        {"status": 200, "text": "<html>", "content_type": "application/vnd.edgebox.offsets"},
        {"status": 200, "text": '{"offset":-1}\n', "content_type": "application/vnd.edgebox.offsets"},
        {"status": 200, "text": '{"ack":"*"}\n', "content_type": "application/vnd.edgebox.offsets"},
        {"status": 200, "text": '{"error":1}\n', "content_type": "application/vnd.edgebox.offsets"},
        {"status": 200, "text": "x" * 100_000, "content_type": "application/vnd.edgebox.offsets"},
        {"status": 204},
    ],
)
async def test_an_answer_that_no_hub_gives_is_somebody_elses(said: dict[str, Any]) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(**said)

    async with answering(answer) as transport:
        with pytest.raises(LinkCaptured):
            await transport.deliver(bytes(1_000))


async def test_what_answers_without_speaking_http_is_not_the_hub() -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    transport = HttpTransport(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with pytest.raises(LinkCaptured):
        await transport.deliver(bytes(1_000))
    server.close()


async def test_a_hub_of_a_time_before_resumable_uploads_gets_whole_bundles(hub: TestHub) -> None:
    maker = await hub.enrolled()

    async def old(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/api/uploads"):
            return web.json_response({"code": "hub.refused"}, status=404)
        return await proxy.pass_on(request)

    async with holding_proxy(hub.url) as proxy, answering(old) as transport:
        assert await delivered(hub, transport, maker.next(registries())) == 1
