"""A running box with the sample course and a class, and a Chromium to visit it with."""

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from content_packs.base.signing import SigningKey
from content_packs.builder import build
from content_packs.format import keyfile
from edgebox.app import running_box
from edgebox.keys import Box
from tests.support.box import Person, School, make_school

COURSE = Path(__file__).resolve().parents[2] / "content_packs" / "samples" / "fractions"
PACK = "org.edgebox.samples.fractions"
QUIZ = f"learn/{PACK}/equal-parts/equal-parts-quiz"
READING = f"learn/{PACK}/equal-parts/equal-parts-read"
KEY = SigningKey(b"publisher of the browser tests..")


@dataclass
class Site:
    """A box that answers, and the people on it."""

    address: str
    box: Box
    learners: list[Person]
    class_no: int

    async def events(self, learner: Person) -> list[tuple[str, str | None, int]]:
        """Return what is stored of a learner: verb, item and sequence number, in the order of the numbers."""
        rows = await self.box.database.read(
            lambda connection: connection.execute(
                "SELECT verb.iri, activity.item, statement.device_seq FROM statement"
                " JOIN verb ON verb.no = verb_no JOIN activity ON activity.no = activity_no"
                " WHERE person_no = ? ORDER BY device_no, device_seq",
                (learner.no,),
            ).fetchall()
        )
        return [(iri.rsplit("/", 1)[1], item, seq) for iri, item, seq in rows]


def find_chromium() -> str:
    """Return the browser, or skip; EDGEBOX_REQUIRE_BROWSER=1 makes that a failure."""
    found = os.environ.get("EDGEBOX_CHROMIUM") or shutil.which("chromium", path="/usr/bin")
    if found:
        return found
    if os.environ.get("EDGEBOX_REQUIRE_BROWSER") == "1":
        pytest.fail("install Debian package chromium")
    pytest.skip("install Debian package chromium")


@pytest.fixture(scope="session")
def stick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the sample course as a signed pack."""
    return build(COURSE, tmp_path_factory.mktemp("stick"), KEY).folder


@pytest.fixture
def school(tmp_path: Path) -> School:
    """Return a data folder with a class."""
    return make_school(tmp_path / "box")


@pytest.fixture
async def site(school: School, stick: Path) -> AsyncIterator[Site]:
    """Run a box until the test ends."""
    async with running_box(school.settings) as running:
        assert running.box is not None
        await load_course(running.box, stick)
        yield Site(running.address, running.box, school.learners, school.class_no)


async def load_course(box: Box, stick: Path) -> None:
    """Copy the sample course from the stick to the box."""
    await box.loading.trust(keyfile.format_public(KEY.verify_key, "Tests").encode())
    job = await box.loading.start(stick)
    async for _ in box.loading.watch(job):
        pass


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Run a Chromium until the test ends."""
    executable = find_chromium()
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield launched
        await launched.close()


async def sign_in(browser: Browser, site: Site, learner: Person, **options: object) -> BrowserContext:
    """Return a tablet on which the learner is signed in."""
    context = await browser.new_context(locale="en", **options)  # type: ignore[arg-type]
    await context.add_cookies([{"name": "edgebox_session", "value": learner.session, "url": site.address}])
    return context


async def open_page(context: BrowserContext, address: str) -> Page:
    """Open a page and wait until its islands live."""
    page = await context.new_page()
    await page.goto(address)
    return page


async def answer(page: Page) -> None:
    """Answer the question that is shown, somehow, and see the feedback."""
    option = page.locator("fieldset:visible .option")
    if await option.count():
        await option.first.click()
    else:
        await page.fill(".answer:visible", "3")
    await page.click("[data-check]")
    await page.wait_for_selector(".feedback:visible")


async def state_says(page: Page, text: str) -> None:
    """Wait until the line at the top says something."""
    await page.wait_for_function(
        "text => document.getElementById('state').textContent.includes(text)", arg=text, timeout=40_000
    )
