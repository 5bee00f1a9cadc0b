"""The schedule calls the sender soon after somebody worked, when it asks to be called, and never twice at once."""

import asyncio

from content_packs.base.clock import SystemClock
from edgebox.jobs import Jobs


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
