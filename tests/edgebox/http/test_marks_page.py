"""A teacher gives marks; two that were given at once are both shown until somebody chooses."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from sqlite3 import Connection

import pytest

from content_packs.base.signing import SigningKey
from edgebox.store import downstream
from edgebox.store.marks import find_assignment_id
from sync.records.rows import Mark
from tests.support.site import Site, site_with_sticks
from tests.support.small_course import PACK, built, trust

KEY = SigningKey(b"k" * 32)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_with_sticks(tmp_path, lambda school: trust(school.settings.keys, KEY)) as site:
        no = await site.box.loading.start(await built(tmp_path / "media" / "STICK", KEY))
        async for _job in site.box.loading.watch(no):
            pass
        lesson = (await site.box.library.lessons(PACK, start=0, limit=1))[0].lesson.id
        await site.box.teaching.assign(site.school.class_no, PACK, lesson)
        yield site


def page_of(site: Site) -> str:
    return f"/staff/classes/{site.school.class_no}/assignments/1/marks"


def mark_of(site: Site, learner: int = 0) -> str:
    person_no = site.school.learners[learner].no
    return f"/staff/classes/{site.school.class_no}/assignments/1/learners/{person_no}/mark"


def seen_in(text: str, learner_no: int) -> str:
    """Return the hidden field that names the marks on the page of one learner."""
    part = text.split(f'id="learner-{learner_no}"')[1].split("</li>")[0]
    found = re.search(r'name="seen" value="([0-9a-f]*)"', part)
    assert found is not None
    return found[1]


async def come_from_elsewhere(site: Site, value: str) -> None:
    """Let a mark arrive that another teacher gave at another box at the same time."""

    def apply(connection: Connection) -> None:
        key = find_assignment_id(connection, site.school.class_no, 1)
        assert key is not None
        mark = Mark(key, site.school.learners[0].pseudonym, value, HOSTILE, 5 << 16, b"another-box-----")
        downstream.apply_records(
            connection, [mark], origin=b"hub-------------", epoch=1, now_ms=site.box.clock.now_ms()
        )

    await site.box.database.write(apply)


async def test_a_mark_is_shown_and_can_be_replaced_and_taken_back(site: Site) -> None:
    learner = site.school.learners[0]
    async with site.browser(site.school.teacher) as browser:
        await browser.submit(mark_of(site), value="7", comment="good  work", seen="")
        _, text = await browser.get(page_of(site))
        assert 'value="7"' in text and 'value="good work"' in text
        await browser.submit(mark_of(site), value="8", comment="", seen=seen_in(text, learner.no))
        _, text = await browser.get(page_of(site))
        assert 'value="8"' in text and 'value="7"' not in text
        await browser.submit(mark_of(site), value="", comment="", seen=seen_in(text, learner.no))
        _, text = await browser.get(page_of(site))
        assert 'value="8"' not in text and "Choose one" not in text


async def test_two_marks_given_at_once_are_shown_until_one_is_chosen(site: Site) -> None:
    learner = site.school.learners[0]
    async with site.browser(site.school.teacher) as browser:
        await browser.submit(mark_of(site), value="7", comment="", seen="")
        await come_from_elsewhere(site, "5")
        _, text = await browser.get(page_of(site))
        assert text.count("Choose this one") == 2
        assert 'value="7"' in text and 'value="5"' in text
        assert HOSTILE not in text
        _, class_page = await browser.get(f"/staff/classes/{site.school.class_no}")
        assert "Two marks were given at once" in class_page
        choice = {"value": "5", "comment": HOSTILE, "seen": seen_in(text, learner.no)}
        for _twice in range(2):
            await browser.submit(mark_of(site), **choice)
        _, text = await browser.get(page_of(site))
        assert "Choose this one" not in text and 'value="5"' in text and 'value="7"' not in text
        _, class_page = await browser.get(f"/staff/classes/{site.school.class_no}")
        assert "Two marks were given at once" not in class_page


async def test_a_mark_from_a_page_that_is_out_of_date_does_not_hide_the_one_it_did_not_see(site: Site) -> None:
    async with site.browser(site.school.teacher) as browser:
        await browser.submit(mark_of(site), value="7", comment="", seen="")
        await browser.submit(mark_of(site), value="4", comment="", seen="junk")
        _, text = await browser.get(page_of(site))
        assert text.count("Choose this one") == 2


async def test_the_same_form_twice_gives_one_mark(site: Site) -> None:
    async with site.browser(site.school.teacher) as browser:
        for _twice in range(2):
            await browser.submit(mark_of(site), value="7", comment="x" * 5000, seen="")
        _, text = await browser.get(page_of(site))
        assert "Choose this one" not in text and f'value="{"x" * 333}"' in text


async def test_marks_are_for_lessons_and_learners_of_the_class(site: Site) -> None:
    async with site.browser(site.school.teacher) as browser:
        response, _ = await browser.get(f"/staff/classes/{site.school.class_no}/assignments/99/marks")
        assert response.status == 404
        stranger = f"/staff/classes/{site.school.class_no}/assignments/1/learners/{site.school.teacher.no}/mark"
        response, _ = await browser.submit(stranger, value="7", comment="", seen="")
        assert response.status == 404
