"""Whoever asks again and again for what was stored since the last time misses nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edgebox.app import open_box
from edgebox.domain.clock_rules import DAY_MS, Source
from edgebox.keys import Box
from edgebox.services.record_store import RecordStore
from sync.records.moments import parse_timestamp
from tests.support.box import make_school
from tests.support.clock import FakeClock
from tests.support.records import STATEMENTS, Records, make_id, make_statement, outside_client
from tests.sync.makers import NOW_MS

THROUGH = "X-Experience-API-Consistent-Through"


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Let the first request wait between its checks and the writing; return what tells that, and what ends it."""
    waits, goes_on = asyncio.Event(), asyncio.Event()
    real = RecordStore._people_of

    async def people_of(self: RecordStore, actors: Any) -> Any:
        if not waits.is_set():
            waits.set()
            await goes_on.wait()
        return await real(self, actors)

    monkeypatch.setattr(RecordStore, "_people_of", people_of)
    return waits, goes_on


@pytest.mark.parametrize("by", ["what is complete", "the last statement"])
async def test_statement_that_was_overtaken_is_found_by_who_asks_for_later_ones(
    records: Records, held: tuple[asyncio.Event, asyncio.Event], by: str
) -> None:
    waits, goes_on = held
    async with asyncio.TaskGroup() as group:
        group.create_task(records.send(make_statement(1)))
        await waits.wait()
        await records.send(make_statement(2))
        response = await records.ask("GET", STATEMENTS)
        page = (await response.json())["statements"]
        goes_on.set()
    assert [row["id"] for row in page] == [make_id(2)]
    since = response.headers[THROUGH] if by == "what is complete" else page[0]["stored"]
    assert await records.ids(since=since) == [1]
    found = (await records.get(since=since))["statements"][0]
    assert found["timestamp"] == found["stored"] > since


async def test_each_request_stores_after_the_one_before(records: Records) -> None:
    for number in range(1, 6):
        await asyncio.gather(*(records.send(make_statement(number * 10 + place)) for place in range(4)))
    stored = [row["stored"] for row in (await records.get(ascending="true"))["statements"]]
    assert stored == sorted(set(stored))
    for place, moment in enumerate(stored):
        assert len(await records.ids(since=moment)) == len(stored) - 1 - place
        assert len(await records.ids(until=moment)) == place + 1


async def test_answer_says_no_more_than_what_was_committed(
    records: Records, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored while a page is read is not said to be in it."""
    real = box.record_store.list_page

    async def list_page(*values: Any) -> Any:
        page = await real(*values)
        if not page.statements:
            await records.send(make_statement(1))
        return page

    monkeypatch.setattr(box.record_store, "list_page", list_page)
    response = await records.ask("GET", STATEMENTS)
    assert (await response.json())["statements"] == []
    assert await records.ids(since=response.headers[THROUGH]) == [1]


async def test_damaged_time_hides_no_other_statement(records: Records, box: Box) -> None:
    for number in range(1, 10):
        await records.send(make_statement(number))
    stored = [row["stored"] for row in (await records.get(ascending="true"))["statements"]]
    damage = "UPDATE statement SET stored_ms = ? WHERE id = (SELECT key FROM change WHERE kind = 1 LIMIT 1 OFFSET ?)"
    for offset, wrong_ms in ((3, 0), (4, 4_000_000_000_000), (5, 0)):
        await box.database.write(lambda db, values=(wrong_ms, offset): db.execute(damage, values).rowcount)
    assert sorted(await records.ids(since=stored[0])) == [2, 3, 7, 8, 9]
    assert sorted(await records.ids(until=stored[7])) == [1, 2, 3, 7, 8]


async def test_clock_that_was_set_back_does_not_hold_up_the_times(tmp_path: Path) -> None:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    machine = FakeClock(NOW_MS + 90 * DAY_MS)
    async with open_box(school.settings, machine) as box, outside_client(box) as records:
        await records.send(make_statement(1))
        await records.get()
        assert await box.timekeeping.hear(Source.HUB, NOW_MS)
        await records.send(make_statement(2))
        response = await records.ask("GET", STATEMENTS, params={"statementId": make_id(2)})
        assert parse_timestamp((await response.json())["stored"]) <= NOW_MS + 10
        assert parse_timestamp(response.headers[THROUGH]) <= NOW_MS + 10
    async with open_box(school.settings, machine) as box, outside_client(box) as records:
        await records.send(make_statement(3))
        assert await records.ids() == [3, 2, 1]
        assert parse_timestamp((await records.get(statementId=make_id(3)))["stored"]) <= NOW_MS + 20
