"""Nothing a learner did is lost, doubled or put out of order, whatever happens to the line, the page and the tab."""

import pytest
from playwright.async_api import Browser, Route

from tests.browser.conftest import QUIZ, READING, Site, answer, open_page, sign_in, state_says

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

NO_DISK = "Object.defineProperty(window, 'indexedDB', {value: {open() { throw new Error('refused'); }}});"


def answered(events: list[tuple[str, str | None, int]]) -> list[str | None]:
    return [item for verb, item, _ in events if verb == "answered"]


async def test_answers_given_without_a_line_arrive_in_order(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    page = await open_page(context, site.address + QUIZ)
    await answer(page)
    await state_says(page, "Saved at school")
    await context.set_offline(True)
    for _ in range(3):
        await page.click("[data-check]")
        await answer(page)
    await state_says(page, "Saved on this tablet, 6 to send")
    await context.set_offline(False)
    await state_says(page, "Saved at school")
    events = await site.events(site.learners[0])
    assert answered(events) == ["q1", "q2", "q3", "q4"]
    assert [seq for _, _, seq in events] == list(range(1, 10))


async def test_a_reload_keeps_the_answers_and_the_attempt(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    await context.route("**/api/outbox", lambda route: route.abort())
    page = await open_page(context, site.address + QUIZ)
    await answer(page)
    await page.click("[data-check]")
    await answer(page)
    await page.reload()
    await state_says(page, "5 to send")
    assert await page.locator(".dot--right, .dot--wrong").count() == 2
    assert await page.locator("[data-item=q3]").is_visible()
    await context.unroute("**/api/outbox")
    await state_says(page, "Saved at school")
    events = await site.events(site.learners[0])
    assert answered(events) == ["q1", "q2"]
    assert [verb for verb, _, _ in events].count("launched") == 1


async def test_a_lost_reply_stores_nothing_twice(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    lost: list[int] = []

    async def lose_first(route: Route) -> None:
        reply = await route.fetch()
        if len(lost) < 2:
            lost.append(reply.status)
            await route.abort()
        else:
            await route.fulfill(response=reply)

    await context.route("**/api/outbox", lose_first)
    page = await open_page(context, site.address + QUIZ)
    await answer(page)
    await state_says(page, "Saved at school")
    assert lost == [200, 200]
    assert answered(await site.events(site.learners[0])) == ["q1"]


async def test_two_tabs_make_one_attempt_and_one_answer(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    first = await open_page(context, site.address + QUIZ)
    await first.wait_for_selector(".dot--now")
    second = await open_page(context, site.address + QUIZ)
    await second.wait_for_selector(".dot--now")
    await answer(first)
    await answer(second)
    await state_says(first, "Saved at school")
    await state_says(second, "Saved at school")
    events = await site.events(site.learners[0])
    assert [verb for verb, _, _ in events] == ["launched", "answered", "progressed"]


async def test_without_a_disk_the_page_warns_and_sends_at_once(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    await context.add_init_script(NO_DISK)
    page = await open_page(context, site.address + QUIZ)
    await state_says(page, "Cannot save here")
    async with page.expect_response("**/api/outbox"):
        await answer(page)
    async with page.expect_response("**/api/outbox"):
        await page.click("[data-check]")
        await answer(page)
    assert "q1" in answered(await site.events(site.learners[0]))


async def test_events_stay_under_the_learner_who_made_them(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    await context.route("**/api/outbox", lambda route: route.abort())
    page = await open_page(context, site.address + QUIZ)
    await answer(page)
    session = {"name": "edgebox_session", "value": site.learners[1].session, "url": site.address}
    await context.add_cookies([session])
    await context.unroute("**/api/outbox")
    await page.goto(site.address + READING)
    await state_says(page, "Saved at school")
    assert answered(await site.events(site.learners[0])) == ["q1"]
    assert [verb for verb, _, _ in await site.events(site.learners[1])] == ["launched"]


async def test_a_tap_during_a_drop_stays_on_the_page_and_goes_on_by_itself(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    page = await open_page(context, site.address + QUIZ)
    await page.wait_for_selector(".dot--now")
    await context.set_offline(True)
    await page.click(".onward a[rel=prev]")
    await page.wait_for_selector(".retry")
    assert page.url.endswith(QUIZ)
    await context.set_offline(False)
    await page.wait_for_url("**/equal-parts-worksheet", timeout=20_000)
    assert await page.locator(".retry").count() == 0
