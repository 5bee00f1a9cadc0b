"""Which bytes to ask of whom next: what is held, what is on its way, and what is still to be asked for.

Bytes and answers come in as arguments; nothing here reads a file, a socket or a clock. A source gets a span of bytes
that nobody else was asked for. When everything is given out, a further source takes over the second half of the longest
span. A block counts as held once its hash was found right; before that its bytes only save asking for them again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from content_packs.fetch.blocks import BlockMap

SPLIT_MIN_BYTES = 256 * 1024
EARLIER = ""


@dataclass(slots=True)
class Counts:
    """Bytes of blocks so far.

    Attributes:
        asked_bytes: asked for; what one source was asked for and another one took over counts twice.
        got_bytes: received.
        resent_bytes: received and thrown away, so that they had or have to be sent again.
    """

    asked_bytes: int = 0
    got_bytes: int = 0
    resent_bytes: int = 0


@dataclass(slots=True, eq=False)
class Span:
    """What one source was asked for and has not sent yet: bytes from `at` to before `end`."""

    source: str
    at: int
    end: int

    @property
    def left_bytes(self) -> int:
        """Return how much is still to come."""
        return self.end - self.at


@dataclass(slots=True)
class _Part:
    """The first bytes of a block that is not whole yet, and who sent them."""

    got_bytes: int = 0
    sources: set[str] = field(default_factory=set)


class Plan:
    """The state of one file that is being fetched."""

    def __init__(self, blocks: BlockMap, held: bytes = b"", parts: Mapping[int, int] | None = None) -> None:
        """Take up what an earlier try kept: `held` has a byte 1 per verified block, `parts` the bytes of others."""
        self.blocks = blocks
        self.counts = Counts()
        count = len(blocks.hashes)
        self._held = bytearray(held if len(held) == count else count)
        self._parts = {
            block: _Part(got, {EARLIER}) for block, got in (parts or {}).items() if self._may_keep(block, got)
        }
        self._alone: set[int] = set()
        self._spans: list[Span] = []

    @property
    def is_complete(self) -> bool:
        """Return whether every block is held."""
        return all(self._held)

    @property
    def done_bytes(self) -> int:
        """Return the bytes that need not be sent any more."""
        held_bytes = sum(self._held) * self.blocks.block_bytes
        if self._held and self._held[-1]:
            held_bytes -= self.blocks.block_bytes - self._bytes_of(len(self._held) - 1)
        return self.blocks.head_bytes + held_bytes + sum(part.got_bytes for part in self._parts.values())

    @property
    def held(self) -> bytes:
        """Return one byte per block, 1 where it is verified."""
        return bytes(self._held)

    @property
    def parts(self) -> dict[int, int]:
        """Return how many bytes are there of blocks that are not whole."""
        return {block: part.got_bytes for block, part in sorted(self._parts.items())}

    @property
    def on_the_way_bytes(self) -> int:
        """Return what was asked for and has not come yet."""
        return sum(span.left_bytes for span in self._spans)

    def take(self, source: str, most_bytes: int | None = None) -> Span | None:
        """Return what to ask `source` for now, at most `most_bytes`; None when there is nothing for it."""
        if most_bytes is not None and most_bytes <= 0:
            return None
        bounds = self._free_bounds(source) or self._split_bounds()
        if bounds is None:
            return None
        start, end = bounds
        span = Span(source, start, end if most_bytes is None else min(end, start + most_bytes))
        self._spans.append(span)
        self.counts.asked_bytes += span.left_bytes
        return span

    def receive(self, span: Span, size_bytes: int) -> tuple[int, list[int]]:
        """Take note of bytes that came for a span; return how many of them are wanted, and the blocks now whole.

        Every block named has to be checked and settled.
        """
        self.counts.got_bytes += size_bytes
        wanted_bytes = min(size_bytes, span.left_bytes)
        self.counts.resent_bytes += size_bytes - wanted_bytes
        whole, stop = [], span.at + wanted_bytes
        while span.at < stop:
            block = self.blocks.block_at(span.at)
            _, end = self.blocks.bounds(block)
            part = self._parts.setdefault(block, _Part())
            part.got_bytes += min(end, stop) - span.at
            part.sources.add(span.source)
            span.at = min(end, stop)
            if part.got_bytes == self._bytes_of(block):
                whole.append(block)
        return wanted_bytes, whole

    def waste(self, size_bytes: int) -> None:
        """Take note of bytes that came although they were not asked for."""
        self.counts.got_bytes += size_bytes
        self.counts.resent_bytes += size_bytes

    def settle(self, block: int, *, is_good: bool) -> str | None:
        """Hold a whole block or throw it away; return who lied, if that is certain.

        A bad block to which several contributed is asked of one source alone the next time.
        """
        part = self._parts.pop(block)
        if is_good:
            self._held[block] = 1
            return None
        self.counts.resent_bytes += part.got_bytes
        if len(part.sources) == 1 and part.sources != {EARLIER}:
            return next(iter(part.sources))
        self._alone.add(block)
        return None

    def release(self, span: Span) -> None:
        """Take back what is left of a span, so that it can be asked for again; safe to repeat."""
        if span in self._spans:
            self._spans.remove(span)

    def distrust(self, source: str) -> None:
        """Throw away what `source` sent of blocks that are not whole: it lied, or its file is another one now."""
        busy = {self.blocks.block_at(span.at) for span in self._spans if span.left_bytes}
        for block, part in list(self._parts.items()):
            if source in part.sources and block not in busy:
                self._forget(block)

    def _may_keep(self, block: int, got_bytes: int) -> bool:
        return 0 <= block < len(self._held) and not self._held[block] and 0 < got_bytes < self._bytes_of(block)

    def _bytes_of(self, block: int) -> int:
        start, end = self.blocks.bounds(block)
        return end - start

    def _forget(self, block: int) -> None:
        self.counts.resent_bytes += self._parts.pop(block).got_bytes

    def _free_bounds(self, source: str) -> tuple[int, int] | None:
        """Return the first run of bytes that nobody was asked for."""
        first, end = next(self._free_runs(), (0, 0))
        if first == end:
            return None
        if first in self._alone and first in self._parts and self._parts[first].sources != {source}:
            self._forget(first)
        got_bytes = self._parts[first].got_bytes if first in self._parts else 0
        return self.blocks.bounds(first)[0] + got_bytes, self.blocks.bounds(end - 1)[1]

    def _free_runs(self) -> Iterator[tuple[int, int]]:
        """Yield runs of blocks as first and end; a block that was begun starts a run of its own."""
        taken = bytearray(self._held)
        for span in self._spans:
            if span.left_bytes:
                first, last = self.blocks.block_at(span.at), self.blocks.block_at(span.end - 1)
                taken[first : last + 1] = b"\x01" * (last + 1 - first)
        first = taken.find(0)
        while first >= 0:
            end = first + 1
            while end < len(taken) and not taken[end] and end not in self._parts:
                end += 1
            yield first, end
            first = taken.find(0, end)

    def _split_bounds(self) -> tuple[int, int] | None:
        """Take the second half of the longest span away from its source."""
        longest = max(self._spans, key=lambda span: span.left_bytes, default=None)
        if longest is None or longest.left_bytes < SPLIT_MIN_BYTES:
            return None
        middle, _ = self.blocks.bounds(self.blocks.block_at((longest.at + longest.end) // 2) + 1)
        if not longest.at < middle < longest.end:
            return None
        end, longest.end = longest.end, middle
        return middle, end
