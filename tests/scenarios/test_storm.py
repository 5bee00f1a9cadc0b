"""Many tablets hand in at once what they kept: all of it arrives, once, and nobody is answered but 200 or "later"."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgebox.app import running_box
from edgebox.http import problems
from tests.benchmarks.storm import Storm, make_queue, run_storm
from tests.support.box import School, make_school

TABLETS = 40


@pytest.fixture
def school(tmp_path: Path) -> Iterator[School]:
    yield make_school(tmp_path / "box", learners=TABLETS)


def make_queues(school: School) -> list[list[bytes]]:
    return [make_queue(learner)[:2] for learner in school.learners]


def stored(school: School) -> tuple[int, int]:
    with closing(sqlite3.connect(school.settings.data / "box.db")) as connection:
        found: tuple[int, int] = connection.execute("SELECT count(*), count(DISTINCT id) FROM statement").fetchone()
        return found


async def test_all_of_a_storm_is_stored_once(school: School) -> None:
    async with running_box(school.settings) as running:
        storm = await run_storm(running.settings.port, make_queues(school))
    assert set(storm.statuses) == {200}
    assert storm.acked == TABLETS * 100
    assert await asyncio.to_thread(stored, school) == (storm.acked, storm.acked)


async def test_tablets_come_back_when_the_disk_has_room_again(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "RETRY_SECONDS", 0)
    async with running_box(school.settings) as running:
        assert running.box is not None
        database, pages = running.box.database, "PRAGMA max_page_count = {}"
        await database.write(lambda connection: connection.execute(pages.format(1)).fetchone())
        storm = Storm()
        sending = asyncio.create_task(run_storm(running.settings.port, make_queues(school), storm=storm))
        while not storm.statuses[503]:
            await asyncio.sleep(0)
        await database.write(lambda connection: connection.execute(pages.format(1_000_000)).fetchone())
        await sending
    assert set(storm.statuses) == {200, 503}
    assert storm.acked == TABLETS * 100
    assert await asyncio.to_thread(stored, school) == (storm.acked, storm.acked)
