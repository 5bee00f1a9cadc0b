"""A damaged file is never shown; the teacher is told, and a stick with the pack repairs it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from content_packs import installer
from content_packs.base.signing import SigningKey
from content_packs.format import layout
from content_packs.installer import BlobStore, WantedBlob
from edgebox.app import Part
from tests.support.site import Site, site_with_sticks
from tests.support.small_course import PACK, built, trust

KEY = SigningKey(b"k" * 32)
READ = f"/learn/{PACK}/halves/halves-read"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_with_sticks(tmp_path, lambda school: trust(school.settings.keys, KEY), Part.ALL) as site:
        yield site


async def install(site: Site) -> None:
    folder = await built(site.box.settings.stick_folders[0] / "STICK", KEY)
    async for _ in site.box.loading.watch(await site.box.loading.start(folder)):
        pass


async def damage(site: Site) -> str:
    """Flip a bit of the text of the lesson, and return its path in the pack."""
    path = (await site.box.library.resource(PACK, "halves-read")).paths["en"]
    blob = await site.box.library.blob_path(PACK, path)

    def flip() -> None:
        content = bytearray(blob.read_bytes())
        content[3] ^= 1
        blob.write_bytes(content)

    await asyncio.to_thread(flip)
    return path


async def pull_out(site: Site) -> Path:
    """Pull the stick, and return where it is to be put in again."""
    stick = site.box.settings.stick_folders[0] / "STICK"
    await asyncio.to_thread(stick.rename, stick.parent.parent / "pocket")
    site.box.loading.sticks.forget()
    return stick


async def put_in(site: Site, stick: Path) -> None:
    await asyncio.to_thread((stick.parent.parent / "pocket").rename, stick)
    site.box.loading.sticks.forget()


async def test_wrong_bytes_are_never_shown_not_even_before_anybody_has_looked(site: Site) -> None:
    await install(site)
    await damage(site)
    async with site.browser(site.school.learners[0]) as browser:
        response, text = await browser.get(READ)
        assert response.status == 503
        assert "A file of this lesson is damaged on the box" in text


async def test_what_was_found_damaged_is_not_served_and_the_teacher_is_told_and_can_repair_it(site: Site) -> None:
    await install(site)
    path = await damage(site)
    stick = await pull_out(site)
    assert (await site.box.checking.scrub(None)).damaged_files == 1
    async with site.browser(site.school.learners[0]) as browser, ClientSession() as session:
        assert (await browser.get(READ))[0].status == 503
        address = f"http://127.0.0.1:{site.school.settings.content_port}/c/{PACK}@1/{path}"
        async with session.get(address) as answer:
            assert answer.status == 503
    async with site.teacher() as teacher:
        for page in ("/staff/classes", "/staff/packs"):
            _, text = await teacher.get(page)
            assert "are damaged, and are not shown until they are repaired: Equal parts." in text
        await teacher.submit("/staff/packs/repair")
        assert await site.box.checking.begin_repair() == 0
        assert "are damaged" in (await teacher.get("/staff/packs"))[1]
        await put_in(site, stick)
        await teacher.submit("/staff/packs/repair")
        await site.box.checking.begin_repair()
        assert "are damaged" not in (await teacher.get("/staff/packs"))[1]
    async with site.browser(site.school.learners[0]) as browser:
        assert (await browser.get(READ))[0].status == 200


async def test_a_stick_with_a_damaged_copy_repairs_nothing(site: Site) -> None:
    await install(site)
    path = await damage(site)
    entry = (await site.box.library.installed(PACK)).files[path]
    copy = site.box.settings.stick_folders[0] / "STICK" / layout.pack_folder(PACK, 1) / layout.blob_name(entry.hash)
    await asyncio.to_thread(copy.write_bytes, b"x" * entry.size_bytes)
    await site.box.checking.scrub(None)
    assert await site.box.checking.repair() == 0
    assert [each.files for each in site.box.checking.damage] == [1]


async def test_sources_are_asked_in_turn_until_one_has_the_file(site: Site) -> None:
    await install(site)
    path = await damage(site)
    await pull_out(site)
    content = await asyncio.to_thread((await site.box.library.blob_path(PACK, path)).read_bytes)
    good = bytes(content[:3]) + bytes([content[3] ^ 1]) + content[4:]
    await site.box.checking.scrub(None)
    asked: list[str] = []

    class Source:
        def __init__(self, name: str, offered: bytes | None) -> None:
            self._name, self._offered = name, offered

        async def bring(self, wanted: WantedBlob, store: BlobStore) -> bool:
            asked.append(self._name)
            if self._offered is None:
                return False
            await asyncio.to_thread(store.add, wanted.entry.hash, [self._offered], wanted.entry.path)
            return True

    site.box.checking.sources = [Source("away", None), Source("neighbour", good), Source("hub", good)]
    assert await site.box.checking.repair() == 1
    assert asked == ["away", "neighbour"]
    assert site.box.checking.damage == ()
    assert await asyncio.to_thread(installer.blob_store(site.box.settings.data).aside) == []


async def test_a_check_tells_what_it_could_not_repair(site: Site) -> None:
    await install(site)
    path = await damage(site)
    await pull_out(site)
    report = await site.box.checking.check()
    assert [wanted.entry.path for wanted in report.lost] == [path]
    assert not report.is_good


async def test_damage_is_known_again_after_a_restart(site: Site) -> None:
    await install(site)
    await damage(site)
    await pull_out(site)
    await site.box.checking.scrub(None)
    site.box.checking.damage = ()
    site.box.checking.resume()
    await asyncio.wait({site.box.checking._learning})  # type: ignore[type-var]
    assert [(each.pack, each.version) for each in site.box.checking.damage] == [(PACK, 1)]
