"""Hybrid logical clock: what orders the writes of a school without trusting any wall clock.

A stamp is one integer, milliseconds since 1970 UTC shifted left by 16 bits plus a counter (Kulkarni et al., "Logical
Physical Clocks", 2014). It never goes back, whatever the machine's clock does, so it is kept with the data it stamps.
"""

COUNT_BITS = 16
AHEAD_MAX_MS = 86_400_000
STAMP_MAX = (1 << 63) - 1


def following(last: int, now_ms: int) -> int:
    """Return the stamp of a write made now, above `last`, which is the highest one made or observed here."""
    return max(last + 1, max(now_ms, 0) << COUNT_BITS)


def observed(last: int, remote: int, now_ms: int) -> int:
    """Return the highest stamp after one of another origin was seen.

    One that is over a day ahead of the best time known here is stored with its row but moves nothing: a single box with
    a clock in the far future must not carry all others there.
    """
    return last if is_ahead(remote, now_ms) else max(last, remote)


def is_ahead(stamp: int, now_ms: int) -> bool:
    """Return whether a stamp lies over a day ahead of the time, or is none at all."""
    return not 0 <= stamp <= STAMP_MAX or stamp_ms(stamp) > now_ms + AHEAD_MAX_MS


def stamp_ms(stamp: int) -> int:
    """Return the milliseconds of a stamp."""
    return stamp >> COUNT_BITS
