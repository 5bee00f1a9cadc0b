"""How staff get in: the first teacher by the one-time code, later by password."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgebox.app import Part, Running, running_box
from edgebox.domain.throttle import FREE_TRIES
from edgebox.settings import Settings
from tests.support.site import Browser, browser_at

PASSWORD = "mango river lantern seven"
ACCOUNT = {"name": "Ms Karimi", "login": "karimi", "password": PASSWORD}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_box(Settings(data=tmp_path / "box", port=0, content_port=0), Part.APP) as running:
        yield running


@pytest.fixture
async def browser(running: Running) -> AsyncIterator[Browser]:
    async with browser_at(running.address.rstrip("/")) as browser:
        yield browser


def code_of(running: Running) -> str:
    assert running.box is not None
    code = running.box.signing_in.set_up_code
    assert code is not None
    return code


async def set_up(running: Running, browser: Browser) -> None:
    response, _ = await browser.post("/staff/set-up", {"code": code_of(running), **ACCOUNT})
    assert (response.status, response.headers["Location"]) == (303, "/staff/classes")


async def test_a_box_without_a_teacher_asks_for_the_code(running: Running, browser: Browser) -> None:
    response, text = await browser.get("/staff")
    assert response.url.path == "/staff/set-up"
    assert code_of(running) not in text


async def test_the_code_makes_the_first_teacher_and_no_second_one(running: Running, browser: Browser) -> None:
    code = code_of(running)
    await set_up(running, browser)
    response, _ = await browser.get("/staff/classes")
    assert response.status == 200
    async with browser_at(browser.address) as stranger:
        response, _ = await stranger.post("/staff/set-up", {"code": code, **ACCOUNT, "login": "second"})
        assert response.status == 403
        response, _ = await stranger.get("/staff/set-up")
        assert response.url.path == "/staff"


async def test_a_wrong_code_and_a_weak_password_are_explained_and_keep_what_was_typed(
    running: Running, browser: Browser
) -> None:
    response, text = await browser.post("/staff/set-up", {"code": "WRONG", **ACCOUNT})
    assert response.status == 403
    assert 'value="karimi"' in text
    assert PASSWORD not in text
    response, text = await browser.post("/staff/set-up", {"code": code_of(running), **ACCOUNT, "password": "short"})
    assert response.status == 400
    assert "too easy to guess (it is too short)" in text
    response, _ = await browser.post("/staff/set-up", {"code": code_of(running), **ACCOUNT, "name": " "})
    assert response.status == 400
    await set_up(running, browser)


async def test_the_password_opens_the_pages_and_signing_out_closes_them(running: Running, browser: Browser) -> None:
    await set_up(running, browser)
    async with browser_at(browser.address) as other:
        response, text = await other.post("/staff", {"login": "karimi", "password": "not this one, no"})
        assert response.status == 401
        assert 'value="karimi"' in text
        assert "ask your technician for a new one" in text
        assert "ask your teacher" not in text
        response, _ = await other.get("/staff/classes")
        assert response.status == 401
        response, _ = await other.post("/staff", {"login": "Karimi", "password": PASSWORD})
        assert (response.status, response.headers["Location"]) == (303, "/staff/classes")
        response, _ = await other.get("/staff")
        assert response.url.path == "/staff/classes"
        await other.submit("/sign-out")
        response, _ = await other.get("/staff/classes")
        assert response.status == 401


async def test_who_has_to_wait_is_not_sent_to_a_teacher(running: Running, browser: Browser) -> None:
    await set_up(running, browser)
    async with browser_at(browser.address) as other:
        for _ in range(FREE_TRIES + 1):
            response, text = await other.post("/staff", {"login": "karimi", "password": "not this one, no"})
        assert response.status == 429
        assert "ask your technician for help" in text


async def test_a_sign_in_from_another_site_is_refused(running: Running, browser: Browser) -> None:
    await set_up(running, browser)
    async with browser_at(browser.address) as other:
        fields = {"login": "karimi", "password": PASSWORD}
        response, _ = await other.post("/staff", fields, origin="http://evil.example")
        assert response.status == 403
