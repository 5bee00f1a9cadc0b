"""What the box does by itself, on a schedule; the only user of apscheduler.

Sending is tried every few minutes, half a minute after somebody did something, and when the sender's waiting time is
over. Whichever comes first; never two at once. Whether it is time to fetch packs is asked every ten minutes. Old
versions of packs are looked through every hour, and so are files for damage; whether there is anything to do then is
decided by those who do it.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from content_packs.base.clock import Clock, SystemClock

SYNC_JOB = "sync"
SOON_JOB = "sync-soon"
FETCH_JOB = "fetch"
FETCH_MINUTES = 10
AFTER_ACTIVITY_SECONDS = 30.0
FIRST_HOURLY_SECONDS = 300.0


class Jobs:
    """Runs `sync`, which returns when to come back in milliseconds UTC, or None; and `fetch`, which only begins it."""

    def __init__(
        self,
        sync: Callable[[], Awaitable[int | None]],
        clock: Clock,
        *,
        every_minutes: float = 5.0,
        after_activity_seconds: float = AFTER_ACTIVITY_SECONDS,
        fetch: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._sync = sync
        self._clock = clock
        self._after_activity_seconds = after_activity_seconds
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        )
        self._scheduler.add_job(self._run, "interval", minutes=every_minutes, id=SYNC_JOB)
        if fetch is not None:
            self._scheduler.add_job(fetch, "interval", minutes=FETCH_MINUTES, id=FETCH_JOB)

    def add_hourly(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do `work` every hour, the first time a few minutes after the start, when the class has its pages."""
        first = self._at(FIRST_HOURLY_SECONDS)
        self._scheduler.add_job(work, "interval", hours=1, id=name, next_run_time=first)

    def start(self) -> None:
        """Start the schedule in the running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop the schedule; a job that runs is cancelled with its loop."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def note_activity(self) -> None:
        """Somebody did something worth sending: do so soon, once, however much more happens until then."""
        if not self._scheduler.running:
            return
        planned = self._scheduler.get_job(SOON_JOB)
        # One that is planned for later is brought forward: it may be years away, if the clock was set back.
        if planned is None or planned.next_run_time > self._at(self._after_activity_seconds):
            self._run_in(self._after_activity_seconds)

    async def _run(self) -> None:
        due_ms = await self._sync()
        if due_ms is not None and self._scheduler.running:
            self._run_in(max(1.0, (due_ms - self._clock.now_ms()) / 1000))

    def _run_in(self, seconds: float) -> None:
        self._scheduler.add_job(self._run, "date", run_date=self._at(seconds), id=SOON_JOB, replace_existing=True)

    def _at(self, seconds: float) -> datetime:
        # The scheduler goes by the machine's clock, which may be far from the box's.
        return datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC) + timedelta(seconds=seconds)
