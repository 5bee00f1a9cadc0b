"""Whose turn it is: how long a source that failed has to wait, and which of them are not asked any more."""

from dataclasses import dataclass

LONGEST_WAIT_MS = 300_000
FIRST_WAIT_MS = 1_000
SLOW_WAIT_MS = 10_000
_DOUBLINGS_MAX = 9


@dataclass(slots=True)
class Turn:
    """One source during one fetch.

    Attributes:
        failures: tries in a row that brought nothing.
        next_try_ms: on the monotonic clock.
        failed_ms: when the last failure was.
        is_out: it lied, or it does not have the file.
        rate: bytes per millisecond of its last connection.
    """

    failures: int = 0
    next_try_ms: int = 0
    failed_ms: int = -1
    is_out: bool = False
    rate: float = 0.0

    def is_due(self, now_ms: int) -> bool:
        """Return whether the source may be asked."""
        return not self.is_out and now_ms >= self.next_try_ms

    def succeed(self) -> None:
        """Something came: a later failure is the first one again."""
        self.failures = 0

    def fail(self, now_ms: int, random_unit: float, began_ms: int) -> None:
        """A connection begun at `began_ms` brings nothing any more; `random_unit` is in [0, 1).

        Connections that were open together fail of one cause, which counts once.
        """
        if self.failures == 0 or began_ms >= self.failed_ms:
            self.next_try_ms = now_ms + wait_ms(self.failures, random_unit)
            self.failures += 1
            self.failed_ms = now_ms

    def lose(self, now_ms: int) -> None:
        """The source is far slower than others: it waits for a while, as if it had failed."""
        self.failures = max(self.failures, 1)
        self.next_try_ms = now_ms + SLOW_WAIT_MS


def wait_ms(failures: int, random_unit: float) -> int:
    """Return how long to wait after a failure that followed `failures` others: at once, then up to 1, 2, 4 … 300 s.

    Full jitter: boxes that lost the same line at the same second do not all come back together.
    """
    if failures == 0:
        return 0
    ceiling_ms = min(LONGEST_WAIT_MS, FIRST_WAIT_MS << min(failures - 1, _DOUBLINGS_MAX))
    return int(ceiling_ms * random_unit)
