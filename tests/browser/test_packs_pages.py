"""The pages about packs as teachers and learners see them, walked in two languages on a tablet and on a phone.

Screenshots of each step are written to var/screenshots/<language>/.
"""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from sqlite3 import Connection

import pytest
from playwright.async_api import Browser, Page

from edgebox.app import running_box
from edgebox.store import jobs
from edgebox.store.marks import find_assignment_id
from edgebox.store.writing import write_mark
from tests.browser.conftest import Site, load_course
from tests.support import shelf
from tests.support.box import Person, School
from tests.support.shelf import WATER

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
NOW_MS = 4_000_000_000_000  # later than all that was loaded: these are the latest
SIZES = {"tablet": {"width": 800, "height": 1280}, "phone": {"width": 360, "height": 640}}
LANGUAGES = os.environ.get("EDGEBOX_SCREENSHOT_LANGUAGES", "en,ar").split(",")


@pytest.fixture
async def site(school: School, stick: Path, tmp_path: Path) -> AsyncIterator[Site]:
    """Run a box on which and beside which there is everything."""
    settings = replace(school.settings, stick_folders=(tmp_path / "media",))
    async with running_box(settings) as running:
        assert running.box is not None
        box = running.box
        await load_course(box, stick)
        await shelf.fill_box(box, tmp_path)
        await shelf.fill_sticks(box, tmp_path / "media", tmp_path)
        yield Site(running.address, box, school.learners, school.class_no)


class Walk:
    """One person with a tablet and with a phone; what goes wrong in the pages is remembered."""

    def __init__(self, site: Site, language: str, pages: dict[str, Page]) -> None:
        self._site, self._folder, self._pages = site, ROOT / "var" / "screenshots" / language, pages
        self._folder.mkdir(parents=True, exist_ok=True)
        self.faults: list[str] = []
        for page in pages.values():
            page.on("pageerror", lambda error: self.faults.append(str(error)))
            page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)

    @property
    def page(self) -> Page:
        """Return what is open on the tablet."""
        return self._pages["tablet"]

    async def look(self, path: str, name: str, unfold: str = "") -> None:
        """Open a page on both; it is as wide as the screen and not wider."""
        for size, page in self._pages.items():
            await page.goto(self._site.address + path, wait_until="networkidle")
            for fold in await page.locator(unfold).all() if unfold else []:
                await fold.click()
            await self.picture(f"{name}-{size}", page)

    async def picture(self, name: str, page: Page) -> None:
        """Write a picture of the whole page, which is as wide as the screen and not wider."""
        await page.evaluate("window.scrollTo(0, 0)")
        await page.screenshot(path=self._folder / f"packs-{name}.png", full_page=True)
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} is {wide} pixels too wide"


async def walk(browser: Browser, site: Site, person: Person, language: str) -> Walk:
    """Sign a person in on a tablet and on a phone."""
    pages = {}
    for name, size in SIZES.items():
        context = await browser.new_context(locale=language, viewport=size, reduced_motion="reduce")
        await context.add_cookies([{"name": "edgebox_session", "value": person.session, "url": site.address}])
        pages[name] = await context.new_page()
    return Walk(site, language, pages)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_teacher_sees_everything_about_packs(
    browser: Browser, site: Site, school: School, tmp_path: Path, language: str
) -> None:
    teacher = await walk(browser, site, school.teacher, language)
    await teacher.look("staff/packs", "all", "#sticks .offer-parts summary, .offer-remove:first-child summary")
    await teacher.look(f"staff/packs/export?stick={tmp_path / 'media' / 'NEXT'}&fit=1", "fill", ".offer-parts summary")
    await teacher.page.click("form[action='/staff/packs/export'] .offer-go button")
    await teacher.page.wait_for_selector("#export .pill--go", timeout=40_000)
    await teacher.picture("filled-tablet", teacher.page)
    await teacher.look("staff/packs?words=nothing+is+called+this", "none")
    await site.box.database.write(several_at_work)
    await teacher.look("staff/packs", "loading")
    await site.box.loading.cancel_all()
    await site.box.teaching.assign(site.class_no, WATER, "states")
    await teacher.page.goto(f"{site.address}staff/packs")
    await load_with_films(teacher.page, site)
    await teacher.look("staff/packs", "loaded")
    await site.box.database.write(lambda connection: two_marks(connection, site.class_no))
    await teacher.look(f"staff/classes/{site.class_no}", "class")
    await teacher.look(f"staff/classes/{site.class_no}/assignments/1/marks", "marks")
    await shelf.damage(site.box, WATER, "states-read")
    await site.box.checking.scrub(None)
    await teacher.look("staff/packs", "damaged")
    assert teacher.faults == []


def two_marks(connection: Connection, class_no: int) -> None:
    """Give one learner two marks, as two boxes of a school may."""
    key = find_assignment_id(connection, class_no, 1)
    learner = connection.execute("SELECT pseudonym FROM person WHERE role = 'learner'").fetchone()[0]
    assert key is not None
    for value, comment in (("17/20", "A good start, look at question three again."), ("15/20", "")):
        write_mark(connection, key, learner, value, comment, replaces=[], now_ms=1_780_300_800_000)


def several_at_work(connection: Connection) -> None:
    """Write what the table of jobs holds while three packs are loaded and the stick of one was pulled."""
    names = (("org.example.a", 900_000_000), ("org.example.rivers", 40_000_000), ("org.example.gone", 7_000))
    wanted = [jobs.Wanted(f"/gone/{name}", name, 1, total_bytes) for name, total_bytes in names]
    first, _, last = jobs.insert_jobs(connection, wanted, NOW_MS)
    jobs.update_job(connection, first, jobs.JobState.COPYING, now_ms=NOW_MS)
    jobs.update_job_progress(connection, first, done_bytes=310_000_000, total_bytes=900_000_000, now_ms=NOW_MS)
    jobs.update_job(connection, last, jobs.JobState.STICK_GONE, now_ms=NOW_MS)


async def load_with_films(page: Page, site: Site) -> None:
    """Load the newer version from the stick, with the films that were left out before; the page shows it by itself."""
    offer = page.locator(f".offer:has(input[value='{WATER}/2/films'])")
    for box in await page.locator("#sticks .offer > input").all():
        await box.uncheck()
    await offer.locator("> input").check()
    before = await page.inner_text("form:has(.offer-parts) [data-sum-shown] b")
    await offer.locator("summary").click()
    await page.check(f"input[value='{WATER}/2/films']")
    after = await page.inner_text("form:has(.offer-parts) [data-sum-shown] b")
    assert before.endswith("kB")
    assert after.endswith("MB")
    await page.click(f"form:has(input[value='{WATER}/2/films']) > .offer-go button")
    await page.wait_for_selector("#shelf .offer:has-text('3.0')", timeout=40_000)
    assert all(part.is_taken for part in site.box.library.shelf.current[WATER].parts)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_learners_find_their_way_in_many_packs(
    browser: Browser, site: Site, tmp_path: Path, language: str
) -> None:
    await shelf.fill_catalogue(site.box, tmp_path, 14)
    await site.box.teaching.assign(site.class_no, WATER, "states")
    learner = await walk(browser, site, site.learners[0], language)
    await learner.look("learn", "home")
    await learner.page.click("a[rel=next]")
    await learner.picture("home-next", learner.page)
    await learner.look("learn?words=nothing+is+called+this", "home-none")
    await learner.look(f"learn/{WATER}/states", "lesson")
    await learner.look(f"learn/{WATER}/states/states-film", "left-out")
    assert learner.faults == []
    await shelf.damage(site.box, WATER, "states-read")
    await learner.look(f"learn/{WATER}/states/states-read", "page-damaged")
    assert all("503" in fault for fault in learner.faults)
