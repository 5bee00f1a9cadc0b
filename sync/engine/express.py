"""When closing results go ahead of the bundle that would bring them in its turn. Pure."""

from sync.engine.transfer import SLICE_BYTES

# What a change of the log takes in a bundle, at the least.
CHANGE_BYTES = 3
# What is left of a long bundle and so little goes first: to leave it and to come back takes as long.
REST_BYTES = 16 * 1024


def is_worthwhile(ahead_bytes: int, left_bytes: int | None) -> bool:
    """Return whether results that have `ahead_bytes` before them are worth a bundle of their own.

    A second bundle costs a turn and some hundred bytes, so not for what one slice brings; but whenever the tariff does
    not let all of those go today (`left_bytes`, None for no limit).
    """
    return ahead_bytes > SLICE_BYTES or (left_bytes is not None and ahead_bytes > left_bytes)


def is_time_to_look(looked_bytes: int, stored_bytes: int, size_bytes: int) -> bool:
    """Return whether an upload of `size_bytes` has come a slice further since results were looked for, and lasts.

    What comes about right behind a slice waits for the next one, and for no more than that.
    """
    return stored_bytes - looked_bytes >= SLICE_BYTES and size_bytes - stored_bytes > REST_BYTES
