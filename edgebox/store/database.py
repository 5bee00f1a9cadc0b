"""One connection writes and checkpoints, on one thread; readers are read-only.

Writes are grouped: whatever jobs wait when the thread comes back from a commit share the next one. A job's result is
handed out only after the commit returned, and `synchronous=FULL` makes that mean "on the disk". SQLite before 3.51.3
can corrupt a database when two connections write or checkpoint at once, so there is exactly one that may.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.starting import StoreDamaged
from edgebox.store.upgrade import upgrade

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], Any]

GROUP_MAX_JOBS = 200
CHECKPOINT_PAGES = 4000
READER_THREADS = 3
DISK_FULL = N_("the disk is full")
NOT_WRITTEN = N_("the disk did not take it")
_BUSY_MS = 5000

log = logging.getLogger(__name__)


class StoreUnavailable(EdgeboxError):
    """The disk refused a write; nothing of the request was kept."""

    code = "store.unavailable"
    status = 503
    exit_code = 51
    retryable = True
    sentence = N_("The box cannot save right now ({reason}).")
    remedy = N_("Answers stay on the tablets. Free some space or restart the box.")


class _Waiting:
    """A job and where its result goes."""

    __slots__ = ("error", "future", "is_settled", "job", "loop", "result")

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        self.job = job
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_settled = False


class Database:
    """The learner database of a box: `await write(job)` and `await read(query)`."""

    def __init__(self, path: Path) -> None:
        """Open the database, made or upgraded if need be.

        Raises:
            SchemaTooNew, StoreDamaged, StoreUnavailable: the file is left as it is.
        """
        self.path = path
        try:
            upgrade(path)
        except sqlite3.DatabaseError as error:
            raise _explained(error, path) from error
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="reader")
        self._local = threading.local()
        self._open_readers: list[sqlite3.Connection] = []
        self._thread = threading.Thread(target=self._write_groups, name="writer", daemon=True)
        self._thread.start()

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` inside the next group's transaction and return its result after the commit.

        The job may run twice (alone, when another of its group failed), so it must change nothing but the database.

        Raises:
            StoreUnavailable, StoreDamaged: the disk refused; whatever the job itself raises is raised here.
        """
        waiting = _Waiting(job, asyncio.get_running_loop())
        self._queue.put(waiting)
        result: T = await waiting.future
        return result

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` on a read-only connection in a reader thread.

        Raises:
            StoreDamaged: the file is no longer whole.
        """
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._run_query, query)

    def read_now(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` in this thread; for start-up and commands, never inside a request."""
        return self._run_query(query)

    def close(self) -> None:
        """Finish waiting writes, checkpoint and close; safe to repeat."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._readers.shutdown()
        for connection in self._open_readers:
            connection.close()
        self._open_readers.clear()

    def _run_query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = open_reader(self.path)
            self._local.connection = connection
            self._open_readers.append(connection)
        try:
            return query(connection)
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                raise _explained(error, self.path) from error
            raise

    def _write_groups(self) -> None:
        connection: sqlite3.Connection | None = None
        waiting = self._queue.get()
        while waiting is not None:
            group, is_last = self._take_group(waiting)
            try:
                connection = connection or open_writer(self.path)
                _commit_group(connection, group)
            except sqlite3.Error as error:
                log.exception("store.commit_failed")
                _fail(group, _explained(error, self.path))
                # After a failed sync the old connection's view of the file is not to be trusted.
                _close(connection)
                connection = None
            _hand_out(group, self.path)
            waiting = None if is_last else self._queue.get()
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _close(connection)

    def _take_group(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        group = [first]
        while len(group) < GROUP_MAX_JOBS:
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                break
            if waiting is None:
                return group, True
            group.append(waiting)
        return group, False


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the one connection that may write."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256, check_same_thread=False)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "mmap_size = 0",
        f"busy_timeout = {_BUSY_MS}",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        "journal_size_limit = 33554432",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot write, nor checkpoint."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    for pragma in ("query_only = ON", "mmap_size = 0", "trusted_schema = OFF", f"busy_timeout = {_BUSY_MS}"):
        connection.execute(f"PRAGMA {pragma}")
    connection.row_factory = sqlite3.Row
    return connection


def find_fault(connection: sqlite3.Connection) -> str:
    """Return the first fault in the structure of the file, empty when it is whole; reads all of it."""
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return "" if found == "ok" else found


def _commit_group(connection: sqlite3.Connection, group: list[_Waiting]) -> None:
    """Run all jobs in one transaction; if one fails, run each in its own, so that it takes nobody with it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for waiting in group:
            waiting.result = waiting.job(connection)
    except Exception as error:
        _roll_back(connection)
        if len(group) == 1:
            group[0].error, group[0].is_settled = error, True
            return
        for waiting in group:
            _commit_group(connection, [waiting])
        return
    try:
        connection.execute("COMMIT")
    except sqlite3.Error:
        _roll_back(connection)
        raise
    for waiting in group:
        waiting.is_settled = True


def _roll_back(connection: sqlite3.Connection) -> None:
    # SQLite has already rolled back by itself after some errors, a full disk among them.
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _fail(group: list[_Waiting], error: EdgeboxError) -> None:
    for waiting in group:
        if not waiting.is_settled:
            waiting.error = error


def _is_damage(error: BaseException) -> bool:
    """Tell whether SQLite found the file broken: then it raises the base class itself, not one of its kinds."""
    return type(error) is sqlite3.DatabaseError


def _explained(error: sqlite3.Error, path: Path) -> EdgeboxError:
    """Return what an error of SQLite means for people."""
    if _is_damage(error):
        return StoreDamaged(file=path.name, reason=str(error))
    reason = DISK_FULL if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL else NOT_WRITTEN
    return StoreUnavailable(reason=reason, fault=type(error).__name__)


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(sqlite3.Error):
            connection.close()


def _hand_out(group: list[_Waiting], path: Path) -> None:
    """Resolve the futures, one call per event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
    for waiting in group:
        loops.setdefault(waiting.loop, []).append(waiting)
    for loop, members in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, members, path)


def _resolve(group: list[_Waiting], path: Path) -> None:
    for waiting in group:
        if waiting.future.done():
            continue
        if waiting.error is None:
            waiting.future.set_result(waiting.result)
        elif isinstance(waiting.error, sqlite3.Error) and (
            _is_damage(waiting.error) or isinstance(waiting.error, sqlite3.OperationalError)
        ):
            waiting.future.set_exception(_explained(waiting.error, path))
        else:
            waiting.future.set_exception(waiting.error)
