"""How long a signed-in browser stays signed in."""

from dataclasses import dataclass

from edgebox.domain.session import Role

_HOUR_MS = 3600 * 1000


@dataclass(frozen=True)
class Lifetime:
    """The two ends of a session: some time after signing in, and some time without a request."""

    total_ms: int
    idle_ms: int


# A learner's session lasts a school day, so that a class goes on after a power cut; a teacher's shows names, so it ends
# when nobody used it for a while.
LIFETIMES = {
    Role.LEARNER: Lifetime(total_ms=12 * _HOUR_MS, idle_ms=12 * _HOUR_MS),
    Role.TEACHER: Lifetime(total_ms=12 * _HOUR_MS, idle_ms=2 * _HOUR_MS),
}


def left_ms(lifetime: Lifetime, seen_ms: int, expires_ms: int, now_ms: int) -> tuple[int, int]:
    """Return how much of the total and of the idle time is left; both positive means that the session lives.

    A clock that was set back never makes a session live longer than a new one would.
    """
    total_ms = min(expires_ms - now_ms, lifetime.total_ms)
    idle_ms = min(seen_ms + lifetime.idle_ms - now_ms, lifetime.idle_ms)
    return total_ms, idle_ms
