"""The page on how long records stay: it fits a phone, from right to left as well, and keeps what staff choose."""

from pathlib import Path

import pytest
from playwright.async_api import Browser

from edgebox.app import Part, running_box
from tests.support.box import School

pytestmark = pytest.mark.browser
PICTURES = Path("var/screenshots")


@pytest.mark.parametrize(("language", "width"), [("en", 800), ("ar", 360)])
async def test_how_long_records_stay_is_chosen_and_kept(
    browser: Browser, school: School, language: str, width: int
) -> None:
    async with running_box(school.settings, Part.APP) as running:
        assert running.box is not None
        context = await browser.new_context(locale=language, viewport={"width": width, "height": 960})
        cookie = {"name": "edgebox_session", "value": school.teacher.session, "url": running.address}
        await context.add_cookies([cookie])  # type: ignore[list-item]
        page = await context.new_page()
        await page.goto(f"{running.address}staff/sync")
        await page.click("a[href='/staff/records']")
        await page.check("[name=keep][value=years-2]")
        await page.select_option("[name=first_month]", "1")
        async with page.expect_navigation(url="**/staff/records?done=saved"):
            await page.click("form[action='/staff/records'] .button")
        assert await page.is_checked("[name=keep][value=years-2]")
        assert await page.input_value("[name=first_month]") == "1"
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.screenshot(path=PICTURES / f"records-{language}.png", full_page=True)
        await context.close()
