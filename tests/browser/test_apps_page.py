"""The page about other apps: it fits a phone, from right to left as well, and makes a sign-in."""

from pathlib import Path

import pytest
from playwright.async_api import Browser

from edgebox.app import Part, running_box
from tests.support.box import School

pytestmark = pytest.mark.browser
PICTURES = Path("var/screenshots")


@pytest.mark.parametrize(("language", "width"), [("en", 800), ("ar", 360)])
async def test_a_sign_in_for_another_app_is_made_and_taken_away(
    browser: Browser, school: School, language: str, width: int
) -> None:
    async with running_box(school.settings, Part.APP) as running:
        assert running.box is not None
        context = await browser.new_context(locale=language, viewport={"width": width, "height": 960})
        cookie = {"name": "edgebox_session", "value": school.teacher.session, "url": running.address}
        await context.add_cookies([cookie])  # type: ignore[list-item]
        page = await context.new_page()
        await page.goto(f"{running.address}staff/apps")
        await page.fill("[name=title]", "Robot lab")
        await page.click("form[action='/staff/apps'] .button")
        await page.wait_for_selector("text=Robot lab")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.screenshot(path=PICTURES / f"apps-{language}.png", full_page=True)
        (client,) = await running.box.clients.list_all()
        assert (client.title, client.may_write, client.revoked_ms) == ("Robot lab", True, None)
        async with page.expect_navigation(url="**/staff/apps"):
            await page.click(f"form[action='/staff/apps/{client.no}/end'] .button")
        assert await page.locator("text=Robot lab").count() == 0
        await context.close()
