"""The page about the line on a tablet: it fits, from right to left as well, and what is being typed stays."""

import pytest
from playwright.async_api import Browser

from edgebox.app import Part, running_box
from sync.engine.lanes import Lane, Tariff
from tests.support.box import School

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("language", "width"), [("en", 800), ("ar", 600)])
async def test_the_meter_fits_a_tablet_and_the_tariff_is_saved(
    browser: Browser, school: School, language: str, width: int
) -> None:
    async with running_box(school.settings, Part.APP) as running:
        assert running.box is not None
        line = running.box.line
        await line.set_tariff(Tariff(month_bytes=300_000_000, price_micros=12_500_000, currency="KSh"))
        for lane in Lane:
            line.count(lane, 123_456)
        context = await browser.new_context(locale=language, viewport={"width": width, "height": 960})
        cookie = {"name": "edgebox_session", "value": school.teacher.session, "url": running.address}
        await context.add_cookies([cookie])  # type: ignore[list-item]
        page = await context.new_page()
        await page.goto(f"{running.address}staff/line")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert await page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")
        await page.fill("[name=day_mb]", "7.5")
        async with page.expect_navigation(url="**/staff/line?done=saved"):
            await page.click("form[action='/staff/line'] .button")
        await page.wait_for_selector(".notice--go")
        assert line.tariff.day_bytes == 7_500_000
        await context.close()
