"""A teacher's sticks on a small tablet: several packs in, what fits out again, and ticks that stay."""

from pathlib import Path

import pytest
from playwright.async_api import Browser

from content_packs.base.signing import SigningKey
from tests.browser.conftest import KEY, Site, open_page
from tests.support.box import School
from tests.support.small_course import built

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
SIZE = {"width": 800, "height": 1280}


@pytest.fixture
def school(school: School, tmp_path: Path) -> School:
    (tmp_path / "media" / "NEXT" / "edgebox").mkdir(parents=True)
    object.__setattr__(school.settings, "stick_folders", (tmp_path / "media",))
    return school


async def test_several_packs_are_loaded_and_put_on_a_stick_for_the_next_school(
    browser: Browser, site: Site, school: School
) -> None:
    (media,) = school.settings.stick_folders
    for name in ("one", "two", "three"):
        await built(media / "HILL", KEY, pack=f"org.example.{name}", title=f"Course {name}", more=name)
    await built(media / "HILL", SigningKey(b"s" * 32), pack="org.example.strange")
    context = await browser.new_context(locale="en", viewport=SIZE)
    await context.add_cookies([{"name": "edgebox_session", "value": school.teacher.session, "url": site.address}])
    page = await open_page(context, f"{site.address}staff/packs")
    await page.uncheck("label:has-text('Course two') >> xpath=../../input")
    shown = await page.inner_text("[data-sum-shown] b")
    await page.evaluate("document.activeElement.blur()")
    async with page.expect_response("**/staff/packs/sticks"):
        pass
    assert not await page.is_checked("label:has-text('Course two') >> xpath=../../input")
    assert await page.inner_text("[data-sum-shown] b") == shown
    await page.click("text=Load what is ticked")
    await page.wait_for_selector("text=2 of 2 packs ready to use")
    await page.goto(f"{site.address}staff/packs/export?stick={media / 'NEXT'}")
    await page.click("text=Tick what fits on the stick")
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    await page.click("text=Fill the stick")
    await page.wait_for_selector("text=You can take the stick out now.")
    assert {path.name for path in (media / "NEXT" / "edgebox" / "packs").iterdir()} >= {
        "org.example.one",
        "org.example.three",
    }
