import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from content_packs.base.starting import StoreDamaged
from edgebox.app import Running, running_box
from edgebox.commands import serve as serving
from edgebox.settings import Settings
from edgebox.store import scrubbing
from edgebox.store.connections import StoreUnavailable, open_writer
from tests.support.box import Person, School, make_tablet
from tests.support.filled import PAGE_SIZE, make_filled_school, overwrite, rows_of, statement_pages

STATEMENTS = 200


@pytest.fixture
async def school(tmp_path: Path) -> tuple[School, set[bytes]]:
    return await asyncio.to_thread(make_filled_school, tmp_path / "box", STATEMENTS)


@asynccontextmanager
async def signed_in(running: Running, person: Person) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        running.address, cookies=person.cookies, cookie_jar=aiohttp.CookieJar(unsafe=True)
    ) as client:
        client.cookie_jar.update_cookies(person.cookies)
        yield client


async def classes_page(running: Running, teacher: Person) -> str:
    async with signed_in(running, teacher) as client, client.get("staff/classes") as response:
        assert response.status == 200
        return await response.text()


async def change(running: Running, sql: str) -> None:
    assert running.box is not None
    await running.box.database.write(lambda connection: connection.execute(sql).rowcount)


async def test_damaged_statement_is_not_read_put_right_and_told(school: tuple[School, set[bytes]]) -> None:
    made, ids = school
    async with running_box(made.settings) as running:
        box = running.box
        assert box is not None
        await change(running, "UPDATE statement SET response = 'answer 17' WHERE response = 'answer 16'")
        await change(running, "UPDATE statement SET device_seq = 999, response = 'x' WHERE response = 'answer 30'")
        wanted = await asyncio.to_thread(scrubbing.read_on, box.database.path, "", lambda: False)
        assert len(wanted.damaged) == 2
        found = await box.record_check.scrub(None)
        assert set(found.damaged) == set(wanted.damaged)
        again = await box.record_check.scrub(None)
        assert (again.damaged, again.is_missing, again.fault) == ((), False, "")
        page = await classes_page(running, made.teacher)
        assert "1 answer is missing" in page
    rows = await asyncio.to_thread(rows_of, made.settings.data / "box.db", "statement")
    assert len(rows) == len(ids) - 1
    assert len(await asyncio.to_thread(rows_of, made.settings.data / "box.db", "damaged_statement")) == 2


async def test_missing_statement_is_missed(school: tuple[School, set[bytes]]) -> None:
    made, _ids = school
    async with running_box(made.settings) as running:
        assert running.box is not None
        await change(running, "DELETE FROM statement WHERE response = 'answer 30'")
        found = await running.box.record_check.scrub(None)
        assert found.is_missing
        assert [repair.statements for repair in await running.box.record_check.list_told()] == [1]
        assert not (await running.box.record_check.scrub(None)).is_missing


def turn_seal_into_real(path: Path, row_id: bytes) -> None:
    """Turn the bit of a row's head that makes a real of its seal. Blocks."""
    content = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        seal = connection.execute("SELECT seal FROM statement WHERE id = ?", (row_id,)).fetchone()[0]
    start = next(each for each in statement_pages(path, {row_id}) if row_id in content[each : each + PAGE_SIZE])
    at = content.index(row_id, start)
    assert content.index(seal.to_bytes(8, "big", signed=True), at) < at + 200
    head_at = content.rindex(44, 0, at)  # the kind of the id, a blob of 16 bytes
    kind_at = content.rindex(6, head_at, at)
    content[kind_at] = 7
    path.write_bytes(content)


async def test_seal_whose_kind_is_damaged_has_the_database_made_anew(school: tuple[School, set[bytes]]) -> None:
    made, ids = school
    path = made.settings.data / "box.db"
    row_id = sorted(ids)[20]
    async with running_box(made.settings) as running:
        assert running.box is not None
        await asyncio.to_thread(turn_seal_into_real, path, row_id)
        found = await running.box.record_check.scrub(None)
        assert "statement.seal" in found.fault
        assert await asyncio.to_thread(path.with_name("box.db.suspect").exists)
        noted = await running.box.database.write(lambda db: scrubbing.put_right(db, (row_id,), {}, 1))
        assert scrubbing.suspicion(noted.fault)
    async with running_box(made.settings) as running:
        assert running.box is not None
        found = await running.box.record_check.scrub(None)
        assert (found.damaged, found.is_missing, found.fault) == ((), False, "")
    assert {row[0] for row in await asyncio.to_thread(rows_of, path, "statement")} == ids - {row_id}


async def test_nothing_is_written_to_a_file_whose_structure_is_damaged(school: tuple[School, set[bytes]]) -> None:
    made, ids = school
    path = made.settings.data / "box.db"
    async with running_box(made.settings) as running:
        assert running.box is not None
        last = (await asyncio.to_thread(statement_pages, path, ids))[-1]
        await asyncio.to_thread(overwrite, path, last, bytes(PAGE_SIZE))
        found = await running.box.record_check.scrub(None)
        assert found.fault
        assert await running.box.record_check.list_told() == []
        assert await asyncio.to_thread(path.with_name("box.db.suspect").read_text) == ""


async def test_bits_are_turned_in_no_thread_that_writes(
    school: tuple[School, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    real = scrubbing.seals.mended

    def mended(names: Any, row: Any) -> Any:
        threads.append(threading.current_thread().name)
        return real(names, row)

    monkeypatch.setattr(scrubbing.seals, "mended", mended)
    async with running_box(school[0].settings) as running:
        assert running.box is not None
        await change(running, "UPDATE statement SET response = 'answer 17' WHERE response = 'answer 16'")
        await change(running, "UPDATE statement SET device_seq = 999, response = 'x' WHERE response = 'answer 30'")
        await running.box.record_check.scrub(None)
    assert len(threads) == 2
    assert "writer" not in threads


async def test_box_that_stops_does_not_wait_until_all_bits_were_turned(
    school: tuple[School, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, ids = school
    started, released = threading.Event(), threading.Event()
    real, looked_at = scrubbing.seals.mended, list[Any]()

    def mended(names: Any, row: Any) -> Any:
        looked_at.append(row)
        started.set()
        assert released.wait(20)
        return real(names, row)

    async with running_box(made.settings) as running:
        box = running.box
        assert box is not None
        await change(running, "UPDATE statement SET device_seq = 999 + device_seq, response = 'x' WHERE success = 0")
        with monkeypatch.context() as slow:
            slow.setattr(scrubbing.seals, "mended", mended)
            scrubbing_on = asyncio.create_task(box.record_check.scrub(60_000))
            await asyncio.to_thread(started.wait, 20)
            closing_it = asyncio.create_task(box.record_check.close())
            await asyncio.sleep(0)
            released.set()
            await asyncio.gather(scrubbing_on, closing_it)
        assert len(looked_at) == 1
    found = await asyncio.to_thread(scrubbing.read_on, made.settings.data / "box.db", "", lambda: False)
    assert len(found.damaged) > 50, "they are found again, and none was put aside untried"
    assert len(await asyncio.to_thread(rows_of, made.settings.data / "box.db", "statement")) == len(ids)


def test_log_can_be_cut_while_statements_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ids = make_filled_school(tmp_path / "box", STATEMENTS)
    monkeypatch.setattr(scrubbing, "_SLICE", 50)
    monkeypatch.setattr(scrubbing, "_CURSOR_SECONDS", 0)
    busy: list[int] = []
    with closing(open_writer(made.settings.data / "box.db")) as writer:
        writer.execute("PRAGMA busy_timeout = 0")

        def cut(_seconds: float) -> None:
            writer.execute("UPDATE person SET created_ms = created_ms + 1")
            busy.append(writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])

        monkeypatch.setattr(scrubbing.time, "sleep", cut)
        found = scrubbing.read_on(made.settings.data / "box.db", "", lambda: False)
    assert (found.checked, found.damaged, found.fault) == (STATEMENTS, (), "")
    assert busy == [0, 0, 0, 0]


async def test_reading_goes_on_where_time_was_over(
    school: tuple[School, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubbing, "_SLICE", STATEMENTS // 4)
    path = school[0].settings.data / "box.db"
    found = await asyncio.to_thread(scrubbing.read_on, path, "", lambda: True)
    assert found.place
    rounds = 1
    while found.place and rounds < 1000:
        found = await asyncio.to_thread(scrubbing.read_on, path, found.place, iter([False, True] * 1000).__next__)
        rounds += 1
    assert 1 < rounds < 1000


async def test_small_tables_are_copied_once_all_was_read(school: tuple[School, set[bytes]]) -> None:
    made, _ids = school
    async with running_box(made.settings) as running:
        assert running.box is not None
        await running.box.record_check.scrub(None)
    copy = made.settings.data / "box.db.nightly"
    assert len(await asyncio.to_thread(rows_of, copy, "person")) == len(made.learners) + 1
    assert await asyncio.to_thread(rows_of, copy, "statement") == []


async def test_damaged_database_is_repaired_at_the_start_and_the_teacher_is_told(
    school: tuple[School, set[bytes]],
) -> None:
    made, ids = school
    path = made.settings.data / "box.db"
    places = await asyncio.to_thread(statement_pages, path, ids)
    await asyncio.to_thread(overwrite, path, places[2], bytes(PAGE_SIZE))
    async with running_box(made.settings) as running:
        page = await classes_page(running, made.teacher)
        assert "Records of this box were damaged and it repaired them" in page
        tablet, learner = make_tablet(9), made.learners[0]
        async with signed_in(running, learner) as client:
            answer = await client.post("api/outbox", json=tablet.request(tablet.event(learner)))
            assert (await answer.json())["acked"] == [1]


async def test_box_that_meets_damage_while_it_serves_starts_anew_and_repairs_it(
    school: tuple[School, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, ids = school
    path = made.settings.data / "box.db"
    seen: list[int] = []
    real = serving._wait

    async def meet_damage(stopping: asyncio.Event, running: Running) -> bool:
        assert running.box is not None
        if not seen:
            seen.append(1)
            waiting = asyncio.get_running_loop().create_task(real(stopping, running))
            await asyncio.sleep(0)
            await asyncio.to_thread(running.box.database.note_damage, "as a test has it")
            return await waiting
        seen.append(len(await running.box.record_check.list_told()))
        return False

    monkeypatch.setattr(serving, "_wait", meet_damage)
    await serving.serve(made.settings, "all")
    assert seen == [1, 1]
    assert {row[0] for row in await asyncio.to_thread(rows_of, path, "statement")} == ids


async def test_box_that_is_damaged_again_and_again_stops_and_says_so(
    school: tuple[School, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[Running] = []

    async def meet_damage(_stopping: asyncio.Event, running: Running) -> bool:
        starts.append(running)
        return True

    monkeypatch.setattr(serving, "_wait", meet_damage)
    with pytest.raises(StoreDamaged):
        await serving.serve(school[0].settings, "all")
    assert len(starts) == 1 + serving.REPAIRS_MAX


async def test_full_disk_lets_the_reserve_go_and_keeps_it_again(tmp_path: Path) -> None:
    made, _ids = await asyncio.to_thread(make_filled_school, tmp_path / "box", 10)
    settings = Settings(data=made.settings.data, port=0, content_port=0, reserve_bytes=100_000)
    async with running_box(settings) as running:
        assert running.box is not None
        assert not await running.box.record_check.is_room_low()
        await running.box.database.write(lambda db: db.execute("PRAGMA max_page_count = 1").fetchone())
        big = "INSERT INTO setting (name, value) VALUES ('big', hex(zeroblob(100000)))"
        with pytest.raises(StoreUnavailable):
            await change(running, big)
        assert await running.box.record_check.is_room_low()
        assert "uses its last room" in await classes_page(running, made.teacher)
        await running.box.record_check.scrub_when_due()
        assert not await running.box.record_check.is_room_low()
