"""The page about a record store outside the school: it fits a phone, from right to left as well."""

from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.support.box import make_tablet
from tests.support.record_stores import saying, scripted_store, sending_box
from tests.support.records import make_statement, outside_client

pytestmark = pytest.mark.browser
PICTURES = Path("var/screenshots")


@pytest.mark.parametrize(("language", "width"), [("en", 800), ("en", 360), ("ar", 800), ("ar", 360)])
async def test_a_store_is_named_and_the_page_tells_how_far_it_is(
    browser: Browser, tmp_path: Path, language: str, width: int
) -> None:
    async with scripted_store() as store, sending_box(tmp_path / "box", make_tablet()) as sending:
        await sending.record(12)
        async with outside_client(sending.box) as records:
            await records.send(make_statement(1))
        context = await browser.new_context(
            locale=language, viewport={"width": width, "height": 1280 if width == 800 else 640}
        )
        cookie = {"name": "edgebox_session", "value": sending.school.teacher.session, "url": sending.address}
        await context.add_cookies([cookie])  # type: ignore[list-item]
        page = await context.new_page()
        await page.goto(f"{sending.address}staff/sync")
        await page.click("a[href='/staff/forward']")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.screenshot(path=PICTURES / f"forward-first-{language}-{width}.png", full_page=True)
        await page.fill("[name=url]", store.address)
        await page.fill("[name=login]", "school-12")
        await page.fill("[name=secret]", "secret")
        async with page.expect_navigation(url="**/staff/forward?done=saved"):
            await page.click("form[action='/staff/forward'] .button")
        store.replies = [saying(400, "The verb is not one of ours.")] * 5
        async with page.expect_navigation(url="**/staff/forward"):
            await page.click("form[action='/staff/forward/now'] .button")
        await page.wait_for_selector("#forward-state summary")
        await page.click("#forward-state summary")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.screenshot(path=PICTURES / f"forward-{language}-{width}.png", full_page=True)
        state = await sending.box.forwarding.state()
        assert state is not None
        assert (state.progress.sent, state.asides, state.progress.kept) == (11, 1, 1)
        store.default = saying(401)
        await sending.record(2)
        async with page.expect_navigation(url="**/staff/forward"):
            await page.click("form[action='/staff/forward/now'] .button")
        async with page.expect_navigation(url="**/staff/forward"):
            await page.click("form[action='/staff/forward/pause'] .button")
        await page.screenshot(path=PICTURES / f"forward-denied-{language}-{width}.png", full_page=True)
        await context.close()
