"""The one place that reads the time of day."""

import os
import time
from pathlib import Path
from typing import Protocol

# systemd makes this file once a time server has set the clock; without one the clock of a box is anybody's guess.
_SET_BY_A_SERVER = Path("/run/systemd/timesync/synchronized")
# The kernel's name of this run, and the same from systemd, which tells it to services that cannot see the file.
_RUN_ID = Path("/proc/sys/kernel/random/boot_id")
_TOLD_RUN_ID = "EDGEBOX_RUN_ID"
# Goes on while the machine sleeps, where there is such a clock.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """What tells the time; tests pass their own."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970 UTC by the best that is known here, which may be wrong."""

    def monotonic_ms(self) -> int:
        """Return milliseconds that never go back, from an arbitrary start."""


class MachineClock(Clock, Protocol):
    """The clocks of a machine: one that anybody may set, and one that nobody can."""

    def run_id(self) -> str:
        """Name this run of the machine, from power on to power off: monotonic times of one run can be compared."""

    def is_set(self) -> bool:
        """Return whether a time server or a receiver has set the wall clock. May look for a file."""


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        """Return the wall clock in milliseconds UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Return the monotonic clock in milliseconds; it counts the time that the machine sleeps."""
        return time.clock_gettime_ns(_STEADY) // 1_000_000

    def run_id(self) -> str:
        """Return the kernel's name of this run, empty where there is none."""
        told = os.environ.get(_TOLD_RUN_ID) or (_RUN_ID.read_text() if _RUN_ID.exists() else "")
        # The kernel writes it with dashes and systemd without; a command in a shell and the service name the same run.
        return told.strip().replace("-", "")

    def is_set(self) -> bool:
        """Return whether systemd says that a time server has set the clock."""
        return _SET_BY_A_SERVER.exists()


def offset_minutes(now_ms: int) -> int:
    """Return by how many minutes the time of this place is ahead of UTC at that moment."""
    return time.localtime(now_ms / 1000).tm_gmtoff // 60
