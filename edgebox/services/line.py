"""The line of the box: who may use it next, and what crossed it, by day and lane.

Everything that costs goes through here: bundles up, what the hub sends, packs. Somebody who has a slice to send takes a
turn; somebody who listens to a long answer asks before each part. Either waits while a lane before theirs is at work.
What is counted is what crossed the sockets, and it is written now and then, not with every slice.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any
from weakref import WeakSet

from content_packs.base.clock import Clock, offset_minutes
from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.line_speed import LineSpeed
from edgebox.domain.tariff import read_tariff, write_tariff
from edgebox.services.counted_socket import CountedSocket
from edgebox.settings import Settings
from edgebox.store import line as store
from edgebox.store import switches
from edgebox.store.database import Database
from edgebox.store.roster import Connection
from sync.engine.lanes import Lane, Ledger, Moment, Rules, Tariff, first_of, lane_of, slice_bytes

FLUSH_SECONDS = 30.0
FLUSH_BYTES = 1_000_000
# What a limit is raised to that is of no use any more.
RELAXED_BYTES = 64 * 1024 * 1024
# A stream that broke while it waited is back within this time, if its lane has something to send still.
RETURN_MS = 3_600_000

log = logging.getLogger(__name__)


class LinePaused(EdgeboxError):
    """A lane may send nothing now."""

    code = "line.paused"
    status = 503
    exit_code = 108
    retryable = True
    sentence = N_("The line is at rest: the bytes for now are used, or it is not the time for it.")
    remedy = N_(
        "It goes on by itself. Nothing is lost. The limit and the hours can be changed on the page about the line."
    )


class Line:
    """Shared by all who send and fetch; safe to use from any task of the loop.

    Attributes:
        told: what the command line says of the tariff.
        knows_time: returns whether somebody told the box what time it is since the power came on.
    """

    def __init__(self, database: Database, clock: Clock, told: Mapping[str, Any], kept: Tariff) -> None:
        """Use `Line.open`. What the command line has `told` goes before what is `kept`."""
        self.told = told
        self.knows_time: Callable[[], bool] = _is_known
        self.tariff = replace(kept, **told)
        self._kept = kept
        self._database = database
        self._clock = clock
        self._ledger = Ledger()
        self._speed = LineSpeed()
        self._wires: WeakSet[Wire] = WeakSet()
        self._busy: Counter[Lane] = Counter()
        self._waiting: Counter[Lane] = Counter()
        self._since: dict[Lane, int] = {}
        self._given_up_ms: dict[Lane, int] = {}
        self._promised_bytes = 0
        # When the rate leaves room again, for what is urgent, which waits for its like only, and for the rest.
        self._urgent_free_ms = self._free_ms = clock.monotonic_ms()
        self._changed = asyncio.Event()
        self._unsaved: Counter[tuple[int, int]] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, database: Database, clock: Clock, settings: Settings) -> "Line":
        """Return the line with the tariff of the box and all that it knows to have crossed it."""
        kept = read_tariff(await database.read(store.find_tariff))
        line = cls(database, clock, settings.told_tariff, kept)
        for day, lane, size_bytes in await database.read(store.list_days):
            line._ledger.put(day, Lane(lane), size_bytes)
        return line

    @property
    def rules(self) -> Rules:
        """Return tariff and ledger, with all that crossed until now."""
        for wire in self._wires:
            wire.sample()
        return Rules(self.tariff, self._ledger)

    def moment(self) -> Moment:
        """Return now, by both clocks."""
        now_ms = self._clock.now_ms()
        self._ledger.offset_minutes = offset_minutes(now_ms)
        return Moment(now_ms, self._clock.monotonic_ms(), self.knows_time())

    def wire(self, lane: Lane, *, is_by_size: bool = True) -> "Wire":
        """Return what makes the sockets to one peer; all that crosses them is counted.

        What comes down changes its lane by its size, unless it is not to be `is_by_size`.
        """
        wire = Wire(self, lane, is_by_size=is_by_size)
        self._wires.add(wire)
        return wire

    @property
    def is_at_rest(self) -> bool:
        """Return whether not a byte may cross the line for now, not even to ask."""
        return self.left_bytes(Lane.CLOSING) == 0

    def left_bytes(self, lane: Lane, *, is_asked: bool = False) -> int | None:
        """Return what a lane may still send now, None for no limit; see `Rules`."""
        now = self.moment()
        left = self.rules.left_bytes(lane, now, is_asked=is_asked)
        return left if left is None else max(left - self._promised_bytes, 0)

    def next_ms(self, lane: Lane, *, is_asked: bool = False) -> int:
        """Return when a lane may send; see `Rules`."""
        now = self.moment()
        return self.rules.next_ms(lane, now, is_asked=is_asked)

    def check(self, lane: Lane) -> None:
        """Return if a lane may send something now.

        Raises:
            LinePaused: it may not.
        """
        self._slice_bytes(lane, 1, is_asked=False)

    @asynccontextmanager
    async def turn(
        self, lane: Lane, size_bytes: int, *, is_asked: bool = False, is_whole: bool = False
    ) -> AsyncIterator[int]:
        """Wait for the right to send a slice, and give its size: what is wanted, SLICE_BYTES or what is left.

        What goes only as a whole gets all it wants, or too little if that is not left.

        Raises:
            LinePaused: the lane may send nothing now.
        """
        self._slice_bytes(lane, size_bytes, is_asked=is_asked)
        await self.wait(lane)
        granted_bytes = self._slice_bytes(lane, size_bytes, is_asked=is_asked, is_whole=is_whole)
        self._promised_bytes += granted_bytes
        self.begin(lane)
        try:
            yield granted_bytes
        finally:
            self._promised_bytes -= granted_bytes
            self.end(lane)

    def begin(self, lane: Lane) -> None:
        """Be at work in a lane, so that those behind it wait; `end` it."""
        self._busy[lane] += 1

    def end(self, lane: Lane) -> None:
        """Be at work no more."""
        for wire in self._wires:
            wire.sample()
        self._busy[lane] -= 1
        self._notify()

    def may_go(self, lane: Lane) -> bool:
        """Return whether `wait` would return at once."""
        return self._delay_seconds(lane) == 0

    async def wait(self, lane: Lane) -> None:
        """Return when no lane before this one wants the line, and the rate that is allowed leaves room."""
        with self._queueing(lane):
            while (delay_seconds := self._delay_seconds(lane)) != 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay_seconds):
                        await self._changed.wait()

    def count(self, lane: Lane, size_bytes: int) -> None:
        """Take note of bytes that crossed the line."""
        now = self.moment()
        day = self._ledger.spend(lane, size_bytes, now)
        self._speed.note(now.monotonic_ms, size_bytes)
        passing_ms = self.tariff.passing_ms(size_bytes)
        self._free_ms = max(self._free_ms, now.monotonic_ms) + passing_ms
        if lane.is_urgent:
            self._urgent_free_ms = max(self._urgent_free_ms, now.monotonic_ms) + passing_ms
        self._unsaved[day, int(lane)] += size_bytes
        self._plan_flush()

    def queue_bytes(self) -> int | None:
        """Return how much of what may wait may be on its way to the box, None while that is not known."""
        return self._speed.queue_bytes(self.tariff.rate_kbit)

    async def set_tariff(self, tariff: Tariff) -> None:
        """Keep what staff decided, and go by it from now on, but for what the command line has told."""
        kept = replace(tariff, **{name: getattr(self._kept, name) for name in self.told})
        text = write_tariff(kept)
        await self._database.write(lambda connection: store.put_tariff(connection, text))
        self._kept, self.tariff = kept, replace(kept, **self.told)
        self._urgent_free_ms = self._free_ms = self._clock.monotonic_ms()
        self._notify()

    async def has_coarse_times(self) -> bool:
        """Return whether times are sent in whole seconds."""
        return await self._database.read(lambda connection: switches.is_on(connection, switches.COARSE_TIMES))

    async def set_coarse_times(self, *, on: bool) -> None:
        """Send times in whole seconds from the next bundle on, or as they are; safe to repeat."""
        await self._database.write(lambda connection: switches.set_switch(connection, switches.COARSE_TIMES, on=on))

    async def flush(self) -> None:
        """Write what was counted and not written."""
        self._cancel_timer()
        for wire in self._wires:
            wire.sample()
        self._cancel_timer()
        more, self._unsaved = self._unsaved, Counter()
        if not more:
            return
        days = list(self._ledger.days)

        def put(connection: Connection) -> None:
            store.add_bytes(connection, more)
            store.keep_days(connection, days)

        try:
            await self._database.write(put)
        except EdgeboxError as error:
            log.warning("line.not_written error=%s", error)
            self._unsaved.update(more)

    async def close(self) -> None:
        """Write the rest; safe to repeat."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
        await self.flush()

    @contextlib.contextmanager
    def _queueing(self, lane: Lane) -> Iterator[None]:
        """Note that a lane waits. Who gives up and is back soon has waited since the first time."""
        now_ms = self._clock.monotonic_ms()
        given_up_ms = self._given_up_ms.pop(lane, now_ms)
        if not self._waiting[lane] and now_ms - given_up_ms > RETURN_MS:
            self._since.pop(lane, None)
        self._waiting[lane] += 1
        self._since.setdefault(lane, now_ms)
        self._notify()
        try:
            yield
        except BaseException:
            self._given_up_ms[lane] = self._clock.monotonic_ms()
            raise
        else:
            if self._waiting[lane] == 1:
                del self._since[lane]
        finally:
            self._waiting[lane] -= 1
            self._notify()

    def _slice_bytes(self, lane: Lane, size_bytes: int, *, is_asked: bool, is_whole: bool = False) -> int:
        left = self.left_bytes(lane, is_asked=is_asked)
        if left == 0:
            raise LinePaused(lane=int(lane))
        if is_whole:
            return size_bytes if left is None else min(size_bytes, left)
        return slice_bytes(size_bytes, left)

    def _delay_seconds(self, lane: Lane) -> float | None:
        """Return how long to wait before looking again: 0 for not at all, None for until something changes."""
        now_ms = self._clock.monotonic_ms()
        wanting = {lane, *(other for other in Lane if self._busy[other] or self._waiting[other])}
        since = {other: since_ms for other, since_ms in self._since.items() if self._waiting[other]}
        if first_of(wanting, now_ms, since) is not lane:
            return None
        free_ms = self._urgent_free_ms if lane.is_urgent else self._free_ms
        return max(free_ms - now_ms, 0) / 1000

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _plan_flush(self) -> None:
        if not _has_loop():
            return  # a socket that was left open is closed by whoever tidies memory; what is counted next is in time
        if self._unsaved.total() >= FLUSH_BYTES and (self._writing is None or self._writing.done()):
            self._begin_flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._begin_flush)

    def _begin_flush(self) -> None:
        self._cancel_timer()
        self._writing = asyncio.get_running_loop().create_task(self.flush())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Wire:
    """The sockets to one peer. What crosses them counts for the lane at work."""

    def __init__(self, line: Line, lane: Lane, *, is_by_size: bool) -> None:
        self._line = line
        self._is_by_size = is_by_size
        self._lane = lane
        self._sockets: WeakSet[CountedSocket] = WeakSet()

    @property
    def lane(self) -> Lane:
        """Return the lane at work."""
        return self._lane

    @lane.setter
    def lane(self, lane: Lane) -> None:
        """Let what crosses from now on count for `lane`."""
        self.sample()
        self._lane = lane

    def make_socket(self, address: tuple[Any, ...]) -> CountedSocket:
        """Return a socket for an address as the resolver gives it: a `socket_factory` for aiohttp's connectors."""
        family, kind, protocol = address[:3]
        made = CountedSocket(family, kind, protocol, lambda size_bytes: self._line.count(self._lane, size_bytes))
        self._sockets.add(made)
        return made

    def sample(self) -> None:
        """Count what crossed until now, and let no more come at once than the line can carry in a few seconds."""
        alive = [made for made in self._sockets if made.fileno() >= 0]
        for made in alive:
            made.sample()
        queue_bytes = None if self._lane.is_urgent else self._line.queue_bytes()
        each_bytes = RELAXED_BYTES if queue_bytes is None else queue_bytes // max(len(alive), 1)
        for made in alive:
            if queue_bytes is not None or made.receive_bytes:
                with contextlib.suppress(OSError):
                    made.limit_receive(each_bytes)

    def begin(self, total_bytes: int | None) -> Lane:
        """Begin to listen to an answer about a file of so many bytes; return the lane, which is to be ended."""
        if self._is_by_size:
            self.lane = Lane.SMALL if total_bytes is None else lane_of(total_bytes)
        self._line.begin(self._lane)
        return self._lane

    def end(self, lane: int) -> None:
        """Stop listening."""
        self._line.end(Lane(lane))

    def may_go(self, lane: int) -> bool:
        """Return whether `wait` would return at once."""
        self.sample()
        return self._line.may_go(Lane(lane))

    async def wait(self, lane: int | None = None) -> None:
        """Return when the line is free for a lane, or for the one at work."""
        await self._line.wait(self._lane if lane is None else Lane(lane))

    def turn(self, size_bytes: int, *, is_whole: bool = False) -> AbstractAsyncContextManager[int]:
        """Take a turn for a slice of this lane; see `Line.turn`."""
        return self._line.turn(self._lane, size_bytes, is_whole=is_whole)


def _is_known() -> bool:
    return True


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
