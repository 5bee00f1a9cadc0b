"""Staff read how good the clock is, and set it from their tablet; nobody else does."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from content_packs.base.clock import SystemClock
from edgebox.domain.clock_rules import DAY_MS, Source
from sync.bundle.layout import ClockQuality
from tests.support.box import make_tablet
from tests.support.clock import FakeClock
from tests.support.site import Site, site_with_sticks

NOTICE = "The box is not sure what time it is"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_with_sticks(tmp_path, clock=FakeClock(SystemClock().now_ms())) as site:
        yield site


async def test_a_box_in_doubt_says_so_on_every_page_for_teachers_until_it_is_told(site: Site) -> None:
    async with site.teacher() as browser:
        for path in ("/staff/classes", "/staff/packs", "/staff/sync", "/staff/classes/1"):
            assert NOTICE in (await browser.get(path))[1]
        await site.box.timekeeping.hear(Source.HUB, site.box.clock.now_ms())
        _, text = await browser.get("/staff/sync")
        assert NOTICE not in text
        assert "The box has the time from the hub." in text
        assert 'action="/staff/clock"' not in text


async def test_a_teachers_tablet_sets_the_clock_by_itself_but_not_back(site: Site) -> None:
    clock = site.box.clock
    async with site.teacher() as browser:
        early_ms, late_ms = clock.now_ms() - DAY_MS, clock.now_ms() + 30 * DAY_MS
        response, _ = await browser.submit("/staff/clock", now=str(early_ms))
        assert response.status == 409
        response, _ = await browser.submit("/staff/clock", now=str(late_ms))
        assert response.status == 204
        assert (clock.now_ms(), site.box.timekeeping.clock.quality) == (late_ms, ClockQuality.TABLETS)
        assert "The box has the time from tablets." in (await browser.get("/staff/sync"))[1]


async def test_the_button_sets_the_clock_back_too_and_goes_back_to_its_page(site: Site) -> None:
    told_ms = site.box.clock.now_ms() - DAY_MS
    async with site.teacher() as browser:
        response, _ = await browser.submit("/staff/clock", now=str(told_ms), asked="1", next="/staff/sync")
        assert (response.status, response.headers["Location"]) == (303, "/staff/sync")
        assert site.box.clock.now_ms() == told_ms
        response, _ = await browser.submit("/staff/clock", now=str(told_ms), asked="1", next="//elsewhere.example")
        assert response.headers["Location"] == "/staff/classes"


async def test_a_tablet_whose_clock_cannot_be_right_is_told_so(site: Site) -> None:
    async with site.teacher() as browser:
        response, text = await browser.submit("/staff/clock", now="0", asked="1")
        assert response.status == 409
        assert "Look at the date of the tablet." in text


async def test_what_the_hub_told_is_not_undone_by_a_button(site: Site) -> None:
    await site.box.timekeeping.hear(Source.HUB, site.box.clock.now_ms())
    async with site.teacher() as browser:
        response, _ = await browser.submit("/staff/clock", now=str(site.box.clock.now_ms() + DAY_MS), asked="1")
        assert response.status == 409


@pytest.mark.parametrize("now", ["", "-1", "soon", "1" * 16, "٣"])
async def test_a_form_without_a_time_is_refused(site: Site, now: str) -> None:
    async with site.teacher() as browser:
        response, _ = await browser.submit("/staff/clock", now=now, asked="1")
        assert response.status == 400


async def test_a_learner_sets_no_clock(site: Site) -> None:
    before_ms = site.box.clock.now_ms()
    async with site.browser(site.school.learners[0]) as browser:
        response, _ = await browser.post("/staff/clock", {"now": str(before_ms + DAY_MS), "asked": "1"})
        assert response.status == 403
    assert site.box.clock.now_ms() == before_ms


async def test_days_that_were_put_right_are_marked_in_the_table_and_in_statements(site: Site) -> None:
    learner, tablet = site.school.learners[0], make_tablet()
    told_ms = site.box.clock.now_ms()
    event = tablet.event(learner, "completed", t=told_ms, result={"completion": True})
    await site.box.recording.store_outbox(tablet.request(event))
    await site.box.timekeeping.hear(Source.HUB, told_ms + 9 * DAY_MS)
    async with site.teacher() as browser:
        progress = await site.box.teaching.progress(site.school.class_no)
        worked = progress.worked[learner.no]
        assert (worked.last_ms, worked.is_repaired) == (told_ms + 9 * DAY_MS, True)
        async with browser.session.get(
            site.address + "/xapi/statements", headers={"X-Experience-API-Version": "1.0.3"}
        ) as response:
            [statement] = (await response.json())["statements"]
        told = statement["context"]["extensions"]["urn:x-edgebox-extension:told"]
        assert told["timestamp"] < statement["timestamp"]
        assert told["stored"] < statement["stored"]
