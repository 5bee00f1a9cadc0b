"""Units on the pages of learners and teachers, and the routes for outside programs: who may do what."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession, encode_basic_auth

from content_packs.importers.importing import Wishes
from edgebox.app import Part, running_box
from edgebox.domain.caller import Reach
from edgebox.domain.cmi5.vocabulary import Verb
from tests.support.box import make_school
from tests.support.cmi5 import ACTOR, launched_on, package, structure, unit
from tests.support.raw_zip import Raw, make_zip
from tests.support.site import Browser, Site

WINDOW = unit("two", moveOn="Passed", launchMethod="OwnWindow")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with running_box(school.settings, Part.APP) as running:
        assert running.box is not None
        yield Site(running.box, school, running.address.rstrip("/"))


async def load(site: Site, content: bytes) -> str:
    """Make a pack of a course, as a teacher does, and return its lesson."""
    await site.box.local_packs.allow_scripts(on=True)
    path = site.box.settings.data / "course.zip"
    await asyncio.to_thread(path.write_bytes, content)
    made = await site.box.importing.make(path, Wishes())
    async for _ in site.box.loading.watch(made.job_no):
        pass
    return f"/learn/{made.pack}/imported"


def learner(site: Site) -> AbstractAsyncContextManager[Browser]:
    return site.browser(site.school.learners[0])


async def start(browser: Browser, lesson: str, **fields: str) -> tuple[ClientResponse, str]:
    """Press the button on the page of the first unit."""
    address = await first_unit(browser, lesson)
    fields["csrf"] = await browser.csrf(address)
    return await browser.post(f"{address}/launch", fields)


async def first_unit(browser: Browser, lesson: str) -> str:
    """Return the address of the page of the first unit."""
    _, text = await browser.get(lesson)
    found = re.search(rf'href="({lesson}/cmi5-[0-9a-f]+)"', text)
    assert found is not None
    return found[1]


async def rows(site: Site, query: str) -> list[tuple[Any, ...]]:
    return await site.box.database.read(lambda connection: list(map(tuple, connection.execute(query))))


async def test_looking_at_a_unit_records_nothing_and_starting_it_does(site: Site) -> None:
    lesson = await load(site, package(structure(unit("one", moveOn="Passed"))))
    async with learner(site) as browser:
        response, text = await browser.get(await first_unit(browser, lesson))
        assert (response.status, "<iframe" in text) == (200, False)
        assert await rows(site, "SELECT 1 FROM statement") == []
        response, text = await start(browser, lesson)
    assert (response.status, 'sandbox="allow-scripts"' in text) == (200, True)
    assert await rows(site, "SELECT mode FROM cmi5_launch") == [("Normal",)]
    (document,) = await rows(site, "SELECT content FROM document WHERE name = 'cmi5LearnerPreferences'")
    assert b"languagePreference" in document[0]


async def test_preferences_that_a_unit_saved_are_there_after_the_next_launch(site: Site) -> None:
    lesson = await load(site, package(structure(unit("one"))))
    saved = {"languagePreference": "ar,fr", "audioPreference": "off"}
    async with learner(site) as browser, ClientSession(site.address) as session:
        _, text = await start(browser, lesson)
        first = await launched_on(text, session).begin()
        params = {"agent": first.actor, "profileId": "cmi5LearnerPreferences"}
        assert (await first.call("POST", "agents/profile", params=params, json=saved)).status == 204
        _, text = await start(browser, lesson)
        again = await launched_on(text, session).begin()
        assert again.fetch != first.fetch
        assert await (await again.call("GET", "agents/profile", params=params)).json() == saved


async def test_a_unit_that_wants_its_own_window_gets_a_link_and_a_way_back(site: Site) -> None:
    lesson = await load(site, package(structure(WINDOW)))
    async with learner(site) as browser:
        _, text = await start(browser, lesson)
        address = await first_unit(browser, lesson)
    assert ("<iframe" in text, "Open it" in text) == (False, True)
    (state,) = await rows(site, "SELECT content FROM activity_state")
    assert f'"returnURL":"{site.address}{address}"'.encode() in state[0]


async def test_a_unit_elsewhere_says_that_it_needs_a_line(site: Site) -> None:
    lesson = await load(site, package(structure(unit("one", "https://example.org/"))))
    async with learner(site) as browser:
        _, text = await browser.get(await first_unit(browser, lesson))
        assert "on the internet" in text
        _, text = await start(browser, lesson)
    assert 'href="https://example.org/?endpoint=' in text


async def test_a_teacher_only_looks_around(site: Site) -> None:
    lesson = await load(site, package(structure(unit("one", moveOn="Passed"))))
    async with site.teacher() as browser:
        await start(browser, lesson)
    assert await rows(site, "SELECT mode FROM cmi5_launch") == [("Browse",)]


async def test_a_teacher_lets_a_unit_count_and_it_is_reviewed_from_then_on(site: Site) -> None:
    lesson = await load(site, package(structure(unit("one", moveOn="Passed"))))
    async with learner(site) as browser:
        await start(browser, lesson)
    ((registration,),) = await rows(site, "SELECT lower(hex(id)) FROM cmi5_registration")
    here = f"/staff/classes/{site.school.class_no}/units"
    async with site.teacher() as browser:
        _, text = await browser.get(f"/staff/classes/{site.school.class_no}")
        assert f'href="{here}"' in text
        _, text = await browser.get(here)
        uuid = text.partition('name="registration" value="')[2][:36]
        assert uuid.replace("-", "") == registration
        answers = []
        for no, reason in (("1", "Tested Out"), ("1", "none"), ("9", "Tested Out")):
            response, _ = await browser.submit(here, registration=uuid, unit=no, reason=reason)
            answers.append(response.status)
        assert answers == [303, 404, 404]
    async with learner(site) as browser:
        _, text = await browser.get(lesson)
        assert "Done" in text
        _, text = await browser.get(await first_unit(browser, lesson))
        assert "Take the whole course again" in text
        await start(browser, lesson)
        await start(browser, lesson, retake="1")
    assert await rows(site, "SELECT mode, registration_no FROM cmi5_launch") == [
        ("Normal", 1), ("Review", 1), ("Normal", 2),
    ]  # fmt: skip


async def test_a_course_is_taken_again_only_once_it_is_satisfied(site: Site) -> None:
    lesson = await load(site, package(structure(unit("one", moveOn="Completed") + unit("two", moveOn="Completed"))))
    async with learner(site) as browser, ClientSession(site.address) as session:
        _, text = await start(browser, lesson)
        first = await launched_on(text, session).start()
        assert [await first.say(verb) for verb in (Verb.COMPLETED, Verb.PASSED)] == [200, 200]
        await start(browser, lesson, retake="1")
    assert await rows(site, "SELECT mode, registration_no FROM cmi5_launch") == [("Normal", 1), ("Review", 1)]


@pytest.mark.parametrize(
    ("move_on", "said", "mode"),
    [
        ("NotApplicable", [], "Normal"),
        ("Completed", [Verb.COMPLETED], "Normal"),
        ("CompletedOrPassed", [Verb.PASSED], "Normal"),
        ("NotApplicable", [Verb.COMPLETED, Verb.PASSED], "Review"),
    ],
)
async def test_a_unit_is_reviewed_only_once_it_has_said_all_it_may(
    site: Site, move_on: str, said: list[Verb], mode: str
) -> None:
    lesson = await load(site, package(structure(unit("one", moveOn=move_on))))
    async with learner(site) as browser, ClientSession(site.address) as session:
        _, text = await start(browser, lesson)
        first = await launched_on(text, session).start()
        assert [await first.say(verb) for verb in said] == [200] * len(said)
        _, text = await start(browser, lesson)
        again = await launched_on(text, session).start()
        assert again.data["launchMode"] == mode
        left = [verb for verb in (Verb.COMPLETED, Verb.PASSED) if verb not in said]
        assert [await again.say(verb) for verb in left] == [200] * len(left)


async def test_a_launch_that_a_browser_asks_for_again_is_the_page_before_it(site: Site) -> None:
    lesson = await load(site, package(structure(unit("one"))))
    async with learner(site) as browser:
        address = await first_unit(browser, lesson)
        response, _ = await browser.get(f"{address}/launch?in=fr")
        assert (response.status, str(response.url).endswith(f"{address}?in=fr")) == (200, True)
    assert await rows(site, "SELECT 1 FROM cmi5_launch") == []


async def test_only_a_class_s_own_learners_units_count_there(site: Site) -> None:
    lesson = await load(site, package(structure(unit("one", moveOn="Passed"))))
    async with learner(site) as browser:
        await start(browser, lesson)
    other = await site.box.teaching.add_class("Other")
    async with site.teacher() as browser:
        _, text = await browser.get(f"/staff/classes/{site.school.class_no}/units")
        uuid = text.partition('name="registration" value="')[2][:36]
        fields = {"registration": uuid, "unit": "1", "reason": "Tested Out"}
        response, _ = await browser.submit(f"/staff/classes/{other}/units", **fields)
        assert response.status == 404


ROUTES = [
    ("POST", "/cmi5/courses"),
    ("DELETE", "/cmi5/courses/x.y.z"),
    ("POST", "/cmi5/courses/x.y.z/units/0/launch"),
    ("POST", "/cmi5/registrations/ccaf384c-f8d4-4e7a-8304-49af58f0b176/units/0/waive"),
    ("POST", "/cmi5/sessions/ccaf384c-f8d4-4e7a-8304-49af58f0b176/abandon"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_programs_need_a_sign_in_that_may_launch(site: Site, method: str, path: str) -> None:
    login, secret = await site.box.clients.make(
        "x", may_write=True, reach=Reach.ALL, class_no=None, person_no=site.school.teacher.no
    )
    async with site.browser() as browser:
        asked = [
            await browser.session.request(method, site.address + path, json={}, headers=headers)
            for headers in (
                {},
                {"Authorization": "Basic !"},
                {"Authorization": encode_basic_auth(login, "wrong")},
                {"Authorization": encode_basic_auth(login, secret)},
            )
        ]
    assert [response.status for response in asked] == [401, 401, 401, 403]
    async with learner(site) as browser:
        assert (await browser.session.request(method, site.address + path, json={})).status == 403
    async with site.teacher() as browser:
        headers = {"Origin": "http://elsewhere.example"}
        assert (await browser.session.request(method, site.address + path, json={}, headers=headers)).status == 403


async def test_a_teacher_who_is_signed_in_may_drive_too(site: Site) -> None:
    await site.box.local_packs.allow_scripts(on=True)
    async with site.teacher() as browser:
        headers = {"Content-Type": "text/xml", "Origin": site.address}
        content = structure(unit("one", "https://example.org/"))
        response = await browser.session.post(f"{site.address}/cmi5/courses", data=content, headers=headers)
        assert response.status == 201
        course = (await response.json())["id"]
        url = f"{site.address}/cmi5/courses/{course}/units/0/launch"
        assert (await browser.session.post(url, json={"actor": ACTOR})).status == 200


async def test_courses_are_refused_as_what_they_are(site: Site) -> None:
    await site.box.local_packs.allow_scripts(on=True)
    page = make_zip([Raw("index.html", b"<!doctype html><title>x</title>")])
    async with site.teacher() as browser:
        found = []
        for content, content_type in (
            (page, "application/zip"),
            (b"x", "text/markdown"),
            (structure(unit("one")), "text/xml"),
        ):
            headers = {"Content-Type": content_type}
            url = f"{site.address}/cmi5/courses"
            found.append((await browser.session.post(url, data=content, headers=headers)).status)
    assert found == [415, 400, 422]


async def test_a_launch_that_asks_for_the_impossible_is_refused(site: Site) -> None:
    lesson = await load(site, package(structure(unit("one"))))
    course = lesson.split("/")[2]
    mine = {"actor": ACTOR, "registration": "ccaf384c-f8d4-4e7a-8304-49af58f0b176"}
    other = {"objectType": "Agent", "account": {"homePage": "https://example.org", "name": "bob"}}
    asked = [
        (0, mine, 200),
        (0, mine | {"actor": other}, 409),
        (0, {"actor": {"mbox": "mailto:a@example.org"}}, 400),
        (0, {"actor": {"objectType": "Group", "account": ACTOR["account"]}}, 400),
        (0, {}, 400),
        (0, mine | {"launchMode": "Fast"}, 400),
        (0, mine | {"registration": "x"}, 400),
        (1, mine, 404),
    ]
    async with site.teacher() as browser:
        for index, fields, status in asked:
            url = f"{site.address}/cmi5/courses/{course}/units/{index}/launch"
            assert (await browser.session.post(url, json=fields)).status == status, fields


async def test_only_courses_of_units_are_removed_by_programs(site: Site) -> None:
    course = (await load(site, package(structure(unit("one"))))).split("/")[2]
    app = (await load(site, make_zip([Raw("index.html", b"<!doctype html><title>x</title>")]))).split("/")[2]
    async with site.teacher() as browser:
        for pack, status in ((app, 404), (course, 204), (course, 404)):
            assert (await browser.session.delete(f"{site.address}/cmi5/courses/{pack}")).status == status
