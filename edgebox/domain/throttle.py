"""How long a browser waits after wrong secrets.

Wrong tries are counted per person and browser, so nobody can slow down a classmate on the classmate's own tablet. A
browser is free to throw its cookie away, so browsers that have never signed in as a person also share one count.
"""

FREE_TRIES = 5
SHARED_FREE_TRIES = 20
DELAYS_MS = (10_000, 30_000, 120_000, 300_000)
FORGET_AFTER_MS = 24 * 3600 * 1000


def delay_ms(failures: int, free_tries: int = FREE_TRIES) -> int:
    """Return the pause that follows the latest of `failures` wrong tries in a row."""
    if failures < free_tries:
        return 0
    return DELAYS_MS[min(failures - free_tries, len(DELAYS_MS) - 1)]


def wait_ms(failures: int, last_ms: int, now_ms: int, free_tries: int = FREE_TRIES) -> int:
    """Return how long the next try must wait; 0 when it may be made now.

    A clock that was set back never makes anybody wait longer than the pause itself.
    """
    pause_ms = delay_ms(failures, free_tries)
    return min(max(last_ms + pause_ms - now_ms, 0), pause_ms)


def is_forgotten(last_ms: int, now_ms: int) -> bool:
    """Tell whether wrong tries are so old that they no longer count."""
    return now_ms - last_ms >= FORGET_AFTER_MS
