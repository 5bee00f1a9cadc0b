"""The schedule calls the sender soon after somebody worked, when it asks to be called, and never twice at once."""

import asyncio
from datetime import datetime, timedelta, tzinfo
from typing import ClassVar, Self

import pytest
from apscheduler.schedulers import base

from content_packs.base.clock import SystemClock
from edgebox.jobs import FETCH_JOB, SYNC_JOB, Jobs


class Calls:
    """Counts calls; each returns `due_ms`, and `seen` is set by the last one expected."""

    def __init__(self, expected: int, due_ms: int | None = None) -> None:
        self.count = 0
        self.running = 0
        self.most_running = 0
        self.expected = expected
        self.due_ms = due_ms
        self.seen = asyncio.Event()

    async def __call__(self) -> int | None:
        self.count += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        if self.count >= self.expected:
            self.seen.set()
        return self.due_ms


async def test_much_activity_makes_one_call_soon() -> None:
    calls = Calls(1)
    jobs = Jobs(calls, SystemClock(), after_activity_seconds=0.05)
    jobs.start()
    for _ in range(50):
        jobs.note_activity()
    await calls.seen.wait()
    jobs.stop()
    assert (calls.count, calls.most_running) == (1, 1)


async def test_a_sender_that_says_when_is_called_again_then() -> None:
    calls = Calls(2, due_ms=0)
    jobs = Jobs(calls, SystemClock(), after_activity_seconds=0.01)
    jobs.start()
    jobs.note_activity()
    await calls.seen.wait()
    jobs.stop()
    assert calls.count == 2


async def test_activity_brings_forward_what_a_clock_that_was_set_back_put_off_for_years() -> None:
    calls = Calls(1, due_ms=SystemClock().now_ms() + 365 * 86_400_000)
    jobs = Jobs(calls, SystemClock(), after_activity_seconds=0.01)
    jobs.start()
    jobs.note_activity()
    await calls.seen.wait()
    calls.seen.clear()
    await asyncio.sleep(0)
    jobs.note_activity()
    async with asyncio.timeout(10):
        await calls.seen.wait()
    jobs.stop()
    assert calls.count == 2


async def test_a_stopped_schedule_calls_nobody() -> None:
    calls = Calls(1)
    jobs = Jobs(calls, SystemClock(), after_activity_seconds=0.0)
    jobs.note_activity()
    jobs.start()
    jobs.stop()
    jobs.note_activity()
    jobs.stop()
    await asyncio.sleep(0)
    assert calls.count == 0


class Jumping(datetime):
    """The wall clock as apscheduler reads it, off by as much as a test says."""

    off: ClassVar[timedelta] = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + cls.off


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> type[Jumping]:
    monkeypatch.setattr(Jumping, "off", timedelta())
    monkeypatch.setattr(base, "datetime", Jumping)
    now_ms = SystemClock.now_ms
    monkeypatch.setattr(SystemClock, "now_ms", lambda clock: now_ms(clock) + round(Jumping.off.total_seconds() * 1000))
    return Jumping


JUMPS = {
    "to 1970": 1 - SystemClock().now_ms() / 1000,
    "a year back": -365 * 86_400,
    "five minutes on": 300,
    "ten years on": 3_650 * 86_400,
    "to 2106": 80 * 365 * 86_400,
}


@pytest.mark.parametrize("jump_seconds", JUMPS.values(), ids=JUMPS)
async def test_when_the_clock_jumps_what_was_planned_jumps_along_and_nothing_runs_for_it(
    wall: type[Jumping], jump_seconds: float
) -> None:
    sync, fetch, hourly = Calls(10**9), Calls(10**9), Calls(10**9)
    jobs = Jobs(sync, SystemClock(), fetch=fetch)
    jobs.add_hourly("retire", hourly)
    jobs.start()
    jobs.note_activity()
    await asyncio.sleep(0)
    planned = {job.id: job.next_run_time for job in jobs._scheduler.get_jobs()}
    wall.off = timedelta(seconds=jump_seconds)
    for _ in range(3):
        # What its timer does.
        jobs._scheduler.wakeup()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert (sync.count, fetch.count, hourly.count) == (0, 0, 0)
    assert set(planned) == {SYNC_JOB, f"{SYNC_JOB}-soon", FETCH_JOB, "retire"}
    for job in jobs._scheduler.get_jobs():
        shift = (job.next_run_time - planned[job.id]).total_seconds()
        assert abs(shift - jump_seconds) < 0.5
    jobs.stop()
    await asyncio.sleep(0)


async def test_a_clock_that_strobes_makes_one_run_of_what_is_due(wall: type[Jumping]) -> None:
    calls = Calls(1)
    jobs = Jobs(calls, SystemClock(), after_activity_seconds=0.05)
    jobs.start()
    jobs.note_activity()
    for number in range(20):
        wall.off = timedelta(minutes=5 if number % 2 else -5)
        jobs._scheduler.wakeup()
        jobs.note_activity()
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await calls.seen.wait()
    jobs.stop()
    assert (calls.count, calls.most_running) == (1, 1)


async def test_a_link_that_blinks_makes_one_run_at_once() -> None:
    sync, link = Calls(10**9), Calls(1)
    jobs = Jobs(sync, SystemClock(), at_link_up=link)
    jobs.start()
    for _ in range(50):
        jobs.note_link_up()
    planned = {job.id: job.next_run_time for job in jobs._scheduler.get_jobs()}
    assert set(planned) == {SYNC_JOB, f"{SYNC_JOB}-soon", "link-soon"}
    assert planned["link-soon"] < planned[f"{SYNC_JOB}-soon"] < planned[SYNC_JOB]
    jobs.stop()
    await asyncio.sleep(0)


async def test_a_time_to_come_back_that_a_wrong_clock_put_far_away_is_an_hour_at_most() -> None:
    calls = Calls(1, due_ms=SystemClock().now_ms() + 40 * 365 * 86_400_000)
    jobs = Jobs(calls, SystemClock(), after_activity_seconds=0.0)
    jobs.start()
    jobs.note_activity()
    await calls.seen.wait()
    while jobs._scheduler.get_job(f"{SYNC_JOB}-soon") is None:
        await asyncio.sleep(0)
    planned = jobs._scheduler.get_job(f"{SYNC_JOB}-soon").next_run_time
    assert planned.timestamp() <= SystemClock().now_ms() / 1000 + 3_600
    jobs.stop()
    await asyncio.sleep(0)
