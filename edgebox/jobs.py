"""What the box does by itself, on a schedule; the only user of apscheduler.

Sending is tried every few minutes, half a minute after somebody did something, when the box gets a way out, and when
the sender's waiting time is over. Whichever comes first; never two at once. So are statements for a record store
outside the school. Whether it is time to fetch packs is asked every ten minutes and at the moment at which the line
opens for what waits. Old versions of packs are looked through every hour, and so are files for damage; whether there is
anything to do then is decided by those who do it.

apscheduler plans by the wall clock, which on a box without a battery jumps by years. So everything planned jumps along:
what was to happen in five minutes happens in five minutes, once.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from content_packs.base.clock import Clock, SystemClock

SYNC_JOB = "sync"
FETCH_JOB = "fetch"
FORWARD_JOB = "forward"
LINK_JOB = "link"
FETCH_MINUTES = 10.0
AFTER_ACTIVITY_SECONDS = 30.0
AFTER_LINK_UP_SECONDS = 2.0
LINK_UP_APART_MS = 60_000
FIRST_HOURLY_SECONDS = 300.0
# Whoever says when to come back says it by a clock that may have jumped meanwhile.
COME_BACK_MAX_SECONDS = 3_600.0
_JUMP_MS = 1_000

Work = Callable[[], Awaitable[int | None]]


class SteadyScheduler(AsyncIOScheduler):  # type: ignore[misc]
    """A scheduler whose planned times follow the wall clock when it jumps."""

    def __init__(self, **options: Any) -> None:
        super().__init__(timezone=UTC, **options)
        # Not the best time that the box knows: apscheduler looks at the machine's.
        self._clock = SystemClock()
        self._seen: tuple[int, int] | None = None

    def wakeup(self) -> None:
        """See what is due; called by its own timer and whenever something is planned."""
        self.follow()
        super().wakeup()

    def follow(self) -> None:
        """Move everything planned by as much as the wall clock jumped since the last time."""
        wall_ms, monotonic_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        before, self._seen = self._seen, (wall_ms, monotonic_ms)
        jump_ms = 0 if before is None else (wall_ms - before[0]) - (monotonic_ms - before[1])
        if abs(jump_ms) >= _JUMP_MS:
            for job in self.get_jobs():
                job.modify(next_run_time=job.next_run_time + timedelta(milliseconds=jump_ms))

    def now(self) -> datetime:
        """Return the time that apscheduler plans by."""
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)


class Jobs:
    """Runs its works, which return when to come back in milliseconds UTC, or None for at the usual time."""

    def __init__(
        self,
        sync: Work,
        clock: Clock,
        *,
        every_minutes: float = 5.0,
        after_activity_seconds: float = AFTER_ACTIVITY_SECONDS,
        fetch: Work | None = None,
        forward: Work | None = None,
        at_link_up: Work | None = None,
    ) -> None:
        """Take what to run; `at_link_up` does not wait for a time that was set when there was no way out."""
        self._clock = clock
        self._after_activity_seconds = after_activity_seconds
        self._works: dict[str, Work] = {SYNC_JOB: sync}
        self._works |= {} if fetch is None else {FETCH_JOB: fetch}
        self._works |= {} if forward is None else {FORWARD_JOB: forward}
        self._works |= {} if at_link_up is None else {LINK_JOB: at_link_up}
        self._link_up_ms: int | None = None
        self._scheduler = SteadyScheduler(
            job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        )
        self._scheduler.add_job(self._run, "interval", [SYNC_JOB], minutes=every_minutes, id=SYNC_JOB)
        if fetch is not None:
            self._scheduler.add_job(self._run, "interval", [FETCH_JOB], minutes=FETCH_MINUTES, id=FETCH_JOB)
        if forward is not None:
            self._scheduler.add_job(self._run, "interval", [FORWARD_JOB], minutes=every_minutes, id=FORWARD_JOB)

    def add_hourly(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do `work` every hour, the first time a few minutes after the start, when the class has its pages."""
        first = self._in(FIRST_HOURLY_SECONDS)
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
        self._run_soon(SYNC_JOB, self._after_activity_seconds)

    def note_link_up(self) -> None:
        """The box has a way out again: use it at once, but not with every blink of a radio that comes and goes."""
        now_ms = self._clock.monotonic_ms()
        if self._link_up_ms is None or now_ms - self._link_up_ms >= LINK_UP_APART_MS:
            self._link_up_ms = now_ms
            self._run_soon(LINK_JOB, AFTER_LINK_UP_SECONDS)
        else:
            self._run_soon(SYNC_JOB, self._after_activity_seconds)

    async def _run(self, name: str) -> None:
        due_ms = await self._works[name]()
        if due_ms is not None:
            seconds = (due_ms - self._clock.now_ms()) / 1000
            self._run_soon(name, min(max(1.0, seconds), COME_BACK_MAX_SECONDS))

    def _run_soon(self, name: str, seconds: float) -> None:
        """Plan one run more, unless one is planned that comes before it."""
        if not self._scheduler.running or name not in self._works:
            return
        self._scheduler.follow()
        planned, at = self._scheduler.get_job(f"{name}-soon"), self._in(seconds)
        if planned is None or planned.next_run_time > at:
            self._scheduler.add_job(
                self._run, "date", [name], run_date=at, id=f"{name}-soon", replace_existing=True, max_instances=1
            )

    def _in(self, seconds: float) -> datetime:
        return self._scheduler.now() + timedelta(seconds=seconds)
