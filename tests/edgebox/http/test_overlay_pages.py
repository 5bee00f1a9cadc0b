"""Pages of packs under overlays and of packs that were loaded in part, over real HTTP."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from content_packs import builder
from content_packs.builder import BuildResult
from content_packs.format.errors import PartUnknown
from edgebox.app import Part
from edgebox.store.jobs import JobState
from tests.content_packs.test_parts import PARTS
from tests.support.box import School
from tests.support.course import PACK, PUBLISHER, STRANGER, write_course
from tests.support.overlay import OVERLAY, write_overlay
from tests.support.site import Site, site_with_sticks
from tests.support.small_course import trust

OVER = "org.example.water-fr"
LEARN = f"/learn/{PACK}/states"
NARRATED = """
[[lesson.resource]]
id = "aloud"
kind = "image"
title.en = "Aloud"
path = "states/drop.svg"
narration.en = "rain.mp3"
"""
PAGE = b"# Glace\n\n![Une goutte](drop.svg)\n"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    def prepare(school: School) -> None:
        trust(school.settings.keys, PUBLISHER)
        trust(school.settings.keys, STRANGER, "Stranger")

    async with site_with_sticks(tmp_path, prepare, Part.ALL) as site:
        yield site


async def load(site: Site, result: BuildResult, parts: list[str] | None = None) -> None:
    no = await site.box.loading.start(result.folder, parts)
    async for job in site.box.loading.watch(no):
        last = job
    assert last.state is JobState.DONE


async def load_course(site: Site, folder: Path, parts: list[str] | None = None) -> None:
    def build() -> BuildResult:
        source = write_course(folder / "source", more_resources=NARRATED + PARTS)
        return builder.build(source, folder / "stick", PUBLISHER)

    await load(site, await asyncio.to_thread(build), parts)


async def load_overlay(site: Site, folder: Path) -> None:
    def build() -> BuildResult:
        source = write_overlay(folder / "overlay", OVERLAY)
        (source / "read.fr.md").write_bytes(PAGE)
        (source / "drop.svg").write_bytes(b'<svg xmlns="http://www.w3.org/2000/svg"/>')
        return builder.build(source, folder / "overlays", STRANGER)

    await load(site, await asyncio.to_thread(build))


async def learner_page(site: Site, path: str) -> str:
    async with site.browser(site.school.learners[0]) as browser:
        reply, text = await browser.get(path)
        assert reply.status == 200
        return text


async def test_page_of_an_overlay_is_shown_in_the_lesson_below_and_recorded_there(site: Site, tmp_path: Path) -> None:
    await load_course(site, tmp_path)
    await load_overlay(site, tmp_path)
    text = await learner_page(site, f"{LEARN}/states-read?in=fr")
    assert "Glace" in text
    assert f'data-pack="{PACK}" data-version="1" data-resource="states-read" data-language="fr"' in text
    assert OVER not in text.split("<img")[0]


async def test_pictures_and_captions_of_an_overlay_come_from_its_own_address(site: Site, tmp_path: Path) -> None:
    await load_course(site, tmp_path)
    await load_overlay(site, tmp_path)
    text = await learner_page(site, f"{LEARN}/states-read?in=fr")
    assert re.search(rf'src="[^"]*/c/{OVER}@1/drop\.svg"', text)
    film = await learner_page(site, f"{LEARN}/states-film?in=fr")
    track = re.search(
        rf'<track kind="captions" src="([^"]*/c/{OVER}@1/film\.fr\.vtt)" srclang="fr"[^>]* default>', film
    )
    assert track is not None
    async with ClientSession() as session, session.get(track[1]) as answer:
        assert answer.status == 200
        assert b"bout" in await answer.read()


async def test_resource_left_out_says_which_part_has_it_and_the_lesson_goes_on(site: Site, tmp_path: Path) -> None:
    await load_course(site, tmp_path, parts=["arabic"])
    film = await learner_page(site, f"{LEARN}/states-film")
    assert "it comes with Films" in film
    assert "<video" not in film
    assert "<form" in await learner_page(site, f"{LEARN}/states-quiz")
    async with site.browser(site.school.learners[0]) as browser:
        csrf = await browser.csrf(f"{LEARN}/states-quiz")
        reply, text = await browser.post(f"{LEARN}/states-film", {"csrf": csrf})
        assert reply.status == 404
        assert "left out to save space" in text


async def test_part_loaded_later_is_shown_at_once(site: Site, tmp_path: Path) -> None:
    await load_course(site, tmp_path, parts=[])
    await load_course(site, tmp_path, parts=["films"])
    assert "<video" in await learner_page(site, f"{LEARN}/states-film")


async def test_part_the_pack_does_not_have_is_refused_before_anything_is_copied(site: Site, tmp_path: Path) -> None:
    with pytest.raises(PartUnknown):
        await load_course(site, tmp_path, parts=["moon"])
    assert site.box.library.packs() == []


async def test_narration_is_offered_in_the_language_it_speaks(site: Site, tmp_path: Path) -> None:
    await load_course(site, tmp_path)
    path = f"/learn/{PACK}/trying/aloud"
    assert re.search(rf'<audio [^>]*src="[^"]*/c/{PACK}@1/rain\.mp3"', await learner_page(site, path))


async def test_teacher_sees_how_much_speaks_a_language_what_was_left_out_and_what_lies_over(
    site: Site, tmp_path: Path
) -> None:
    await load_course(site, tmp_path, parts=["arabic"])
    await load_overlay(site, tmp_path)
    async with site.teacher() as browser:
        _, text = await browser.get("/staff/packs")
    assert re.search(r"<bdi>العربية</bdi> \d+", text)
    assert re.search(r"<bdi>Français</bdi> 12", text)
    assert "Left out: Films" in text
    assert "lies over Water" in text
