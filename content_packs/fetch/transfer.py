"""Fetching one file from one or several sources: the loop around `ranges`, `crew` and `budget`.

It begins with one request for everything. Only when that turns out to take long do others help: first another source,
then a second connection to the same, which keeps a lossy line busy while the first one waits for a lost packet.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from content_packs.base import ids
from content_packs.base.budget import Allowance, Budget
from content_packs.base.clock import Clock, SystemClock
from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.hashing import blake2b_256
from content_packs.fetch.blocks import BlockMap
from content_packs.fetch.contract import Ask, Source, Stream
from content_packs.fetch.crew import Crew, Lane
from content_packs.fetch.errors import FetchPaused, NotOffered, SourceCaptured, SourceDown, SourceLied
from content_packs.fetch.partial import Journal, PartialFile
from content_packs.fetch.ranges import Counts, Plan
from content_packs.fetch.target import Pace, Progress, Target
from content_packs.format.vouching import PackWithdrawn

HEAD_MAX_BYTES = 16 * 1024**2
TICK_SECONDS = 0.25
JOURNAL_MS = 5_000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    """What is known of the file; everything in it can be had again.

    Attributes:
        is_resumed: the head is of an earlier try.
        validators: by source, what it called this state of the file.
    """

    plan: Plan | None = None
    head: bytearray = field(default_factory=bytearray)
    is_resumed: bool = False
    validators: dict[str, str] = field(default_factory=dict)


class Transfer:
    """One file on its way into `folder`. Run it once; a later one with the same target goes on where it stopped.

    Attributes:
        requests: how many were made.
        received_bytes: of bodies, the head included.
    """

    def __init__(
        self,
        target: Target,
        sources: Sequence[Source],
        folder: Path,
        *,
        budget: Allowance | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
        check_space: Callable[[int], None] = lambda _: None,
        clock: Clock | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Take what to fetch; `check_space` gets the bytes still to come first, and raises if there is no room."""
        self._target = target
        self._sources = list(sources)
        self._folder = folder
        self._budget = Budget() if budget is None else budget
        self._on_progress = on_progress
        self._check_space = check_space
        self._clock = clock or SystemClock()
        self._pace = pace or Pace()
        self._known = _Known()
        self._crew = self._new_crew()
        self._disk = asyncio.Lock()
        self._error: EdgeboxError | None = None
        self._lied: SourceLied | None = None
        self._refused: PackWithdrawn | None = None
        self._journal_ms = self._heard_ms = self._clock.monotonic_ms()
        self.requests = 0
        self.received_bytes = 0

    @property
    def counts(self) -> Counts:
        """Return the bytes of blocks asked for, received, and received in vain."""
        return self._known.plan.counts if self._known.plan else Counts()

    @property
    def given_up(self) -> list[str]:
        """Return the sources that are not asked any more: they lied, or do not have the file."""
        return [name for name, turn in self._crew.turns.items() if turn.is_out]

    async def run(self) -> PartialFile:
        """Return the file, every block of it verified. Its place is `path`; `discard` it when done with.

        Raises:
            NotOffered: no source has it.
            PackWithdrawn: what they have was taken back.
            SourceLied: what the sources have is not what was signed.
            SourceDown, SourceCaptured: nothing came for a long time; run it again later.
            FetchPaused: not now; run it again when the budget allows.
            EdgeboxError: what `check_space` raises; what came before is kept.
        """
        partial = await asyncio.to_thread(PartialFile, self._folder, blake2b_256(self._target.name.encode()).hex()[:32])
        try:
            await self._resume(partial)
            await self._fetch(partial)
            await asyncio.to_thread(partial.write_journal, self._journal())
        except BaseException:
            await self._stop(self._crew.lanes)
            await _to_the_end(asyncio.to_thread(self._put_away, partial))
            raise
        return partial

    async def _resume(self, partial: PartialFile) -> None:
        """Take up what the journal says; a head that is whole is read again from the file."""
        journal = await asyncio.to_thread(partial.read_journal, self._target.id)
        blocks, head = self._target.blocks, bytearray()
        if blocks is None and journal.head_bytes:
            head = bytearray(await asyncio.to_thread(partial.read, 0, journal.head_bytes))
            try:
                blocks = self._read_head(head, "disk")
            except (SourceLied, NotOffered, PackWithdrawn):
                head.clear()
        plan = None if blocks is None else Plan(blocks, journal.held, journal.parts)
        if plan is not None:
            await asyncio.to_thread(self._check_space, plan.blocks.length_bytes - plan.done_bytes)
        self._known = _Known(plan, head, bool(head), dict(journal.validators))
        self._crew = self._new_crew()
        self._tell()

    async def _fetch(self, partial: PartialFile) -> None:
        while (plan := self._known.plan) is None or not plan.is_complete:
            now_ms = self._clock.monotonic_ms()
            if self._crew.is_out:
                await self._start_over(partial)
            if self._error is not None and now_ms - self._heard_ms > self._pace.give_up_ms:
                raise self._error
            await self._keep_budget()
            if plan is not None:
                self._crew.recruit(plan, self.received_bytes, now_ms)
            self._start_lanes(partial, now_ms)
            await self._wait()
            self._tell()
        await self._stop(self._crew.lanes)

    async def _wait(self) -> None:
        """Wait until a lane ends, or a moment; what is a fault of ours is raised."""
        tasks = {lane.task for lane in self._crew.lanes if lane.task}
        if tasks:
            await asyncio.wait(tasks, timeout=TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(TICK_SECONDS)
        for lane in [lane for lane in self._crew.lanes if lane.task and lane.task.done()]:
            self._crew.lanes.remove(lane)
            if lane.task and not lane.task.cancelled():
                lane.task.result()

    async def _start_over(self, partial: PartialFile) -> None:
        """Nobody is left to ask: forget a head of an earlier try, once, for the file may be another one since."""
        await self._stop(self._crew.lanes)
        if not self._known.is_resumed:
            raise self._lied or self._refused or NotOffered(file=self._target.name)
        await asyncio.to_thread(partial.write_journal, Journal(b""))
        await self._resume(partial)

    async def _keep_budget(self) -> None:
        """Stop what costs when the budget is used up.

        Raises:
            FetchPaused: nothing that is free of charge is left.
        """
        if self._left_bytes() != 0:
            return
        await self._stop([lane for lane in self._crew.lanes if lane.source.is_metered])
        free = [source for source in self._sources if not source.is_metered]
        if all(self._crew.turns[source.name].is_out for source in free):
            raise FetchPaused

    def _start_lanes(self, partial: PartialFile, now_ms: int) -> None:
        plan, crew = self._known.plan, self._crew
        for source in crew.candidates(now_ms, self._left_bytes()):
            if not crew.has_place or (plan is None and crew.lanes):
                return
            span = plan.take(source.name, crew.allowed_bytes(source, self._left_bytes())) if plan else None
            if plan is not None and span is None:
                self._relieve(crew.slowest(source, now_ms), now_ms)
                return
            lane = Lane(source, now_ms, span)
            lane.task = asyncio.get_running_loop().create_task(self._work(lane, partial))
            crew.lanes.append(lane)

    def _relieve(self, lane: Lane | None, now_ms: int) -> None:
        """Take the turn from a lane; what it received is kept."""
        if lane is not None and lane.task is not None:
            self._crew.turns[lane.source.name].lose(now_ms)
            lane.task.cancel()

    async def _work(self, lane: Lane, partial: PartialFile) -> None:
        """Do one request, and judge the source by how it went."""
        turn = self._crew.turns[lane.source.name]
        try:
            await self._receive_answer(lane, partial)
        except (NotOffered, PackWithdrawn) as error:
            self._refused = error if isinstance(error, PackWithdrawn) else self._refused
            turn.is_out = True
        except SourceLied as error:
            self._condemn(error)
        except (SourceDown, SourceCaptured) as error:
            self._error = error
            log.info("fetch.source_failed file=%s error=%s", self._target.name, error)
            turn.fail(self._clock.monotonic_ms(), int.from_bytes(ids.random_bytes(4)) / (1 << 32), lane.started_ms)
        finally:
            turn.rate = lane.rate(self._clock.monotonic_ms())
            if self._known.plan and lane.span:
                self._known.plan.release(lane.span)

    async def _receive_answer(self, lane: Lane, partial: PartialFile) -> None:
        stream = await self._open(lane)
        try:
            self._check_stream(lane, stream)
            async for part in self._wanted_parts(lane, stream):
                rest = part if lane.span else await self._receive_head(lane, stream, partial, part)
                if rest:
                    await _to_the_end(self._keep(lane, partial, rest))
                if lane.span and not lane.span.left_bytes:
                    return
        finally:
            await stream.close()
        raise SourceDown(source=lane.source.name, reason=N_("the line broke"), fault="end")

    async def _open(self, lane: Lane) -> Stream:
        self.requests += 1
        name, span, plan = lane.source.name, lane.span, self._known.plan
        start, end = (span.at, span.end) if span else (len(self._known.head), None)
        if span is None and (allowed_bytes := self._crew.allowed_bytes(lane.source, self._left_bytes())) is not None:
            end = start + allowed_bytes
        if plan is not None and (start, end) == (0, plan.blocks.length_bytes):
            end = None
        validator, failures = self._known.validators.get(name, ""), self._crew.turns[name].failures
        return await lane.source.open(Ask(self._target.name, start, end, validator, failures))

    def _check_stream(self, lane: Lane, stream: Stream) -> None:
        """Refuse an answer that is of another file than the earlier ones."""
        plan, name = self._known.plan, lane.source.name
        if plan is not None and stream.total_bytes not in (None, plan.blocks.length_bytes):
            raise NotOffered(file=self._target.name)
        if (stream.total_bytes or 0) > self._target.length_max_bytes:
            raise self._lie_of(name)
        before, self._known.validators[name] = self._known.validators.get(name, ""), stream.validator
        if before and before != stream.validator:
            self._forget_unverified(name)
            raise SourceDown(source=name, reason=N_("its file changed"), fault="validator")

    async def _wanted_parts(self, lane: Lane, stream: Stream) -> AsyncIterator[bytes]:
        """Yield what comes from the byte on that was asked for; a source without ranges sends what is before, too."""
        unwanted_bytes = (lane.span.at if lane.span else len(self._known.head)) - stream.start
        async for part in stream.parts():
            self._note(lane, len(part))
            if dropped_bytes := min(unwanted_bytes, len(part)):
                unwanted_bytes -= dropped_bytes
                if self._known.plan is not None:
                    self._known.plan.waste(dropped_bytes)
            if rest := part[dropped_bytes:]:
                yield rest

    def _note(self, lane: Lane, size_bytes: int) -> None:
        self._heard_ms = self._clock.monotonic_ms()
        self.received_bytes += size_bytes
        lane.got_bytes += size_bytes
        self._crew.turns[lane.source.name].succeed()
        if lane.source.is_metered:
            self._budget.spend(self._clock.now_ms(), size_bytes)

    async def _receive_head(self, lane: Lane, stream: Stream, partial: PartialFile, part: bytes) -> bytes:
        """Add to the head; once it is whole, plan, and return what of `part` belongs to the blocks."""
        known = self._known
        known.head += part
        blocks = self._read_head(known.head, lane.source.name)
        if blocks is None:
            return b""
        if stream.total_bytes not in (None, blocks.length_bytes):
            raise self._lie_of(lane.source.name)
        rest = bytes(known.head[blocks.head_bytes :])
        del known.head[blocks.head_bytes :]
        await asyncio.to_thread(self._check_space, blocks.length_bytes)
        await _to_the_end(asyncio.to_thread(partial.write, 0, bytes(known.head)))
        known.plan = Plan(blocks)
        lane.span = known.plan.take(lane.source.name)
        return rest

    def _read_head(self, head: bytearray, source: str) -> BlockMap | None:
        if self._target.read_head is None or len(head) > HEAD_MAX_BYTES:
            raise self._lie_of(source)
        try:
            blocks = self._target.read_head(bytes(head))
        except (NotOffered, PackWithdrawn):
            raise
        except EdgeboxError as error:
            log.warning("fetch.head_refused file=%s source=%s error=%s", self._target.name, source, error)
            raise self._lie_of(source) from error
        if blocks is not None and blocks.length_bytes > self._target.length_max_bytes:
            raise self._lie_of(source)
        return blocks

    async def _keep(self, lane: Lane, partial: PartialFile, part: bytes) -> None:
        """Write what came to its place, check the blocks that are whole now, and write the journal now and then."""
        plan, span = self._known.plan, lane.span
        assert plan is not None
        assert span is not None
        async with self._disk:
            wanted_bytes, whole = plan.receive(span, len(part))
            content, offset = part[:wanted_bytes], span.at - wanted_bytes
            good = await asyncio.to_thread(_store, partial, plan.blocks, offset, content, whole)
            liars = {liar for block in whole if (liar := plan.settle(block, is_good=block in good))}
            now_ms = self._clock.monotonic_ms()
            if now_ms - self._journal_ms >= JOURNAL_MS:
                self._journal_ms = now_ms
                await asyncio.to_thread(partial.write_journal, self._journal())
        for liar in liars:
            self._condemn(self._lie_of(liar))

    def _lie_of(self, source: str) -> SourceLied:
        return SourceLied(source=source, file=self._target.name)

    def _condemn(self, error: SourceLied) -> None:
        """Ask a source that lied no more, and throw away what cannot be checked of what it sent."""
        name = error.fields["source"]
        log.warning("fetch.source_lied file=%s source=%s", self._target.name, name)
        self._lied = error
        self._crew.turns[name].is_out = True
        for lane in self._crew.lanes:
            if lane.source.name == name and lane.task:
                lane.task.cancel()
        self._forget_unverified(name)

    def _forget_unverified(self, source: str) -> None:
        plan = self._known.plan
        if plan is None:
            self._known.head.clear()
            return
        for lane in self._crew.lanes:
            if lane.source.name == source and lane.span:
                plan.release(lane.span)
        plan.distrust(source)

    def _journal(self) -> Journal:
        known = self._known
        held, parts = (known.plan.held, known.plan.parts) if known.plan else (b"", {})
        return Journal(self._target.id, len(known.head), held, parts, known.validators)

    def _put_away(self, partial: PartialFile) -> None:
        """Make all that came count for the next time. Blocks."""
        try:
            if self._known.plan is None:
                partial.write(0, bytes(self._known.head))
            partial.write_journal(self._journal())
        finally:
            partial.close()

    async def _stop(self, lanes: Sequence[Lane]) -> None:
        tasks = {lane.task for lane in lanes if lane.task}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._crew.lanes = [lane for lane in self._crew.lanes if lane not in lanes]

    def _tell(self) -> None:
        plan, names = self._known.plan, tuple(dict.fromkeys(lane.source.name for lane in self._crew.lanes))
        done_bytes, total_bytes = (plan.done_bytes, plan.blocks.length_bytes) if plan else (len(self._known.head), 0)
        self._on_progress(Progress(done_bytes, total_bytes, names))

    def _left_bytes(self) -> int | None:
        return self._budget.left_bytes(self._clock.now_ms())

    def _new_crew(self) -> Crew:
        return Crew(self._sources, self._pace, self._clock.monotonic_ms())


def _store(partial: PartialFile, blocks: BlockMap, offset: int, content: bytes, whole: Sequence[int]) -> set[int]:
    """Write, and return which of the blocks that are whole now are good."""
    partial.write(offset, content)
    return {block for block in whole if partial.is_good(blocks, block)}


async def _to_the_end(work: Coroutine[None, None, None]) -> None:
    """Do something that must not stop half-way, even if this task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
