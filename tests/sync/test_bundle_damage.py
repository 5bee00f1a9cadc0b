"""Every damaged bundle is refused with a code: each byte changed in three ways, every truncation, parts shifted.

30,000 variants of bundles of every form in each run, a million in a soak; memory does not grow with them.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from content_packs.base.errors import EdgeboxError
from tests.support.damage import everything, sampled
from tests.sync.makers import Maker
from tests.sync.reference_bundles import Reference, references

VARIANTS = 30_000
SAMPLED = 1_000
SOAK_VARIANTS = 1_000_000
GROWTH_MAX_BYTES = 10 << 20
GROWTH_PER_VARIANTS = 100_000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

ALL = references(Maker())


def resident_bytes() -> int:
    """Return what this process holds in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE_BYTES


def refuse_all(reference: Reference, variants: Iterator[bytes]) -> int:
    """Let every variant be refused; return how many there were."""
    count = 0
    for variant in variants:
        count += 1
        try:
            reference.take(variant)
        except EdgeboxError as error:
            assert error.code.split(".")[0] in ("sync", "codec"), error.code
        else:
            raise AssertionError(f"{reference.name}: taken, {len(variant)} bytes: {variant[:200].hex()}")
    return count


def once_through(seed: int) -> int:
    """Damage every reference in each way that there is, or in many; return how many variants there were."""
    dice, count = random.Random(seed), 0
    for reference in ALL:
        how = everything(reference.content, dice) if reference.is_small else sampled(reference.content, SAMPLED, dice)
        count += refuse_all(reference, how)
    return count


def test_a_reference_that_is_not_damaged_is_taken() -> None:
    for reference in ALL:
        assert reference.take(reference.content)


def test_references_have_the_sizes_that_their_names_say() -> None:
    for reference in ALL:
        low, high = {"1": (600, 1_600), "8": (6_000, 10_000), "2": (240_000, 280_000)}.get(
            reference.name.partition(", ")[2][:1], (0, 400)
        )
        assert low <= len(reference.content) <= high, (reference.name, len(reference.content))


def test_thirty_thousand_damaged_bundles_are_refused_and_leave_nothing_in_memory() -> None:
    for reference in ALL:  # what is made at the first use is there after this
        refuse_all(reference, sampled(reference.content, SAMPLED // 10, random.Random(1)))
    before_bytes = resident_bytes()
    assert once_through(2) > VARIANTS
    assert resident_bytes() - before_bytes <= GROWTH_MAX_BYTES


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_million_damaged_bundles_are_refused_and_leave_nothing_in_memory() -> None:
    seed = int(os.environ.get("EDGEBOX_SEED", "100"))
    once_through(seed)
    before_bytes, count = resident_bytes(), 0
    while count < SOAK_VARIANTS:
        seed += 1
        count += once_through(seed)
    assert resident_bytes() - before_bytes <= GROWTH_MAX_BYTES * max(count // GROWTH_PER_VARIANTS, 1)
