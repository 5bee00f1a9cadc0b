"""Resumable uploads at the hub, to the letter of tus 1.0.0 and a little beyond it."""

import asyncio
import hashlib
import json
import os
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sync.bundle.layout import start_bytes, upload_name
from sync.bundle.read import read_ack
from sync.hub import incoming, partials
from tests.support.clock import FakeClock
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS, Maker, answered, registries

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = TUS | {"Content-Type": "application/offset+octet-stream"}
WANTS_ACK = {"Accept": "application/vnd.edgebox.ack"}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[TestHub]:
    async with hub_on(tmp_path) as running:
        yield running


def long_records(count: int = 400, noise_bytes: int = 60) -> list[Any]:
    """Return records of a bundle of some size, which compresses badly."""
    return [
        *registries(),
        *(replace(answered(seq), response=os.urandom(noise_bytes).hex()) for seq in range(1, count + 1)),
    ]


async def ask(hub: TestHub, method: str, path: str = "/api/uploads", **options: Any) -> tuple[int, Any, bytes]:
    """Return status, headers and body of an answer."""
    async with hub.session.request(method, hub.url + path, **options) as response:
        return response.status, response.headers, await response.read()


async def created(hub: TestHub, length: int, **headers: str) -> str:
    """Return the path of a new upload."""
    status, said, _ = await ask(hub, "POST", headers=TUS | {"Upload-Length": str(length)} | headers)
    assert status == 201
    return str(said["Location"])


def at(offset: int, **headers: str) -> dict[str, str]:
    return BYTES | {"Upload-Offset": str(offset)} | headers


async def offset_of(hub: TestHub, path: str) -> int:
    status, said, _ = await ask(hub, "HEAD", path, headers=TUS)
    assert status == 200
    return int(said["Upload-Offset"])


async def statements(hub: TestHub) -> int:
    return int((await hub.rows("SELECT count(*) FROM statement"))[0][0])


async def test_the_server_says_what_it_can(hub: TestHub) -> None:
    status, said, _ = await ask(hub, "OPTIONS")
    assert (status, said["Tus-Version"], said["Tus-Resumable"]) == (204, "1.0.0", "1.0.0")
    assert said["Tus-Extension"].split(",") == [
        "creation", "creation-with-upload", "expiration", "termination", "checksum",
    ]  # fmt: skip
    assert "sha1" in said["Tus-Checksum-Algorithm"].split(",")
    assert int(said["Tus-Max-Size"]) > 1 << 25


async def test_an_upload_in_two_parts_is_taken_in_and_its_ack_can_be_had(hub: TestHub) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records())
    path = await created(hub, len(content))
    assert await offset_of(hub, path) == 0
    status, said, _ = await ask(hub, "PATCH", path, data=content[:10_000], headers=at(0))
    assert (status, said["Upload-Offset"], said["Tus-Resumable"]) == (204, "10000", "1.0.0")
    assert "Upload-Expires" in said
    assert await statements(hub) == 0
    status, said, body = await ask(hub, "PATCH", path, data=content[10_000:], headers=at(10_000))
    assert (status, said["Upload-Offset"], body) == (204, str(len(content)), b"")
    assert await statements(hub) == 400
    assert await offset_of(hub, path) == len(content)
    status, _, body = await ask(hub, "GET", path)
    assert read_ack(body, hub.listening.hub.keys.signing.verify_key).vector.through_seq == 1


@pytest.mark.parametrize("is_created", [False, True])
async def test_what_came_before_the_line_was_cut_is_stored_however_late_the_hub_looks_at_it(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch, is_created: bool
) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records())
    path = f"/api/uploads/{upload_name(content[: start_bytes(content)])}"
    read_start, is_read = incoming.read_start, asyncio.Event()

    async def late(request: web.Request, *rest: Any) -> bytes:
        while request.transport is not None:
            await asyncio.sleep(0.01)
        is_read.set()
        return await read_start(request, *rest)

    monkeypatch.setattr(incoming, "read_start", late)
    method, headers = ("PATCH", at(0)) if is_created else ("POST", BYTES | {"Upload-Length": str(len(content))})
    place = await created(hub, len(content)) if is_created else "/api/uploads"
    _, writer = await asyncio.open_connection("127.0.0.1", hub.listening.port)
    lines = [f"{method} {place} HTTP/1.1", f"Host: 127.0.0.1:{hub.listening.port}", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + content[:20_000])
    await writer.drain()
    writer.close()
    async with asyncio.timeout(20):
        await is_read.wait()
    assert await offset_of(hub, place if is_created else path) == 20_000


async def test_one_request_is_enough_and_brings_the_ack(hub: TestHub) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records(10))
    headers = BYTES | WANTS_ACK | {"Upload-Length": str(len(content))}
    status, said, body = await ask(hub, "POST", data=content, headers=headers)
    assert status == 200
    assert said["Location"] == "/api/uploads/" + upload_name(content[: start_bytes(content)])
    assert read_ack(body, hub.listening.hub.keys.signing.verify_key).vector.through_seq == 1
    status, said, _ = await ask(hub, "POST", data=content, headers=BYTES | {"Upload-Length": str(len(content))})
    assert (status, said["Upload-Offset"]) == (201, str(len(content)))
    assert await statements(hub) == 10


async def test_a_request_for_another_place_changes_nothing_and_names_the_right_one(hub: TestHub) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records())
    path = await created(hub, len(content))
    await ask(hub, "PATCH", path, data=content[:9_000], headers=at(0))
    for wrong in (0, 8_999, 9_001):
        status, said, body = await ask(hub, "PATCH", path, data=content[wrong:], headers=at(wrong))
        assert (status, said["Upload-Offset"], json.loads(body)["code"]) == (409, "9000", "hub.upload_moved")
    assert await offset_of(hub, path) == 9_000


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("POST", "", {"Upload-Length": "10"}, 412),
        ("POST", "", {"Tus-Resumable": "0.2.2", "Upload-Length": "10"}, 412),
        ("POST", "", TUS, 400),
        ("POST", "", TUS | {"Upload-Length": "-1"}, 400),
        ("POST", "", TUS | {"Upload-Length": "\N{SUPERSCRIPT TWO}"}, 400),
        ("POST", "", TUS | {"Upload-Length": "1" * 16}, 400),
        ("POST", "", TUS | {"Upload-Defer-Length": "1"}, 400),
        ("POST", "", TUS | {"Upload-Length": str(1 << 40)}, 413),
        ("POST", "", TUS | {"Upload-Length": "1", "Upload-Metadata": "a !"}, 400),
        ("POST", "", TUS | {"Upload-Length": "1", "Upload-Metadata": "a YQ==,a YQ=="}, 400),
        ("POST", "", TUS | {"Upload-Length": "1", "Upload-Metadata": "a " + "YQ==" * 300}, 400),
        ("HEAD", "/" + "0" * 32, TUS, 404),
        ("HEAD", "/new.AAAA", TUS, 404),
        ("HEAD", "/new.\N{LATIN SMALL LETTER E WITH ACUTE}", TUS, 404),
        ("PATCH", "/" + "0" * 32, BYTES | {"Upload-Offset": "0"}, 404),
        ("PATCH", "/" + "0" * 32, TUS | {"Upload-Offset": "0"}, 415),
        ("PATCH", "/" + "0" * 32, BYTES, 400),
        ("PUT", "/" + "0" * 32, TUS, 405),
        ("DELETE", "", TUS, 405),
        ("GET", "/" + "0" * 32, {}, 404),
    ],
)  # fmt: skip
async def test_what_the_protocol_forbids_is_refused_with_its_number(
    hub: TestHub, method: str, path: str, headers: dict[str, str], expected: int
) -> None:
    status, said, _ = await ask(hub, method, "/api/uploads" + path, headers=headers)
    assert (status, said["Tus-Resumable"]) == (expected, "1.0.0")
    assert ("Tus-Version" in said) == (expected == 412)
    assert said["Cache-Control"] == "no-store"


async def test_the_method_may_stand_in_a_header(hub: TestHub) -> None:
    maker = await hub.enrolled()
    content = maker.next(registries())
    path = await created(hub, len(content))
    over = {"X-HTTP-Method-Override": "PATCH"}
    assert (await ask(hub, "POST", path, data=content, headers=at(0, **over)))[0] == 204
    assert (await ask(hub, "POST", path, headers=TUS | {"X-HTTP-Method-Override": "DELETE"}))[0] == 204
    assert (await ask(hub, "HEAD", path, headers=TUS))[0] == 410


async def test_metadata_is_told_as_it_was_said(hub: TestHub) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records())
    metadata = "filename MS0xLmVi,is_confidential"
    path = await created(hub, len(content), **{"Upload-Metadata": metadata})
    for sent in (0, 9_000):
        await ask(hub, "PATCH", path, data=content[:sent], headers=at(0))
        _, said, _ = await ask(hub, "HEAD", path, headers=TUS)
        assert (said["Upload-Metadata"], said["Upload-Length"]) == (metadata, str(len(content)))


async def test_an_ended_upload_is_gone(hub: TestHub, tmp_path: Path) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records())
    path = await created(hub, len(content))
    await ask(hub, "PATCH", path, data=content[:9_000], headers=at(0))
    assert len(list(tmp_path.glob("uploads/*/*"))) == 1
    assert (await ask(hub, "DELETE", path, headers=TUS))[0] == 204
    assert (await ask(hub, "PATCH", path, data=content, headers=at(0)))[0] == 410
    assert list(tmp_path.glob("uploads/*/*")) == []


async def test_a_part_with_a_wrong_checksum_is_thrown_away(hub: TestHub) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records())
    path = await created(hub, len(content))
    right = b64encode(hashlib.sha1(content[:9_000], usedforsecurity=False).digest()).decode()
    for checksum, expected in (("md5 AAAA", 400), ("sha1 AAAA", 460), ("sha1 !", 460), (f"sha1 {right}", 204)):
        headers = at(0, **{"Upload-Checksum": checksum})
        assert (await ask(hub, "PATCH", path, data=content[:9_000], headers=headers))[0] == expected
        assert await offset_of(hub, path) == (9_000 if expected == 204 else 0)
    headers = at(9_000, **{"Upload-Checksum": f"sha1 {right}"})
    assert (await ask(hub, "PATCH", path, data=content[9_000:], headers=headers))[0] == 460
    assert await offset_of(hub, path) == 9_000


async def test_a_stranger_makes_the_hub_keep_nothing(hub: TestHub, tmp_path: Path) -> None:
    stranger = Maker(receiver=hub.listening.hub.keys.sealing)
    content = stranger.next(long_records())
    for _ in range(20):
        path = await created(hub, len(content))
        status, _, body = await ask(hub, "PATCH", path, data=content, headers=at(0))
        assert (status, json.loads(body)["code"]) == (403, "sync.bundle_unknown_origin")
        assert await offset_of(hub, path) == 0
    assert list(tmp_path.glob("uploads/*")) == []


async def test_a_stranger_is_refused_before_the_rest_is_sent(hub: TestHub) -> None:
    stranger = Maker(receiver=hub.listening.hub.keys.sealing)
    content = stranger.next(long_records())
    async with asyncio.timeout(20), begun(hub, content, len(content) - 10) as (reader, _writer):
        assert (await reader.readline()).split()[1] == b"403"


async def test_the_length_said_must_be_that_of_the_bundle(hub: TestHub) -> None:
    maker = await hub.enrolled()
    content = maker.next(registries())
    path = await created(hub, len(content) + 1)
    assert (await ask(hub, "PATCH", path, data=content, headers=at(0)))[0] == 400
    path = await created(hub, len(content))
    assert (await ask(hub, "PATCH", path, data=content + b"x", headers=at(0)))[0] == 413


async def test_a_box_has_few_unfinished_uploads_and_no_other_box_pays_for_them(hub: TestHub, tmp_path: Path) -> None:
    greedy, other = await hub.enrolled(), await hub.enrolled()
    content = other.next(long_records())
    kept = await created(hub, len(content))
    await ask(hub, "PATCH", kept, data=content[:9_000], headers=at(0))
    paths = []
    for _ in range(partials.PARTS_MAX + 3):
        content = greedy.next(long_records(20))
        paths.append(await created(hub, len(content)))
        assert isinstance(hub.clock, FakeClock)
        hub.clock.advance(1_000)
        await ask(hub, "PATCH", paths[-1], data=content[:1_000], headers=at(0))
    assert [await offset_of(hub, path) for path in paths] == [0] * 3 + [1_000] * partials.PARTS_MAX
    assert await offset_of(hub, kept) == 9_000
    assert len(list(tmp_path.glob("uploads/*/*.part"))) == partials.PARTS_MAX + 1


async def test_what_nobody_went_on_with_for_a_week_is_gone(hub: TestHub, tmp_path: Path) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records())
    old = await created(hub, len(content))
    await ask(hub, "PATCH", old, data=content[:9_000], headers=at(0))
    assert isinstance(hub.clock, FakeClock)
    hub.clock.advance(partials.KEPT_MS + 1)
    new = await created(hub, len(content))
    await ask(hub, "PATCH", new, data=content[:9_000], headers=at(0))
    assert (await ask(hub, "HEAD", old, headers=TUS))[0] == 410
    assert len(list(tmp_path.glob("uploads/*/*"))) == 1


async def test_an_unfinished_upload_and_an_ack_outlive_the_hub(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        whole, content = maker.next(registries()), maker.next(long_records())
        done = await created(hub, len(whole))
        await ask(hub, "PATCH", done, data=whole, headers=at(0))
        path = await created(hub, len(content))
        await ask(hub, "PATCH", path, data=content[:9_000], headers=at(0))
    async with hub_on(tmp_path) as hub:
        assert (await ask(hub, "GET", done))[0] == 200
        assert await offset_of(hub, path) == 9_000
        status, _, body = await ask(hub, "PATCH", path, data=content[9_000:], headers=at(9_000, **WANTS_ACK))
        assert (status, read_ack(body, hub.listening.hub.keys.signing.verify_key).vector.through_seq) == (200, 2)


async def test_a_bundle_that_is_refused_as_a_whole_is_forgotten(hub: TestHub, tmp_path: Path) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records())
    broken = content[:-1] + bytes([content[-1] ^ 1])
    path = await created(hub, len(content))
    status, _, body = await ask(hub, "PATCH", path, data=broken, headers=at(0))
    assert (status, json.loads(body)["code"]) == (403, "sync.bundle_forged")
    assert list(tmp_path.glob("uploads/*/*")) == []
    assert (await ask(hub, "PATCH", path, data=content, headers=at(0)))[0] == 204


async def test_a_bundle_over_the_quota_is_kept_until_the_box_may_send_again(tmp_path: Path) -> None:
    clock = FakeClock(NOW_MS)
    async with hub_on(tmp_path, clock, day_quota_bytes=5_000) as hub:
        maker = await hub.enrolled()
        maker_bytes = maker.next(long_records())
        path = await created(hub, len(maker_bytes))
        assert (await ask(hub, "PATCH", path, data=maker_bytes, headers=at(0)))[0] == 429
        assert (await ask(hub, "HEAD", path, headers=TUS))[0] == 429
    async with hub_on(tmp_path, clock) as hub:
        assert await offset_of(hub, path) == len(maker_bytes)
        assert await statements(hub) == 400


@asynccontextmanager
async def begun(
    hub: TestHub, content: bytes, sent: int, method: str = "POST", path: str = "/api/uploads", **headers: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send the first bytes of a body of `len(content)`, and hold the line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.listening.port)
    said = {"Host": "localhost", "Content-Length": str(len(content)), "Upload-Length": str(len(content))}
    lines = [f"{name}: {value}" for name, value in (said | BYTES | headers).items()]
    writer.write("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + content[:sent])
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def lines_of(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """Yield the records of a chunked answer."""
    while size := int((await reader.readline()), 16):
        yield json.loads(await reader.readexactly(size))
        await reader.readexactly(2)


async def head_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in rest)


async def test_stored_offsets_are_told_while_the_bytes_are_still_coming(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "TICK_SECONDS", 0.01)
    maker = await hub.enrolled()
    content = maker.next(long_records())
    async with asyncio.timeout(20), begun(hub, content, 10_000, **{"Edgebox-Heartbeat": "2"}) as (reader, writer):
        status, said = await head_of(reader)
        assert (status, said["Location"]) == (201, "/api/uploads/" + upload_name(content[: start_bytes(content)]))
        records = lines_of(reader)
        async for record in records:
            if record["offset"] == 10_000:
                break
        assert await statements(hub) == 0
        writer.write(content[10_000:])
        *_, last = [record async for record in records]
    ack = read_ack(b64decode(last["ack"]), hub.listening.hub.keys.signing.verify_key)
    assert ack.vector.through_seq == 1


async def test_what_is_wrong_with_the_bundle_is_told_at_the_end_of_the_offsets(hub: TestHub) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records())
    broken = content[:-1] + bytes([content[-1] ^ 1])
    async with asyncio.timeout(20), begun(hub, broken, len(broken), **{"Edgebox-Heartbeat": "2"}) as (reader, _):
        await head_of(reader)
        *_, last = [record async for record in lines_of(reader)]
    assert (last["error"]["code"], last["status"]) == ("sync.bundle_forged", 403)


async def test_a_newer_request_takes_over_from_one_on_a_line_that_died(hub: TestHub) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records())
    path = "/api/uploads/" + upload_name(content[: start_bytes(content)])
    async with asyncio.timeout(20), begun(hub, content, 12_345, **{"Edgebox-Heartbeat": "2"}) as (reader, _):
        await head_of(reader)
        assert await offset_of(hub, path) == 12_345
        status, _, _ = await ask(hub, "PATCH", path, data=content[12_345:], headers=at(12_345, **WANTS_ACK))
        assert status == 200
    assert await statements(hub) == 400


async def test_a_cut_loses_nothing_that_arrived(hub: TestHub) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records())
    path = "/api/uploads/" + upload_name(content[: start_bytes(content)])
    async with asyncio.timeout(20), begun(hub, content, 23_456) as (_, writer):
        writer.close()
    while (await ask(hub, "HEAD", path, headers=TUS))[1].get("Upload-Offset") != "23456":
        await asyncio.sleep(0)
    status, _, _ = await ask(hub, "PATCH", path, data=content[23_456:], headers=at(23_456, **WANTS_ACK))
    assert status == 200
    assert await statements(hub) == 400


async def test_no_byte_is_told_before_it_is_flushed(
    hub: TestHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = await hub.enrolled()
    content = maker.next(long_records(2_000))
    flushed = [0]
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if name.endswith(".part") and not name.endswith(".done.part"):
            flushed.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(incoming, "TICK_SECONDS", 0.01)
    async with asyncio.timeout(60), begun(hub, content, 20_000, **{"Edgebox-Heartbeat": "2"}) as (reader, writer):
        await head_of(reader)
        sent_bytes = 20_000
        async for record in lines_of(reader):
            assert record.get("offset", 0) <= flushed[-1]
            if record.get("offset") == sent_bytes < len(content):
                writer.write(content[sent_bytes : sent_bytes + 20_000])
                sent_bytes = min(sent_bytes + 20_000, len(content))
    assert flushed == sorted(flushed)
    assert (flushed[-1], len(flushed) > 6) == (len(content), True)
