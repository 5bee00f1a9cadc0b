"""How long records stay: staff choose, and what left is missed by nobody's page and known when it comes again."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from content_packs.base.clock import SystemClock
from content_packs.installer import DiskSpace
from edgebox.app import Part, running_box
from edgebox.domain.xapi.version import Version
from edgebox.keys import Box
from edgebox.services.box_clock import BoxClock
from edgebox.store import listing, statement_queries
from edgebox.store.connections import open_writer
from sync.bundle.layout import ClockQuality
from tests.support.box import Person, School, Tablet, make_school, make_tablet
from tests.support.clock import FakeClock
from tests.support.records import STATEMENTS, make_id, make_statement, outside_client
from tests.support.retained import confirm_all
from tests.support.site import Browser, Site

DAY_MS = 86_400_000
LONG_MS = 600 * DAY_MS
BUDGET_MS = 3_600_000
CHOSEN = {"keep": "months-12", "first_month": "9"}


@dataclass
class Old:
    """A box on which both learners finished something long ago; the hub has had everything for as long."""

    site: Site
    tablet: Tablet
    events: list[dict[str, Any]]

    @property
    def box(self) -> Box:
        return self.site.box


@pytest.fixture
async def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Old]:
    for module in (listing, statement_queries):
        monkeypatch.setattr(module, "BLOCK", 4)
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    clock, tablet = FakeClock(SystemClock().now_ms()), make_tablet()
    tablet.t = clock.now_ms() - DAY_MS
    async with running_box(school.settings, Part.APP, clock) as running:
        assert running.box is not None
        site = Site(running.box, school, running.address.rstrip("/"))
        events = [event for learner in school.learners for event in make_work(tablet, learner)]
        await hand_in(site, tablet, *events)
    clock.advance(LONG_MS)
    await asyncio.to_thread(stay_signed_in, school, clock.now_ms())
    async with running_box(school.settings, Part.APP, clock) as running:
        assert running.box is not None
        set_quality(running.box, ClockQuality.HUB)
        async with outside_client(running.box) as records:
            await records.send(*(make_statement(number) for number in range(6)))
        await running.box.indexing.list_due()
        await running.box.database.write(confirm_all)
        yield Old(Site(running.box, school, running.address.rstrip("/")), tablet, events)


def make_work(tablet: Tablet, learner: Person) -> list[dict[str, Any]]:
    opened = tablet.event(learner, "initialized")
    made = [{**opened, "attempt": opened["seq"]}]
    made += [tablet.event(learner, attempt=opened["seq"], item=f"q{item}") for item in range(4)]
    return [*made, tablet.event(learner, "passed", attempt=opened["seq"], result={"score": 3, "max": 4})]


def stay_signed_in(school: School, now_ms: int) -> None:
    with closing(open_writer(school.settings.data / "box.db")) as connection:
        connection.execute("UPDATE session SET seen_ms = ?, expires_ms = ?", (now_ms, now_ms + DAY_MS))


def set_quality(box: Box, quality: ClockQuality) -> None:
    assert isinstance(box.clock, BoxClock)
    box.clock.quality = quality


async def hand_in(site: Site, tablet: Tablet, *events: dict[str, Any]) -> dict[str, Any]:
    url, body = f"{site.address}/api/outbox", tablet.request(*events)
    async with site.browser() as browser, browser.session.post(url, json=body) as answer:
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
        return found


async def choose(browser: Browser) -> None:
    answer, _ = await browser.submit("/staff/records", **CHOSEN)
    assert (answer.status, answer.headers["Location"]) == (303, "/staff/records?done=saved")


async def pages(site: Site) -> list[str]:
    """Return what the teacher and a learner are shown."""
    async with site.teacher() as teacher, site.browser(site.school.learners[0]) as learner:
        found = [await teacher.get(f"/staff/classes/{site.school.class_no}"), await learner.get("/learn")]
    assert [answer.status for answer, _ in found] == [200, 200]
    return [re.sub(r'name="csrf" value="[^"]+"', "", text) for _, text in found]


async def test_at_first_everything_stays(old: Old) -> None:
    assert await old.box.retention.remove(BUDGET_MS) == 0
    async with old.site.teacher() as browser:
        _, text = await browser.get("/staff/records")
    assert re.search(r'value="all" checked', text)
    assert "18 records are on this box." in text


async def test_old_statements_leave_and_pages_stay_as_they_were(old: Old) -> None:
    async with outside_client(old.box) as records, old.site.teacher() as browser:
        before = [row["id"] for row in (await records.get())["statements"]]
        shown = await pages(old.site)
        await choose(browser)
        assert await old.box.retention.remove(BUDGET_MS) == 12
        assert await pages(old.site) == shown
        assert await records.ids() == [5, 4, 3, 2, 1, 0]
        gone = [each for each in before if each not in {make_id(number) for number in range(6)}]
        assert {(await records.ask("GET", STATEMENTS, params={"statementId": each})).status for each in gone} == {404}
        answer = await hand_in(old.site, old.tablet, *old.events)
        assert (answer["box_seq"], answer["rejected"], len(answer["acked"])) == (12, [], 12)
        assert await pages(old.site) == shown
        assert await records.ids() == [5, 4, 3, 2, 1, 0]
        _, text = await browser.get("/staff/records")
    assert "6 records are on this box. 12 have left it." in text
    assert (await old.box.record_check.scrub(None)).is_missing is False


async def test_nothing_leaves_while_the_time_is_not_known_for_sure(old: Old) -> None:
    set_quality(old.box, ClockQuality.TABLETS)
    async with old.site.teacher() as browser:
        await choose(browser)
        assert await old.box.retention.remove(BUDGET_MS) == 0
        _, text = await browser.get("/staff/records")
    assert "does not know for sure what time it is" in text


async def test_work_of_a_lesson_that_the_class_has_stays(old: Old) -> None:
    insert = "INSERT INTO assignment (class_no, pack, lesson, assigned_ms) VALUES (?, 'org.edgebox.fractions', 'a', 1)"
    async with old.site.teacher() as browser:
        await choose(browser)
        await old.box.database.write(lambda db: db.execute(insert, (old.site.school.class_no,)).rowcount)
        assert await old.box.retention.remove(BUDGET_MS) == 0
        await old.box.database.write(lambda db: db.execute("UPDATE assignment SET is_active = 0").rowcount)
        assert await old.box.retention.remove(BUDGET_MS) == 12


async def test_removal_goes_on_where_it_stopped_until_all_is_gone(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgebox.store.retention.LOOKED_AT_MAX", 2)
    async with old.site.teacher() as browser:
        await choose(browser)
    steps = iter(range(1, 1_000_000))
    monkeypatch.setattr(old.box.clock, "monotonic_ms", lambda: next(steps))
    removed = [await old.box.retention.remove(2) for _ in range(12)]
    assert sum(removed) == 12
    assert max(removed) <= 2


async def test_rule_that_is_none_is_refused(old: Old) -> None:
    async with old.site.teacher() as browser:
        for fields in ({"keep": "years-0"}, {"keep": "all", "first_month": "13"}, {"first_month": "9"}):
            assert (await browser.submit("/staff/records", **fields))[0].status == 400


async def test_teacher_is_told_of_a_card_that_fills_up_while_everything_is_kept(
    old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old.box.retention, "_measure", lambda _: DiskSpace(10**8, 32 * 10**9))
    async with old.site.teacher() as browser:
        _, text = await browser.get("/staff/classes")
        assert "The card of this box is nearly full." in text
        await choose(browser)
        _, text = await browser.get("/staff/classes")
        assert "The card of this box is nearly full." not in text


async def test_what_another_store_still_waits_for_stays(old: Old) -> None:
    async with old.site.teacher() as browser:
        await choose(browser)
    forwarding = old.box.forwarding
    await forwarding.set_up("https://lrs.example/xapi", "box", "secret", Version.ONE, sends_given=False)
    assert await old.box.retention.remove(BUDGET_MS) == 0
    await forwarding.end()
    assert await old.box.retention.remove(BUDGET_MS) > 0
