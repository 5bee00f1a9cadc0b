"""A box whose clock is wrong keeps every answer and its order, and its dates are right once anybody knows the time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgebox import RELEASED_MS
from edgebox.app import open_box
from edgebox.domain.clock_rules import DAY_MS, NEAR_MS, Source
from edgebox.keys import Box
from edgebox.store import statement_queries
from edgebox.store.statement_filters import Filter, Reach
from sync.bundle.layout import ClockQuality
from sync.hub.store import reports
from tests.support.box import School, Tablet, make_school, make_tablet
from tests.support.clock import FakeClock
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS

HOUR_MS = 3_600_000
YEAR_MS = 365 * DAY_MS
END_OF_32_BITS_MS = 2_147_483_647_000

# The clock of the machine when the power comes on, beside the true time. None of them was set by a time server.
CLOCKS = {
    "1970": 0,
    "before 1970": -HOUR_MS,
    "2000": 946_684_800_000,
    "a day before the release": RELEASED_MS - DAY_MS,
    "three days slow": NOW_MS - 3 * DAY_MS,
    "ten years slow": NOW_MS - 10 * YEAR_MS,
    "ten years fast": NOW_MS + 10 * YEAR_MS,
    "a second before 2038-01-19 03:14:07": END_OF_32_BITS_MS - 1000,
    "a second after 2038-01-19 03:14:07": END_OF_32_BITS_MS + 1000,
    "2106": 4_294_967_296_000,
    "the hour that daylight saving repeats": 1_761_440_400_000,
    "right": NOW_MS,
}


@dataclass
class Scene:
    """A box with its hub; `true` is the hub's clock, and nobody else's."""

    box: Box
    school: School
    hub: TestHub
    machine: FakeClock
    true: FakeClock
    tablet: Tablet = field(default_factory=make_tablet)
    done: dict[int, int] = field(default_factory=dict)

    def pass_time(self, by_ms: int) -> None:
        self.machine.advance(by_ms)
        self.true.advance(by_ms)

    async def work(self, count: int = 3) -> None:
        """Answer a few questions on a page that has its time from the box, a minute apart; remember when really."""
        for _ in range(count):
            self.pass_time(60_000)
            await self.box.timekeeping.tick()
            self.tablet.t = self.box.clock.now_ms() - 1500
            event = self.tablet.event(self.school.learners[0], item="q1", result={"success": True})
            answer = await self.box.recording.store_outbox(self.tablet.request(event))
            assert answer.acked == [event["seq"]]
            self.done[event["seq"]] = self.true.now_ms()

    async def sync(self) -> None:
        status = await self.box.syncing.sync_now()
        assert (status.last_error, status.waiting_changes) == (None, 0)

    async def shown(self) -> list[tuple[int, int]]:
        """Return the statements in the order of storing as readers get them: timestamp and moment of storing."""
        wanted = Filter(is_ascending=True)
        page = await self.box.database.read(
            lambda db: statement_queries.list_statements(db, wanted, Reach(), None, 100)
        )
        return [(statement.timestamp_ms, statement.stored_ms) for statement in page.statements]

    async def assert_right(self) -> None:
        """Assert that all is at the hub, in order, and that every date on the box and at the hub is right."""
        true = list(self.done.values())
        wrong = [(shown, was) for shown, was in zip(await self.shown(), true, strict=True) if not is_near(shown, was)]
        assert wrong == []
        seqs = await self.hub.rows("SELECT device_seq FROM statement ORDER BY device_seq")
        assert seqs == [(seq,) for seq in self.done]
        ids = await self.box.database.read(lambda db: [row[0] for row in db.execute(IDS)])
        assert [row[0] for row in await self.hub.rows(IDS)] == ids
        [found] = await self.hub.listening.hub.store.run(lambda db: reports.list_boxes(db, self.true.now_ms()))
        assert found["active_learners"] == 1
        [latest] = await self.hub.listening.hub.store.run(reports.list_pack_progress)
        assert is_near((latest["last_ms"],), max(true))


IDS = "SELECT id FROM statement ORDER BY id"


def is_near(shown: tuple[int, ...], true_ms: int) -> bool:
    """Return whether dates are right; what counts as right is what a clock may drift before it is set again."""
    return all(abs(shown_ms - true_ms) <= NEAR_MS for shown_ms in shown)


@asynccontextmanager
async def school(tmp_path: Path, machine_ms: int, *, is_known: bool = True) -> AsyncIterator[Scene]:
    """Run a box that has worked before, if `is_known`, was off for three days, and whose machine says `machine_ms`."""
    made = await asyncio.to_thread(make_school, tmp_path / "box")
    machine = FakeClock(NOW_MS - 3 * DAY_MS)
    if is_known:
        async with open_box(made.settings, machine):
            pass
    machine.restart(machine_ms)
    true = FakeClock(NOW_MS)
    async with hub_on(tmp_path / "hub", true) as hub, open_box(made.settings, machine) as box:
        code = await hub.listening.hub.enrolling.make_code("Hill School")
        await box.syncing.enroll(hub.url, code)
        yield Scene(box, made, hub, machine, true)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("is_known", [True, False])
async def test_whatever_the_clock_said_all_arrives_in_order_and_dates_are_right_after_the_hub_spoke(
    tmp_path: Path, clock: str, is_known: bool
) -> None:
    async with school(tmp_path, CLOCKS[clock], is_known=is_known) as scene:
        await scene.work()
        await scene.sync()
        assert scene.box.clock.quality is ClockQuality.HUB
        await scene.work()
        await scene.sync()
        await scene.assert_right()


async def test_a_page_that_was_open_when_the_clock_was_set_goes_on_and_its_dates_are_repaired_too(
    tmp_path: Path,
) -> None:
    async with school(tmp_path, 0) as scene:
        await scene.work()
        behind_ms = scene.true.now_ms() - scene.box.clock.now_ms()
        await scene.sync()
        scene.pass_time(60_000)
        event = scene.tablet.event(scene.school.learners[0], t=scene.true.now_ms() - behind_ms, item="q2")
        await scene.box.recording.store_outbox(scene.tablet.request(event))
        scene.done[event["seq"]] = scene.true.now_ms()
        await scene.sync()
        await scene.assert_right()


async def test_what_was_done_while_the_box_was_off_keeps_the_time_the_tablet_counted(tmp_path: Path) -> None:
    async with school(tmp_path, 0) as scene:
        await scene.work(1)
        event = scene.tablet.event(scene.school.learners[0], t=NOW_MS - DAY_MS, item="q2")
        await scene.box.recording.store_outbox(scene.tablet.request(event))
        await scene.sync()
        assert (await scene.shown())[-1][0] == NOW_MS - DAY_MS


async def test_a_step_in_the_middle_of_storing_leaves_every_date_right(tmp_path: Path) -> None:
    async with school(tmp_path, 0) as scene:
        box, learner = scene.box, scene.school.learners[0]
        scene.pass_time(HOUR_MS)
        events = [scene.tablet.event(learner, t=box.clock.now_ms(), item="q1") for _ in range(20)]
        posts = [box.recording.store_outbox(scene.tablet.request(event)) for event in events]
        half = len(posts) // 2
        await asyncio.gather(*posts[:half], box.timekeeping.hear(Source.HUB, scene.true.now_ms()), *posts[half:])
        scene.done = {event["seq"]: scene.true.now_ms() for event in events}
        await scene.sync()
        await scene.assert_right()


@pytest.mark.parametrize("step_ms", [300_000, 10 * YEAR_MS])
async def test_a_wall_clock_that_is_set_to_and_fro_moves_nothing(tmp_path: Path, step_ms: int) -> None:
    async with school(tmp_path, NOW_MS) as scene:
        await scene.sync()
        for turn in range(8):
            scene.machine.wall_ms += (-1) ** turn * step_ms
            await scene.work(1)
        await scene.box.timekeeping.tick()
        await scene.sync()
        await scene.assert_right()
        assert await scene.box.database.read(lambda db: db.execute("SELECT count(*) FROM boot").fetchone()[0]) == 2


async def test_a_teacher_and_then_the_hub_repair_the_same_work_twice(tmp_path: Path) -> None:
    async with school(tmp_path, 0) as scene:
        await scene.work()
        assert await scene.box.timekeeping.hear(Source.STAFF, scene.true.now_ms() + 20 * 60_000)
        await scene.work()
        await scene.sync()
        await scene.work()
        await scene.sync()
        await scene.assert_right()


async def test_a_clock_years_ahead_is_set_back_by_the_hub_and_nothing_is_told_to_be_of_tomorrow(tmp_path: Path) -> None:
    async with school(tmp_path, NOW_MS + 10 * YEAR_MS, is_known=False) as scene:
        await scene.work()
        await scene.sync()
        await scene.work()
        [row] = await scene.box.database.read(lambda db: db.execute("SELECT last_ms FROM progress").fetchall())
        assert is_near((row[0],), scene.true.now_ms())


async def test_work_of_a_run_that_never_learned_the_time_stays_as_told_and_in_order(tmp_path: Path) -> None:
    async with school(tmp_path, 0) as scene:
        await scene.work()
        settings, told = scene.school.settings, await scene.shown()
        await scene.box.database.write(lambda db: db.execute("DELETE FROM hub") and None)
    scene.machine.restart(0)
    async with open_box(settings, scene.machine) as box:
        scene.box = box
        await scene.work()
        await box.timekeeping.hear(Source.HUB, scene.true.now_ms())
        shown = await scene.shown()
        assert shown[:3] == told
        assert sorted(shown) == shown
        assert all(is_near(times, true) for times, true in zip(shown[3:], list(scene.done.values())[3:], strict=True))


async def test_the_record_that_repairs_a_boot_reaches_the_hub_in_any_order_and_twice(tmp_path: Path) -> None:
    async with school(tmp_path, 0) as scene:
        await scene.work()
        await scene.sync()
        before = await scene.hub.rows("SELECT start_ms, offset_ms, quality FROM boot ORDER BY start_ms")
        await scene.box.syncing._start_over()
        await scene.work()
        await scene.sync()
        after = await scene.hub.rows("SELECT start_ms, offset_ms, quality FROM boot ORDER BY start_ms")
        assert after == before
        await scene.assert_right()
