"""What is too large to travel by itself, in one place."""

from sync.records.kinds import STATE_MAX_BYTES


def state_travels(size_bytes: int) -> bool:
    """Return whether a state document is small enough to go with the records; a larger one stays on its box."""
    return size_bytes <= STATE_MAX_BYTES
