"""Times in coarse steps, for lines that cost: whole seconds, and durations in tenths of a second.

xAPI itself compares durations to a hundredth of a second only, and no report looks closer than this; the exact times
stay on the box, and a statement that comes in both forms is one statement.
"""

TIME_STEP_MS = 1000
DURATION_STEP_MS = 100


def coarse_times(timestamp_ms: int, duration_ms: int | None) -> tuple[int, int | None]:
    """Return a time rounded down to its second, which keeps ids that follow from it, and a duration to the nearest."""
    rounded = None if duration_ms is None else steps(duration_ms, DURATION_STEP_MS) * DURATION_STEP_MS
    return timestamp_ms // TIME_STEP_MS * TIME_STEP_MS, rounded


def steps(duration_ms: int, step_ms: int) -> int:
    """Return how many steps a duration is, to the nearest."""
    return (duration_ms + step_ms // 2) // step_ms


def is_coarser(one: tuple[int, int | None], other: tuple[int, int | None]) -> bool:
    """Return whether `one` is the coarse form of `other`, both a time and a duration, and not the same."""
    return one != other and one == coarse_times(*other)
