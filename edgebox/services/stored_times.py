"""When statements are stored: in the order of the log, so that whoever asks what is new since a time misses nothing."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from content_packs.base.clock import Clock
from edgebox.domain.clock_rules import NEAR_MS
from edgebox.store.database import Database

T = TypeVar("T")


class StoredTimes:
    """Gives every job that stores statements a time after those of all jobs before it."""

    def __init__(self, database: Database, clock: Clock, last_ms: int) -> None:
        self._database = database
        self._clock = clock
        # Written by the writer's thread while a job is under way, and by the event loop while none is.
        self._last_ms = last_ms
        self._committed_ms = last_ms
        self._under_way = 0

    def through_ms(self) -> int:
        """Return a time: what was stored until then can be read now, and whatever is stored later is after it."""
        if not self._under_way:
            now_ms = self._clock.now_ms()
            self._last_ms = self._committed_ms = now_ms if self._was_set_back(now_ms) else max(now_ms, self._last_ms)
        return self._committed_ms

    async def write(self, now_ms: int, job: Callable[[Any, int], T]) -> T:
        """Run `job` as a job of the writer, with the time at which its statements are stored: `now_ms` if it can be.

        Raises:
            StoreUnavailable: as `Database.write`.
        """

        def stamped(connection: Any) -> tuple[int, T]:
            self._last_ms = stored_ms = now_ms if self._was_set_back(now_ms) else max(now_ms, self._last_ms + 1)
            return stored_ms, job(connection, stored_ms)

        self._under_way += 1
        writing = asyncio.ensure_future(self._database.write(stamped))
        writing.add_done_callback(self._note_done)
        # The job goes on when whoever waits for it does not any more.
        return (await asyncio.shield(writing))[1]

    def _was_set_back(self, now_ms: int) -> bool:
        """Tell whether the last time is of a clock that was wrong; one that is only a little ahead is waited for."""
        return self._last_ms - now_ms > NEAR_MS

    def _note_done(self, writing: "asyncio.Future[tuple[int, T]]") -> None:
        self._under_way -= 1
        if not writing.cancelled() and writing.exception() is None:
            self._committed_ms = writing.result()[0]
