"""A hundred seeded lives of a box that is restored from old backups: whoever still holds a record, the hub gets it."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgebox.app import open_box
from edgebox.keys import Box
from edgebox.services import copy_marks
from edgebox.settings import Settings
from edgebox.store import changes
from sync.hub.sticks import exchange_stick
from tests.support.box import Person, School, Tablet, make_school, make_tablet
from tests.support.clock import FakeClock
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS

HISTORIES = 100
STEPS = 14
GROUPS = 4


@dataclass
class KeepingTablet:
    """A tablet that keeps what it sent until the box says that the hub has it."""

    tablet: Tablet
    kept: list[dict[str, Any]] = field(default_factory=list)

    def work(self, learner: Person, count: int) -> None:
        self.kept += [self.tablet.event(learner, item="q1", result={"success": True}) for _ in range(count)]

    async def meet(self, box: Box) -> None:
        """Send everything that is kept, again if need be, and let go of what the hub has."""
        if not self.kept:
            return
        request = self.tablet.request(*self.kept, held_from=self.kept[0]["seq"])
        answer = await box.recording.store_outbox(request)
        assert not answer.rejected, answer
        self.kept = [event for event in self.kept if event["seq"] > answer.hub_seq]


@dataclass
class Life:
    """One box, its backups, its tablets, and how it gets to the hub."""

    hub: TestHub
    school: School
    folder: Path
    dice: random.Random
    tablets: list[KeepingTablet]
    clock: FakeClock
    made: int = 0
    epochs: list[int] = field(default_factory=list)
    backups: list[Path] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / "box"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Box]:
        async with open_box(Settings(data=self.data), self.clock) as box:
            yield box
            self.epochs.append(await box.database.read(changes.find_epoch))

    async def teach(self, box: Box) -> None:
        tablet, count = self.dice.choice(self.tablets), self.dice.randint(1, 4)
        tablet.work(self.dice.choice(self.school.learners), count)
        self.made += count
        await tablet.meet(box)

    async def deliver(self, box: Box) -> None:
        if self.dice.random() < 0.7:
            await box.syncing.sync_now()
            return
        stick = self.folder / "stick"
        await asyncio.to_thread(stick.mkdir, exist_ok=True)
        await box.exchanging.export(stick)
        if self.dice.random() < 0.8:
            await exchange_stick(self.hub.listening.hub.receiving, stick)
        await box.exchanging.import_(stick)

    async def live(self) -> None:
        """Run for a while with whatever comes; the box is off when it is backed up or restored."""
        for _ in range(3):
            async with self.running() as box:
                for _ in range(STEPS // 3):
                    await self.dice.choice((self.teach, self.teach, self.deliver))(box)
                    self.clock.advance(self.dice.randint(0, 86_400_000))
            if not self.backups or self.dice.random() < 0.4:
                self.backups.append(self.folder / f"backup-{len(self.backups)}")
                await asyncio.to_thread(shutil.copytree, self.data, self.backups[-1])
            else:
                await self.restore()
        await self.restore()

    async def restore(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self.data)
        await asyncio.to_thread(shutil.copytree, self.dice.choice(self.backups), self.data)

    async def end(self) -> None:
        """Let every tablet open the box once, and the box reach the hub; then nothing waits anywhere."""
        async with self.running() as box:
            for _ in range(2):
                for tablet in self.tablets:
                    await tablet.meet(box)
                status = await box.syncing.sync_now()
                assert (status.last_error, status.waiting_changes) == (None, 0)


@asynccontextmanager
async def one_life(hub: TestHub, folder: Path, seed: int) -> AsyncIterator[Life]:
    folder.mkdir()
    dice, clock = random.Random(seed), FakeClock(NOW_MS)
    school = await asyncio.to_thread(make_school, folder / "box")
    tablets = [KeepingTablet(make_tablet(seed * 10 + number)) for number in range(1, 4)]
    life = Life(hub, school, folder, dice, tablets, clock)
    async with life.running() as box:
        code = await hub.listening.hub.enrolling.make_code(f"School {seed}")
        await box.syncing.enroll(hub.url, code)
    yield life
    await asyncio.to_thread(shutil.rmtree, folder)


async def statements_of(hub: TestHub, seed: int) -> int:
    query = "SELECT count(*) FROM statement JOIN school ON school.no = school_no WHERE title = 'School {}'"
    return int((await hub.rows(query.format(seed)))[0][0])


@pytest.mark.parametrize("is_noticed_by", ["box", "hub"])
@pytest.mark.parametrize("group", range(GROUPS))
async def test_a_restored_box_loses_nothing_that_tablets_or_the_hub_hold(
    tmp_path: Path, group: int, is_noticed_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the histories run where the box itself cannot tell that it was restored, so that the hub has to."""
    if is_noticed_by == "hub":
        monkeypatch.setattr(copy_marks, "is_moved", lambda keys: False)
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(hub_on(tmp_path / "hub", FakeClock(NOW_MS)))
        for seed in range(group, HISTORIES // 2, GROUPS):
            async with one_life(hub, tmp_path / str(seed), seed) as life:
                await life.live()
                await life.end()
                assert await statements_of(hub, seed) == life.made, f"seed {seed}"
                assert all(not tablet.kept for tablet in life.tablets), f"seed {seed}"
                if is_noticed_by == "box":
                    assert life.epochs[-1] > life.epochs[0], f"seed {seed}"
        reused = "SELECT box_no, epoch, seq FROM bundle {} GROUP BY 1, 2, 3 HAVING count(*) > 1"
        assert await hub.rows(reused.format("WHERE state = 'applied'")) == []
        if is_noticed_by == "box":
            assert await hub.rows(reused.format("")) == []
