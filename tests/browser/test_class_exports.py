"""The files of a class: their buttons fit a phone, from right to left as well, and a browser saves what they give."""

from pathlib import Path

import pytest
from playwright.async_api import Browser

from edgebox.app import Part, running_box
from tests.support.box import School

pytestmark = pytest.mark.browser
PICTURES = Path("var/screenshots")


@pytest.mark.parametrize(("language", "width"), [("en", 800), ("ar", 360)])
async def test_a_browser_saves_the_files_of_a_class(
    browser: Browser, school: School, language: str, width: int
) -> None:
    async with running_box(school.settings, Part.APP) as running:
        context = await browser.new_context(locale=language, viewport={"width": width, "height": 960})
        cookie = {"name": "edgebox_session", "value": school.teacher.session, "url": running.address}
        await context.add_cookies([cookie])  # type: ignore[list-item]
        page = await context.new_page()
        await page.goto(f"{running.address}staff/classes/{school.class_no}")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.locator("#files").screenshot(path=PICTURES / f"class-files-{language}.png")
        for ending in ("csv", "jsonl"):
            async with page.expect_download() as saving:
                await page.click(f"#files a[href$='.{ending}']")
            saved = await saving.value
            assert saved.suggested_filename.endswith(f".{ending}")
            assert await saved.failure() is None
        await context.close()
