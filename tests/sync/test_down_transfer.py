"""Bundles for a box over HTTP: gone on with at the byte, kept by proxies, never taken from a sign-in page."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, repeat
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from content_packs.base.clock import SystemClock
from content_packs.base.hashing import blake2b_256
from content_packs.fetch.errors import SourceCaptured, SourceDown
from edgebox.services import receiving
from sync.bundle.read import split_body
from sync.engine.lanes import Lane
from sync.transport.errors import LinkCaptured
from sync.transport.http import HttpTransport
from sync.transport.tus import ACK_TYPE
from tests.support.cut_proxy import cut_proxy
from tests.sync.school_scene import WHOLE, SchoolScene, message, school_scene

TEXTS = 30


class RealClock(SystemClock):
    """The machine's clock, which nobody sets forward: a broken line is waited for."""

    def advance(self, _by_ms: int) -> None:
        """Let time pass by itself."""


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SchoolScene]:
    async with school_scene(tmp_path, RealClock()) as made:
        yield made


async def test_a_download_goes_on_at_the_byte_however_often_the_line_breaks(scene: SchoolScene) -> None:
    await scene.send(*[message(secrets.token_hex(2_000)) for _ in range(TEXTS)])
    (content,) = await scene.prepared()
    async with cut_proxy(scene.hub.listening.port) as line, linked(line.url) as link:
        line.cuts = repeat(("down", 9_000))
        assert await scene.box.receiving.exchange(link) == 1
        assert line.connections >= 5
        # Two answers to the question what waits, and the heads of every answer.
        assert line.down_bytes - len(content) <= 2_000 + 1_000 * line.connections
    assert len(await scene.messages()) == TEXTS


async def test_a_download_goes_on_at_the_byte_after_a_restart(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.send(*[message(secrets.token_hex(2_000)) for _ in range(TEXTS)])
    (content,) = await scene.prepared()
    monkeypatch.setattr(receiving, "GIVE_UP_MS", 0)
    async with cut_proxy(scene.hub.listening.port) as line:
        for _ in range(2):
            line.cuts = chain(repeat(("down", 20_000), 2), repeat(("down", 0)))
            async with linked(line.url) as link:
                with pytest.raises(SourceDown):
                    await scene.box.receiving.exchange(link)
            await scene.restart_box()
        line.cuts, before = iter(()), line.down_bytes
        async with linked(line.url) as link:
            assert await scene.box.receiving.exchange(link) == 1
        assert line.down_bytes - before <= len(content) - 2 * 15_000
    assert len(await scene.messages()) == TEXTS


async def test_a_box_that_is_stopped_does_not_wait_for_the_line(scene: SchoolScene) -> None:
    await scene.sync()
    await scene.box.syncing.close()
    await scene.send(*[message(secrets.token_hex(2_000)) for _ in range(TEXTS)])
    await scene.prepared()
    async with cut_proxy(scene.hub.listening.port) as line:
        line.cuts, line.is_silent_after_cut = repeat(("down", 3_000)), True
        url = line.url
        await scene.box.database.write(lambda db: db.execute("UPDATE hub SET url = ?", (url,)) and None)
        bringing = asyncio.ensure_future(scene.box.syncing.sync_now())
        while line.down_bytes < 3_000:
            await asyncio.sleep(0.01)
        await scene.box.syncing.close()
        assert (await bringing).last_error is None
        assert (await scene.vector()).through_seq == 0


async def test_any_proxy_may_keep_a_bundle_and_give_a_range_of_it(scene: SchoolScene) -> None:
    await scene.send()
    (content,) = await scene.prepared()
    ack = await scene.box.receiving.make_ack()
    async with aiohttp.ClientSession() as session:
        async with session.post(scene.hub.url + "/api/acks", data=ack, headers={"Content-Type": ACK_TYPE}) as response:
            ((name, size_bytes),) = (await response.json())["waiting"]
        assert size_bytes == len(content)
        address = f"{scene.hub.url}/api/bundles/{name}"
        async with session.get(address) as response:
            assert await response.read() == content
            assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            etag = response.headers["ETag"]
        wanted = {"Range": "bytes=100-199", "If-Range": etag}
        async with session.get(address, headers=wanted) as response:
            assert (response.status, await response.read()) == (206, content[100:200])
        async with session.get(address, headers=wanted | {"If-Range": '"other"'}) as response:
            assert (response.status, await response.read()) == (200, content)
        async with session.get(address, headers={"If-None-Match": etag}) as response:
            assert response.status == 304
        for other in ("0" * 32, name[:-1], name.upper() + "x", "..%2f..%2fhub.db"):
            async with session.get(f"{scene.hub.url}/api/bundles/{other}") as response:
                assert response.status == 404


async def test_a_sign_in_page_is_never_taken_for_a_bundle(scene: SchoolScene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.send()
    await scene.prepared()
    monkeypatch.setattr(receiving, "GIVE_UP_MS", 0)
    async with captured(scene.hub.listening.port) as url, linked(url) as link:
        with pytest.raises(SourceCaptured):
            await scene.box.receiving.exchange(link)
    async with captured(None) as url, linked(url) as link:
        with pytest.raises(LinkCaptured):
            await scene.box.receiving.exchange(link)
    assert (await scene.vector()).through_seq == 0
    assert await scene.sync() is None
    assert await scene.told() == WHOLE


@pytest.mark.parametrize("answer", [b'{"waiting": 1}', b'{"waiting": [["zz", 1]]}', b"[]", b'{"waiting": [[1, 2, 3]]}'])
async def test_a_list_that_is_none_is_another_page(scene: SchoolScene, answer: bytes) -> None:
    async def say(_request: web.Request) -> web.Response:
        return web.Response(body=answer, content_type="application/json")

    async with serving(say) as url, linked(url) as link:
        with pytest.raises(LinkCaptured):
            await scene.box.receiving.exchange(link)


async def test_what_is_not_the_bundle_that_was_named_is_left_and_the_others_are_taken(scene: SchoolScene) -> None:
    await scene.send(message("one"))
    await scene.prepared()
    await scene.send(message("two"))
    first, second = await scene.prepared()
    bad = {hash_name(first): first[:-1] + b"x", hash_name(second): second}
    waiting = [[name, len(content)] for name, content in bad.items()]

    async def answer(request: web.Request) -> web.Response:
        if request.method == "POST":
            return web.json_response({"waiting": waiting})
        return web.Response(body=bad[request.path.rpartition("/")[2]])

    async with serving(answer) as url, linked(url) as link:
        assert await scene.box.receiving.exchange(link) == 1
    vector = await scene.vector()
    assert (vector.through_seq, vector.ranges) == (0, ((2, 2),))
    assert await scene.sync() is None
    assert await scene.messages() == ["one", "two"]


async def test_a_bundle_that_the_budget_does_not_allow_stays_at_the_hub_and_is_shown_as_waiting(
    scene: SchoolScene,
) -> None:
    await scene.send(message("one"))
    await scene.prepared()
    async with linked(scene.hub.url) as link:
        assert await scene.box.receiving.exchange(link, lambda size_bytes: size_bytes > 64 * 1024) == 0
        waiting_bytes = scene.box.receiving.waiting_bytes
        reading = await scene.box.meter.read()
        assert await scene.box.receiving.exchange(link) == 1
    assert waiting_bytes > 200
    assert next(lane for lane in reading.lanes if lane.lane is Lane.SMALL).waiting_bytes == waiting_bytes
    assert scene.box.receiving.waiting_bytes == 0


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[HttpTransport]:
    """Use a link to a hub, and close it."""
    link = HttpTransport(url)
    try:
        yield link
    finally:
        await link.close()


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Answer everything with one handler, and give its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def captured(hub_port: int | None) -> AsyncIterator[str]:
    """Answer with a sign-in page; where there is a hub, only in place of its bundles."""

    async def answer(request: web.Request) -> web.Response:
        if hub_port is None or request.method == "GET":
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"http://127.0.0.1:{hub_port}{request.path}",
                data=await request.read(),
                headers={"Content-Type": request.content_type},
            ) as response,
        ):
            return web.Response(body=await response.read(), content_type=response.content_type)

    async with serving(answer) as url:
        yield url


def hash_name(content: bytes) -> str:
    """Return what a bundle is asked for by."""
    return blake2b_256(split_body(content))[:16].hex()
