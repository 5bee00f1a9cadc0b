"""When closing results go ahead of the bundle that would bring them in its turn. Pure."""

# At 64 kbit/s 8 s are 64,000 bytes. Between two looks at the log goes LOOK_BYTES, and up to TOLD_BYTES more until the
# hub has said so; behind the last look REST_BYTES at the most. What is left of the 8 s is for what is under way then.
LOOK_BYTES = 32 * 1024
TOLD_BYTES = 16 * 1024
# What is left of a long bundle and so little goes first: to leave it and to come back takes as long.
REST_BYTES = 8 * 1024
AHEAD_MAX_BYTES = LOOK_BYTES + TOLD_BYTES
# What a change of the log takes in a bundle, at the least.
CHANGE_BYTES = 3


def is_worthwhile(ahead_bytes: int, left_bytes: int | None) -> bool:
    """Return whether results that have `ahead_bytes` before them are worth a bundle of their own.

    A second bundle costs a turn and some hundred bytes, so not for what passes in 6 s at 64 kbit/s; but whenever the
    tariff does not let all of those go today (`left_bytes`, None for no limit).
    """
    return ahead_bytes > AHEAD_MAX_BYTES or (left_bytes is not None and ahead_bytes > left_bytes)


def is_time_to_look(looked_bytes: int, stored_bytes: int, size_bytes: int) -> bool:
    """Return whether an upload of `size_bytes` has come so much further since results were looked for, and lasts.

    What comes about right after a look waits for the next one, and for no more than that.
    """
    return stored_bytes - looked_bytes >= LOOK_BYTES and size_bytes - stored_bytes > REST_BYTES
