"""An update takes nothing away from a class that uses the old version, nor from a learner who is at work in it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from content_packs.base.clock import SystemClock
from content_packs.base.signing import SigningKey
from content_packs.format import layout
from edgebox.app import Part
from edgebox.domain.versions import OPEN_MS, SERVED_MS
from edgebox.store.jobs import JobState
from tests.support.box import Person, make_tablet
from tests.support.clock import FakeClock
from tests.support.site import Site, site_with_sticks
from tests.support.small_course import PACK, build_small, built, trust

KEY = SigningKey(b"k" * 32)
READ = f"/learn/{PACK}/halves/halves-read"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(SystemClock().now_ms())


@pytest.fixture
async def site(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Site]:
    async with site_with_sticks(tmp_path, lambda school: trust(school.settings.keys, KEY), Part.ALL, clock) as site:
        yield site


async def install(site: Site, version: int, **options: str) -> None:
    stick = site.box.settings.stick_folders[0] / "STICK"
    folder = await built(stick, KEY, version=version, more=f"Edition {version}.", **options)
    no = await site.box.loading.start(folder)
    async for job in site.box.loading.watch(no):
        last = job
    assert last.state is JobState.DONE


async def edition(site: Site, learner: Person) -> int:
    """Return the version a learner reads."""
    await stay_signed_in(site)
    async with site.browser(learner) as browser:
        response, text = await browser.get(READ)
        assert response.status == 200
        found = next(version for version in (1, 2, 3) if f"Edition {version}." in text)
        assert f'data-version="{found}"' in text
        return found


async def stay_signed_in(site: Site) -> None:
    """Let no session end, however far the clock was advanced."""
    now_ms = site.box.clock.now_ms()
    await site.box.database.write(
        lambda connection: connection.execute("UPDATE session SET seen_ms = ?, expires_ms = ?", (now_ms, now_ms * 2))
    )


async def open_lesson(site: Site, learner: Person, version: int) -> None:
    """Let a tablet send that the learner opened the lesson."""
    event = make_tablet(learner.no).event(
        learner, "launched", pack=PACK, resource="halves-read", version=str(version), t=site.box.clock.now_ms()
    )
    answer = await site.box.recording.store_outbox(make_tablet(learner.no).request(event | {"seq": 1}))
    assert answer.rejected == []


async def test_a_class_keeps_the_version_it_was_given_until_the_teacher_takes_the_new_one_over(site: Site) -> None:
    inside, outside = site.school.learners
    class_no = site.school.class_no
    await site.box.teaching.take_out(class_no, outside.no)
    await install(site, 1)
    no = await site.box.teaching.assign(class_no, PACK, "halves")
    await install(site, 2)
    assert (await edition(site, inside), await edition(site, outside)) == (1, 2)
    async with site.teacher() as browser:
        _, text = await browser.get(f"/staff/classes/{class_no}")
        assert "A new version is here: 2." in text
        response, _ = await browser.submit(f"/staff/classes/{class_no}/assignments/{no}/take-over")
        assert response.status == 303
        _, text = await browser.get(f"/staff/classes/{class_no}")
        assert "A new version is here" not in text
    assert await edition(site, inside) == 2


async def test_the_end_of_an_assignment_releases_its_version(site: Site) -> None:
    await install(site, 1)
    no = await site.box.teaching.assign(site.school.class_no, PACK, "halves")
    await install(site, 2)
    await site.box.teaching.unassign(site.school.class_no, no)
    assert await edition(site, site.school.learners[0]) == 2


async def test_a_lesson_given_anew_is_given_in_the_newest_version(site: Site) -> None:
    await install(site, 1)
    no = await site.box.teaching.assign(site.school.class_no, PACK, "halves")
    await install(site, 2)
    await site.box.teaching.unassign(site.school.class_no, no)
    await site.box.teaching.assign(site.school.class_no, PACK, "halves")
    assert await edition(site, site.school.learners[0]) == 2


async def test_a_learner_at_work_keeps_the_version_for_some_hours_and_the_progress_for_ever(
    site: Site, clock: FakeClock
) -> None:
    at_work, other = site.school.learners
    await install(site, 1)
    await open_lesson(site, at_work, 1)
    await install(site, 2)
    assert (await edition(site, at_work), await edition(site, other)) == (1, 2)
    clock.advance(OPEN_MS + 1)
    assert await edition(site, at_work) == 2
    async with site.browser(at_work) as browser:
        _, text = await browser.get(f"/learn/{PACK}/halves")
        assert "Started" in text


async def test_a_form_is_marked_by_the_version_it_was_made_of(site: Site) -> None:
    learner = site.school.learners[0]
    await install(site, 1)
    async with site.browser(learner) as browser:
        csrf = await browser.csrf(READ)
        await install(site, 2)
        response, text = await browser.post(READ, {"csrf": csrf, "in": "en", "_version": "1", "done": "1"})
        assert response.status == 200
        assert "Edition 1." in text


async def test_a_statement_says_on_which_version_it_was_made(site: Site) -> None:
    learner = site.school.learners[0]
    await install(site, 1)
    await open_lesson(site, learner, 1)
    async with ClientSession(cookies=learner.cookies) as session:
        headers = {"X-Experience-API-Version": "1.0.3"}
        async with session.get(f"{site.address}/xapi/statements", headers=headers) as response:
            statements = (await response.json())["statements"]
    assert [statement["context"]["revision"] for statement in statements] == ["1"]


async def test_a_version_in_use_is_not_retired_and_one_out_of_use_is_after_a_day(site: Site, clock: FakeClock) -> None:
    class_no, retiring = site.school.class_no, site.box.retiring
    await install(site, 1)
    no = await site.box.teaching.assign(class_no, PACK, "halves")
    await install(site, 2)
    await set_installed(site, 2, clock.now_ms())
    clock.advance(SERVED_MS)
    assert (await retiring.retire(), site.box.library.shelf.versions[PACK]) == (0, (1, 2))
    await site.box.teaching.unassign(class_no, no)
    clock.advance(-1)
    assert await retiring.retire() == 0
    assert retiring.old_bytes > 0
    clock.advance(1)
    assert (await retiring.retire(), site.box.library.shelf.versions[PACK]) == (1, (2,))


async def test_space_that_is_needed_ends_the_old_version_early_but_not_the_one_at_work(
    site: Site, clock: FakeClock
) -> None:
    await install(site, 1)
    await open_lesson(site, site.school.learners[0], 1)
    await install(site, 2)
    assert not await site.box.retiring.make_room()
    clock.advance(OPEN_MS + 1)
    assert await site.box.retiring.make_room()
    assert site.box.library.shelf.versions[PACK] == (2,)


async def test_a_resource_that_a_new_version_dropped_stays_in_the_report_with_its_title(site: Site) -> None:
    learner, class_no = site.school.learners[0], site.school.class_no
    await install(site, 1)
    await open_lesson(site, learner, 1)
    no = await site.box.teaching.assign(class_no, PACK, "halves")
    await install_without_reading(site, 2)
    await site.box.teaching.take_over(class_no, no)
    assert await columns(site) == ["Try it", "What is a half?"]
    await site.box.teaching.unassign(class_no, no)
    site.box.timekeeping.clock.machine.advance(OPEN_MS + 1)  # type: ignore[attr-defined]  # it is the fake one
    assert await site.box.retiring.make_room()
    await site.box.teaching.assign(class_no, PACK, "halves")
    assert await columns(site) == ["Try it", "What is a half?"]


async def test_a_lesson_that_the_new_version_does_not_have_is_not_offered(site: Site) -> None:
    await install(site, 1)
    await site.box.teaching.assign(site.school.class_no, PACK, "halves")
    await install(site, 2, lesson="thirds")
    [assigned] = (await site.box.teaching.progress(site.school.class_no)).lessons
    assert (assigned.pack and assigned.pack.version, assigned.newer_version) == (1, None)


async def columns(site: Site) -> list[str]:
    """Return the titles above the table of the class."""
    lessons = (await site.box.teaching.progress(site.school.class_no)).lessons
    return [resource.title["en"] for each in lessons for resource in each.resources]


async def set_installed(site: Site, version: int, at_ms: int) -> None:
    path = site.box.settings.packs / layout.installed_name(PACK, version)
    await asyncio.to_thread(os.utime, path, ns=(at_ms * 10**6, at_ms * 10**6))
    await site.box.library.reload()


async def install_without_reading(site: Site, version: int) -> None:
    folder = await asyncio.to_thread(
        build_small, site.box.settings.stick_folders[0] / "STICK", KEY, version=version, has_reading=False
    )
    async for _ in site.box.loading.watch(await site.box.loading.start(folder)):
        pass
