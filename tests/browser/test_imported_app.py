"""A web app as teachers find them, with everything inline: brought on the teacher's page, it runs on a tablet."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.conftest import Site, open_page, sign_in, state_says
from tests.support.box import School
from tests.support.web_app import zipped_app

pytestmark = pytest.mark.browser


async def test_an_uploaded_app_runs_in_its_frame_and_reports_its_result(
    site: Site, school: School, browser: Browser, tmp_path: Path
) -> None:
    await site.box.local_packs.allow_scripts(on=True)
    path = tmp_path / "kettle.zip"
    await asyncio.to_thread(path.write_bytes, zipped_app(top="kettle/"))
    staff = await open_page(await sign_in(browser, site, school.teacher), f"{site.address}staff/packs")
    await staff.set_input_files("input[type=file]", path)
    await staff.click("[data-upload] button")
    await staff.get_by_text("On tablets some of it will not work").wait_for()
    async for job in site.box.loading.watch((await site.box.loading.recent())[0].no):
        pack = job.pack

    learner = site.learners[0]
    context = await sign_in(browser, site, learner)
    complaints: list[str] = []
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    await page.goto(f"{site.address}learn/{pack}/imported/app-1")
    frame = page.frame_locator("iframe")
    now = frame.locator("#now")
    assert await now.evaluate("element => getComputedStyle(element).color") == "rgb(1, 2, 3)"
    hint = frame.locator("#hint")
    assert await hint.evaluate("element => element.style.color") == "rgb(4, 5, 6)"
    assert await frame.locator("body").evaluate("() => coloured") == "rgb(4, 5, 6)"
    assert not await hint.is_visible()
    async with page.expect_response(lambda reply: "completed" in (reply.request.post_data or "")):
        for degrees in ("60", "100"):
            await frame.locator("#heat").click()
            assert await now.text_content() == degrees
    assert await hint.is_visible()
    await state_says(page, "Saved at school")
    events = await site.events(learner)
    assert {"answered", "completed"} <= {verb for verb, _, _ in events}
    assert ("answered", "boil") in {(verb, item) for verb, item, _ in events}
    assert [text for text in complaints if "Content Security Policy" in text] == []
