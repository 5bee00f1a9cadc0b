"""The content origin: what it serves, how it frames documents, and what it refuses."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.web_request import BaseRequest

from content_packs.base import sockets
from content_packs.base.byte_range import RangeUnsatisfiable, parse_range
from edgebox.content.app import serving_content
from edgebox.content.policy import Origins, document_headers
from edgebox.settings import Settings
from tests.support.content import PACK, install_files, send_raw

SMALL = b"a small picture" * 100
LARGE = os.urandom(3 * 1024 * 1024 + 17)
PAGE = b"<!doctype html><p>hello"
FILES = {
    "small.jpg": (SMALL, "image/jpeg"),
    "film.mp4": (LARGE, "video/mp4"),
    "app/index.html": (PAGE, "text/html"),
    "app/drawing.svg": (b"<svg/>", "image/svg+xml"),
    "app/run.js": (b"1", "text/javascript"),
    "tool.exe": (b"MZ", "application/x-msdownload"),
    "صورة.png": (b"png", "image/png"),
    "empty.txt": (b"", "text/plain"),
}
ROOT = f"/c/{PACK}@1/"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    install_files(tmp_path, FILES)
    return tmp_path


@pytest.fixture
async def port(data: Path) -> AsyncIterator[int]:
    listener = sockets.listen("127.0.0.1", 0)
    settings = Settings(data=data, port=8080, content_port=listener.getsockname()[1])
    async with serving_content(settings, listener):
        yield settings.content_port


@pytest.fixture
async def client(port: int) -> AsyncIterator[ClientSession]:
    async with ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


@pytest.mark.parametrize("path", FILES)
async def test_every_file_of_a_pack_is_served_whole(client: ClientSession, path: str) -> None:
    async with client.get(ROOT + path) as answer:
        assert answer.status == 200
        assert await answer.read() == FILES[path][0]
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", ["small.jpg", "film.mp4"])
async def test_head_says_what_get_would_without_the_body(client: ClientSession, path: str) -> None:
    async with client.head(ROOT + path) as head, client.get(ROOT + path) as got:
        assert dict(head.headers) == dict(got.headers)
        assert await head.read() == b""


@pytest.mark.parametrize(("wanted", "first", "length"), [("0-9", 0, 10), ("5-", 5, None), ("-7", -7, 7), ("0-0", 0, 1)])
@pytest.mark.parametrize("path", ["small.jpg", "film.mp4"])
async def test_a_range_is_answered_with_just_those_bytes(
    client: ClientSession, path: str, wanted: str, first: int, length: int | None
) -> None:
    content = FILES[path][0]
    expected = content[first:][:length]
    async with client.get(ROOT + path, headers={"Range": f"bytes={wanted}"}) as answer:
        assert answer.status == 206
        assert await answer.read() == expected
        start = content.index(expected) if first >= 0 else len(content) + first
        assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/{len(content)}"


@pytest.mark.parametrize(
    "wanted", ["bytes=0-1,4-5", "bytes=9-3", "bytes=-", "lines=1-2", "bytes=a-b", "bytes=" + "9" * 40 + "-"]
)
async def test_ranges_the_server_does_not_know_give_the_whole_file(client: ClientSession, wanted: str) -> None:
    async with client.get(ROOT + "small.jpg", headers={"Range": wanted}) as answer:
        assert answer.status == 200
        assert await answer.read() == SMALL


@pytest.mark.parametrize("path", ["small.jpg", "film.mp4", "empty.txt"])
async def test_a_range_behind_the_end_is_refused_with_the_size(client: ClientSession, path: str) -> None:
    async with client.get(ROOT + path, headers={"Range": f"bytes={len(LARGE)}-"}) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(FILES[path][0])}"


async def test_a_range_of_another_version_gives_the_whole_file(client: ClientSession) -> None:
    async with client.get(ROOT + "small.jpg", headers={"Range": "bytes=0-1", "If-Range": '"other"'}) as answer:
        assert answer.status == 200
    etag = answer.headers["ETag"]
    async with client.get(ROOT + "small.jpg", headers={"Range": "bytes=0-1", "If-Range": etag}) as answer:
        assert answer.status == 206


async def test_a_known_file_is_not_sent_again(client: ClientSession) -> None:
    async with client.get(ROOT + "small.jpg") as first:
        etag = first.headers["ETag"]
    for header in (etag, f'"x", W/{etag}', "*"):
        async with client.get(ROOT + "small.jpg", headers={"If-None-Match": header}) as answer:
            assert answer.status == 304
            assert await answer.read() == b""
    async with client.get(ROOT + "small.jpg", headers={"If-None-Match": '"x"'}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", ["app/index.html", "app/drawing.svg"])
async def test_documents_are_sandboxed_and_may_load_only_their_own_pack(
    client: ClientSession, port: int, path: str
) -> None:
    async with client.get(ROOT + path) as answer:
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    own = f"http://127.0.0.1:{port}{ROOT}"
    assert policy["sandbox"] == "allow-scripts"
    assert policy["default-src"] == own
    assert policy["frame-ancestors"] == "http://127.0.0.1:8080"
    assert policy["form-action"] == policy["object-src"] == policy["base-uri"] == "'none'"
    for sources in policy.values():
        assert set(sources.split()) <= {"allow-scripts", own, "data:", "blob:", "'none'", "http://127.0.0.1:8080"}


async def test_files_of_unknown_kinds_can_only_be_saved(client: ClientSession) -> None:
    async with client.get(ROOT + "tool.exe") as answer:
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == "attachment"


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/c/",
        f"/c/{PACK}@1/../../keys/box.key",
        f"/c/{PACK}@1/..%2f..%2fkeys%2fbox.key",
        f"/c/{PACK}@1/%2e%2e/%2e%2e/keys/box.key",
        "/c/../packs",
        "/c/..%2f..%2fetc%2fpasswd",
        f"/c/{PACK}@1/app/../app/run.js",
        f"/c/{PACK}@1//small.jpg",
        f"/c/{PACK}@1/small.jpg%00",
        f"/c/{PACK}@1/%ff",
        f"/c/{PACK}@2/small.jpg",
        f"/c/{PACK}@01/small.jpg",
        "/c/org.example.other@1/small.jpg",
        "/c/" + "a" * 4000,
    ],
)
async def test_anything_but_the_exact_address_of_a_file_is_not_found(port: int, target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await send_raw(port, request.encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"sandbox; default-src 'none'" in answer


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.evil.example"])
async def test_other_names_are_refused(client: ClientSession, host: str) -> None:
    async with client.get(ROOT + "small.jpg", headers={"Host": host}) as answer:
        assert answer.status == 421


@pytest.mark.parametrize("host", ["localhost", "edgebox", "EDGEBOX.local.:8081", "10.1.2.3:80", "[::1]:8081"])
async def test_our_names_and_addresses_are_served(client: ClientSession, host: str) -> None:
    async with client.get(ROOT + "small.jpg", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_written(client: ClientSession, method: str) -> None:
    async with client.request(method, ROOT + "small.jpg", data=b"x") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_a_pack_installed_while_serving_is_found_at_once(client: ClientSession, data: Path) -> None:
    await asyncio.to_thread(install_files, data, {"new.txt": (b"new", "text/plain")}, version=2)
    async with client.get(f"/c/{PACK}@2/new.txt") as answer:
        assert await answer.read() == b"new"


async def test_an_unreadable_manifest_does_not_hide_the_others(client: ClientSession, data: Path) -> None:
    await asyncio.to_thread((data / "packs" / "org.example.broken@1.ebm").write_bytes, b"junk")
    async with client.get("/c/org.example.broken@1/x") as answer:
        assert answer.status == 404
    async with client.get(ROOT + "small.jpg") as answer:
        assert answer.status == 200


async def test_a_damaged_blob_is_never_shown(client: ClientSession, data: Path) -> None:
    hashes = await asyncio.to_thread(install_files, data, {"a.txt": (b"right", "text/plain")}, version=3)
    name = hashes["a.txt"].hex()
    await asyncio.to_thread((data / "blobs" / name[:2] / name).write_bytes, b"wrong")
    async with client.get(f"/c/{PACK}@3/a.txt") as answer:
        assert answer.status == 503
        assert b"wrong" not in await answer.read()


async def test_answers_of_one_connection_come_in_order(port: int) -> None:
    one = f"GET {ROOT}small.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n"
    film = f"GET {ROOT}film.mp4 HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-1999999\r\n\r\n"
    last = f"GET {ROOT}app/run.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await send_raw(port, (one + film + one + last).encode())
    assert answer.count(SMALL) == 2
    assert answer.index(SMALL) < answer.index(LARGE[:2000000]) < answer.rindex(SMALL)
    assert answer.endswith(b"\r\n\r\n1")


async def test_a_client_that_leaves_in_the_middle_is_no_fault(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    listener = sockets.listen("127.0.0.1", 0)
    settings = Settings(data=data, port=8080, content_port=listener.getsockname()[1])
    request = f"GET {ROOT}film.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    async with serving_content(settings, listener):
        for read_bytes in (1, 1 << 20, 3 << 20):
            reader, writer = await asyncio.open_connection("127.0.0.1", settings.content_port)
            writer.write(request)
            await reader.readexactly(read_bytes)
            writer.transport.abort()
        _, writer = await asyncio.open_connection("127.0.0.1", settings.content_port)
        writer.write(request)
        writer.write_eof()
        await writer.drain()
        writer.close()
        assert await send_raw(settings.content_port, request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert caplog.records == []


async def test_a_reader_that_stops_is_dropped_and_a_slow_one_is_served(data: Path) -> None:
    listener = sockets.listen("127.0.0.1", 0, stalled_seconds=0.4)
    settings = Settings(data=data, port=8080, content_port=listener.getsockname()[1])
    async with serving_content(settings, listener):
        loop = asyncio.get_running_loop()
        with socket.socket() as stalled, socket.socket() as slow:
            for client in (stalled, slow):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
                client.setblocking(False)
                await loop.sock_connect(client, ("127.0.0.1", settings.content_port))
                request = f"GET {ROOT}film.mp4 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                await loop.sock_sendall(client, request.encode())
            taken = b""
            while part := await loop.sock_recv(slow, 32 * 1024):
                taken += part
                await asyncio.sleep(0.01)  # a slow link: this is the load, not a synchronisation
            assert taken.endswith(LARGE[-1000:])
            with pytest.raises(ConnectionResetError):
                while await loop.sock_recv(stalled, 1 << 20):
                    pass


async def test_one_address_cannot_take_every_place() -> None:
    async def handle(_request: BaseRequest) -> web.Response:
        return web.Response(text="here")

    server = web.Server(handle)
    sockets.cap_connections(server, 2, spares_loopback=False)
    runner = web.ServerRunner(server)
    await runner.setup()
    listener = sockets.listen("127.0.0.1", 0)
    await web.SockSite(runner, listener).start()
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with connected(listener) as first, connected(listener) as second:
        assert await ask(first, request) and await ask(second, request)
        async with connected(listener) as third:
            assert await ask(third, request) == b""
        first[1].close()
        while len(server.connections) > 1:
            await asyncio.sleep(0)
        async with connected(listener) as fourth:
            assert await ask(fourth, request)
    await runner.cleanup()


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(listener: socket.socket) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def ask(connection: Connection, request: bytes) -> bytes:
    try:
        connection[1].write(request)
        return await connection[0].read(1)
    except ConnectionError:
        return b""


def test_ranges_are_read_as_the_standard_says() -> None:
    assert parse_range("bytes=0-", 10) == (0, 10)
    assert parse_range("bytes=2-100", 10) == (2, 8)
    assert parse_range("bytes=-100", 10) == (0, 10)
    for header in ("bytes=10-", "bytes=-0"):
        with pytest.raises(RangeUnsatisfiable):
            parse_range(header, 10)


def test_only_pages_of_launched_units_may_speak_to_the_record_store() -> None:
    origins = Origins(app="http://box:8080", content="http://box:8081")
    plain, launched = (document_headers(origins, "a.b.c@1", is_launched=each) for each in (False, True))
    assert "connect-src" not in plain
    assert "unsafe" not in plain
    assert "connect-src http://box:8081/c/a.b.c@1/ http://box:8080/xapi/ http://box:8080/cmi5/fetch/;" in launched
    assert "sandbox allow-scripts;" in launched
    assert "allow-same-origin" not in launched
