"""A hostile pack in a real browser: what its page may do, and everything it may not."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page

from content_packs.base import sockets
from edgebox.app import listening, running_box
from edgebox.settings import Settings
from tests.support.box import School
from tests.support.content import PACK, install_files

pytestmark = pytest.mark.browser

OTHER = "org.example.other"
PAGE = b"""<!doctype html><meta charset="utf-8"><title>Hostile</title><link rel="stylesheet" href="style.css">
<body><form id="form" method="post"><input name="x"></form><script>self.inlineRan = true</script>
<img id="own" src="own.svg"><script src="probe.js"></script>"""
STYLE = b"body { color: rgb(1, 2, 3) }"
# Each probe says "allowed" or how it was stopped; those in `good` have to be allowed.
PROBE = b"""
const app = new URLSearchParams(location.search).get("app");
const other = location.origin + "/c/org.example.other@1/secret.txt";
const loads = (make) => new Promise((done) => {
  const element = make(); element.onload = () => done("allowed"); element.onerror = () => done("stopped");
});
const picture = (address) => loads(() => { const image = new Image(); image.src = address; return image; });
const script = (address) => loads(() => {
  const element = document.createElement("script"); element.src = address; document.body.append(element);
  return element;
});
const frame = (address) => new Promise((done) => {
  document.addEventListener("securitypolicyviolation", () => done("stopped"), { once: true });
  const element = document.createElement("iframe"); element.src = address; element.onload = () => done("allowed");
  document.body.append(element);
});
const bad = {
  cookies: () => document.cookie === "" ? "empty" : "allowed",
  localStorage: () => localStorage.length,
  sessionStorage: () => sessionStorage.length,
  indexedDB: () => new Promise((done, fail) => {
    const opening = indexedDB.open("x"); opening.onsuccess = done; opening.onerror = fail;
  }),
  caches: () => caches.open("x"),
  serviceWorker: () => navigator.serviceWorker.register("probe.js"),
  worker: () => new Promise((done, fail) => {
    const made = new Worker("probe.js"); made.onerror = fail; made.onmessage = done;
  }),
  fetchApp: () => fetch(app + "ping"),
  fetchAppBlind: () => fetch(app + "api/outbox", { method: "POST", mode: "no-cors", credentials: "include" }),
  fetchOtherPack: () => fetch(other),
  fetchOutside: () => fetch("http://127.0.0.2:9/"),
  beacon: () => new Promise((done) => {
    document.addEventListener("securitypolicyviolation", () => done("stopped"), { once: true });
    navigator.sendBeacon(app + "api/outbox", "x");
  }),
  socket: () => new Promise((done, fail) => {
    const made = new WebSocket(app.replace("http", "ws") + "ping"); made.onopen = done; made.onerror = fail;
  }),
  pictureOfApp: () => picture(app + "static/x"),
  scriptOfApp: () => script(app + "static/learner.js"),
  scriptOfOtherPack: () => script(location.origin + "/c/org.example.other@1/code.js"),
  frameOfApp: () => frame(app),
  parentDocument: () => parent.document.title,
  parentLocation: () => parent.location.href,
  topNavigation: () => { top.location.href = "about:blank"; },
  popup: () => open(app) ? "allowed" : "stopped",
  form: () => new Promise((done) => {
    document.addEventListener("securitypolicyviolation", () => done("stopped"), { once: true });
    const form = document.getElementById("form"); form.action = app + "sign-out"; form.submit();
    setTimeout(() => done("stopped"), 300);
  }),
  inlineScript: () => self.inlineRan ? "allowed" : "stopped",
  evaluation: () => eval("1"),
  makeFunction: () => Function("return 1")(),
  dialog: () => prompt("secret?") === null ? "stopped" : "allowed",
  origin: () => self.origin === "null" ? "opaque" : "allowed",
};
const good = {
  ownScript: () => "allowed",
  ownPicture: () => picture("own.svg"),
  ownFile: async () => (await (await fetch("data.json")).json()).x === 1 ? "allowed" : "wrong",
  ownStyle: () => getComputedStyle(document.body).color === "rgb(1, 2, 3)" ? "allowed" : "missing",
};
(async () => {
  const heard = {};
  for (const [name, probe] of [...Object.entries(good), ...Object.entries(bad)]) {
    try { const said = await probe(); heard[name] = typeof said === "string" ? said : "allowed"; }
    catch (error) { heard[name] = "stopped"; }
  }
  parent.postMessage({ heard, good: Object.keys(good) }, "*");
})();
"""


@dataclass
class Place:
    """Where the hostile page lies."""

    app: str
    content: str


@pytest.fixture
async def place(school: School) -> AsyncIterator[Place]:
    files = {
        "index.html": (PAGE, "text/html"),
        "style.css": (STYLE, "text/css"),
        "probe.js": (PROBE, "text/javascript"),
        "own.svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="2" height="2"/>', "image/svg+xml"),
        "data.json": (b'{"x":1}', "application/json"),
    }
    other = {"secret.txt": (b"secret", "text/plain"), "code.js": (b"1", "text/javascript")}
    await asyncio.to_thread(install_files, school.settings.data, files)
    await asyncio.to_thread(install_files, school.settings.data, other, pack=OTHER)
    async with running_box(school.settings) as running:
        yield Place(running.address, _content(running.settings))


def _content(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.content_port}/c/{PACK}@1/"


async def _embed(page: Page, place: Place) -> dict[str, Any]:
    """Put the hostile page into a page of the app, as a lesson does, and return what it found out."""
    await page.goto(place.app)
    result: dict[str, Any] = await page.evaluate(
        """(address) => new Promise((done) => {
          addEventListener("message", (event) => done({ ...event.data, origin: event.origin }));
          const frame = document.createElement("iframe");
          frame.setAttribute("sandbox", "allow-scripts");
          frame.src = address;
          document.body.append(frame);
        })""",
        f"{place.content}index.html?app={place.app}",
    )
    return result


async def test_a_hostile_page_reaches_its_own_files_and_nothing_else(
    browser: Browser, place: Place, school: School
) -> None:
    context = await browser.new_context()
    session = school.learners[0].session
    await context.add_cookies([{"name": "edgebox_session", "value": session, "url": place.app}])
    page = await context.new_page()
    result = await _embed(page, place)
    heard, good = result["heard"], result["good"]
    assert result["origin"] == "null"
    assert {name: heard.pop(name) for name in good} == dict.fromkeys(good, "allowed")
    assert len(heard) >= 25
    assert {name for name, outcome in heard.items() if outcome == "allowed"} == set()
    await context.close()


async def test_a_document_of_a_pack_opened_alone_has_no_origin_either(browser: Browser, place: Place) -> None:
    page = await (await browser.new_context()).new_page()
    await page.goto(f"{place.content}own.svg")
    assert await page.evaluate("self.origin") == "null"


async def test_the_policy_has_only_names_that_the_browser_knows(browser: Browser, place: Place) -> None:
    page = await (await browser.new_context()).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    await page.goto(f"{place.content}own.svg")
    await page.evaluate("console.warn('the end')")
    assert [text for text in said if "feature" in text.lower()] == []
    assert said[-1:] == ["the end"]


async def test_only_our_pages_may_embed_a_pack(browser: Browser, place: Place) -> None:
    async def embed(_request: web.Request) -> web.Response:
        return web.Response(text=f'<iframe src="{place.content}own.svg"></iframe>', content_type="text/html")

    stranger = web.Application()
    stranger.router.add_get("/", embed)
    listener = sockets.listen("127.0.0.1", 0)
    page = await (await browser.new_context()).new_page()
    async with listening(stranger, listener):
        await page.goto(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert [frame.url for frame in page.frames[1:]] == ["chrome-error://chromewebdata/"]
