"""However boxes, hub, couriers and clocks fail, in the end everybody holds what was acknowledged, once."""

import os

import pytest

from tests.sync.simulation.world import live

HISTORIES = 2_000
SHARE = 250
STEPS = 80
SOAK_STEPS, SOAK_STEPS_EACH = 1_000_000, 400


@pytest.mark.parametrize("first", range(0, HISTORIES, SHARE))
def test_every_history_ends_with_the_same_everywhere(first: int) -> None:
    live_all(range(first, first + SHARE), STEPS)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_million_steps_end_with_the_same_everywhere() -> None:
    first = int(os.environ.get("EDGEBOX_SEED", "100000"))
    live_all(range(first, first + SOAK_STEPS // SOAK_STEPS_EACH), SOAK_STEPS_EACH)


def live_all(seeds: range, steps: int) -> None:
    """Live a history per seed, each checked at its end."""
    answers = merged = 0
    for seed in seeds:
        try:
            world = live(seed, steps)
        except AssertionError as error:
            raise AssertionError(f"history {seed}") from error
        answers, merged = answers + len(world.hub.events), merged + len(world.hub.merged)
    # Places that never got anything would agree as well.
    assert answers >= len(seeds) * steps // 10
    assert merged >= len(seeds) * steps // 25
