"""The page about the line: what is spent and left, what goes next, when, for how much; and the tariff staff set."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from content_packs.base.budget import Window
from edgebox.app import Part, running_box
from edgebox.services.fetching import Update, UpdateState
from sync.bundle.layout import ClockQuality
from sync.engine.lanes import NIGHTS, Lane, Tariff
from tests.support.box import make_school
from tests.support.clock import FakeClock
from tests.support.site import Site

DAY_MS = 86_400_000
NOON_MS = 20_514 * DAY_MS + DAY_MS // 2
FORM = {
    "is_metered": "on",
    "day_mb": "5",
    "month_mb": "",
    "price": "12.5",
    "currency": " KSh ",
    "has_hours": "on",
    "from": "20:30",
    "to": "05:00",
    "rate_kbit": "",
}


@pytest.fixture
def clock() -> FakeClock:
    clock = FakeClock(NOON_MS)
    clock.is_served = True
    return clock


@pytest.fixture
async def site(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Site]:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with running_box(replace(school.settings, line_rate_kbit=64), Part.APP, clock) as running:
        assert running.box is not None
        yield Site(running.box, school, running.address.rstrip("/"))


def plain(text: str) -> str:
    """Return the text without what keeps sizes in one piece."""
    return text.replace("\u2066", "").replace("\u2069", "").replace("\u00a0", " ")


async def test_the_page_shows_what_is_spent_left_and_next_with_its_cost(site: Site) -> None:
    await site.box.line.set_tariff(Tariff(month_bytes=300_000_000, price_micros=2_000_000, currency="KSh"))
    site.box.line.count(Lane.LARGE, 4_000_000)
    site.box.line.count(Lane.PROGRESS, 70_000)
    site.box.fetching._updates["org.example"] = Update("org.example", 2, UpdateState.PAUSED)
    site.box.fetching._lengths["org.example"] = 9_000_000
    async with site.teacher() as browser:
        response, text = await browser.get("/staff/line")
        assert response.status == 200
        shown = plain(text)
        for piece in ("4.1 MB", "of 20.0 MB", "15.9 MB left", "8.14 KSh", "295.9 MB left"):
            assert piece in shown
        assert '<td>today at 22:00</td><td class="number">9.0 MB</td><td class="number">18.00 KSh</td>' in shown
        assert 'data-live="/staff/line/state"' in text


async def test_an_unchanged_state_costs_no_page(site: Site, clock: FakeClock) -> None:
    async with site.teacher() as browser:
        first, text = await browser.get("/staff/line/state")
        assert "Nothing waits." in text
        clock.advance(30_000)
        again, _ = await browser.get("/staff/line/state", **{"If-None-Match": first.headers["ETag"]})
        assert again.status == 304


async def test_staff_set_the_tariff_but_for_what_the_technician_decided(site: Site) -> None:
    async with site.teacher() as browser:
        response, _ = await browser.submit("/staff/line", **FORM)
        assert (response.status, response.headers["Location"]) == (303, "/staff/line?done=saved")
        _, text = await browser.get("/staff/line?done=saved")
        assert "Saved." in text
        assert "set by your technician" in text
        assert 'name="rate_kbit" type="number" min="8" max="1000000" step="1" value="64"' in text
    assert site.box.line.tariff == Tariff(
        day_bytes=5_000_000,
        windows=(Window(20 * 60 + 30, 5 * 60),),
        rate_kbit=64,
        price_micros=12_500_000,
        currency="KSh",
    )


async def test_without_ticks_nothing_costs_and_no_hours_hold(site: Site) -> None:
    form = {name: value for name, value in FORM.items() if name not in ("is_metered", "has_hours")}
    async with site.teacher() as browser:
        await browser.submit("/staff/line", **form)
    assert (site.box.line.tariff.is_metered, site.box.line.tariff.windows) == (False, ())


async def test_times_go_out_exact_until_staff_choose_whole_seconds(site: Site) -> None:
    tick = 'name="coarse_times"'
    async with site.teacher() as browser:
        _, before = await browser.get("/staff/line")
        await browser.submit("/staff/line", **FORM | {"coarse_times": "on"})
        is_on = await site.box.line.has_coarse_times()
        _, after = await browser.get("/staff/line")
        await browser.submit("/staff/line", **FORM)
    assert tick + ">" in before
    assert is_on
    assert tick + " checked>" in after
    assert not await site.box.line.has_coarse_times()


@pytest.mark.parametrize(
    "wrong",
    [
        {"day_mb": "-1"},
        {"day_mb": "many"},
        {"month_mb": "1e300"},
        {"price": "nan"},
        {"price": "inf"},
        {"from": "25:00"},
    ],
)
async def test_what_no_page_sends_changes_nothing(site: Site, wrong: dict[str, str]) -> None:
    async with site.teacher() as browser:
        response, _ = await browser.submit("/staff/line", **FORM | wrong)
        assert response.status == 400
    assert site.box.line.tariff == Tariff(windows=NIGHTS, rate_kbit=64)


async def test_a_box_that_does_not_know_the_time_says_so(site: Site) -> None:
    async with site.teacher() as browser:
        site.box.timekeeping.clock.shift(0, ClockQuality.RESTORED)
        _, text = await browser.get("/staff/line")
        assert "does not know what time it is" in text


async def test_learners_do_not_see_what_the_line_costs(site: Site) -> None:
    async with site.browser(site.school.learners[0]) as browser:
        response, _ = await browser.get("/staff/line")
        assert response.status == 403
