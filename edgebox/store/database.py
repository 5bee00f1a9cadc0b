"""One connection writes and checkpoints, on one thread; readers are read-only.

Writes are grouped: whatever jobs wait when the thread comes back from a commit share the next one, until 200 of them or
20 ms of work are in it. A job's result is handed out only after the commit returned, and `synchronous=FULL` makes that
mean "on the disk". SQLite before 3.51.3 can corrupt a database when two connections write or checkpoint at once, so
there is exactly one that may.

After any error of the disk but a full one nothing is acknowledged until the file is proved to hold everything that was
(see `edgebox.store.proving`); the next group of jobs asks for the proof, and is refused with it.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from content_packs.base.clock import SystemClock
from edgebox.store.connections import (
    UNDECODABLE,
    explained,
    is_full,
    is_of_the_disk,
    is_undecodable,
    is_unreadable,
    open_reader,
    open_writer,
)
from edgebox.store.proving import last_change, open_proved
from edgebox.store.recovery import recover, suspect
from edgebox.store.reserve import Reserve
from edgebox.store.upgrade import upgrade

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], Any]

GROUP_MAX_JOBS = 200
GROUP_MAX_SECONDS = 0.020
READER_THREADS = 3
_FAILURES = (sqlite3.Error, OSError, MemoryError)  # of the disk or the machine, in the writer's own work

log = logging.getLogger(__name__)


class _Waiting:
    """A job and where its result goes."""

    __slots__ = ("error", "future", "is_settled", "job", "last_change", "loop", "result")

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        self.job = job
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_settled = False
        self.last_change = 0  # of the log, when it was committed


class Database:
    """The learner database of a box: `await write(job)` and `await read(query)`."""

    def __init__(self, path: Path, reserve: Reserve | None = None) -> None:
        """Open the database, made, upgraded or rebuilt if need be; the reserve is let go when there is no other room.

        Raises:
            SchemaTooNew, StoreDamaged, StoreUnavailable: the file is left as it is.
        """
        self.path = path
        self._reserve = reserve or Reserve(path, 0)
        try:
            recover(path, SystemClock().now_ms(), self._reserve.release)
            upgrade(path)
        except (sqlite3.DatabaseError, OSError) as error:
            raise explained(error) from error
        self.on_damage: Callable[[], object] = _nobody_listens  # called in any thread; the next start repairs
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._group: deque[_Waiting] = deque()
        self._is_closing = False
        self._connection: sqlite3.Connection | None = None
        self._last_change = 0
        self._is_in_doubt = False  # the disk failed, and nothing was proved since
        self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="reader")
        self._local = threading.local()
        self._open_readers: list[sqlite3.Connection] = []
        self._thread = threading.Thread(target=self._write_groups, name="writer", daemon=True)
        self._thread.start()

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` inside the next group's transaction and return its result after the commit.

        The job may run twice (alone, when another of its group failed), so it must change nothing but the database.

        Raises:
            StoreUnavailable: the disk refused, or the file is damaged; whatever the job itself raises is raised here.
        """
        waiting = _Waiting(job, asyncio.get_running_loop())
        self._queue.put(waiting)
        result: T = await waiting.future
        return result

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` on a read-only connection in a reader thread.

        Raises:
            StoreUnavailable: the file is no longer whole, or the disk does not give it.
        """
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._run_query, query)

    def note_damage(self, fault: str = "") -> None:
        """Have the file read, or rebuilt if the fault is known, at the next start, which should be soon. Blocks.

        Never raises: it is called where a disk fails, and the start looks through the file in any case.
        """
        try:
            suspect(self.path, fault)
        except OSError:
            log.exception("store.damage_not_noted")
        try:
            self.on_damage()
        except RuntimeError:
            log.warning("store.damage_not_told: nobody serves any more")

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
        try:
            return query(self._reader())
        except sqlite3.DatabaseError as error:
            log.error("store.read_failed", exc_info=error)
            self._note_unreadable(error)
            raise explained(error) from error

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = open_reader(self.path)
            self._local.connection = connection
            self._open_readers.append(connection)
        return connection

    def _note_unreadable(self, error: BaseException) -> None:
        # The structure of a file with a text that is none is whole, so the next start would find nothing.
        if isinstance(error, sqlite3.Error) and is_unreadable(error):
            self.note_damage(UNDECODABLE if is_undecodable(error) else "")

    def _write_groups(self) -> None:
        while self._fill_group():
            group = list(self._group)
            try:
                if self._connection is None:
                    self._connection = self._open()
                done = _commit_group(self._connection, group)
            except _FAILURES as error:
                done = len(group)
                self._note_failed(group, error)
            self._last_change = max([self._last_change, *(waiting.last_change for waiting in group)])
            for _ in range(done):
                self._group.popleft()
            _hand_out(group[:done])
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            _close(self._connection)

    def _fill_group(self) -> bool:
        """Take what waits, or wait for something; return False when there will be nothing more."""
        if not self._group and not self._is_closing:
            self._take(self._queue.get())
        while len(self._group) < GROUP_MAX_JOBS and not self._is_closing:
            try:
                self._take(self._queue.get_nowait())
            except Empty:
                break
        return bool(self._group)

    def _take(self, waiting: _Waiting | None) -> None:
        if waiting is None:
            self._is_closing = True
        else:
            self._group.append(waiting)

    def _open(self) -> sqlite3.Connection:
        if not self._is_in_doubt:
            return open_writer(self.path)
        connection = open_proved(self.path, self._last_change)
        log.warning("store.proved last_change=%d", self._last_change)
        self._is_in_doubt = False
        return connection

    def _note_failed(self, group: list[_Waiting], error: sqlite3.Error | OSError | MemoryError) -> None:
        meaning = explained(error)
        for waiting in group:
            if not waiting.is_settled:
                waiting.error = meaning
        if is_full(error):
            log.warning("store.full has_reserve=%s", self._let_reserve_go())
            return
        log.error("store.commit_failed", exc_info=error)
        _close(self._connection)
        self._connection = None
        self._is_in_doubt = True
        self._note_unreadable(error)

    def _let_reserve_go(self) -> bool:
        try:
            return self._reserve.release()
        except OSError:
            log.exception("store.reserve_stays")
            return False


def _commit_group(connection: sqlite3.Connection, group: list[_Waiting]) -> int:
    """Run the first jobs of a group in one transaction, as many as it may hold, and return how many.

    If one fails, each is run in its own, so that it takes nobody with it.
    """
    until, count = time.monotonic() + GROUP_MAX_SECONDS, 0
    connection.execute("BEGIN IMMEDIATE")
    try:
        for waiting in group:
            count += 1
            waiting.result = waiting.job(connection)
            if time.monotonic() >= until:
                break
    except Exception as error:
        _roll_back(connection)
        if is_of_the_disk(error):
            raise
        if count == 1:
            group[0].error, group[0].is_settled = error, True
            return 1
        return sum(_commit_group(connection, [waiting]) for waiting in group[:count])
    try:
        last = last_change(connection)
        connection.execute("COMMIT")
    except sqlite3.Error:
        _roll_back(connection)
        raise
    for waiting in group[:count]:
        waiting.is_settled, waiting.last_change = True, last
    return count


def _roll_back(connection: sqlite3.Connection) -> None:
    # SQLite has already rolled back by itself after some errors, a full disk among them.
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(sqlite3.Error):
            connection.close()


def _hand_out(group: list[_Waiting]) -> None:
    """Resolve the futures, one call per event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
    for waiting in group:
        loops.setdefault(waiting.loop, []).append(waiting)
    for loop, members in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(_resolve, members)


def _resolve(group: list[_Waiting]) -> None:
    for waiting in group:
        if waiting.future.done():
            continue
        if waiting.error is None:
            waiting.future.set_result(waiting.result)
        elif isinstance(waiting.error, sqlite3.OperationalError):
            waiting.future.set_exception(explained(waiting.error))
        else:
            waiting.future.set_exception(waiting.error)


def _nobody_listens() -> None:
    return None
