"""What is too large to travel by itself, in one place."""

from typing import Any

from sync.records.kinds import STATE_MAX_BYTES, VALUE_MAX_BYTES

TEXT_TYPE = "text/plain"


def state_travels(size_bytes: int) -> bool:
    """Return whether a state document is small enough to go with the records; a larger one stays on its box."""
    return size_bytes <= STATE_MAX_BYTES


def text_travels(size_bytes: int) -> bool:
    """Return whether a text that was handed in is small enough to go with the records; a larger one is a file."""
    return size_bytes <= VALUE_MAX_BYTES


def is_file(media_type: Any, size_bytes: Any) -> Any:
    """Return whether what was handed in is a file, which travels apart from its record; of columns, that as SQL."""
    return (media_type != TEXT_TYPE) | (size_bytes > VALUE_MAX_BYTES)
