"""A course unit of others, as they packed it: brought on the teacher's page, it plays to its end on a tablet."""

from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from playwright.async_api import Browser, BrowserContext, Frame, FrameLocator, Page

from edgebox.domain.caller import Client, Reach, caller_of
from edgebox.domain.xapi.agents import identifier_of
from edgebox.store.statement_filters import Filter
from tests.browser.conftest import Site, open_page, sign_in
from tests.support.box import School

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "samples" / "cmi5" / "single_au_basic_responsive.zip"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not SAMPLE.is_file(), reason="the samples of others are not at hand"),
]


async def bring(site: Site, school: School, browser: Browser, path: Path) -> str:
    """Bring a package on the teacher's page, and return the address of its lesson."""
    await site.box.local_packs.allow_scripts(on=True)
    staff = await open_page(await sign_in(browser, site, school.teacher), f"{site.address}staff/packs")
    await staff.set_input_files("input[type=file]", path)
    async with staff.expect_response(lambda reply: reply.url.endswith("/upload")) as brought:
        await staff.click("[data-upload] button")
    assert (await brought.value).status in (200, 303)
    async for job in site.box.loading.watch((await site.box.loading.recent())[0].no):
        pack = job.pack
    return f"{site.address}learn/{pack}/imported"


async def open_unit(context: BrowserContext, lesson: str) -> Page:
    """Go from the lesson to its unit."""
    page = await open_page(context, lesson)
    await page.locator("a[href*='/cmi5-']").first.click()
    await page.locator("form[action$='/launch'] button").wait_for()
    return page


async def play(page: Page, unit: Frame | FrameLocator) -> None:
    """Go to the quiz of the sample, answer it and leave; returns when the unit said that it ended."""
    await unit.locator("#content", has_text="from the Ancient Greek").wait_for()
    await unit.locator(".navmenuitem", has_text="Quiz").click()
    await unit.get_by_text("(Select correct answers)").click()
    async with page.expect_response(lambda reply: "verbs/completed" in (reply.request.post_data or "")) as completed:
        await unit.get_by_text("Submit Answers").click()
    assert (await completed.value).status == 204
    async with page.expect_response(lambda reply: "verbs/terminated" in (reply.request.post_data or "")) as ended:
        await unit.locator("#score-panel .exit-button").click()
    assert (await ended.value).status == 204


async def test_the_sample_package_plays_to_its_end_and_counts_for_the_class(
    site: Site, school: School, browser: Browser
) -> None:
    lesson = await bring(site, school, browser, SAMPLE)
    learner = site.learners[0]
    page = await open_unit(await sign_in(browser, site, learner), lesson)
    complaints: list[str] = []
    asked: list[dict[str, str]] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: asked.append(request.headers) if "/xapi/" in request.url else None)
    await page.click("form[action$='/launch'] button")
    await play(page, page.frame_locator("iframe.app"))
    assert [text for text in complaints if "404" not in text] == []  # it asks for a bookmark that is not there yet
    assert {(headers.get("origin", "null"), headers.get("cookie")) for headers in asked} == {("null", None)}
    assert await page.frames[1].evaluate("self.origin") == "null"

    said = [statement["verb"]["id"].rsplit("/", 1)[1] for statement in await statements(site, learner.actor)]
    assert [said[0], said[1], said[-1]] == ["launched", "initialized", "terminated"]
    judged = [verb for verb in said if verb in ("passed", "completed", "satisfied")]
    assert judged == ["passed", "satisfied", "completed"]
    assert await is_done(page, lesson)
    staff = await open_page(
        await sign_in(browser, site, school.teacher), f"{site.address}staff/classes/{site.class_no}/units"
    )
    assert "1 of 1 done" in await staff.locator(".offer").inner_text()


async def test_a_unit_in_its_own_window_comes_back_to_its_page(
    site: Site, school: School, browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "own.zip"
    with ZipFile(SAMPLE) as sample, ZipFile(path, "w") as changed:
        for name in sample.namelist():
            if not name.endswith("/"):
                changed.writestr(name, sample.read(name).replace(b"moveOn=", b'launchMethod="OwnWindow" moveOn='))
    lesson = await bring(site, school, browser, path)
    page = await open_unit(await sign_in(browser, site, site.learners[0]), lesson)
    address = page.url
    await page.click("form[action$='/launch'] button")
    await page.get_by_text("Open it").click()
    await play(page, page.main_frame)
    await page.wait_for_url(address)
    assert await is_done(page, lesson)


async def statements(site: Site, actor: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all statements of a learner in the order of storing."""
    client = Client(0, "", "", may_write=False, reach=Reach.ALL, class_no=None, created_ms=0, revoked_ms=None)
    person_no = await site.box.record_store.person_of(actor)
    wanted = Filter(agent=identifier_of(actor), person_no=person_no, is_ascending=True)
    return (await site.box.record_store.list_page(caller_of(client), wanted, None, 100)).statements


async def is_done(page: Page, lesson: str) -> bool:
    """Tell whether the list of the lesson shows its one step as done."""
    await page.goto(lesson)
    return await page.locator(".step").inner_text() != "" and await page.locator(".step .unseen").inner_text() == "Done"
