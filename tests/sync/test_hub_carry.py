"""The hub's page for couriers, and the one route that a page of a box may use."""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from aiohttp import FormData

from content_packs.base.signing import SigningKey
from sync.bundle.read import read_ack
from sync.hub import carried, carry_pages
from sync.hub.sticks import REFUSED_MAX, Taken
from sync.transport import archive, folder
from tests.sync.hub_support import TYPE, TestHub, hub_on
from tests.sync.makers import Maker, answered, registries
from tests.sync.test_archive import whole

PAGE_OF_A_BOX = {"Origin": "http://edgebox.lan", "Sec-Fetch-Site": "cross-site"}


def packed(files: list[tuple[str, bytes]]) -> bytes:
    parts = []
    for name, content in files:
        parts += [archive.member_header(PurePosixPath(name), len(content)), content, archive.padding(len(content))]
    return b"".join([*parts, archive.END])


def place_of(maker: Maker, seq: int) -> str:
    return folder.bundle_place(maker.key.verify_key.key_id, 1, seq).as_posix()


async def give(hub: TestHub, *files: bytes) -> tuple[int, str]:
    """Upload files as a browser does, and return status and page."""
    form = FormData()
    for number, content in enumerate(files):
        form.add_field("file", content, filename=f"file-{number}")
    headers = {"Accept": "text/html", "Origin": hub.url}
    async with hub.session.post(hub.url + "/carry", data=form, headers=headers) as response:
        return response.status, await response.text()


async def answers(hub: TestHub, text: str) -> dict[str, bytes]:
    """Load the file that the page offers."""
    link = text.partition('href="/carry/answers.tar')[2].partition('"')[0].replace("&amp;", "&")
    async with hub.session.get(f"{hub.url}/carry/answers.tar{link}") as response:
        assert response.status == 200
        assert "attachment" in response.headers["Content-Disposition"]
        return whole(await response.read())


async def test_files_of_several_boxes_are_taken_and_each_gets_its_answer(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        hill, lake = await hub.enrolled("Hill School"), await hub.enrolled("Lake School")
        files = [(place_of(maker, seq), maker.next([*registries(), answered(seq)][(seq > 1) * 12 :]))
                 for maker in (hill, lake) for seq in (1, 2)]  # fmt: skip
        status, text = await give(hub, packed(files[:3]), files[3][1])
        assert status == 200
        assert "4 bundles were taken.\nThey are from 2 boxes." in text
        found = await answers(hub, text)
        key = hub.listening.hub.keys.signing.verify_key
        for maker in (hill, lake):
            origin = maker.key.verify_key.key_id
            ack = read_ack(found[folder.ack_place(origin, 1).as_posix()], key)
            assert (ack.vector.origin, ack.vector.through_seq) == (origin, 2)
        before = await hub.contents()
        assert "4 bundles were taken.\nThey are from 2 boxes." in (await give(hub, packed(files)))[1]
        assert await hub.contents() == before


async def test_what_is_no_bundle_of_an_enrolled_box_is_named_and_keeps_no_good_one_back(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker, stranger = await hub.enrolled(), Maker()
        good = maker.next([*registries(), answered(1)])
        strange = stranger.next(registries())
        junk = [
            ("edgebox/<script>", b"x" * 100_000),
            (place_of(stranger, 1), strange),
            (place_of(maker, 2), good[:-1]),
            (place_of(maker, 3), good[:300] + bytes(len(good) - 300)),
        ]
        status, text = await give(hub, packed([*junk, (place_of(maker, 1), good)]), b"PK\x03\x04" + bytes(999), b"")
        assert status == 200
        assert "1 bundle was taken.\nIt is from 1 box." in text
        for code in ("sync.bundle_malformed", "sync.bundle_unknown_origin", "sync.bundle_forged"):
            assert code in text
        assert "<script>" not in text
        assert len(await hub.rows("SELECT * FROM bundle")) == 1


async def test_of_many_bad_files_some_are_named_and_the_good_one_is_taken(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker, stranger = await hub.enrolled(), Maker()
        strange = stranger.next(registries())
        files = [(place_of(stranger, seq), strange) for seq in range(1, REFUSED_MAX + 6)]
        _, text = await give(hub, packed([*files, (place_of(maker, 1), maker.next([*registries(), answered(1)]))]))
        assert text.count("<li>") == REFUSED_MAX
        assert "1 bundle was taken." in text


@pytest.mark.parametrize(
    ("wished", "language", "direction", "given", "refused"),
    [
        ("fr-FR,fr;q=0.9,en;q=0.5", "fr", "ltr", "2 envois ont été pris.", "le centre n’a pas compris"),
        ("ar", "ar", "rtl", "أُخذت رزمتان.", "لم يفهم المركز"),
        ("zh-CN,zh;q=0.8", "zh-Hans", "ltr", "已收下 2 个数据包。", "中心看不懂"),
        ("tlh, en;q=0.1", "en", "ltr", "2 bundles were taken.", "the hub did not understand"),
    ],
)
async def test_the_page_is_in_the_language_of_the_couriers_phone(
    tmp_path: Path, wished: str, language: str, direction: str, given: str, refused: str
) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        bundles = maker.next([*registries(), answered(1)]), maker.next([answered(2)])
        hub.session.headers["Accept-Language"] = wished
        _, page = await give(hub, *bundles)
        assert f'<html lang="{language}" dir="{direction}">' in page
        assert given in page
        async with hub.session.get(f"{hub.url}/carry/answers.tar", headers={"Accept": "text/html"}) as response:
            assert response.status == 400
            assert refused in (await response.text()).lower()
        async with hub.session.get(f"{hub.url}/", headers={"Accept": "text/html"}) as response:
            assert f'lang="{language}"' in await response.text()  # the way to the page begins at the sign-in page


async def test_a_page_without_any_bundle_says_so(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        assert "No bundle was taken" in (await give(hub, packed([])))[1]


async def test_what_strangers_send_is_passed_over_without_being_kept(tmp_path: Path) -> None:
    content = packed([(place_of(Maker(), seq), b"EBB" + bytes(8 << 20)) for seq in range(3)])

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1 << 16):
            yield content[start : start + (1 << 16)]

    async with hub_on(tmp_path) as hub:
        taken = Taken()
        tracemalloc.start()
        await hub.listening.hub.carried.take("file", chunks(), taken)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(taken.refused) == 3
    assert peak_bytes < 2 << 20


@pytest.mark.parametrize("is_chunked", [None, True])  # with a length that says it, and with none
async def test_a_file_without_end_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_chunked: bool | None
) -> None:
    monkeypatch.setattr(carry_pages, "UPLOAD_MAX_BYTES", 100_000)
    async with hub_on(tmp_path) as hub:
        form = FormData()
        form.add_field("file", packed([("x", bytes(200_000))]), filename="file")
        async with hub.session.post(f"{hub.url}/carry", data=form, chunked=is_chunked) as response:
            assert response.status == 413


@pytest.mark.parametrize("query", ["", "for=x", "for=" + "0" * 32 + "-01", "&".join(["for=" + "0" * 32 + "-1"] * 101)])
async def test_answers_are_for_named_boxes_only(tmp_path: Path, query: str) -> None:
    async with hub_on(tmp_path) as hub, hub.session.get(f"{hub.url}/carry/answers.tar?{query}") as response:
        assert response.status == 400


async def test_there_are_no_answers_for_a_box_that_is_not_known(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        for origin in (SigningKey.generate().verify_key.key_id, maker.key.verify_key.key_id):
            async with hub.session.get(f"{hub.url}/carry/answers.tar?for={origin.hex()}-1") as response:
                assert whole(await response.read()) == {}


async def test_a_page_of_a_box_may_send_bundles_and_read_the_answer_and_nothing_else(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        asked = PAGE_OF_A_BOX | {  # what a browser asks before it sends
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        async with hub.session.options(hub.url + "/api/bundles", headers=asked) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert response.headers["Access-Control-Allow-Methods"] == "POST"
            assert response.headers["Access-Control-Allow-Headers"] == "Content-Type"
            assert "Access-Control-Allow-Credentials" not in response.headers
        bundle = maker.next(registries())
        for content, status in ((bundle, 200), (b"junk", 400)):
            async with hub.session.post(
                hub.url + "/api/bundles", data=content, headers=TYPE | PAGE_OF_A_BOX
            ) as response:
                assert response.status == status
                assert response.headers["Access-Control-Allow-Origin"] == "*"
        for path in ("/api/enroll", "/codes", "/sign-in", "/sign-out", "/carry"):
            for method in ("POST", "OPTIONS"):
                async with hub.session.request(method, hub.url + path, headers=PAGE_OF_A_BOX) as response:
                    assert response.status == 403
                    assert "Access-Control-Allow-Origin" not in response.headers
        async with hub.session.get(hub.url + "/", headers=PAGE_OF_A_BOX) as response:
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_the_host_is_checked_for_pages_of_boxes_too(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        headers = TYPE | PAGE_OF_A_BOX | {"Host": "evil.example"}
        async with hub.session.post(hub.url + "/api/bundles", data=b"x", headers=headers) as response:
            assert response.status == 421


async def test_of_large_bundles_few_are_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "SMALL_MAX_BYTES", 100)
    monkeypatch.setattr(carried, "LARGE_AT_ONCE", 1)
    async with hub_on(tmp_path) as hub:
        running = hub.listening.hub
        files = carried.CarriedFiles(running.receiving, running.sending, running.uploads)
        long = [replace(answered(seq), response=os.urandom(100).hex()) for seq in range(100)]
        contents = [(await hub.enrolled(f"School {number}")).next([*registries(), *long]) for number in range(2)]
        may_end, read = asyncio.Event(), [0, 0]

        async def chunks(number: int) -> AsyncIterator[bytes]:
            content = contents[number]
            for part in (content[:-50], content[-50:]):
                read[number] += len(part)
                yield part
                await may_end.wait()

        taken = Taken()
        first = asyncio.ensure_future(files.take("first", chunks(0), taken))
        await until(files._large.locked)
        second = asyncio.ensure_future(files.take("second", chunks(1), taken))
        await until(lambda: read[1] > 0)
        await until(lambda: bool(files._large._waiters))
        assert (first.done(), taken.bundles, read) == (False, 0, [len(content) - 50 for content in contents])
        may_end.set()
        await asyncio.gather(first, second)
        assert (taken.bundles, taken.refused, files._large.locked()) == (2, {}, False)


async def until(is_so: Callable[[], bool]) -> None:
    """Let everything else go on until something is so."""
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0)
