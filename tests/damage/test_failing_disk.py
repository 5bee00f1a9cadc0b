"""The disk refuses a write or a flush, or is full, at every call there is: nothing that was acknowledged is lost.

A flush that failed is never trusted again: what it was to write is not on the disk, although the next one succeeds.
"""

import asyncio
import itertools
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgebox.store import database as database_module
from edgebox.store import proving
from edgebox.store.connections import StoreUnavailable
from edgebox.store.database import Database
from tests.damage.test_power_cuts import Tally, look, make_disk, make_jobs
from tests.support.box import School
from tests.support.lazy_disk import DATABASE, LazyDisk, Trouble, open_lazy

REQUESTS = 6
CHECKPOINT_PAGES = 16
CALLS_MAX = 2_000


class Careless(Database):
    """A store that opens the file again after a failed flush, and believes what it finds in the log."""

    def _note_failed(self, group: list[Any], error: sqlite3.Error) -> None:
        super()._note_failed(group, error)
        self._is_in_doubt = False


def put_on(disk: LazyDisk, patch: pytest.MonkeyPatch) -> None:
    """Let the store open its writer on a lazy disk."""

    def open_writer(_path: Path) -> Any:
        return open_lazy(disk, checkpoint_pages=CHECKPOINT_PAGES)

    patch.setattr(database_module, "open_writer", open_writer)
    patch.setattr(proving, "open_writer", open_writer)


async def acked_before_cut(database: Database, school: School) -> tuple[set[bytes], int]:
    """Send some requests, each until it is acknowledged; return what was, and how often the store said no."""
    acked: set[bytes] = set()
    refused = 0
    for waiting in itertools.islice(make_jobs(school), REQUESTS):
        for _ in range(CALLS_MAX):
            try:
                await database.write(waiting.job)
            except StoreUnavailable as error:
                assert error.retryable
                refused += 1
            else:
                acked.update(waiting.ids)
                break
    return acked, refused


async def fail_everywhere(
    folder: Path, patch: pytest.MonkeyPatch, what: str, calls: int, store: type[Database] = Database
) -> tuple[Tally, int]:
    """Let the disk fail from the first call, from the second, and so on until none fails any more."""
    school, image = await asyncio.to_thread(make_disk, folder)
    tally, refused_runs = Tally(), 0
    for at in range(1, CALLS_MAX):
        disk = LazyDisk({DATABASE: image}, Trouble(at, what, calls))
        put_on(disk, patch)
        database = await asyncio.to_thread(store, school.settings.data / "box.db")
        try:
            acked, refused = await acked_before_cut(database, school)
            refused_runs += refused > 0
            left = disk.left_after_cut(random.Random(at), share=0.0)
            await asyncio.to_thread(look, left, acked, tally)
        finally:
            failed, disk.trouble = disk.calls >= at, None
            await asyncio.to_thread(database.close)
        if not failed:
            return tally, refused_runs
    raise AssertionError("the writer does not come to an end")


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("CRITICAL", logger="edgebox.store.database"):
        yield


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("what", "calls"), [("io", 1), ("io", 40), ("full", 1), ("full", 40)])
async def test_what_is_acknowledged_survives_a_failing_disk(
    what: str, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally, refused_runs = await fail_everywhere(tmp_path, monkeypatch, what, calls)
    print(f"{what} {calls}: {tally.acked} acknowledged, {tally.lost} lost, {refused_runs} runs in which it said no")
    assert tally.faults == []
    assert tally.lost == 0
    assert refused_runs > 10


@pytest.mark.usefixtures("quiet")
async def test_a_store_that_believes_the_log_after_a_failed_flush_would_lose_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_open: list[Any] = []
    monkeypatch.setattr(database_module, "_close", left_open.append)  # closing would put it right by chance
    tally, _refused_runs = await fail_everywhere(tmp_path, monkeypatch, "io", 1, Careless)
    for connection in left_open:
        if connection is not None:
            connection.close()
    assert tally.lost > 0
