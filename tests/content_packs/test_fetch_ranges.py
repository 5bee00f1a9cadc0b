"""The planner: whatever sources do, every byte is asked for, nothing is mixed up, and the counts are exact."""

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content_packs.fetch.blocks import BlockMap, one_block
from content_packs.fetch.ranges import EARLIER, SPLIT_MIN_BYTES, Plan, Span


def plan_of(length: int, block_bytes: int, head_bytes: int = 0) -> Plan:
    count = -(-(length - head_bytes) // block_bytes)
    return Plan(BlockMap(length, block_bytes, (b"",) * count, head_bytes))


@dataclass
class World:
    """A file of zeros (wrong bytes are ones) and sources, of which some lie."""

    plan: Plan
    liars: frozenset[str]
    disk: bytearray
    out: set[str]

    def receive(self, span: Span, size: int) -> None:
        wrong = span.source in self.liars
        wanted, whole = self.plan.receive(span, size)
        self.disk[span.at - wanted : span.at] = bytes([wrong]) * wanted
        for block in whole:
            start, end = self.plan.blocks.bounds(block)
            liar = self.plan.settle(block, is_good=not any(self.disk[start:end]))
            if liar is not None:
                assert liar in self.liars
                self.out.add(liar)


@settings(max_examples=200, deadline=None)
@given(
    length=st.integers(1, 40_000),
    block_bytes=st.sampled_from([1, 7, 512, 4096, 100_000]),
    head_bytes=st.integers(0, 600),
    liars=st.sets(st.sampled_from(["b", "c"])),
    seed=st.integers(0, 2**32),
)
def test_every_byte_comes_whatever_happens_and_who_is_called_a_liar_lied(
    length: int, block_bytes: int, head_bytes: int, liars: set[str], seed: int
) -> None:
    head_bytes = min(head_bytes, length)
    if length // block_bytes > 2_000:
        block_bytes = 512
    plan = plan_of(length, block_bytes, head_bytes)
    world = World(plan, frozenset(liars), bytearray(b"\2" * length), set())
    random, spans = Random(seed), list[Span]()
    for _ in range(100_000):
        if plan.is_complete:
            break
        source = random.choice([name for name in "abc" if name not in world.out])
        if random.random() < 0.3 and (span := plan.take(source, random.choice([None, None, 5_000]))) is not None:
            spans.append(span)
        if spans and random.random() < 0.9:
            span = random.choice(spans)
            world.receive(span, random.randint(1, 5_000))
            if span.source in world.out or not span.left_bytes or random.random() < 0.2:
                plan.release(span)
                spans.remove(span)
                if span.source in world.out:
                    plan.distrust(span.source)
        check_spans(plan, spans)
    assert plan.is_complete
    assert not any(world.disk[head_bytes:])
    counts = plan.counts
    assert counts.got_bytes - counts.resent_bytes == length - head_bytes
    assert plan.done_bytes == length


def check_spans(plan: Plan, spans: list[Span]) -> None:
    """No two sources are asked for the same block at the same time."""
    blocks: set[int] = set()
    for span in spans:
        if span.left_bytes:
            mine = set(range(plan.blocks.block_at(span.at), plan.blocks.block_at(span.end - 1) + 1))
            assert not mine & blocks
            blocks |= mine


@given(held=st.lists(st.booleans(), min_size=5, max_size=5), got=st.integers(0, 100))
def test_what_an_earlier_try_kept_is_not_asked_for_again(held: list[bool], got: int) -> None:
    blocks = BlockMap(450, 100, (b"",) * 5)
    plan = Plan(blocks, bytes(held), {0: got, 99: 5})
    missing = 450 - plan.done_bytes
    while not plan.is_complete and (span := plan.take("a")):
        _, whole = plan.receive(span, span.left_bytes)
        for block in whole:
            plan.settle(block, is_good=True)
        plan.release(span)
    assert plan.counts.asked_bytes == plan.counts.got_bytes == missing


def test_the_first_source_is_asked_for_everything_in_one_request() -> None:
    plan = plan_of(10_000_000, 65_536)
    span = plan.take("a")
    assert span is not None
    assert (span.at, span.end) == (0, 10_000_000)


def test_a_second_source_takes_over_the_second_half() -> None:
    plan = plan_of(1_000_000, 65_536)
    first, second = plan.take("a"), plan.take("b")
    assert first is not None
    assert second is not None
    assert first.end == second.at
    assert second.end == 1_000_000
    assert abs(first.left_bytes - second.left_bytes) <= 2 * 65_536


def test_a_small_rest_is_not_split() -> None:
    plan = plan_of(SPLIT_MIN_BYTES - 1, 4096)
    assert plan.take("a") is not None
    assert plan.take("b") is None


def test_a_resumed_request_begins_at_the_byte() -> None:
    plan = plan_of(100_000, 10_000)
    span = plan.take("a")
    assert span is not None
    _, whole = plan.receive(span, 12_345)
    assert whole == [0]
    plan.settle(0, is_good=True)
    plan.release(span)
    again = plan.take("b")
    assert again is not None
    assert again.at == 12_345


def test_a_bad_block_of_two_sources_condemns_neither_and_is_then_asked_of_one_alone() -> None:
    plan = Plan(one_block(100, b""))
    for source, size in (("a", 40), ("b", 60)):
        span = plan.take(source)
        assert span is not None
        _, whole = plan.receive(span, size)
        plan.release(span)
    assert whole == [0]
    assert plan.settle(0, is_good=False) is None
    span = plan.take("a")
    assert span is not None
    plan.receive(span, 50)
    plan.release(span)
    span = plan.take("b")
    assert span is not None
    assert span.at == 0, "the half of the other source is not mixed in"
    plan.receive(span, 100)
    assert plan.settle(0, is_good=False) == "b"


def test_a_bad_block_that_an_earlier_try_began_condemns_nobody() -> None:
    plan = Plan(one_block(100, b""), b"", {0: 50})
    span = plan.take(EARLIER or "a")
    assert span is not None
    assert span.at == 50
    plan.receive(span, 50)
    assert plan.settle(0, is_good=False) is None


def test_a_budget_bounds_what_is_asked_for() -> None:
    plan = plan_of(100_000, 10_000)
    assert plan.take("a", 0) is None
    span = plan.take("a", 12_345)
    assert span is not None
    assert span.left_bytes == 12_345


@pytest.mark.parametrize("hashes", [0, 1, 3])
def test_a_map_whose_hashes_do_not_fit_its_length_is_refused(hashes: int) -> None:
    with pytest.raises(ValueError, match="length"):
        BlockMap(200, 100, (b"",) * hashes)
