"""A new box takes over the history of a broken one: by line, and by stick alone."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from content_packs.format.manifest import Lesson
from edgebox.app import open_box
from edgebox.keys import Box
from edgebox.settings import Settings
from edgebox.store import teaching
from edgebox.store.catalogue import ListedLesson
from sync.hub.operations import OPERATIONS
from sync.hub.store.outgoing import read_due
from sync.records.rows import Statement
from tests.support.box import School, make_school, make_tablet
from tests.support.clock import FakeClock
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS
from tests.sync.test_syncing import Scene

LESSON = ListedLesson("org.edgebox.fractions", 1, 0, Lesson("halves", {"en": "Halves"}, {}, ()))
# What of the old box has to be on the new one: whatever it is numbered there, and without what stays in the school.
HISTORY = {
    "learners": "SELECT pseudonym FROM person WHERE role = 'learner' ORDER BY 1",
    "classes": "SELECT pseudonym, code FROM class ORDER BY 1",
    "members": """
SELECT class.pseudonym, person.pseudonym, is_active FROM enrollment
JOIN class ON class.no = class_no JOIN person ON person.no = person_no WHERE role = 'learner' ORDER BY 1, 2
""",
    "assignments": """
SELECT pseudonym, pack, lesson, is_active FROM assignment JOIN class ON class.no = class_no ORDER BY 1, 2, 3
""",
    "statements": "SELECT id, timestamp_ms, success, response, duration_ms FROM statement ORDER BY id",
    "progress": """
SELECT pseudonym, iri, progress, is_complete, progress.score_scaled, attempts, duration_ms, first_ms, last_ms
FROM progress JOIN person ON person.no = person_no JOIN activity ON activity.no = activity_no ORDER BY 1, 2
""",
}


@dataclass
class Pair:
    """A hub, the school's old box, and where the new one will be."""

    hub: TestHub
    old: Scene
    folder: Path
    clock: FakeClock

    @asynccontextmanager
    async def new_box(self) -> AsyncIterator[Box]:
        async with open_box(Settings(data=self.folder / "new"), self.clock) as box:
            yield box


async def history(box: Box) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: await box.database.read(lambda db, query=query: [tuple(row) for row in db.execute(query)])  # type: ignore[misc]
        for name, query in HISTORY.items()
    }


async def teach(scene: Scene, school: School) -> None:
    """Let both learners answer, finish and come back; give the class a lesson."""
    for learner in (0, 1, 0):
        await scene.work(3, learner)
        event = scene.tablet.event(school.learners[learner], "completed", result={"completion": True})
        await scene.box.recording.store_outbox(scene.tablet.request(event))
        scene.clock.advance(3_600_000)
    await scene.box.database.write(
        lambda db: teaching.insert_assignment(db, school.class_no, LESSON, person_no=None, now_ms=NOW_MS)
    )


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    clock = FakeClock(NOW_MS)
    school = await asyncio.to_thread(make_school, tmp_path / "old")
    async with hub_on(tmp_path / "hub", clock) as hub, open_box(school.settings, clock) as box:
        scene = Scene(box, school, hub, make_tablet(), clock)
        await scene.enroll()
        await teach(scene, school)
        assert (await box.syncing.sync_now()).last_error is None
        yield Pair(hub, scene, tmp_path, clock)


async def test_a_new_box_gets_by_line_what_the_hub_has_of_the_old_one(pair: Pair) -> None:
    before = await history(pair.old.box)
    code = await pair.hub.listening.hub.enrolling.make_code("", 1)
    async with pair.new_box() as box:
        await box.syncing.enroll(pair.hub.url, code)
        for _ in range(2):
            assert (await box.syncing.sync_now()).last_error is None
        assert await history(box) == before
    assert await pair.hub.rows("SELECT count(*) FROM statement_conflict") == [(0,)]


async def test_a_new_box_gets_by_stick_alone_what_the_hub_has_of_the_old_one(pair: Pair) -> None:
    before, stick = await history(pair.old.box), pair.folder / "stick"
    await asyncio.to_thread(stick.mkdir)
    hub = pair.hub.listening.hub
    asked = {"school": "", "address": pair.hub.url, "replaces": 1, "folder": str(stick)}
    await OPERATIONS["ticket"](hub, asked)
    async with pair.new_box() as box:
        [ticket] = (await box.syncing.introducing.list_tickets(stick)).values()
        await box.syncing.accept(ticket)
        await box.exchanging.export(stick)
        taken = await OPERATIONS["import"](hub, {"folder": str(stick)})
        assert (taken["met"], taken["refused"]) == (1, {})
        assert taken["put"] >= 1
        await box.exchanging.import_(stick)
        assert await history(box) == before


async def test_what_the_old_box_still_sends_reaches_the_new_one_once(pair: Pair) -> None:
    code = await pair.hub.listening.hub.enrolling.make_code("", 1)
    async with pair.new_box() as box:
        await box.syncing.enroll(pair.hub.url, code)
        await box.syncing.sync_now()
        await pair.old.work(4)
        await pair.old.box.syncing.sync_now()
        for _ in range(2):
            await box.syncing.sync_now()
        assert (await history(box))["statements"] == (await history(pair.old.box))["statements"]
        assert (await history(box))["progress"] == (await history(pair.old.box))["progress"]


async def test_a_box_put_back_from_a_backup_gets_back_what_the_hub_has_beyond_it(pair: Pair, tmp_path: Path) -> None:
    copy = tmp_path / "restored"
    data = pair.old.school.settings.data
    await asyncio.to_thread(shutil.copytree, data, copy, ignore=shutil.ignore_patterns("*.sock"))
    await teach(pair.old, pair.old.school)
    await pair.old.box.syncing.sync_now()
    async with open_box(Settings(data=copy), pair.clock) as box:
        for _ in range(2):
            assert (await box.syncing.sync_now()).last_error is None
        assert await history(box) == await history(pair.old.box)


async def test_a_box_with_a_new_key_is_not_sent_the_statements_that_it_has(pair: Pair, tmp_path: Path) -> None:
    copy = tmp_path / "moved"
    data = pair.old.school.settings.data
    await asyncio.to_thread(shutil.copytree, data, copy, ignore=shutil.ignore_patterns("*.sock"))
    await pair.old.work(2)
    await pair.old.box.syncing.sync_now()
    async with open_box(Settings(data=copy), pair.clock) as box:
        [succession] = await box.syncing.introducing.pending()
        await pair.hub.listening.hub.enrolling.introduce(succession.content, "")
        due = await pair.hub.listening.hub.store.run(lambda connection: read_due(connection, 1, 2, 0, 10_000)[0])
        assert sum(isinstance(record, Statement) for record in due) == 2, "those that came after it was copied"
        for _ in range(2):
            assert (await box.syncing.sync_now()).last_error is None
        assert await history(box) == await history(pair.old.box)
