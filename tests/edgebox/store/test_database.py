import asyncio
import errno
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgebox.store import database as database_module
from edgebox.store import proving
from edgebox.store.connections import DAMAGED, UNDECODABLE, StoreUnavailable, open_writer
from edgebox.store.database import Database
from edgebox.store.log import append_change
from edgebox.store.reserve import Reserve

INSERT = "INSERT INTO setting (name, value) VALUES (?, 'x')"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await asyncio.to_thread(Database, tmp_path / "box.db")
    yield opened
    await asyncio.to_thread(opened.close)


def names(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM setting")}


def insert(name: str) -> Any:
    return lambda connection: connection.execute(INSERT, (name,)).rowcount


class Gate:
    """A job that holds the writer until released, so that a test decides what waits behind it."""

    def __init__(self) -> None:
        self.entered, self.released = threading.Event(), threading.Event()

    def __call__(self, _connection: sqlite3.Connection) -> None:
        self.entered.set()
        self.released.wait(30)


async def hold(database: Database) -> tuple[Gate, asyncio.Task[None]]:
    gate = Gate()
    task = asyncio.create_task(database.write(gate))
    await asyncio.to_thread(gate.entered.wait, 30)
    return gate, task


async def queued(database: Database, jobs: list[Any]) -> list[asyncio.Task[Any]]:
    """Queue jobs behind a gate and return once they wait."""
    tasks = [asyncio.create_task(database.write(job)) for job in jobs]
    while database._queue.qsize() < len(jobs):
        await asyncio.sleep(0)
    return tasks


def count_commits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    commits: list[str] = []

    def open_traced(path: Path) -> sqlite3.Connection:
        connection = open_writer(path)
        connection.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
        return connection

    monkeypatch.setattr(database_module, "open_writer", open_traced)
    return commits


async def test_writes_that_wait_together_share_one_commit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = count_commits(monkeypatch)
    monkeypatch.setattr(database_module, "GROUP_MAX_SECONDS", 60.0)  # it is about waiting, not about a slow machine
    gate, held = await hold(database)
    tasks = await queued(database, [insert(f"n{number}") for number in range(150)])
    gate.released.set()
    await asyncio.gather(held, *tasks)
    assert len(commits) == 2
    assert len(await database.read(names)) == 150


async def test_failing_job_takes_nobody_with_it(database: Database) -> None:
    gate, held = await hold(database)

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute(INSERT, ("half",))
        raise LookupError

    tasks = await queued(database, [insert("a"), fail, insert("b")])
    gate.released.set()
    results = await asyncio.gather(held, *tasks, return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[2], LookupError)
    assert await database.read(names) == {"a", "b"}


async def test_cancelled_writer_leaves_the_others_alone(database: Database) -> None:
    gate, held = await hold(database)
    cancelled, other = await queued(database, [insert("cancelled"), insert("other")])
    cancelled.cancel()
    gate.released.set()
    await asyncio.gather(held, other)
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    # Nobody was told, so either outcome would be right; what is stored must be whole.
    assert {"other"} <= await database.read(names) <= {"other", "cancelled"}


async def test_full_disk_is_told_and_writing_goes_on_when_there_is_room(database: Database) -> None:
    pages = await database.write(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await database.write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    stored = 0
    with pytest.raises(StoreUnavailable) as refused:
        for number in range(5000):
            await database.write(insert(f"{number:0400}"))
            stored += 1
    assert (refused.value.retryable, refused.value.fields["reason"]) == (True, "the disk is full")
    assert len(await database.read(names)) == stored
    await database.write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages + 100}").fetchone())
    assert await database.write(insert("after")) == 1


class FailingSync(sqlite3.Connection):
    """A connection whose next commits fail as they do when the disk refuses a sync."""

    left = 0

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and FailingSync.left:
            FailingSync.left -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *arguments)


@pytest.fixture
def failing_sync(monkeypatch: pytest.MonkeyPatch) -> type[FailingSync]:
    connect = sqlite3.connect

    def connect_failing(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, **options, factory=FailingSync)

    monkeypatch.setattr(sqlite3, "connect", connect_failing)
    FailingSync.left = 0
    return FailingSync


async def test_failed_sync_is_never_acknowledged(failing_sync: type[FailingSync], tmp_path: Path) -> None:
    database = await asyncio.to_thread(Database, tmp_path / "box.db")
    try:
        failing_sync.left = 1
        with pytest.raises(StoreUnavailable):
            await database.write(insert("lost"))
        assert await database.write(insert("kept")) == 1
        assert await database.read(names) == {"kept"}
    finally:
        await asyncio.to_thread(database.close)


async def test_what_was_committed_before_a_failed_sync_stays_acknowledged(
    failing_sync: type[FailingSync], tmp_path: Path
) -> None:
    database = await asyncio.to_thread(Database, tmp_path / "box.db")
    try:
        gate, held = await hold(database)

        runs = []

        def fail(_connection: sqlite3.Connection) -> None:
            runs.append("run")
            failing_sync.left = len(runs) - 1
            raise LookupError

        # The group falls apart at the second job; the third, alone, meets the failing sync.
        tasks = await queued(database, [insert("first"), fail, insert("third")])
        gate.released.set()
        results = await asyncio.gather(held, *tasks, return_exceptions=True)
        assert results[1] == 1
        assert isinstance(results[2], LookupError)
        assert isinstance(results[3], StoreUnavailable)
        assert await database.read(names) == {"first"}
    finally:
        await asyncio.to_thread(database.close)


async def test_database_that_cannot_be_opened_again_refuses_until_it_can(
    failing_sync: type[FailingSync], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await asyncio.to_thread(Database, tmp_path / "box.db")
    try:
        await database.write(insert("before"))
        failing_sync.left = 1
        with pytest.raises(StoreUnavailable):
            await database.write(insert("lost"))
        with monkeypatch.context() as broken:
            broken.setattr(database_module, "open_proved", _refuse)
            with pytest.raises(StoreUnavailable):
                await database.write(insert("lost too"))
        await database.write(insert("after"))
        assert await database.read(names) == {"before", "after"}
    finally:
        await asyncio.to_thread(database.close)


def _refuse(_path: Path, _last_change: int) -> sqlite3.Connection:
    raise sqlite3.OperationalError("unable to open database file")


def _fail(*_arguments: Any) -> Any:
    raise OSError(errno.EIO, "the card does not answer")


def _meet_damage(_connection: sqlite3.Connection) -> None:
    raise sqlite3.DatabaseError("database disk image is malformed")


@pytest.mark.parametrize(
    ("owner", "name"), [(proving.os, "posix_fadvise"), (database_module, "suspect"), (database_module, "open_proved")]
)
async def test_error_of_the_file_system_is_told_and_the_writer_goes_on(
    owner: Any, name: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(owner, name, _fail)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await database.write(_meet_damage)
    assert await database.write(insert("after")) == 1


async def test_reserve_that_cannot_be_let_go_is_no_reason_to_stop(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reserve, "release", _fail)
    pages = await database.write(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await database.write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    with pytest.raises(StoreUnavailable):
        await database.write(insert("x" * 1_000_000))
    assert await database.read(names) == set()


async def test_damage_found_when_nobody_serves_any_more_is_noted(database: Database) -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    database.on_damage = lambda: loop.call_soon_threadsafe(print)
    with pytest.raises(StoreUnavailable):
        await database.write(_meet_damage)
    assert database.path.with_name("box.db.suspect").exists()
    assert await database.write(insert("after")) == 1


async def test_what_a_part_of_a_group_logged_is_asked_for_after_a_failed_sync(
    failing_sync: type[FailingSync], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, asked, runs = await asyncio.to_thread(Database, tmp_path / "box.db"), list[int](), list[str]()

    def meet_failing_sync(_connection: sqlite3.Connection) -> None:
        runs.append("run")
        failing_sync.left = len(runs) - 1

    def fail(_connection: sqlite3.Connection) -> None:
        raise LookupError

    def open_noted(path: Path, acknowledged_change: int) -> sqlite3.Connection:
        asked.append(acknowledged_change)
        return proving.open_proved(path, acknowledged_change)

    monkeypatch.setattr(database_module, "open_proved", open_noted)
    try:
        gate, held = await hold(database)
        tasks = await queued(database, [lambda db: append_change(db, 1, b"key"), meet_failing_sync, fail])
        gate.released.set()
        await asyncio.gather(held, *tasks, return_exceptions=True)
        await database.write(insert("after"))
    finally:
        await asyncio.to_thread(database.close)
    assert asked == [1]


async def test_acknowledged_change_that_is_missing_is_damage(database: Database) -> None:
    assert await database.write(lambda db: append_change(db, 1, b"key")) == 1
    await asyncio.to_thread(database.close)
    with pytest.raises(sqlite3.DatabaseError, match="acknowledged"):
        await asyncio.to_thread(proving.open_proved, database.path, 2)
    (await asyncio.to_thread(proving.open_proved, database.path, 1)).close()


async def test_reader_cannot_write(database: Database) -> None:
    with pytest.raises(StoreUnavailable) as refused:
        await database.read(insert("x"))
    assert "readonly" in str(refused.value.__cause__)


def _not_given(_connection: sqlite3.Connection) -> Any:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    raise error


def _meet_broken_text(connection: sqlite3.Connection) -> Any:
    return connection.execute("SELECT CAST(x'61f3' AS TEXT)").fetchone()


@pytest.mark.parametrize(("query", "fault"), [(_not_given, ""), (_meet_broken_text, UNDECODABLE)])
@pytest.mark.parametrize("way", ["read", "write"])
async def test_what_cannot_be_read_is_told_and_looked_for_at_the_next_start(
    database: Database, query: Any, fault: str, way: str
) -> None:
    told: list[bool] = []
    database.on_damage = lambda: told.append(True)
    with pytest.raises(StoreUnavailable) as refused:
        await getattr(database, way)(query)
    assert refused.value.fields["reason"] == DAMAGED
    assert told == [True]
    assert await asyncio.to_thread(database.path.with_name("box.db.suspect").read_text) == fault


async def test_sector_that_only_the_proof_reads_is_looked_for_at_the_next_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "find_fault", _not_given)
    told: list[bool] = []
    database.on_damage = lambda: told.append(True)
    write_error = sqlite3.OperationalError("disk I/O error")
    write_error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    for tries in range(2):
        with pytest.raises(StoreUnavailable):
            await database.write(lambda _db: (_ for _ in ()).throw(write_error))
        assert told == [True] * tries


async def test_writer_syncs_every_commit(database: Database) -> None:
    def pragmas(connection: sqlite3.Connection) -> list[Any]:
        names = ("journal_mode", "synchronous", "foreign_keys", "mmap_size")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await database.write(pragmas) == ["wal", 2, 1, 0]
