"""Whole small files of a place: its list of packs, a manifest, the records of a list. Not verified here.

They are counted in the budget like everything else. One that was begun is read to its end, because half of it is of no
use; so the budget may be overdrawn by one small file.
"""

from content_packs.base.budget import Allowance, Budget
from content_packs.base.clock import Clock, SystemClock
from content_packs.base.errors import N_
from content_packs.fetch.contract import Ask, Source
from content_packs.fetch.errors import FetchPaused, SourceDown, SourceLied
from content_packs.fetch.offers import INDEX_MAX_BYTES, INDEX_NAME, Offered, read_index

# After this long, at least a byte has to have come for every further millisecond: a place that sends now and then is
# not silent, and could hold a box for ever.
GRACE_MS = 30_000


class SmallFiles:
    """Reads small files of one source."""

    def __init__(self, source: Source, *, budget: Allowance | None = None, clock: Clock | None = None) -> None:
        self.source = source
        self._budget = Budget() if budget is None else budget
        self._clock = clock or SystemClock()

    async def read(self, name: str, max_bytes: int) -> bytes:
        """Return a whole file.

        Raises:
            NotOffered, SourceDown, SourceCaptured: it does not come.
            SourceLied: it is longer than it may be.
            FetchPaused: the budget is used up, or it is not the hour.
        """
        source = self.source
        if source.is_metered and self._budget.left_bytes(self._clock.now_ms()) == 0:
            raise FetchPaused
        started_ms = self._clock.monotonic_ms()
        stream = await source.open(Ask(name))
        try:
            content = bytearray()
            async for part in stream.parts():
                self._spend(len(part))
                content += part
                if len(content) > max_bytes:
                    raise SourceLied(source=source.name, file=name)
                if self._clock.monotonic_ms() - started_ms > GRACE_MS + len(content):
                    raise SourceDown(source=source.name, reason=N_("it is too slow"), fault="pace")
            return bytes(content)
        finally:
            await stream.close()

    async def offers(self) -> list[Offered]:
        """Return the list of packs of the source.

        Raises:
            NotOffered: it has none.
            CodecMalformed: what it has is none.
            SourceDown, SourceCaptured, SourceLied, FetchPaused: like `read`.
        """
        return read_index(await self.read(INDEX_NAME, INDEX_MAX_BYTES))

    def _spend(self, size_bytes: int) -> None:
        if self.source.is_metered:
            self._budget.spend(self._clock.now_ms(), size_bytes)
