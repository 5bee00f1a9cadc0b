"""The clock that everything on a box reads: its best time, carried on by what nobody can set."""

from content_packs.base.clock import MachineClock
from edgebox.domain.clock_rules import Moment, Saved
from sync.bundle.layout import ClockQuality


class BoxClock:
    """A `Clock` that is right from the moment on at which it was set.

    Between two settings it follows the machine's monotonic clock: whoever sets the machine's wall clock, forwards, back
    or to and fro, changes nothing here. Safe to read from any thread.

    Attributes:
        machine: the clocks beneath.
        run_id: names the run of the machine.
        quality: how far the time is to be trusted.
    """

    def __init__(self, machine: MachineClock, run_id: str, start: Moment) -> None:
        self.machine = machine
        self.run_id = run_id
        self.quality = start.quality
        self._ahead_ms = start.now_ms - machine.monotonic_ms()

    def now_ms(self) -> int:
        """Return the best time of this box."""
        return self.machine.monotonic_ms() + self._ahead_ms

    def monotonic_ms(self) -> int:
        """Return milliseconds that never go back."""
        return self.machine.monotonic_ms()

    def shift(self, by_ms: int, quality: ClockQuality) -> None:
        """Go on from a time that is so much later, or earlier, than the one told now."""
        self._ahead_ms += by_ms
        self.quality = quality

    def saved(self) -> Saved:
        """Return what is written down of it."""
        monotonic_ms = self.machine.monotonic_ms()
        return Saved(monotonic_ms + self._ahead_ms, monotonic_ms, self.run_id, self.quality)

    def is_trusted(self) -> bool:
        """Return whether somebody who knows has set it: then what is out of date is refused, else it is only shown."""
        return self.quality >= ClockQuality.HUB
