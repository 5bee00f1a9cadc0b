"""The hub learns once a day how a box is."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from content_packs.installer import DiskSpace
from edgebox import __version__
from edgebox.services.health import EVERY_MS, Health
from edgebox.settings import Settings
from edgebox.store import roster
from edgebox.store.database import Database
from tests.support.clock import FakeClock


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = await asyncio.to_thread(Database, tmp_path / "box.db")
    yield made
    await asyncio.to_thread(made.close)


async def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    return await database.read(lambda connection: [tuple(row) for row in connection.execute(query)])


async def test_it_is_written_once_a_day_with_numbers_alone(database: Database, tmp_path: Path) -> None:
    clock = FakeClock()
    health = Health(database, Settings(data=tmp_path), clock, measure=lambda _folder: DiskSpace(7, 9))
    await database.write(lambda connection: roster.insert_learner(connection, 1, "Amina"))
    assert await health.write_when_due()
    clock.advance(EVERY_MS - 1)
    assert not await health.write_when_due()
    clock.advance(1)
    assert await health.write_when_due()
    columns = "version, uptime_seconds, free_bytes, total_bytes, classes, learners, packs, statements"
    assert await rows(database, f"SELECT {columns} FROM health") == [(__version__, EVERY_MS // 1000, 7, 9, 0, 1, 0, 0)]
    assert await rows(database, "SELECT count(*) FROM change WHERE kind = 18") == [(2,)]


async def test_neither_a_restart_nor_a_clock_that_was_set_back_makes_it_talk_or_silences_it(
    database: Database, tmp_path: Path
) -> None:
    clock = FakeClock()

    def started() -> Health:
        return Health(database, Settings(data=tmp_path), clock, measure=lambda _folder: DiskSpace(7, 9))

    assert await started().write_when_due()
    assert not await started().write_when_due()
    clock.wall_ms -= 400 * EVERY_MS
    health = started()
    assert await health.write_when_due()
    clock.advance(EVERY_MS // 2)
    assert not await health.write_when_due()
    clock.advance(EVERY_MS // 2)
    assert await health.write_when_due()
