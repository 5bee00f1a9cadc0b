"""A phone that carries: out of reach of the hub at school, out of reach of the box at the hub, and back again."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from content_packs.base import sockets
from edgebox.app import running_box
from edgebox.keys import Box
from sync.hub.app import running_hub
from sync.hub.running import Hub
from sync.hub.settings import HubSettings
from tests.browser.conftest import open_page
from tests.support.box import School, make_school, make_tablet

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
PHONE = {"width": 320, "height": 568}
CANARY = "canary-answer"
READ_STORE = """async () => {
  const db = await new Promise((resolve) => {
    const asked = indexedDB.open("edgebox-courier");
    asked.onsuccess = () => resolve(asked.result);
  });
  const rows = await new Promise((resolve) => {
    const asked = db.transaction("bundle").objectStore("bundle").getAll();
    asked.onsuccess = () => resolve(asked.result);
  });
  db.close();
  const text = (bytes) => bytes && Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join("");
  return rows.map((row) => Object.assign({}, row, { content: text(row.content), ack: text(row.ack) }));
}"""


def free_port() -> int:
    with sockets.listen("127.0.0.1", 0) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Road:
    """A school with a box and a town with a hub, of which the phone reaches one at a time."""

    school: School
    hub_data: Path
    hub_port: int
    box: Box | None = None
    hub: Hub | None = None
    _at_school: AsyncExitStack = field(default_factory=AsyncExitStack)
    _in_town: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def box_url(self) -> str:
        return f"http://127.0.0.1:{self.school.settings.port}"

    @property
    def hub_url(self) -> str:
        return f"http://127.0.0.1:{self.hub_port}"

    async def at_school(self, *, is_hub_reached: bool = False) -> Box:
        """Let the box answer, and the hub not, unless told otherwise."""
        if not is_hub_reached:
            await self._in_town.aclose()
        running = await self._at_school.enter_async_context(running_box(self.school.settings))
        assert running.box is not None
        self.box = running.box
        return running.box

    async def in_town(self) -> Hub:
        """Let the hub answer, and the box not."""
        await self._at_school.aclose()
        listening = await self._in_town.enter_async_context(running_hub(HubSettings(self.hub_data, port=self.hub_port)))
        self.hub = listening.hub
        return listening.hub

    async def work(self, box: Box) -> None:
        tablet = make_tablet()
        event = tablet.event(self.school.learners[0], item="q1", result={"success": True, "response": CANARY})
        answer = await box.recording.store_outbox(tablet.request(event))
        assert len(answer.acked) == 1

    async def close(self) -> None:
        await self._at_school.aclose()
        await self._in_town.aclose()


@pytest.fixture
async def road(tmp_path: Path) -> AsyncIterator[Road]:
    """Return a school whose box is enrolled and has something to send, with nothing running but the box."""
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    settings = replace(school.settings, port=free_port(), content_port=free_port(), sync_minutes=600.0)
    made = Road(replace(school, settings=settings), tmp_path / "hub", free_port())
    hub = await made.in_town()
    code = await hub.enrolling.make_code("Hill School")
    box = await made.at_school(is_hub_reached=True)
    await box.syncing.enroll(made.hub_url, code)
    await box.syncing.close()
    await made._in_town.aclose()
    await made.work(box)
    yield made
    await made.close()


@pytest.fixture
async def phone(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en", viewport=PHONE)
    yield context
    await context.close()


async def says(page: Page, state: str) -> None:
    """Wait for a state, as one who looks at the phone now and then does."""
    for _ in range(20):
        await page.evaluate("window.dispatchEvent(new Event('online'))")
        try:
            await page.wait_for_selector(f"#courier[data-state={state}]", timeout=3000)
        except Exception:
            continue
        return
    raise AssertionError(await page.inner_text("#courier"))


async def statements(hub: Hub) -> int:
    query = "SELECT count(*) FROM statement"
    return int(await hub.store.run(lambda connection: connection.exec_driver_sql(query).scalar_one()))


async def test_a_phone_carries_from_the_box_to_the_hub_and_the_receipts_back(road: Road, phone: BrowserContext) -> None:
    page = await open_page(phone, f"{road.box_url}/courier")
    await says(page, "aboard")
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    [row] = await page.evaluate(READ_STORE)
    assert row["content"].startswith("EBB")

    hub = await road.in_town()
    await says(page, "delivered")
    assert await statements(hub) == 1
    [row] = await page.evaluate(READ_STORE)
    assert (row["content"], row["ack"][:3]) == (None, "EBB")

    box = await road.at_school()
    assert (await box.syncing.status()).waiting_changes > 0
    await says(page, "handed")
    assert (await box.syncing.status()).waiting_changes == 0
    assert await page.evaluate(READ_STORE) == []


async def test_the_page_opens_on_the_road_and_goes_on(road: Road, phone: BrowserContext) -> None:
    page = await open_page(phone, f"{road.box_url}/courier")
    await says(page, "aboard")
    hub = await road.in_town()
    await page.goto("about:blank")
    await page.goto(f"{road.box_url}/courier")
    await says(page, "delivered")
    assert await statements(hub) == 1


async def test_without_script_a_file_goes_to_the_hub_and_another_comes_back(
    road: Road, browser: Browser, tmp_path: Path
) -> None:
    context = await browser.new_context(locale="en", viewport=PHONE, java_script_enabled=False)
    page = await open_page(context, f"{road.box_url}/courier")
    async with page.expect_download() as loading:
        await page.click("text=Load the file")
    await (await loading.value).save_as(tmp_path / "bundles.tar")
    hub = await road.in_town()
    await page.goto(f"{road.hub_url}/carry")
    await page.set_input_files("input[type=file]", tmp_path / "bundles.tar")
    await page.click("text=Give to the hub")
    assert "1 bundle was taken. It is from 1 box." in await page.inner_text("main")
    async with page.expect_download() as loading:
        await page.click("a >> text=Load the answers")
    await (await loading.value).save_as(tmp_path / "answers.tar")
    assert await statements(hub) == 1
    box = await road.at_school()
    await page.goto(f"{road.box_url}/courier")
    await page.set_input_files("input[type=file]", tmp_path / "answers.tar")
    await page.click("text=Give it to the box")
    assert "The box has the receipts now." in await page.inner_text("main")
    assert (await box.syncing.status()).waiting_changes == 0
    await context.close()


async def test_a_phone_shows_no_name_answer_login_or_pseudonym(road: Road, phone: BrowserContext) -> None:
    page = await open_page(phone, f"{road.box_url}/courier")
    await says(page, "aboard")
    kept = repr(await page.evaluate(READ_STORE))
    kept += await page.content() + repr(await page.evaluate("Object.assign({}, localStorage)"))
    secrets = [CANARY, "Learner 0", "Learner 1", "Class 4", "Teacher", "teacher"]
    for person in (*road.school.learners, road.school.teacher):
        secrets += [person.pseudonym.hex(), person.pseudonym.decode("latin-1"), person.token, person.session]
    assert not [secret for secret in secrets if secret in kept]


async def test_the_page_speaks_every_language_and_fits_a_small_phone(road: Road, browser: Browser) -> None:
    for language in ("en", "fr", "ar", "zh-CN"):
        context = await browser.new_context(locale=language, viewport=PHONE)
        page = await open_page(context, f"{road.box_url}/courier")
        await says(page, "aboard")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        direction = await page.get_attribute("html", "dir")
        assert direction == ("rtl" if language == "ar" else "ltr")
        shown = await page.inner_text("#courier")
        assert bool(re.search("On this phone for the hub", shown)) == (language == "en")
        await context.close()
