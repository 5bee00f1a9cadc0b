"""A learner hands in on a tablet without script; the teacher reads it, saves the file and gives the mark."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext

from edgebox.app import Part, running_box
from tests.browser.conftest import PACK, load_course
from tests.support.box import Person, School
from tests.support.hand_ins import photo

pytestmark = pytest.mark.browser
WIDTH, HEIGHT = 800, 1280
LESSON = "equal-parts"


async def tablet(browser: Browser, address: str, person: Person, language: str, *, has_script: bool) -> BrowserContext:
    size = {"width": WIDTH, "height": HEIGHT}
    context = await browser.new_context(locale=language, viewport=size, java_script_enabled=has_script)  # type: ignore[arg-type]
    await context.add_cookies([{"name": "edgebox_session", "value": person.session, "url": address}])
    return context


@pytest.mark.parametrize("language", ["en", "ar"])
async def test_handing_in_needs_no_script_and_fits_a_tablet(
    browser: Browser, school: School, stick: Path, language: str
) -> None:
    async with running_box(school.settings, Part.ALL) as running:
        assert running.box is not None
        await load_course(running.box, stick)
        await running.box.teaching.assign(school.class_no, PACK, LESSON)
        learner = await tablet(browser, running.address, school.learners[0], language, has_script=False)
        page = await learner.new_page()
        await page.goto(f"{running.address}learn/{PACK}/{LESSON}")
        await page.click("a[href='/hand-in/1']")
        for text, size_bytes in (("I drew it first", 40_000), ("My drawing of a half.\nIt took me an hour.", 250_000)):
            await page.fill("[name=text]", text)
            file = {"name": "Amina.jpg", "mimeType": "image/jpeg", "buffer": photo(size_bytes)}
            await page.set_input_files("[name=file]", file)  # type: ignore[arg-type]
            await page.click("form[action='/hand-in/1'] .button")
            await page.wait_for_selector(".notice--go")
        shot = await page.screenshot(full_page=True)
        assert await page.locator("li.card").count() == 2
        box = await page.locator(".page, main").first.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= WIDTH
        await learner.close()
        teacher = await tablet(browser, running.address, school.teacher, language, has_script=True)
        page = await teacher.new_page()
        await page.goto(f"{running.address}staff/classes/{school.class_no}/assignments/1/marks")
        assert await page.evaluate("document.documentElement.scrollWidth") <= WIDTH
        assert await page.locator(".handed-text").first.inner_text() == "My drawing of a half.\nIt took me an hour."
        await page.click("main details summary")
        staff_shot = await page.screenshot(full_page=True)
        async with page.expect_download() as saving:
            await page.locator("a[href='/staff/hand-ins/2/file']").click()
        saved = await saving.value
        assert saved.suggested_filename == "hand-in-2.jpg"
        assert Path(await saved.path()).stat().st_size == 250_000
        await page.locator("[name=value]").first.fill("9")
        await page.locator("form[action$='/mark'] .button").first.click()
        await page.wait_for_function("document.querySelector('[name=value]').value === '9'")
        await teacher.close()
    if folder := os.environ.get("EDGEBOX_SCREENSHOTS"):
        Path(folder, f"hand-in-{language}.png").write_bytes(shot)
        Path(folder, f"hand-in-staff-{language}.png").write_bytes(staff_shot)


async def test_a_lesson_is_made_on_a_tablet_without_script(browser: Browser, school: School, stick: Path) -> None:
    async with running_box(school.settings, Part.ALL) as running:
        assert running.box is not None
        await load_course(running.box, stick)
        teacher = await tablet(browser, running.address, school.teacher, "en", has_script=False)
        page = await teacher.new_page()
        await page.goto(f"{running.address}staff/classes")
        await page.click("a[href='/staff/lessons']")
        await page.fill("[name=title]", "Halves on Monday")
        await page.locator("form details summary").first.click()
        for number in range(2):
            await page.locator("[name=resource]").nth(number).check()
        shot = await page.screenshot(full_page=True)
        await page.click("form[action='/staff/lessons'] .button")
        await page.wait_for_selector("text=Halves on Monday")
        assert [len(own.resources) for own in await running.box.own_lessons.list_all()] == [2]
        await teacher.close()
    if folder := os.environ.get("EDGEBOX_SCREENSHOTS"):
        Path(folder, "own-lessons.png").write_bytes(shot)
