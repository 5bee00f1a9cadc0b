"""A teacher who opens a page tells the box what time it is, without a touch."""

import pytest
from playwright.async_api import Browser

from content_packs.base.clock import SystemClock
from edgebox.domain.clock_rules import DAY_MS
from sync.bundle.layout import ClockQuality
from tests.browser.conftest import READING, Site, open_page, sign_in
from tests.support.box import School

pytestmark = pytest.mark.browser
LATE = "(() => { const now = Date.now; Date.now = () => now() + 3 * 86400000; })()"


async def test_a_teachers_tablet_sets_the_clock_and_the_notice_goes(
    browser: Browser, site: Site, school: School
) -> None:
    clock = site.box.timekeeping.clock
    before_ms = clock.now_ms()
    context = await browser.new_context(locale="en", viewport={"width": 360, "height": 640})
    await context.add_cookies([{"name": "edgebox_session", "value": school.teacher.session, "url": site.address}])
    await context.add_init_script(LATE)
    page = await context.new_page()
    async with page.expect_response("**/staff/clock"):
        await page.goto(f"{site.address}staff/classes")
    await page.wait_for_selector("#clock", state="hidden")
    assert clock.quality is ClockQuality.TABLETS
    assert clock.now_ms() - before_ms >= 3 * DAY_MS
    await page.goto(f"{site.address}staff/sync")
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    await page.click("text=Set the clock of the box from this tablet")
    assert page.url == f"{site.address}staff/sync"


async def test_a_learners_tablet_says_what_time_it_has(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    page = await open_page(context, site.address + READING)
    async with page.expect_request("**/api/outbox") as asked:
        await page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    sent = (await asked.value).post_data_json
    assert sent is not None
    assert abs(sent["now"] - SystemClock().now_ms()) < DAY_MS
