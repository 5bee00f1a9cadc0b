"""What time it is: kept over power cuts, learned from whoever knows, and said plainly when nobody does.

The box hears its hub (on the line, or by the acks on a stick), the tablets of teachers, and learners' tablets when many
agree. Who may set what is in `edgebox.domain.clock_rules`. Every better time is one row: it repairs, when they are
read, all times that were told since the power came on.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from content_packs.base import ids
from content_packs.base.clock import MachineClock
from content_packs.base.errors import EdgeboxError
from edgebox import RELEASED_MS
from edgebox.domain import clock_rules
from edgebox.domain.clock_rules import SAVE_EVERY_MS, VOTE_LASTS_MS, Machine, Moment, Source
from edgebox.services.box_clock import BoxClock
from edgebox.store import boots
from edgebox.store.database import Database
from sync.bundle.layout import ClockQuality

VOTES_MAX = 1000
_RUN_ID_BYTES = 16

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Vote:
    """What a learner's tablet said, as its distance from the monotonic clock."""

    device_id: bytes
    ahead_ms: int
    heard_ms: int


class Timekeeping:
    """Keeps the clock of a box.

    Attributes:
        clock: what everything on the box reads.
        signed_ms: returns the newest time in a signed list that is on the box, 0 for none.
    """

    def __init__(self, database: Database, clock: BoxClock) -> None:
        self._database = database
        self.clock = clock
        self.signed_ms: Callable[[], int] = _nothing_signed
        self._votes: dict[int, _Vote] = {}
        self._setting = asyncio.Lock()

    @classmethod
    async def open(cls, database: Database, machine: MachineClock) -> "Timekeeping":
        """Start the clock; a boot begins unless the machine has been on since the last one began."""
        saved = await database.read(boots.find_saved)
        run_id = await asyncio.to_thread(machine.run_id) or ids.random_bytes(_RUN_ID_BYTES).hex()
        is_set = await asyncio.to_thread(machine.is_set)
        found = Machine(machine.now_ms(), machine.monotonic_ms(), run_id, is_set)
        clock = BoxClock(machine, run_id, clock_rules.first_moment(saved, found, RELEASED_MS))
        started = clock.saved()
        if not clock_rules.goes_on(saved, found):
            await database.write(lambda connection: boots.begin(connection, started))
        return cls(database, clock)

    @property
    def is_in_doubt(self) -> bool:
        """Return whether nobody has told this box the time since the power came on."""
        return self.clock.quality <= ClockQuality.RESTORED

    async def hear(self, source: Source, told_ms: int) -> bool:
        """Take over a time that was told just now, if `source` may set the clock; return whether it did.

        The row that repairs older times is on the disk before the clock goes on from the new one.
        """
        heard_ms = self.clock.monotonic_ms()
        async with self._setting:
            before = self.clock.saved()
            now_ms = told_ms + before.monotonic_ms - heard_ms
            moment = clock_rules.judge(Moment(before.now_ms, before.quality), source, now_ms, RELEASED_MS)
            if moment is None:
                return False
            by_ms = moment.now_ms - before.now_ms
            if abs(by_ms) > clock_rules.NEAR_MS or moment.quality != before.quality:
                await self._learn(before, by_ms, moment.quality)
                log.info("time.set by_ms=%d source=%s quality=%d", by_ms, source.name, moment.quality)
            self.clock.shift(by_ms, moment.quality)
        return True

    async def _learn(self, before: clock_rules.Saved, by_ms: int, quality: ClockQuality) -> None:
        """Write down what was learned; a step too small to matter repairs nothing."""
        repaired_ms = by_ms if abs(by_ms) > clock_rules.NEAR_MS else 0
        learned = clock_rules.Saved(before.now_ms + repaired_ms, before.monotonic_ms, before.run_id, quality)
        await self._database.write(lambda connection: boots.learn(connection, before.now_ms, learned))

    def note_tablet(self, device_id: bytes, person_no: int, tablet_ms: int) -> None:
        """Remember what a tablet took for the time, while the box does not know better.

        One learner has one vote, and so has one tablet: a pupil who invents tablets, or signs in on many, is still one.
        """
        if not self.is_in_doubt:
            self._votes.clear()
            return
        now_ms = self.clock.monotonic_ms()
        others = {no: vote for no, vote in self._votes.items() if vote.device_id != device_id and no != person_no}
        if len(others) < VOTES_MAX:
            self._votes = others | {person_no: _Vote(device_id, tablet_ms - now_ms, now_ms)}

    async def tick(self) -> None:
        """Look at all that nobody tells by himself, and write down what time it is; once a minute."""
        if await asyncio.to_thread(self.clock.machine.is_set):
            await self.hear(Source.MACHINE, self.clock.machine.now_ms())
        await self.hear(Source.SIGNED, self.signed_ms())
        await self._count_votes()
        async with self._setting:
            saved = self.clock.saved()
            await self._database.write(lambda connection: boots.save(connection, saved))

    async def _count_votes(self) -> None:
        now_ms = self.clock.monotonic_ms()
        self._votes = {no: vote for no, vote in self._votes.items() if now_ms - vote.heard_ms <= VOTE_LASTS_MS}
        ahead_ms = clock_rules.agreed([vote.ahead_ms for vote in self._votes.values()])
        if ahead_ms is not None:
            await self.hear(Source.TABLETS, now_ms + ahead_ms)

    async def keep(self) -> None:
        """Tick every minute until cancelled; a disk that refuses does not stop the clock."""
        while True:
            await asyncio.sleep(SAVE_EVERY_MS / 1000)
            try:
                await self.tick()
            except (EdgeboxError, OSError):
                log.exception("time.not_saved")


def _nothing_signed() -> int:
    return 0
