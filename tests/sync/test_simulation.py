"""However boxes, hub, couriers and clocks fail, in the end everybody holds what was acknowledged, once."""

import os

import pytest

from tests.sync.simulation.world import live

HISTORIES = 2_000
SHARE = 250
STEPS = 80
SOAK_STEPS = 1_000_000


@pytest.mark.parametrize("first", range(0, HISTORIES, SHARE))
def test_every_history_ends_with_the_same_everywhere(first: int) -> None:
    for seed in range(first, first + SHARE):
        try:
            live(seed, STEPS)
        except AssertionError as error:
            raise AssertionError(f"history {seed}") from error


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_million_steps_end_with_the_same_everywhere() -> None:
    first = int(os.environ.get("EDGEBOX_SEED", "100000"))
    for number in range(SOAK_STEPS // 400):
        try:
            live(first + number, 400)
        except AssertionError as error:
            raise AssertionError(f"history {first + number}") from error
