"""Pages work with little: without script, at the width of a phone, with what an app or a film says."""

import pytest
from playwright.async_api import Browser, Response

from edgebox.domain.secret import SecretKind
from tests.browser.conftest import PACK, QUIZ, READING, Site, open_page, sign_in, state_says
from tests.support.box import School

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
APP = f"learn/{PACK}/equal-parts/equal-parts-experiment"
FILM = f"learn/{PACK}/equal-parts/equal-parts-film"


async def test_without_script_a_learner_signs_in_and_finishes_a_quiz(browser: Browser, site: Site) -> None:
    learner = site.learners[0]
    (secret,) = await site.box.signing_in.new_secrets([learner.no], SecretKind.PICTURE)
    context = await browser.new_context(java_script_enabled=False, locale="en")
    page = await open_page(context, f"{site.address}class/{site.class_no}")
    await page.click(f"a[href='/sign-in/{learner.no}']")
    for picture in secret.secret.split(","):
        await page.click(f"button[value={picture}]")
    await page.wait_for_url("**/learn")
    await page.goto(site.address + QUIZ)
    for item in await page.locator("[data-item]").all():
        if await item.locator(".option").count():
            await item.locator("input").first.check()
        else:
            await item.locator("input").fill("٣")
    await page.click("[data-check]")
    assert "of 10" in await page.inner_text(".done h2")
    events = await site.events(learner)
    assert [verb for verb, _, _ in events].count("answered") == 10
    assert events[0][0] == "launched"
    assert events[-1][0] in ("passed", "failed")


async def test_pictures_with_script_sign_in_with_one_request(browser: Browser, site: Site) -> None:
    learner = site.learners[0]
    (secret,) = await site.box.signing_in.new_secrets([learner.no], SecretKind.PICTURE)
    context = await browser.new_context(locale="en")
    page = await open_page(context, f"{site.address}sign-in/{learner.no}")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    await page.wait_for_selector(".slot")
    for picture in secret.secret.split(","):
        await page.click(f"button[value={picture}]")
    await page.wait_for_url("**/learn")
    assert [url for url in sent if "/sign-in/" in url] == [f"{site.address}sign-in/{learner.no}"]


async def test_a_pin_can_be_tapped(browser: Browser, site: Site) -> None:
    learner = site.learners[0]
    (secret,) = await site.box.signing_in.new_secrets([learner.no], SecretKind.PIN)
    context = await browser.new_context(locale="en")
    page = await open_page(context, f"{site.address}sign-in/{learner.no}")
    for digit in secret.secret:
        await page.click(f"[data-digit='{digit}']")
    await page.click("[data-go]")
    await page.wait_for_url("**/learn")
    assert "Hello" in await page.inner_text("h1")


async def test_reading_to_the_end_is_recorded_once(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    page = await open_page(context, site.address + READING)
    await state_says(page, "Saved at school")
    await page.click("[data-finish] button")
    await page.wait_for_selector("[data-finish] .notice--go")
    await state_says(page, "Saved at school")
    events = await site.events(site.learners[0])
    assert [verb for verb, _, _ in events] == ["launched", "completed"]


async def test_an_app_speaks_only_from_its_own_frame(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    page = await open_page(context, site.address + APP)
    await state_says(page, "Saved at school")
    forged = {"edgebox": 1, "type": "completed", "success": True, "score": 5, "max": 5}
    await page.evaluate("message => window.postMessage(message, '*')", forged)
    frame = page.frames[1]
    genuine = {"edgebox": 1, "type": "answered", "item": "pizza-1", "success": True, "response": "1/2"}
    await frame.evaluate("message => parent.postMessage(message, '*')", genuine)
    async with page.expect_response(lambda reply: "pizza-2" in (reply.request.post_data or "")):
        await frame.evaluate("message => parent.postMessage(message, '*')", {**genuine, "item": "pizza-2"})
    events = await site.events(site.learners[0])
    assert [(verb, item) for verb, item, _ in events if verb in ("answered", "completed")] == [
        ("answered", "pizza-1"),
        ("answered", "pizza-2"),
    ]


@pytest.mark.parametrize("path", ["", f"learn/{PACK}/equal-parts", "learn", QUIZ, READING, FILM])
async def test_no_page_is_wider_than_a_phone(browser: Browser, site: Site, path: str) -> None:
    context = await sign_in(browser, site, site.learners[0], viewport={"width": 320, "height": 640})
    page = await open_page(context, site.address + path)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320


async def test_no_page_breaks_the_content_policy(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    for path in ("", "learn", f"learn/{PACK}/equal-parts", QUIZ, READING, FILM, APP, "search?q=half"):
        await page.goto(site.address + path, wait_until="networkidle")
    assert said == []


PLAY = "async () => { const film = document.querySelector('video'); film.muted = true; await film.play(); }"
SEEK = "part => { const film = document.querySelector('video'); film.currentTime = film.duration * part; }"


async def test_a_film_goes_on_where_it_was_left_and_is_done_near_its_end(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    page = await open_page(context, site.address + FILM)
    await page.wait_for_function("() => document.querySelector('video').readyState > 0")
    assert await page.evaluate("Array.from(document.querySelector('video').textTracks, t => t.language)") == [
        "ar",
        "en",
    ]
    await page.evaluate(PLAY)
    async with page.expect_response(lambda reply: "progressed" in (reply.request.post_data or "")):
        await page.evaluate(SEEK, 0.5)
    await page.reload()
    await page.wait_for_function("() => document.querySelector('video').currentTime > 10")
    await page.evaluate(PLAY)
    async with page.expect_response(lambda reply: "completed" in (reply.request.post_data or "")):
        await page.evaluate(SEEK, 0.95)
    await state_says(page, "Saved at school")
    verbs = [verb for verb, _, _ in await site.events(site.learners[0])]
    assert verbs.count("launched") == 1
    assert verbs.count("completed") == 1


def is_state_past_ten_seconds(reply: Response) -> bool:
    return "/activities/state" in reply.url and (reply.request.post_data_json or {}).get("position_ms", 0) > 10_000


async def test_a_film_goes_on_at_another_tablet(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    page = await open_page(context, site.address + FILM)
    await page.wait_for_function("() => document.querySelector('video').readyState > 0")
    await page.evaluate(PLAY)
    async with page.expect_response(is_state_past_ten_seconds) as saved:
        await page.evaluate(SEEK, 0.5)
    assert (await saved.value).status == 204
    other = await sign_in(browser, site, site.learners[0])
    elsewhere = await open_page(other, site.address + FILM)
    await elsewhere.wait_for_function("() => document.querySelector('video').currentTime > 10")


async def test_a_class_with_all_lessons_is_no_wider_than_a_tablet(browser: Browser, site: Site, school: School) -> None:
    for lesson in ("equal-parts", "comparing", "adding"):
        await site.box.teaching.assign(site.class_no, PACK, lesson)
    context = await sign_in(browser, site, school.teacher, viewport={"width": 800, "height": 1280})
    page = await open_page(context, f"{site.address}staff/classes/{site.class_no}")
    table = page.locator("#table .table-wrap")
    assert await table.evaluate("table => table.scrollWidth > table.clientWidth")
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
