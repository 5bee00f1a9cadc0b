"""The clock of a box: what it keeps over a power cut, whom it hears, and what goes on when it is set."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgebox import RELEASED_MS
from edgebox.app import open_box
from edgebox.domain.clock_rules import DAY_MS, SAVE_EVERY_MS, Source
from edgebox.domain.secret import SecretKind
from edgebox.keys import Box
from edgebox.services.signing_in import SignInDelayed, SignInFailed
from edgebox.store import spans
from sync.bundle.layout import ClockQuality
from sync.records.kinds import Kind
from sync.records.rows import Boot
from tests.support.box import School, make_school, make_tablet
from tests.support.clock import FakeClock

NOW_MS = 1_780_300_800_000
HOUR_MS = 3_600_000
YEAR_MS = 365 * DAY_MS
DEVICE_KEY = "1" * 40


@dataclass
class Bench:
    """A box, its people, and the machine it runs on."""

    box: Box
    school: School
    machine: FakeClock

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        return await self.box.database.read(lambda db: [tuple(row) for row in db.execute(query)])

    async def hand_in(self, device: int, learner: int, tablet_ms: Any) -> None:
        """Let a tablet bring work, and say what time it has."""
        tablet = make_tablet(device)
        event = tablet.event(self.school.learners[learner], t=self.box.clock.now_ms())
        answer = await self.box.recording.store_outbox(tablet.request(event, now=tablet_ms))
        assert answer.acked == [1]

    @asynccontextmanager
    async def restarted(self, machine_ms: int) -> AsyncIterator["Bench"]:
        """Run the same box after a power cut."""
        self.machine.restart(machine_ms)
        async with open_box(self.school.settings, self.machine) as box:
            yield Bench(box, self.school, self.machine)


@pytest.fixture
async def school(tmp_path: Path) -> School:
    return await asyncio.to_thread(make_school, tmp_path / "box", 8)


@asynccontextmanager
async def opened(school: School, machine_ms: int = NOW_MS) -> AsyncIterator[Bench]:
    machine = FakeClock(machine_ms)
    async with open_box(school.settings, machine) as box:
        yield Bench(box, school, machine)


async def test_what_was_saved_a_minute_ago_is_where_the_clock_goes_on_after_a_power_cut(school: School) -> None:
    async with opened(school) as bench:
        bench.machine.advance(HOUR_MS)
        await bench.box.timekeeping.tick()
        bench.machine.advance(SAVE_EVERY_MS - 1)
        last_ms = bench.box.clock.now_ms()
    async with bench.restarted(0) as again:
        assert again.box.clock.now_ms() == NOW_MS + HOUR_MS + SAVE_EVERY_MS > last_ms
        assert again.box.timekeeping.is_in_doubt


async def test_a_program_that_is_started_again_keeps_the_clock_and_begins_no_boot(school: School) -> None:
    async with opened(school) as bench:
        await bench.box.timekeeping.hear(Source.HUB, NOW_MS + YEAR_MS)
    bench.machine.advance(HOUR_MS)
    async with open_box(school.settings, bench.machine) as box:
        assert (box.clock.now_ms(), box.clock.quality) == (NOW_MS + YEAR_MS + HOUR_MS, ClockQuality.HUB)
        boots = await box.database.read(lambda db: db.execute("SELECT count(*) FROM boot").fetchone()[0])
        assert boots == 2


async def test_a_time_server_that_comes_late_is_heard_within_a_minute(school: School) -> None:
    async with opened(school, 0) as bench:
        assert bench.box.clock.now_ms() == RELEASED_MS
        bench.machine.wall_ms, bench.machine.is_served = NOW_MS, True
        await bench.box.timekeeping.tick()
        assert (bench.box.clock.now_ms(), bench.box.clock.quality) == (NOW_MS, ClockQuality.HARDWARE)


async def test_a_list_that_was_signed_later_than_now_moves_the_clock(school: School) -> None:
    async with opened(school, 0) as bench:
        bench.box.timekeeping.signed_ms = lambda: NOW_MS
        await bench.box.timekeeping.tick()
        assert (bench.box.clock.now_ms(), bench.box.clock.quality) == (NOW_MS, ClockQuality.RESTORED)


async def test_five_learners_tablets_that_agree_set_the_clock_of_a_box_in_doubt(school: School) -> None:
    async with opened(school) as bench:
        true_ms = NOW_MS + 5 * HOUR_MS
        wrong = [true_ms - 3 * YEAR_MS, true_ms + 3 * YEAR_MS]
        for number, tablet_ms in enumerate([*wrong, *[true_ms + second * 1000 for second in range(5)]]):
            await bench.box.timekeeping.tick()
            assert bench.box.clock.now_ms() == NOW_MS
            await bench.hand_in(number, number, tablet_ms)
        await bench.box.timekeeping.tick()
        assert (bench.box.clock.now_ms(), bench.box.clock.quality) == (true_ms + 2000, ClockQuality.TABLETS)


async def test_one_pupil_with_many_tablets_and_one_tablet_of_many_pupils_have_one_vote(school: School) -> None:
    async with opened(school) as bench:
        for number in range(8):
            await bench.hand_in(number, 0, NOW_MS + HOUR_MS)
            await bench.hand_in(100 + number, number, NOW_MS + HOUR_MS)
        tablet = make_tablet(200)
        for learner in school.learners:
            event = tablet.event(learner, t=NOW_MS)
            await bench.box.recording.store_outbox(tablet.request(event, now=NOW_MS + HOUR_MS))
        await bench.box.timekeeping.tick()
        assert bench.box.clock.now_ms() == NOW_MS


async def test_votes_are_forgotten_after_an_hour(school: School) -> None:
    async with opened(school) as bench:
        for number in range(4):
            await bench.hand_in(number, number, NOW_MS + HOUR_MS)
        bench.machine.advance(HOUR_MS + 1)
        await bench.hand_in(4, 4, NOW_MS + 2 * HOUR_MS)
        await bench.box.timekeeping.tick()
        assert bench.box.timekeeping.is_in_doubt


@pytest.mark.parametrize("tablet_ms", [None, -1, 1 << 60, "now", True, 1.5])
async def test_a_tablet_without_a_sane_clock_hands_in_its_work(school: School, tablet_ms: Any) -> None:
    async with opened(school) as bench:
        await bench.hand_in(1, 1, tablet_ms)
        assert await bench.box.database.read(lambda db: db.execute("SELECT device_seq FROM statement").fetchall())
        await bench.box.timekeeping.tick()
        assert bench.box.clock.now_ms() == NOW_MS


@pytest.mark.parametrize("by_ms", [3 * DAY_MS, 20 * YEAR_MS, -YEAR_MS // 4])
async def test_nobody_is_signed_out_nor_signed_in_for_ever_when_the_clock_is_set(school: School, by_ms: int) -> None:
    async with opened(school) as bench:
        signing_in, learner = bench.box.signing_in, school.learners[0]
        await signing_in.set_secret(learner.no, SecretKind.PIN, "7391")
        token = await signing_in.sign_in_learner(learner.no, SecretKind.PIN, "7391", DEVICE_KEY)
        assert await bench.box.timekeeping.hear(Source.HUB, NOW_MS + by_ms)
        assert signing_in.find_session(token) is not None
    bench.machine.advance(HOUR_MS)
    async with open_box(school.settings, bench.machine) as box:
        assert box.signing_in.find_session(token) is not None
        bench.machine.advance(11 * HOUR_MS)
        assert box.signing_in.find_session(token) is None
    async with open_box(school.settings, bench.machine) as box:
        assert box.signing_in.find_session(token) is None


@pytest.mark.parametrize("by_ms", [20 * YEAR_MS, -YEAR_MS // 4])
async def test_who_must_wait_after_wrong_secrets_waits_as_long_when_the_clock_is_set(
    school: School, by_ms: int
) -> None:
    async with opened(school) as bench:
        signing_in, learner = bench.box.signing_in, school.learners[0]
        for _ in range(5):
            with pytest.raises(SignInFailed):
                await signing_in.sign_in_learner(learner.no, SecretKind.PIN, "0000", DEVICE_KEY)
        assert await bench.box.timekeeping.hear(Source.HUB, NOW_MS + by_ms)
        with pytest.raises(SignInDelayed) as delayed:
            await signing_in.sign_in_learner(learner.no, SecretKind.PIN, "0000", DEVICE_KEY)
        assert delayed.value.fields["wait_seconds"] == 10
        bench.machine.advance(10_000)
        with pytest.raises(SignInFailed):
            await signing_in.sign_in_learner(learner.no, SecretKind.PIN, "0000", DEVICE_KEY)


async def test_an_old_list_only_warns_until_somebody_who_knows_has_told_the_time(school: School) -> None:
    async with opened(school) as bench:
        trust, timekeeping = bench.box.library.trust, bench.box.timekeeping
        assert trust.trusted_ms() is None
        await timekeeping.hear(Source.PRESSED, NOW_MS + 3 * YEAR_MS)
        assert trust.trusted_ms() is None
        await timekeeping.hear(Source.HUB, NOW_MS)
        assert trust.trusted_ms() == NOW_MS


async def test_all_boots_since_the_power_came_on_are_repaired_and_none_before(school: School) -> None:
    async with opened(school):
        pass
    async with opened(school, 0) as bench:
        await bench.box.timekeeping.hear(Source.STAFF, NOW_MS + 2 * DAY_MS)
        await bench.box.timekeeping.hear(Source.HUB, NOW_MS + 2 * DAY_MS + HOUR_MS)
        assert await bench.rows("SELECT start_ms, offset_ms, quality FROM boot ORDER BY no") == [
            (NOW_MS, 0, 1),
            (NOW_MS + SAVE_EVERY_MS, 2 * DAY_MS + HOUR_MS - SAVE_EVERY_MS, 3),
            (NOW_MS + 2 * DAY_MS, HOUR_MS, 3),
            (NOW_MS + 2 * DAY_MS + HOUR_MS, 0, 3),
        ]


async def test_the_first_record_of_a_boot_has_its_start_and_later_ones_only_what_was_learned(school: School) -> None:
    async with opened(school) as bench:
        [(first,)] = await bench.rows(f"SELECT seq FROM change WHERE kind = {int(Kind.BOOT)}")
        await bench.box.timekeeping.hear(Source.HUB, NOW_MS + DAY_MS)
        read = spans.read_span
        before = await bench.box.database.read(lambda db: read(db, first, max_changes=1, max_bytes=1 << 20))
        after = await bench.box.database.read(lambda db: read(db, first + 1, max_changes=9, max_bytes=1 << 20))
        assert before is not None
        assert after is not None
        assert before.records == [Boot(1, DAY_MS, 3, NOW_MS)]
        assert after.records == [Boot(1, DAY_MS, 3), Boot(2, 0, 3, NOW_MS + DAY_MS)]


async def test_a_clock_that_drifts_is_put_right_without_a_record(school: School) -> None:
    async with opened(school) as bench:
        await bench.box.timekeeping.hear(Source.HUB, NOW_MS)
        before = await bench.rows("SELECT max(seq) FROM change")
        assert await bench.box.timekeeping.hear(Source.HUB, NOW_MS - 90_000)
        assert bench.box.clock.now_ms() == NOW_MS - 90_000
        assert await bench.rows("SELECT max(seq) FROM change") == before
