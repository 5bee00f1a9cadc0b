"""Who works on a fetch: which source is asked next, when another one helps, and which one loses its turn."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from content_packs.fetch.contract import Source
from content_packs.fetch.ranges import Plan, Span
from content_packs.fetch.target import Pace
from content_packs.fetch.turns import Turn

STREAMS_MAX = 4
SLOW_SHARE = 4


@dataclass(slots=True, eq=False)
class Lane:
    """One connection at work; it has no span while the head of the file is being read."""

    source: Source
    started_ms: int
    span: Span | None = None
    got_bytes: int = 0
    task: asyncio.Task[None] | None = None

    def rate(self, now_ms: int) -> float:
        """Return bytes per millisecond."""
        return self.got_bytes / max(now_ms - self.started_ms, 1)


class Crew:
    """The sources of one fetch and the lanes that are open to them.

    Attributes:
        turns: by the name of the source.
        lanes: in the order in which they were opened.
    """

    def __init__(self, sources: Sequence[Source], pace: Pace, now_ms: int) -> None:
        self.sources = list(sources)
        self.turns = {source.name: Turn() for source in sources}
        self.lanes: list[Lane] = []
        self._pace = pace
        self._wanted = 1
        self._recruited_ms = now_ms
        self._recruited_bytes = 0

    @property
    def is_out(self) -> bool:
        """Return whether nobody is left to ask."""
        return all(turn.is_out for turn in self.turns.values())

    @property
    def has_place(self) -> bool:
        """Return whether one more lane is wanted."""
        return len(self.lanes) < self._wanted

    def recruit(self, plan: Plan, received_bytes: int, now_ms: int) -> None:
        """Want one more lane if much is left at this pace, and too little time passed to wait for it."""
        passed_ms = now_ms - self._recruited_ms
        if passed_ms < self._pace.recruit_ms:
            return
        came_bytes = received_bytes - self._recruited_bytes
        left_bytes = plan.blocks.length_bytes - plan.done_bytes
        if left_bytes * passed_ms > self._pace.recruit_left_ms * came_bytes:
            self._wanted = min(len(self.lanes) + 1, STREAMS_MAX)
        self._recruited_ms, self._recruited_bytes = now_ms, received_bytes

    def candidates(self, now_ms: int, left_bytes: int | None) -> list[Source]:
        """Return the sources that may be asked now, the best first; `left_bytes` is what the budget allows."""
        active = [lane.source.name for lane in self.lanes]
        found = [
            source
            for source in self.sources
            if self.turns[source.name].is_due(now_ms)
            and active.count(source.name) < source.streams_max
            and not self._is_tried(source)
            and (left_bytes != 0 or not source.is_metered)
        ]
        return sorted(found, key=lambda source: (active.count(source.name), self.turns[source.name].failures))

    def _is_tried(self, source: Source) -> bool:
        """Return whether one connection is finding out just now if a source that failed is back."""
        turn = self.turns[source.name]
        return turn.failures > 0 and any(
            lane.source is source and lane.started_ms >= turn.failed_ms for lane in self.lanes
        )

    def allowed_bytes(self, source: Source, left_bytes: int | None) -> int | None:
        """Return what `source` may be asked for beyond what is on its way already, None for no limit."""
        if left_bytes is None or not source.is_metered:
            return None
        return left_bytes - sum(lane.span.left_bytes for lane in self.lanes if lane.source.is_metered and lane.span)

    def slowest(self, idle: Source, now_ms: int) -> Lane | None:
        """Return a lane that is far slower than others, so that `idle`, for whom nothing is left, may take over."""
        best_rate = max([self.turns[idle.name].rate, *(lane.rate(now_ms) for lane in self.lanes)])
        for lane in self.lanes:
            is_old = now_ms - lane.started_ms >= self._pace.recruit_ms
            if lane.source is not idle and is_old and lane.rate(now_ms) * SLOW_SHARE < best_rate:
                return lane
        return None
