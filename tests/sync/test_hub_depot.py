"""What the hub serves below /depot/: plain files of one folder, in whole or in part, and nothing else."""

import asyncio
import os
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
from aiohttp.web import HTTPServiceUnavailable
from multidict import CIMultiDictProxy

from content_packs.base.hashing import blake2b_256
from content_packs.fetch import HttpSource, Target, Transfer
from content_packs.fetch.offers import INDEX_NAME, Offered, read_index
from sync.hub.downloads import AT_ONCE_MAX, PER_ADDRESS_MAX, Downloads
from tests.support.content import send_raw
from tests.support.file_servers import block_map, some_bytes
from tests.sync.hub_support import TestHub, hub_on

PATCH = "patches/org.example.parts/full.ebp"
CONTENT = some_bytes(300_000)


def put(data: Path, name: str, content: bytes = CONTENT) -> None:
    path = data / "depot" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


async def answer(hub: TestHub, name: str, **headers: str) -> tuple[int, bytes, CIMultiDictProxy[str]]:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    async with hub.session.get(f"{hub.url}/depot/{name}", headers=named) as response:
        return response.status, await response.read(), response.headers


def test_a_crowd_and_one_who_takes_many_files_are_told_to_come_back_later() -> None:
    downloads = Downloads()
    with ExitStack() as greedy:
        for _ in range(PER_ADDRESS_MAX):
            greedy.enter_context(downloads.turn("192.0.2.1"))
        with pytest.raises(HTTPServiceUnavailable), downloads.turn("192.0.2.1"):
            pass
        with ExitStack() as crowd:
            for number in range(AT_ONCE_MAX - PER_ADDRESS_MAX):
                crowd.enter_context(downloads.turn(f"198.51.100.{number}"))
            with pytest.raises(HTTPServiceUnavailable), downloads.turn("203.0.113.1"):
                pass
        with downloads.turn("203.0.113.1"):
            pass
    with downloads.turn("192.0.2.1"):
        pass


async def test_a_hub_that_sends_too_much_already_says_when_to_come_back(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub, AsyncExitStack() as stack:
        await asyncio.to_thread(put, tmp_path, PATCH)
        for _ in range(PER_ADDRESS_MAX):
            stack.enter_context(hub.listening.hub.downloads.turn("127.0.0.1"))
        status, _, _ = await answer(hub, PATCH)
        assert status == 503
        async with hub.session.get(f"{hub.url}/carry/answers.tar?for={'0' * 32}-1") as response:
            assert response.status == 503


async def test_a_box_fetches_from_the_hub_with_one_request(tmp_path: Path) -> None:
    put(tmp_path / "hub", PATCH)
    async with hub_on(tmp_path / "hub") as hub:
        source = HttpSource(f"{hub.url}/depot")
        transfer = Transfer(Target(PATCH, len(CONTENT), block_map(CONTENT)), [source], tmp_path / "work")
        partial = await transfer.run()
        assert await asyncio.to_thread(partial.path.read_bytes) == CONTENT
        assert transfer.requests == 1
        await asyncio.to_thread(partial.discard)
        await source.close()


async def test_a_range_is_served_only_of_the_state_that_was_asked_for(tmp_path: Path) -> None:
    put(tmp_path / "hub", PATCH)
    async with hub_on(tmp_path / "hub") as hub:
        status, body, headers = await answer(hub, PATCH, Range="bytes=5-9")
        assert (status, body) == (206, CONTENT[5:10])
        assert headers["Content-Range"] == f"bytes 5-9/{len(CONTENT)}"
        assert (await answer(hub, PATCH, Range="bytes=5-9", If_Range=headers["ETag"]))[0] == 206
        assert (await answer(hub, PATCH, Range="bytes=5-9", If_Range='"other"'))[:2] == (200, CONTENT)
        assert (await answer(hub, PATCH, If_None_Match=headers["ETag"]))[0] == 304
        assert (await answer(hub, PATCH, Range="bytes=300000-"))[0] == 416
        os.utime(tmp_path / "hub" / "depot" / PATCH, ns=(1, 1))
        assert (await answer(hub, PATCH, Range="bytes=5-9", If_Range=headers["ETag"]))[0] == 200


async def test_a_blob_is_named_by_its_hash_and_never_asked_for_again(tmp_path: Path) -> None:
    name = blake2b_256(CONTENT).hex()
    put(tmp_path / "hub", f"packs/org.example.parts/1/blobs/{name[:2]}/{name}")
    async with hub_on(tmp_path / "hub") as hub:
        _, _, headers = await answer(hub, f"packs/org.example.parts/1/blobs/{name[:2]}/{name}")
        assert headers["ETag"] == f'"{name}"'
        assert "immutable" in headers["Cache-Control"]


@pytest.mark.parametrize(
    "name",
    [
        "../hub.db",
        "..%2fhub.db",
        "%2e%2e/hub.db",
        "packs/../../hub.db",
        "/etc/passwd",
        "packs",
        ".hidden",
        "a//b",
        "nowhere",
    ],
)
async def test_nothing_outside_the_depot_is_served(tmp_path: Path, name: str) -> None:
    put(tmp_path / "hub", PATCH)
    put(tmp_path / "hub", "packs/one/file")
    put(tmp_path / "hub", ".hidden")
    async with hub_on(tmp_path / "hub") as hub:
        request = f"GET /depot/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert (await send_raw(hub.listening.port, request.encode())).split(b" ", 2)[1] == b"404"


async def test_no_link_is_followed(tmp_path: Path) -> None:
    put(tmp_path / "hub", PATCH)
    (tmp_path / "hub" / "depot" / "link").symlink_to(tmp_path / "hub" / "hub.db")
    (tmp_path / "hub" / "depot" / "all").symlink_to(tmp_path / "hub")
    async with hub_on(tmp_path / "hub") as hub:
        assert (await answer(hub, "link"))[0] == 404
        assert (await answer(hub, "all/hub.db"))[0] == 404


async def test_the_hub_lists_the_packs_of_its_depot(tmp_path: Path) -> None:
    put(tmp_path / "hub", "packs/org.example.parts/2/manifest.ebm")
    put(tmp_path / "hub", "packs/org.example.parts/draft/manifest.ebm")
    put(tmp_path / "hub", "packs/org.example.more/1/blobs/00/ff")
    async with hub_on(tmp_path / "hub") as hub:
        assert read_index((await answer(hub, INDEX_NAME))[1]) == [Offered("org.example.parts", 2)]


async def test_an_index_that_the_publisher_wrote_is_sent_as_it_is(tmp_path: Path) -> None:
    put(tmp_path / "hub", INDEX_NAME, b"mine")
    async with hub_on(tmp_path / "hub") as hub:
        assert (await answer(hub, INDEX_NAME))[1] == b"mine"
