"""What the teacher's page says about the list of packs, about packs that were taken back, and about those made here."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from content_packs.base.signing import SigningKey
from content_packs.trust import publishing
from tests.support.depot import PACK, PlayDepot
from tests.support.site import Site, site_with_sticks
from tests.support.small_course import build_small


@pytest.fixture
def depot(tmp_path: Path) -> PlayDepot:
    return PlayDepot(tmp_path / "media" / "STICK", tmp_path / "work")


@pytest.fixture
async def site(tmp_path: Path, depot: PlayDepot) -> AsyncIterator[Site]:
    async with site_with_sticks(tmp_path, lambda _school: depot.publish()) as site:
        yield site


async def load(site: Site) -> None:
    (stick,) = await site.box.loading.sticks.look()
    async for _job in site.box.loading.watch(await site.box.loading.start(stick.offers[0].folder)):
        pass


async def test_the_page_tells_the_day_of_the_list_and_what_was_withdrawn(site: Site, depot: PlayDepot) -> None:
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/packs")
        assert "This list of packs is from" not in text
        await site.box.loading.trust(depot.root)
        await load(site)
        _, text = await browser.get("/staff/packs")
        assert "This list of packs is from \u20662025-11-22\u2069" in text
        assert "withdrawn by those" not in text
        await asyncio.to_thread(depot.change, lambda one: publishing.withdraw(one, PACK, 1, depot.keys))
        await site.box.loading.sticks.look(afresh=True)
        _, text = await browser.get("/staff/packs")
        assert "withdrawn by those who published it" in text
        assert f"/staff/packs/{PACK}/remove" in text


async def test_a_withdrawn_pack_on_a_stick_is_not_called_a_strangers(site: Site, depot: PlayDepot) -> None:
    await site.box.loading.trust(depot.root)
    await asyncio.to_thread(depot.change, lambda one: publishing.withdraw(one, PACK, 1, depot.keys))
    await site.box.loading.sticks.look(afresh=True)
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/packs")
        assert "withdrawn by those who published it" in text
        assert "not from a publisher you trust" not in text


async def test_a_list_on_a_stick_that_cannot_be_trusted_is_named(site: Site, depot: PlayDepot) -> None:
    await site.box.loading.trust(depot.root)
    await asyncio.to_thread(depot.path("snapshot").write_bytes, b"{}")
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/packs")
        assert "The list of packs is damaged" in text


async def test_programs_in_packs_made_here_are_allowed_on_the_page_and_forbidden_again(site: Site) -> None:
    async with site.teacher() as browser:
        for fields, allowed in (({"allow": "on"}, True), ({}, False)):
            await browser.submit("/staff/packs/scripts", **fields)
            assert await site.box.local_packs.scripts_allowed() is allowed
            _, text = await browser.get("/staff/packs")
            assert ("Programs are allowed" in text) is allowed


async def test_a_pack_made_here_is_shown_as_such(site: Site) -> None:
    pack = await asyncio.to_thread(site.box.local_packs.new_id, "Water")
    no = await site.box.local_packs.add_pack(
        lambda folder: build_small(folder / "out", SigningKey.generate(), pack=pack)
    )
    async for _job in site.box.loading.watch(no):
        pass
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/packs")
        assert "made at this school" in text
