"""What is on a tablet arrives once, though the browser, the box's data or the box itself went away in between."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route

from edgebox.app import running_box
from tests.browser.conftest import QUIZ, READING, Site, answer, load_course, open_page, sign_in, state_says
from tests.support import programs
from tests.support.box import Person, School

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

APP = QUIZ.replace("-quiz", "-experiment")
REMEMBER_DATABASES = """
const opened = [];
const open = IDBFactory.prototype.open;
IDBFactory.prototype.open = function (...given) {
  const request = open.apply(this, given);
  request.addEventListener("success", () => opened.push(request.result));
  return request;
};
window.closeDatabases = () => opened.splice(0).forEach((database) => database.close());
"""
LEAP = """
const now = performance.now.bind(performance);
let ahead = 0;
performance.now = () => now() + ahead;
window.leap = (milliseconds) => { ahead += milliseconds; };
"""
FORGE_THE_MIRROR = """() => {
  const mirrored = JSON.parse(localStorage["edgebox.unsent"]);
  mirrored.events.forEach((event) => { event.token = "forged"; });
  localStorage["edgebox.unsent"] = JSON.stringify(mirrored);
}"""
SAY_TOO_MUCH = """() => {
  const face = String.fromCodePoint(0x1f600);
  const said = { edgebox: 1, type: "answered", success: true, score: 1e300, max: -5 };
  const item = "a" + "\\t" + "\\ud800" + face.repeat(100);
  const response = "x" + "\\0" + face.repeat(600);
  parent.postMessage(Object.assign({ item, response }, said), "*");
}"""
HOLD_THE_QUEUE = """
const isReleased = new Promise((done) => { window.release = done; });
const open = IDBFactory.prototype.open;
IDBFactory.prototype.open = function (...given) {
  const request = open.apply(this, given);
  const listen = request.addEventListener.bind(request);
  request.addEventListener = (type, then, ...options) => {
    listen(type, type === "success" ? (event) => isReleased.then(() => then(event)) : then, ...options);
  };
  return request;
};
"""
SAY_TWO = """() => {
  for (const item of ["one", "two"]) parent.postMessage({ edgebox: 1, type: "answered", item, success: true }, "*");
}"""
LIST_REFUSED = """() => new Promise((done) => {
  indexedDB.open("edgebox").onsuccess = ({ target }) => {
    target.result.transaction("rejected").objectStore("rejected").getAll().onsuccess = (event) => {
      done(event.target.result.map((row) => [row.verb, row.code]));
    };
  };
})"""


def answered(events: list[tuple[str, str | None, int]]) -> list[str | None]:
    return [item for verb, item, _ in events if verb == "answered"]


async def answer_next(page: Page) -> None:
    await page.click("[data-check]")
    await answer(page)


async def refuse(route: Route) -> None:
    await route.abort()


class Restarting:
    """A box that is stopped and started at one address."""

    def __init__(self, school: School) -> None:
        self.school = school

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Site]:
        async with running_box(self.school.settings) as running:
            assert running.box is not None
            kept = running.settings
            settings = replace(self.school.settings, port=kept.port, content_port=kept.content_port)
            self.school = replace(self.school, settings=settings)
            yield Site(running.address, running.box, self.school.learners, self.school.class_no)


@pytest.fixture
async def restarting(school: School, stick: Path) -> Restarting:
    """Return a box with the course, not running."""
    made = Restarting(school)
    async with made.run() as site:
        await load_course(site.box, stick)
    return made


async def test_a_queue_that_the_browser_closed_is_opened_again_for_the_next_answer(
    browser: Browser, site: Site
) -> None:
    context = await sign_in(browser, site, site.learners[0])
    await context.add_init_script(REMEMBER_DATABASES)
    page = await open_page(context, site.address + QUIZ)
    await answer(page)
    await state_says(page, "Saved at school")
    await page.evaluate("closeDatabases()")
    await answer_next(page)
    await state_says(page, "Saved at school")
    events = await site.events(site.learners[0])
    assert answered(events) == ["q1", "q2"]
    assert [seq for _, _, seq in events] == [1, 2, 3, 4, 5]


async def test_a_queue_that_the_browser_closed_is_opened_again_for_what_waits_in_it(
    browser: Browser, site: Site
) -> None:
    context = await sign_in(browser, site, site.learners[0])
    await context.add_init_script(REMEMBER_DATABASES)
    await context.route("**/api/outbox", refuse)
    page = await open_page(context, site.address + QUIZ)
    await answer(page)
    await state_says(page, "3 to send")
    await page.evaluate("closeDatabases()")
    await context.unroute("**/api/outbox")
    await page.evaluate("dispatchEvent(new Event('online'))")
    await state_says(page, "Saved at school")
    assert answered(await site.events(site.learners[0])) == ["q1"]


async def lose_queue(context: BrowserContext, page: Page, site: Site) -> None:
    """Let the browser empty IndexedDB, as it does when the disk is nearly full; localStorage stays."""
    await page.goto("about:blank")
    session = await context.new_cdp_session(page)
    origin = {"origin": site.address.rstrip("/"), "storageTypes": "indexeddb"}
    await session.send("Storage.clearDataForOrigin", origin)


async def work_offline(browser: Browser, site: Site) -> tuple[BrowserContext, Page]:
    context = await sign_in(browser, site, site.learners[0])
    await context.route("**/api/outbox", refuse)
    page = await open_page(context, site.address + QUIZ)
    await answer(page)
    await answer_next(page)
    await state_says(page, "5 to send")
    return context, page


async def test_what_an_emptied_queue_lost_arrives_from_the_second_copy(browser: Browser, site: Site) -> None:
    context, page = await work_offline(browser, site)
    await lose_queue(context, page, site)
    await context.unroute("**/api/outbox")
    await page.goto(site.address + READING)
    await state_says(page, "Saved at school")
    events = await site.events(site.learners[0])
    assert answered(events) == ["q1", "q2"]
    assert [seq for verb, _, seq in events if verb == "launched"] == [1, 1]
    await page.wait_for_function("() => localStorage['edgebox.orphans'] === '[]'")


async def test_what_the_box_refuses_of_the_second_copy_is_kept_and_told(browser: Browser, site: Site) -> None:
    context, page = await work_offline(browser, site)
    await page.evaluate(FORGE_THE_MIRROR)
    await lose_queue(context, page, site)
    await context.unroute("**/api/outbox")
    async with page.expect_response(lambda reply: '"refused":5' in (reply.request.post_data or "")):
        await page.goto(site.address + READING)
    await state_says(page, "Some work could not be taken")
    assert await page.evaluate("localStorage['edgebox.orphans']") == "[]"
    assert answered(await site.events(site.learners[0])) == []
    verbs = ["launched", "answered", "progressed", "answered", "progressed"]
    assert sorted(await page.evaluate(LIST_REFUSED)) == sorted([verb, "record.token_invalid"] for verb in verbs)
    assert await site.box.recording.has_refused_work()


async def test_work_refused_for_a_lost_key_is_offered_again_under_a_new_token(
    browser: Browser, restarting: Restarting
) -> None:
    async with restarting.run() as site:
        context = await sign_in(browser, site, site.learners[0])
        await context.route("**/api/outbox", refuse)
        page = await open_page(context, site.address + QUIZ)
        await answer(page)
        await state_says(page, "3 to send")
    (restarting.school.settings.keys / "submit.key").unlink()
    async with restarting.run() as site:
        await context.unroute("**/api/outbox")
        await state_says(page, "Some work could not be taken")
        assert await site.events(site.learners[0]) == []
        await page.reload()
        await state_says(page, "Saved at school")
        assert answered(await site.events(site.learners[0])) == ["q1"]
        assert await page.evaluate(LIST_REFUSED) == []


async def test_a_box_set_back_to_an_older_copy_of_its_data_gets_again_what_it_lost(
    browser: Browser, restarting: Restarting, tmp_path: Path
) -> None:
    data, backup = restarting.school.settings.data, tmp_path / "backup"
    async with restarting.run() as site:
        context = await sign_in(browser, site, site.learners[0])
        page = await open_page(context, site.address + QUIZ)
        await answer(page)
        await state_says(page, "Saved at school")
    await asyncio.to_thread(shutil.copytree, data, backup)
    async with restarting.run() as site:
        for _ in range(2):
            await answer_next(page)
        await state_says(page, "Saved at school")
    await asyncio.to_thread(shutil.rmtree, data)
    await asyncio.to_thread(shutil.move, backup, data)
    async with restarting.run() as site:
        assert answered(await site.events(site.learners[0])) == ["q1"]
        async with page.expect_response("**/api/outbox"):
            await answer_next(page)
        await state_says(page, "Saved at school")
        events = await site.events(site.learners[0])
        assert answered(events) == ["q1", "q2", "q3", "q4"]
        assert [seq for _, _, seq in events] == list(range(1, 10))


async def test_answers_given_while_the_box_was_killed_arrive_when_it_is_back(
    browser: Browser, restarting: Restarting
) -> None:
    async with restarting.run() as site:
        context = await sign_in(browser, site, site.learners[0])
    settings = restarting.school.settings
    arguments = ["serve", "--data", str(settings.data), "--port", str(settings.port)]
    arguments += ["--content-port", str(settings.content_port)]
    with programs.running(*arguments) as program:
        await asyncio.to_thread(program.next_line, site.address)
        page = await open_page(context, site.address + QUIZ)
        await answer(page)
        await state_says(page, "Saved at school")
        program.process.kill()
        await asyncio.to_thread(program.process.wait)
    for _ in range(2):
        await answer_next(page)
    await state_says(page, "4 to send")
    with programs.running(*arguments) as program:
        await asyncio.to_thread(program.next_line, site.address)
        await answer_next(page)
        await state_says(page, "Saved at school")
    async with restarting.run() as site:
        events = await site.events(site.learners[0])
    assert answered(events) == ["q1", "q2", "q3", "q4"]
    assert [seq for _, _, seq in events] == list(range(1, 10))


async def test_the_lowest_number_on_the_tablet_is_that_of_both_stores(browser: Browser, site: Site) -> None:
    requests: list[dict[str, Any]] = []

    async def reply(route: Route) -> None:
        requests.append(json.loads(route.request.post_data or ""))
        acked = [event["seq"] for event in requests[-1]["events"]]
        # With the answer the box has lost what came before it.
        box_seq = 0 if acked == [2, 3] else max(acked, default=1)
        await route.fulfill(json={"acked": acked, "rejected": [], "box_seq": box_seq, "hub_seq": 0, "server_ms": 1})

    context = await sign_in(browser, site, site.learners[0])
    await context.route("**/api/outbox", reply)
    page = await open_page(context, site.address + QUIZ)
    await page.wait_for_selector(".dot--now")
    await state_says(page, "Saved at school")
    async with page.expect_response("**/api/outbox"):
        await answer(page)
    await state_says(page, "Saved at school")
    sent = [(request["held_from"], [event["seq"] for event in request["events"]]) for request in requests]
    assert [found for found in sent if found[1]] == [(1, [1]), (1, [2, 3]), (1, [1])]


async def test_a_page_left_open_for_months_still_records_its_end(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    await context.add_init_script(LEAP)
    page = await open_page(context, site.address + READING)
    await state_says(page, "Saved at school")
    await page.evaluate("leap(45 * 24 * 3600e3)")
    await page.click("[data-finish] button")
    await page.wait_for_selector("[data-finish] .feedback")
    await state_says(page, "Saved at school")
    assert await results(site, site.learners[0], "completed", "duration_ms") == [(30 * 24 * 3600 * 1000,)]


async def results(site: Site, learner: Person, verb: str, columns: str) -> list[tuple[Any, ...]]:
    query = f"SELECT {columns} FROM statement JOIN verb ON verb.no = verb_no JOIN activity ON activity.no = activity_no"

    def read(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
        found = connection.execute(f"{query} WHERE person_no = ? AND verb.iri LIKE ?", (learner.no, f"%/{verb}"))
        return [tuple(row) for row in found]

    return await site.box.database.read(read)


async def test_what_a_learning_app_says_out_of_bounds_is_brought_into_them(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    page = await open_page(context, site.address + APP)
    await page.wait_for_selector("iframe")
    frame = next(frame for frame in page.frames if frame != page.main_frame)
    await frame.wait_for_load_state()
    # The request that says "launched" may still be under way, so its reply is not the one to wait for.
    async with page.expect_response(lambda reply: "answered" in (reply.request.post_data or "")):
        await frame.evaluate(SAY_TOO_MUCH)
    await state_says(page, "Saved at school")
    stored = await results(site, site.learners[0], "answered", "item, response, score_raw, score_max")
    assert stored == [("a" + "\U0001f600" * 78, "x" + "\U0001f600" * 499, 1e9, 0.0)]


async def test_what_a_learning_app_says_before_the_queue_is_open_is_recorded(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    await context.add_init_script(HOLD_THE_QUEUE)
    page = await open_page(context, site.address + APP)
    await page.frames[1].wait_for_load_state()
    await page.frames[1].evaluate(SAY_TWO)
    async with page.expect_response(lambda reply: "two" in (reply.request.post_data or "")):
        await page.evaluate("release()")
    assert answered(await site.events(site.learners[0])) == ["one", "two"]


async def test_a_learning_app_that_was_ready_before_its_page_starts_all_the_same(browser: Browser, site: Site) -> None:
    context = await sign_in(browser, site, site.learners[0])
    may_go = asyncio.Event()

    async def hold(route: Route) -> None:
        await may_go.wait()
        await route.continue_()

    await context.route("**/static/learner*.js", hold)
    page = await context.new_page()
    await page.goto(site.address + APP, wait_until="commit")
    await page.frame_locator("iframe").locator("button.main").wait_for()
    may_go.set()
    await state_says(page, "Saved at school")
    assert [verb for verb, _, _ in await site.events(site.learners[0])] == ["launched"]
