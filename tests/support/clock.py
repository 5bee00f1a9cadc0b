"""A clock that moves only when told to."""

import itertools

_RUNS = itertools.count(1)


class FakeClock:
    """Wall and monotonic time under the test's control."""

    def __init__(self, now_ms: int = 1_763_780_000_000) -> None:
        self.wall_ms = now_ms
        self.running_ms = 0
        self.run = f"run-{next(_RUNS)}"
        self.is_served = False

    def now_ms(self) -> int:
        """Return the wall time set last."""
        return self.wall_ms

    def monotonic_ms(self) -> int:
        """Return the time passed since the start."""
        return self.running_ms

    def run_id(self) -> str:
        """Name this run of the machine."""
        return self.run

    def is_set(self) -> bool:
        """Return whether a time server has set the wall clock."""
        return self.is_served

    def restart(self, now_ms: int) -> None:
        """Switch the machine off and on again; without a clock of its own it starts at any time."""
        self.wall_ms, self.running_ms, self.run = now_ms, 0, f"run-{next(_RUNS)}"

    def advance(self, by_ms: int) -> None:
        """Let both times pass."""
        self.wall_ms += by_ms
        self.running_ms += by_ms
