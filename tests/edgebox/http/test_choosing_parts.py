"""A teacher chooses parts of a pack on a stick with a plain form, and the list of packs is a page of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.box import School
from tests.support.course import PUBLISHER
from tests.support.shelf import WATER, build_water
from tests.support.site import Browser, Site, site_with_sticks
from tests.support.small_course import trust

FIRST, NEWER = f"{WATER}/1", f"{WATER}/2"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    def prepare(school: School) -> None:
        trust(school.settings.keys, PUBLISHER)
        build_water(tmp_path, tmp_path / "media" / "STICK")

    async with site_with_sticks(tmp_path, prepare) as site:
        yield site


async def load(site: Site, browser: Browser, **fields: str) -> dict[str, bool]:
    """Send the form of the stick and return which parts the box has then."""
    (offer,) = (await site.box.loading.sticks.look())[0].offers
    response, _ = await browser.submit("/staff/packs/install", **{"folder-1-1": str(offer.folder), **fields})
    assert response.status == 303
    (job, *_) = await site.box.loading.recent()
    async for _job in site.box.loading.watch(job.no):
        pass
    return {part.id: part.is_taken for part in site.box.library.shelf.current[WATER].parts}


async def test_only_the_ticked_parts_are_loaded_and_the_others_later(site: Site) -> None:
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/packs")
        assert text.count(f'value="{FIRST}/films"') == 1
        chosen = {"parted-1-1": FIRST, "part-1-1-2": f"{FIRST}/arabic"}
        assert await load(site, browser, **chosen) == {"films": False, "arabic": True}
        _, text = await browser.get("/staff/packs")
        assert f'value="{FIRST}/arabic"' not in text
        later = {"parted-1-1": FIRST, "part-1-1-1": f"{FIRST}/films"}
        assert await load(site, browser, **later) == {"films": True, "arabic": True}


async def test_parts_of_another_version_are_no_choice_of_this_one(site: Site) -> None:
    async with site.teacher() as browser:
        other = {"parted-1-1": NEWER, "part-1-1-1": f"{NEWER}/films"}
        assert await load(site, browser, **other) == {"films": True, "arabic": True}


async def test_the_list_of_packs_shows_what_was_loaded_and_costs_nothing_when_unchanged(site: Site) -> None:
    async with site.teacher() as browser:
        before, text = await browser.get("/staff/packs/shelf")
        assert "There are no packs on this box yet." in text
        unchanged, _ = await browser.get("/staff/packs/shelf", **{"If-None-Match": before.headers["ETag"]})
        assert unchanged.status == 304
        await load(site, browser)
        fresh, text = await browser.get("/staff/packs/shelf", **{"If-None-Match": before.headers["ETag"]})
        assert (fresh.status, "Water" in text) == (200, True)
