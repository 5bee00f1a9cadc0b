"""What a box passes on to its neighbours, under the names of a depot."""

import asyncio
import io
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

from content_packs.base import sockets
from content_packs.fetch import HttpSource, Target, Transfer, one_block
from content_packs.fetch.offers import HEADER_BYTES, INDEX_NAME, Offered, Want, read_index, write_want
from content_packs.format.envelope import open_unverified
from edgebox.content.app import serving_content
from edgebox.settings import Settings
from tests.support.content import PACK, install_files

LARGE = os.urandom(700_000)
FILES = {"a.html": (b"<p>hello", "text/html"), "b.png": (b"png", "image/png"), "c.mp4": (LARGE, "video/mp4")}
PACK_NAME = f"packs/{PACK}/1"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    install_files(tmp_path / "box", FILES)
    install_files(tmp_path / "box", FILES, pack="local.hill.songs")
    return tmp_path / "box"


@pytest.fixture
async def address(data: Path) -> AsyncIterator[str]:
    listener = sockets.listen("127.0.0.1", 0)
    settings = Settings(data=data, port=8080, content_port=listener.getsockname()[1])
    async with serving_content(settings, listener):
        yield f"http://127.0.0.1:{settings.content_port}/depot"


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def get(session: ClientSession, address: str, **headers: str) -> tuple[int, bytes]:
    async with session.get(address, headers=headers) as answer:
        return answer.status, await answer.read()


async def test_the_list_names_the_packs_but_none_made_at_the_school(session: ClientSession, address: str) -> None:
    status, body = await get(session, f"{address}/{INDEX_NAME}")
    assert status == 200
    assert read_index(body) == [Offered(PACK, 1)]


async def test_a_file_comes_by_its_hash_as_plain_bytes(session: ClientSession, address: str, data: Path) -> None:
    for content, _ in FILES.values():
        name = next(path for path in (data / "blobs").glob("*/*") if path.read_bytes() == content).name
        async with session.get(f"{address}/{PACK_NAME}/blobs/{name[:2]}/{name}") as answer:
            assert answer.status == 200
            assert await answer.read() == content
            assert answer.content_type == "application/octet-stream"
            assert answer.headers["ETag"] == f'"{name}"'


async def test_a_neighbour_fetches_a_file_with_the_same_code_as_from_a_hub(
    address: str, data: Path, tmp_path: Path
) -> None:
    name = next(path for path in (data / "blobs").glob("*/*") if path.stat().st_size == len(LARGE)).name
    source = HttpSource(address, is_metered=False)
    blob = f"{PACK_NAME}/blobs/{name[:2]}/{name}"
    transfer = Transfer(Target(blob, len(LARGE), one_block(len(LARGE), bytes.fromhex(name))), [source], tmp_path)
    partial = await transfer.run()
    assert await asyncio.to_thread(partial.path.read_bytes) == LARGE
    await asyncio.to_thread(partial.discard)
    await source.close()


@pytest.mark.parametrize(
    "name",
    [
        "packs/local.hill.songs/1/manifest.ebm",
        f"{PACK_NAME}/blobs/00/{'0' * 64}",
        f"{PACK_NAME}/../../box.db",
        f"packs/{PACK}/2/manifest.ebm",
        "packs",
        "",
        "want",
    ],
)
async def test_nothing_else_is_passed_on(session: ClientSession, address: str, name: str) -> None:
    assert (await get(session, f"{address}/{name}"))[0] == 404


async def test_a_blob_of_a_pack_made_at_the_school_is_not_passed_on(
    session: ClientSession, address: str, data: Path
) -> None:
    secret = install_files(data, {"x.txt": (b"only here", "text/plain")}, pack="local.hill.songs", version=2)[
        "x.txt"
    ].hex()
    for pack in ("local.hill.songs/2", f"{PACK}/1"):
        assert (await get(session, f"{address}/packs/{pack}/blobs/{secret[:2]}/{secret}"))[0] == 404


async def wanted(session: ClientSession, address: str, want: Want) -> tuple[int, bytes]:
    async with session.post(f"{address}/want", data=write_want(want)) as answer:
        return answer.status, await answer.read()


async def test_many_files_come_with_one_request_each_with_its_hash(
    session: ClientSession, address: str, data: Path
) -> None:
    _, manifest = await get(session, f"{address}/{PACK_NAME}/manifest.ebm")
    hashes = tuple(entry.hash for entry in open_unverified(manifest).files)
    status, body = await wanted(session, address, Want(PACK, 1, (*hashes, b"\0" * 32)))
    contents = [content for content, _ in FILES.values()]
    expected = b"".join(
        content_hash + len(content).to_bytes(8, "big") + content
        for content_hash, content in zip(hashes, contents, strict=True)
    )
    assert (status, body) == (200, expected)
    for skip_bytes in (
        1,
        HEADER_BYTES - 1,
        HEADER_BYTES,
        HEADER_BYTES + 3,
        60,
        len(expected) - 1,
        len(expected),
        10**9,
    ):
        assert (await wanted(session, address, Want(PACK, 1, hashes, skip_bytes)))[1] == expected[skip_bytes:]


async def test_a_request_that_is_none_is_refused(session: ClientSession, address: str) -> None:
    for body in (b"", b"\x80"):
        async with session.post(f"{address}/want", data=body) as answer:
            assert answer.status == 400


async def test_a_request_without_end_is_not_read_to_its_end(session: ClientSession, address: str) -> None:
    with suppress(ClientError):
        async with session.post(f"{address}/want", data=io.BytesIO(b"x" * 20_000_000)) as answer:
            assert answer.status == 400
