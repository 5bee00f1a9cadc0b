"""Small files over a line: whole, not longer than they may be, not slower, and counted."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from content_packs.base.budget import Budget
from content_packs.fetch import Ask
from content_packs.fetch.errors import FetchPaused, SourceDown, SourceLied
from content_packs.fetch.small import GRACE_MS, SmallFiles
from tests.support.clock import FakeClock


@dataclass
class Dripping:
    """A source and its answer: so many parts of so many bytes, a time apart."""

    clock: FakeClock
    parts_count: int
    part_bytes: int = 1
    apart_ms: int = 3_000
    is_metered: bool = True
    name: str = "depot"
    streams_max: int = 1
    start: int = 0
    total_bytes: int | None = None
    validator: str = ""
    opened: int = 0

    async def open(self, ask: Ask) -> "Dripping":
        self.opened += 1
        return self

    async def parts(self) -> AsyncIterator[bytes]:
        for _ in range(self.parts_count):
            self.clock.advance(self.apart_ms)
            yield b"x" * self.part_bytes

    async def close(self) -> None:
        pass


@pytest.fixture
def source() -> Callable[..., tuple[Dripping, SmallFiles, Budget]]:
    def make(day_bytes: int | None = None, **options: int) -> tuple[Dripping, SmallFiles, Budget]:
        clock, budget = FakeClock(), Budget(day_bytes=day_bytes)
        dripping = Dripping(clock, **options)
        return dripping, SmallFiles(dripping, budget=budget, clock=clock), budget

    return make


Make = Callable[..., tuple[Dripping, SmallFiles, Budget]]


async def test_a_place_that_sends_a_byte_now_and_then_is_given_up(source: Make) -> None:
    dripping, files, budget = source(parts_count=1_000)
    with pytest.raises(SourceDown):
        await files.read("metadata/timestamp.json", 8_192)
    assert dripping.clock.running_ms < GRACE_MS + 2 * dripping.apart_ms
    assert sum(budget.spent.values()) == dripping.clock.running_ms // dripping.apart_ms


async def test_a_slow_line_is_not(source: Make) -> None:
    _, files, budget = source(parts_count=100, part_bytes=4_000)
    assert len(await files.read("metadata/1.targets.json", 400_000)) == sum(budget.spent.values()) == 400_000


async def test_an_endless_file_ends_with_the_part_that_is_too_much(source: Make) -> None:
    _, files, budget = source(parts_count=1_000, part_bytes=5_000, apart_ms=0)
    with pytest.raises(SourceLied):
        await files.read("metadata/timestamp.json", 8_192)
    assert sum(budget.spent.values()) == 10_000


async def test_a_file_that_was_begun_is_read_and_the_next_one_is_not(source: Make) -> None:
    dripping, files, _ = source(day_bytes=1_000, parts_count=1, part_bytes=1_500)
    assert len(await files.read("packs/index.ebl", 8_192)) == 1_500
    with pytest.raises(FetchPaused):
        await files.read("packs/index.ebl", 8_192)
    assert dripping.opened == 1
