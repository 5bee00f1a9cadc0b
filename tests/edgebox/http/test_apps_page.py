"""The page on which staff give other apps a sign-in, and take it away."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgebox.app import Part, running_box
from edgebox.domain.caller import Reach
from tests.support.box import make_school
from tests.support.site import Site

HERE = "/staff/apps"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with running_box(school.settings, Part.APP) as running:
        assert running.box is not None
        yield Site(running.box, school, running.address.rstrip("/"))


async def test_sign_in_is_made_shown_once_and_taken_away(site: Site) -> None:
    async with site.teacher() as browser:
        response, text = await browser.submit(HERE, title="Robot <lab>", may_write="on", reach="own")
        login, secret = re.findall(r'<span class="code" dir="ltr">([^<]+)</span></p>', text)[1:3]
        assert (response.status, "Robot &lt;lab&gt;" in text) == (200, True)
        basic = b64encode(f"{login}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "X-Experience-API-Version": "1.0.3"}
        url = f"{site.address}/xapi/statements"
        assert (await browser.session.get(url, headers=headers)).status == 200
        _, again = await browser.get(HERE)
        assert login in again
        assert secret not in again
        response, _ = await browser.submit(f"{HERE}/1/end")
        assert response.status == 303
        assert login not in (await browser.get(HERE))[1]
        assert (await browser.session.get(url, headers=headers)).status == 401


@pytest.mark.parametrize("fields", [{"title": " "}, {"title": "App", "reach": "class", "class": "x"}])
async def test_sign_in_without_a_name_or_its_class_is_not_made(site: Site, fields: dict[str, str]) -> None:
    async with site.teacher() as browser:
        response, text = await browser.submit(HERE, **fields)
        assert (response.status, 'role="alert"' in text) == (400, True)
    assert await site.box.clients.list_all() == []


async def test_sign_in_for_one_class_names_it(site: Site) -> None:
    async with site.teacher() as browser:
        _, text = await browser.submit(HERE, title="App", reach="class", **{"class": str(site.school.class_no)})
        assert "Class 4" in text
    (client,) = await site.box.clients.list_all()
    assert (client.reach, client.may_write, client.class_no) == (Reach.CLASS, False, site.school.class_no)
