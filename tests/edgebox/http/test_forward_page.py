"""The page on which staff name a record store outside the school: it tells how far it is, and never the password."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgebox.app import Part, running_box
from edgebox.domain.xapi.version import Version
from sync.engine.lanes import Tariff
from tests.support.box import make_school, make_tablet
from tests.support.record_stores import saying, scripted_store
from tests.support.site import Site

HERE = "/staff/forward"
SECRET = "a-secret-of-the-store"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with running_box(school.settings, Part.APP) as running:
        assert running.box is not None
        await running.box.line.set_tariff(Tariff(is_metered=False))
        yield Site(running.box, school, running.address.rstrip("/"))


async def hand_in(site: Site, count: int) -> None:
    tablet = make_tablet()
    events = [tablet.event(site.school.learners[0]) for _ in range(count)]
    async with site.browser() as browser:
        answer = await browser.session.post(f"{site.address}/api/outbox", json=tablet.request(*events))
        assert answer.status == 200


async def test_records_go_where_staff_say_and_the_page_tells_how_far_they_are(site: Site) -> None:
    await hand_in(site, 5)
    async with scripted_store() as store, site.teacher() as browser:
        store.replies = [saying(400, "<b>no</b>")] * 3
        fields = {"url": store.address, "login": "box", "secret": SECRET, "version": "2.0.0"}
        response, _ = await browser.submit(HERE, **fields)
        assert (response.status, response.headers["Location"]) == (303, f"{HERE}?done=saved")
        response, _ = await browser.submit(f"{HERE}/now")
        assert (response.status, response.headers["Location"]) == (303, HERE)
        _, text = await browser.get(HERE)
        assert store.headers[0]["X-Experience-API-Version"] == Version.TWO.title
        assert "<dd>4</dd>" in text
        assert "1 record was set aside." in text
        assert "&lt;b&gt;no&lt;/b&gt;" in text
        assert store.posts[-1][-1] in text
        assert f"{store.address}statements" in text
        assert SECRET not in text


async def test_it_is_paused_goes_on_and_ends(site: Site) -> None:
    async with scripted_store() as store, site.teacher() as browser:
        await browser.submit(HERE, url=store.address, login="box", secret=SECRET)
        await hand_in(site, 2)
        await browser.submit(f"{HERE}/pause", on="1")
        await browser.submit(f"{HERE}/now")
        assert store.posts == []
        await browser.submit(f"{HERE}/pause", on="0")
        await browser.submit(f"{HERE}/now")
        assert [len(post) for post in store.posts] == [2]
        response, _ = await browser.submit(f"{HERE}/end")
        assert response.headers["Location"] == f"{HERE}?done=ended"
    assert await site.box.forwarding.state() is None


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "somewhere", "login": "box", "secret": SECRET},
        {"url": "https://lrs.example/", "login": "", "secret": SECRET},
        {"url": "https://lrs.example/", "login": "box", "secret": ""},
        {},
    ],
)
async def test_half_a_sign_in_is_refused_and_what_was_typed_stays(site: Site, fields: dict[str, str]) -> None:
    async with site.teacher() as browser:
        response, text = await browser.submit(HERE, **fields)
        assert (response.status, 'role="alert"' in text) == (400, True)
        assert f'value="{fields.get("url", "")}"' in text
        assert SECRET not in text
    assert await site.box.forwarding.state() is None


async def test_only_teachers_with_their_own_form_say_where_records_go(site: Site) -> None:
    fields = {"url": "https://lrs.example/", "login": "box", "secret": SECRET}
    async with site.teacher() as browser:
        response, _ = await browser.post(HERE, fields)
        assert response.status == 403
    async with site.browser(site.school.learners[0]) as browser:
        for path in ("", "/now", "/pause", "/end"):
            response, _ = await browser.post(HERE + path, fields)
            assert response.status in (303, 403)
    assert await site.box.forwarding.state() is None
