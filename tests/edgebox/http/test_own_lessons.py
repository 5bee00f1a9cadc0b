"""A teacher makes a lesson of what is on the box and gives it to a class; learners find it and hand in for it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from content_packs.base.signing import SigningKey
from edgebox.app import Part, running_box
from sync.records.lessons import OWN_PACK, fits, read_resources, write_resources
from tests.support.box import School, make_school
from tests.support.hand_ins import hand_in
from tests.support.site import Site
from tests.support.small_course import PACK, built, trust

KEY = SigningKey(b"k" * 32)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    def make() -> School:
        school = make_school(tmp_path / "box")
        trust(school.settings.keys, KEY)
        (tmp_path / "media").mkdir()
        return school

    school = await asyncio.to_thread(make)
    settings = replace(school.settings, stick_folders=(tmp_path / "media",))
    async with running_box(settings, Part.APP) as running:
        assert running.box is not None
        site = Site(running.box, school, running.address.rstrip("/"))
        no = await site.box.loading.start(await built(tmp_path / "media" / "STICK", KEY))
        async for _job in site.box.loading.watch(no):
            pass
        yield site


async def some_resource(site: Site) -> str:
    lesson = (await site.box.library.lessons(PACK, start=0, limit=1))[0].lesson
    return lesson.resource_ids[0]


async def test_a_lesson_is_made_given_opened_and_handed_in_for(site: Site) -> None:
    resource, class_page = await some_resource(site), f"/staff/classes/{site.school.class_no}"
    async with site.teacher() as teacher:
        _, text = await teacher.get("/staff/lessons")
        assert f'value="{PACK}/{resource}"' in text
        response, _ = await teacher.submit("/staff/lessons", title=f"Monday {HOSTILE}", resource=f"{PACK}/{resource}")
        assert response.status == 303
        (own,) = await site.box.own_lessons.list_all()
        assert own.resources == ((PACK, resource),)
        _, text = await teacher.get(class_page)
        assert f'value="{OWN_PACK}/{own.id}"' in text
        assert HOSTILE not in text
        response, _ = await teacher.submit(f"{class_page}/assignments", lesson=f"{OWN_PACK}/{own.id}")
        assert response.status == 303
        _, text = await teacher.get(class_page)
        assert "Lessons of this school" in text
        assert "Monday &lt;script&gt;" in text
        _, text = await teacher.get(f"{class_page}/assignments/1/marks")
        assert "Monday &lt;script&gt;" in text
    async with site.browser(site.school.learners[0]) as browser:
        _, text = await browser.get("/learn")
        assert f"/own/{own.id}" in text
        _, text = await browser.get(f"/own/{own.id}")
        assert f"/{resource}" in text
        assert "/hand-in/1" in text
        assert HOSTILE not in text
        _, text = await browser.get("/hand-in/1")
        assert "Monday" in text
        assert f"/own/{own.id}" in text
    assert len((await site.box.teaching.progress(site.school.class_no)).table.totals) == 1


async def test_a_lesson_that_was_taken_away_breaks_no_page(site: Site) -> None:
    lesson = await site.box.own_lessons.make("Monday", [(PACK, await some_resource(site))])
    assert lesson is not None
    await site.box.teaching.assign(site.school.class_no, OWN_PACK, lesson)
    async with site.teacher() as teacher:
        response, _ = await teacher.submit(f"/staff/lessons/{lesson}/end")
        assert response.status == 303
        response, text = await teacher.get(f"/staff/classes/{site.school.class_no}")
        assert response.status == 200
        assert OWN_PACK not in text
    async with site.browser(site.school.learners[0]) as browser:
        for path, status in ((f"/own/{lesson}", 404), ("/learn", 200), ("/hand-in/1", 404)):
            response, _ = await browser.get(path)
            assert (path, response.status) == (path, status)


async def test_what_was_handed_in_for_a_lesson_that_was_taken_away_is_still_the_teachers(site: Site) -> None:
    lesson = await site.box.own_lessons.make("Monday", [(PACK, await some_resource(site))])
    assert lesson is not None
    class_no = site.school.class_no
    await site.box.teaching.assign(class_no, OWN_PACK, lesson)
    await hand_in(site.box, site.school.learners[0].no, 1, "My tree")
    async with site.teacher() as teacher:
        await teacher.submit(f"/staff/lessons/{lesson}/end")
        _, text = await teacher.get(f"/staff/classes/{class_no}")
        assert "Monday" in text and f"/staff/classes/{class_no}/assignments/1/marks" in text
        _, text = await teacher.get(f"/staff/classes/{class_no}/assignments/1/marks")
        assert "Monday" in text and "My tree" in text
        mark = f"/staff/classes/{class_no}/assignments/1/learners/{site.school.learners[0].no}/mark"
        response, _ = await teacher.submit(mark, value="7", comment="", seen="")
        assert response.status == 303
        response, _ = await teacher.get(f"/staff/classes/{class_no}/assignments/99/marks")
        assert response.status == 404


@pytest.mark.parametrize(
    "fields", [{"title": "Monday"}, {"title": "", "resource": "x/y"}, {"title": "M", "resource": "../x"}]
)
async def test_a_lesson_of_nothing_that_is_here_is_not_made(site: Site, fields: dict[str, str]) -> None:
    async with site.teacher() as teacher:
        response, _ = await teacher.submit("/staff/lessons", **fields)
        assert response.status == 400
    assert await site.box.own_lessons.list_all() == []


@pytest.mark.parametrize("lesson", ["0" * 32, "x"])
async def test_a_lesson_that_is_not_there_is_not_found(site: Site, lesson: str) -> None:
    async with site.browser(site.school.learners[0]) as browser:
        response, _ = await browser.get(f"/own/{lesson}")
        assert response.status == 404


def test_a_list_of_resources_is_written_in_order_and_each_once() -> None:
    given = [("b.pack", "two"), ("a.pack", "one"), ("b.pack", "two")]
    assert read_resources(write_resources(given)) == [("b.pack", "two"), ("a.pack", "one")]
    assert read_resources("") == [] == read_resources("/x\nno slash\ny/")
    assert not fits([("a.pack", str(number) * 40) for number in range(200)])
