"""From the stick to the hub: install, sign in, learn with a line that drops, be seen by teacher and hub.

Everything is the real thing over plain HTTP: hub and box are processes, the tablet is Chromium at 800 x 1280. Pictures
of each step are written to var/screenshots/<language>/.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from content_packs.base.signing import SigningKey
from content_packs.builder import build
from content_packs.format import keyfile
from tests.browser.conftest import find_chromium
from tests.support import programs

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "content_packs" / "samples" / "fractions"
PACK, LESSON = "org.edgebox.samples.fractions", "equal-parts"
TABLET = {"width": 800, "height": 1280}
PASSWORD = "a quiet river in spring"
PATIENCE_MS = 30_000
SAFE = re.compile("school|hub")
SHARES = [(1, 2), (3, 4), (2, 3), (5, 6), (3, 8)]

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@dataclass
class School:
    """The two programs as people reach them."""

    box: str
    hub: str
    data: Path
    set_up_code: str
    admin_code: str
    enrolment_code: str


@pytest.fixture(autouse=True)
def loop_guard() -> None:
    """Our code runs in other processes here; the loop of this one is Playwright's own."""


@pytest.fixture
def school(tmp_path: Path) -> Iterator[School]:
    """Run a hub and a box whose stick holds the sample course, and whose technician trusts its publisher."""
    key = SigningKey.generate()
    build(COURSE, tmp_path / "sticks" / "school-stick", key)
    publishers = tmp_path / "box" / "keys" / "publishers"
    publishers.mkdir(parents=True)
    (publishers / "samples.pub").write_text(keyfile.format_public(key.verify_key, "Edgebox samples"))
    hub_options = programs.command_with_ports(tmp_path / "hub")
    box_options = [*programs.command_with_ports(tmp_path / "box"), "--content-port", "0"]
    with (
        programs.running("hub", "serve", *hub_options) as hub,
        programs.running("serve", *box_options, "--sticks", str(tmp_path / "sticks")) as box,
    ):
        hub_address = hub.next_line("http").split()[-1]
        made = json.loads(programs.run("hub", "enroll", "--data", str(tmp_path / "hub"), "--school", "Hill", "--json"))
        admin_code = hub.next_line("?code=").split("?code=")[1]
        address = box.next_line("ready").split()[-1]
        set_up_code = box.next_line("set-up").split()[-1]
        yield School(address, hub_address, tmp_path / "box", set_up_code, admin_code, made["code"])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Open the browser once for both languages."""
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--mute-audio"])
        yield browser
        browser.close()


class Tablet:
    """One browser in one language; what went wrong in its pages is remembered."""

    def __init__(self, browser: Browser, language: str, name: str) -> None:
        self.context = browser.new_context(viewport=TABLET, locale=language, reduced_motion="reduce")
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self._folder = ROOT / "var" / "screenshots" / language
        self._name, self._count = name, 0
        self._folder.mkdir(parents=True, exist_ok=True)

    def _note(self, kind: str, text: str) -> None:
        # A request that fails because the network is off is what this scenario is about.
        if kind == "error" and "ERR_INTERNET_DISCONNECTED" not in text:
            self.faults.append(text)

    def picture(self, what: str) -> None:
        """Write a picture of the whole page."""
        self._count += 1
        self.page.screenshot(path=self._folder / f"{self._name}-{self._count:02d}-{what}.png", full_page=True)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_lesson_from_the_stick_to_the_hub(school: School, chromium: Browser, language: str) -> None:
    teacher = Tablet(chromium, language, "teacher")
    set_up_box(teacher, school)
    install_from_stick(teacher)
    secret = make_class(teacher)
    learner = Tablet(chromium, language, "learner")
    sign_in(learner, school, secret)
    check_direction(learner.page, language)
    read(learner, language)
    watch(learner)
    experiment(learner)
    read_worksheet(learner)
    answer_quiz(learner)
    see_class(teacher)
    sync(teacher, school)
    see_hub(chromium, school)
    assert learner.faults == []
    assert teacher.faults == []


def set_up_box(teacher: Tablet, school: School) -> None:
    """Make the first teacher with the code the box printed."""
    page = teacher.page
    page.goto(f"{school.box}staff/set-up")
    page.fill("[name=code]", school.set_up_code)
    page.fill("[name=name]", "Leila")
    page.fill("[name=login]", "leila")
    page.fill("[name=password]", PASSWORD)
    teacher.picture("set-up")
    submit(page.locator("form[action='/staff/set-up']"))
    page.wait_for_url("**/staff/classes")


def install_from_stick(teacher: Tablet) -> None:
    """Load the course that the stick offers, and reload in between."""
    page = teacher.page
    page.goto(page.url.replace("/staff/classes", "/staff/packs"))
    teacher.picture("stick")
    submit(page.locator("form[action='/staff/packs/install']"))
    page.reload()
    expect(page.locator("#jobs .pill--go")).to_be_visible(timeout=PATIENCE_MS)
    page.reload()
    teacher.picture("installed")


def make_class(teacher: Tablet) -> list[str]:
    """Make a class with one learner, give it the lesson, and return the pictures on the learner's card."""
    page = teacher.page
    page.goto(page.url.replace("/staff/packs", "/staff/classes"))
    page.fill("[name=title]", "4 B")
    submit(page.locator("form[action='/staff/classes']"))
    if page.url.endswith("/staff/classes"):
        page.click("a.card[href^='/staff/classes/']")
    page.wait_for_url(re.compile(r"/staff/classes/\d+"))
    page.fill("[name=given_name]", "Amina")
    page.check("[name=avatar][value=giraffe]", force=True)
    submit(page.locator("form[action$='/learners']"))
    page.select_option("[name=lesson]", index=0)
    submit(page.locator("form[action$='/assignments']"))
    teacher.picture("class")
    class_address = page.url.split("#")[0].split("?")[0]
    page.goto(f"{class_address}/cards")
    submit(page.locator("main form"))
    teacher.picture("cards")
    drawn = page.locator(".print-card .secret use")
    expect(drawn).to_have_count(4)
    secret = [str(drawn.nth(number).get_attribute("href")).split("#")[1] for number in range(4)]
    page.goto(class_address)
    return secret


def sign_in(learner: Tablet, school: School, secret: list[str]) -> None:
    """Choose the class, the face and the pictures."""
    page = learner.page
    page.goto(school.box)
    learner.picture("classes")
    page.click("main a[href^='/class/']")
    learner.picture("faces")
    page.click("main a[href^='/sign-in/']")
    for name in secret[:2]:
        page.click(f"button[value={name}]")
    learner.picture("pictures")
    for name in secret[2:]:
        page.click(f"button[value={name}]")
    page.wait_for_url("**/learn")
    learner.picture("my-lessons")
    page.click(f"main a[href*='/{LESSON}']")
    page.wait_for_url(f"**/{LESSON}")
    learner.picture("lesson")


def check_direction(page: Page, language: str) -> None:
    """Arabic is written from the right, and so is its page."""
    expect(page.locator("html")).to_have_attribute("lang", language)
    expect(page.locator("html")).to_have_attribute("dir", "rtl" if language == "ar" else "ltr")


def read(learner: Tablet, language: str) -> None:
    """Read the text to its end."""
    page = learner.page
    page.click(f"a[href$='/{LESSON}-read']")
    expect(page.locator("main img").first).to_be_visible()
    expect(page.locator("main")).to_contain_text("نِصف" if language == "ar" else "half")
    learner.picture("text")
    page.click("[name=done]")
    expect(state_line(learner)).to_have_attribute("data-level", SAFE, timeout=PATIENCE_MS)
    learner.picture("text-read")


def watch(learner: Tablet) -> None:
    """Watch the film with captions in the language of the page, to the end."""
    page = learner.page
    page.click("a[rel=next]")
    video = page.locator("video")
    video.evaluate("film => { film.muted = true; return film.play(); }")
    until(page, "() => document.querySelector('video').currentTime > 1")
    showing = video.evaluate(
        "film => Array.from(film.textTracks).filter(t => t.mode === 'showing').map(t => t.language)"
    )
    assert showing == [page.locator("html").get_attribute("lang")]
    learner.picture("film")
    video.evaluate("film => { film.currentTime = film.duration - 1; }")
    until(page, "() => document.querySelector('video').ended")


def experiment(learner: Tablet) -> None:
    """Cut and share in the sandboxed experiment until every task is solved."""
    page = learner.page
    page.click("a[rel=next]")
    frame = page.frame_locator("iframe.app")
    check = frame.locator("button.main")
    for number, (top, bottom) in enumerate(SHARES):
        for _ in range(bottom - 1):
            frame.locator("[data-key='parts+']").click()
        for part in range(top):
            frame.locator(f"[data-key='part{part}']").click(force=True)
        if number == 1:
            learner.picture("experiment")
        check.click()
        check.click()
    expect(frame.locator(".stage image")).to_be_visible()
    learner.picture("experiment-done")


def read_worksheet(learner: Tablet) -> None:
    """Open the worksheet, whose page the box draws, and say that it is done."""
    page = learner.page
    page.click("a[rel=next]")
    sheet = page.locator("main img").first
    expect(sheet).to_be_visible()
    until(page, "() => document.querySelector('main img').naturalWidth > 400")
    learner.picture("worksheet")
    page.click("[name=done]")


def answer_quiz(learner: Tablet) -> None:
    """Answer ten questions, with the network gone after the third and back after the end."""
    page = learner.page
    page.click("a[rel=next]")
    items = tomllib.loads((COURSE / LESSON / "quiz.toml").read_text())["item"]
    expect(page.locator(".dots")).to_be_visible()
    for number, item in enumerate(items):
        if number == 3:
            expect(state_line(learner)).to_have_attribute("data-level", SAFE, timeout=PATIENCE_MS)
            learner.context.set_offline(True)
        answer(page.locator(f"[data-item={item['id']}]"), item)
        page.click("[data-check]")
        expect(page.locator(".feedback")).to_be_visible()
        if number in (0, 2, 5):
            learner.picture(f"question-{number + 1}")
        page.click("[data-check]")
    expect(page.locator("[data-end]")).to_be_visible()
    expect(state_line(learner)).to_have_attribute("data-level", "tablet", timeout=PATIENCE_MS)
    learner.picture("quiz-done-offline")
    learner.context.set_offline(False)
    expect(state_line(learner)).to_have_attribute("data-level", SAFE, timeout=PATIENCE_MS)
    learner.picture("quiz-done")


def answer(question: Locator, item: dict[str, object]) -> None:
    """Give the right answer to one question."""
    if item["type"] == "number":
        question.locator("input.answer").fill(str(item["answer"]))
        return
    options = item["option"]
    assert isinstance(options, list)
    for option in options:
        if option.get("correct"):
            question.locator("label.option").filter(has=question.page.locator(f"[value={option['id']}]")).click()


def see_class(teacher: Tablet) -> None:
    """The open page of the class shows everything done, by itself."""
    table = teacher.page.locator("#table tbody tr")
    expect(table.locator("td .pill--go")).to_have_count(5, timeout=PATIENCE_MS)
    expect(table).to_contain_text("100")
    teacher.picture("class-done")


def sync(teacher: Tablet, school: School) -> None:
    """Enrol with the hub and send."""
    page = teacher.page
    page.goto(f"{school.box}staff/sync")
    teacher.picture("sync-before")
    page.fill("[name=url]", school.hub)
    page.fill("[name=code]", school.enrolment_code)
    submit(page.locator("form:has([name=code])"))
    submit(page.locator("form[action='/staff/sync/now']"))
    expect(page.locator(".fact dd").first).to_have_text("0", timeout=PATIENCE_MS)
    teacher.picture("sync-done")


def see_hub(browser: Browser, school: School) -> None:
    """The hub shows the school, its one learner and the completions, and no name."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{school.hub}?code={school.admin_code}")
    submit(page.locator("main form"))
    expect(page.locator("main")).to_contain_text("Hill", timeout=PATIENCE_MS)
    counts = page.locator("tr").filter(has_text=PACK).locator("td.n")
    expect(counts.nth(0)).to_have_text("1")
    expect(counts.nth(1)).to_have_text("5")
    page.screenshot(path=ROOT / "var" / "screenshots" / "hub.png", full_page=True)
    assert "Amina" not in page.content()
    assert "Leila" not in page.content()
    context.close()


def until(page: Page, condition: str) -> None:
    """Wait for a condition of the page. The library's own way evaluates text, which the page's policy forbids."""
    for _ in range(PATIENCE_MS // 100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {condition}")


def state_line(learner: Tablet) -> Locator:
    """Return the line that says what is saved where."""
    return learner.page.locator("#state")


def submit(form: Locator) -> None:
    """Press the button of a form and wait for the page that answers; to leave before that would cut the request off."""
    with form.page.expect_navigation():
        form.locator("button:not([type=button])").first.click()
