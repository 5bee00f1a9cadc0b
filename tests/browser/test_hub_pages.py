"""The operator's pages of the hub in a browser: what can be pressed can be read, by day and by night."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser

from tests.sync.hub_support import hub_on

pytestmark = pytest.mark.browser
READABLE = 4.5  # WCAG 2.2, 1.4.3
CONTRASTS = """() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    const color = numbers(getComputedStyle(element).backgroundColor);
    return color.length > 3 && color[3] === 0 ? ground(element.parentElement) : color;
  };
  return Array.from(document.querySelectorAll("button, .button")).map((element) => {
    const both = [light(numbers(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
    return [element.innerText, (both[0] + 0.05) / (both[1] + 0.05)];
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_button_can_be_read(browser: Browser, tmp_path: Path, scheme: Literal["light", "dark"]) -> None:
    async with hub_on(tmp_path) as hub:
        await hub.listening.hub.enrolling.make_code("Hill School")
        code = await hub.listening.hub.admin.make_code()
        context = await browser.new_context(viewport={"width": 800, "height": 1280}, color_scheme=scheme)
        page = await context.new_page()
        await page.goto(f"{hub.url}/?code={code}")
        await page.click("main button")
        await page.wait_for_selector("text=Make a ticket for a stick")
        contrasts = dict(await page.evaluate(CONTRASTS))
        await context.close()
    assert {"Sign out", "Make a code", "Make a ticket for a stick"} <= contrasts.keys()
    assert {text: ratio for text, ratio in contrasts.items() if ratio < READABLE} == {}
