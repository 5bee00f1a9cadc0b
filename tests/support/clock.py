"""A clock that moves only when told to."""


class FakeClock:
    """Wall and monotonic time under the test's control."""

    def __init__(self, now_ms: int = 1_763_780_000_000) -> None:
        self.wall_ms = now_ms
        self.running_ms = 0

    def now_ms(self) -> int:
        """Return the wall time set last."""
        return self.wall_ms

    def monotonic_ms(self) -> int:
        """Return the time passed since the start."""
        return self.running_ms

    def advance(self, by_ms: int) -> None:
        """Let both times pass."""
        self.wall_ms += by_ms
        self.running_ms += by_ms
