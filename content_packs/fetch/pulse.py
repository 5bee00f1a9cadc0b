"""When a peer counts as dead: the rule, without the socket it is about.

A line that was cut and re-dialled leaves connections that stay silent for ever, and TCP alone takes minutes to find
out. A receiver has nothing to send that could fail, so it listens for the peer's heart: any packet at all, also those
that the program cannot read yet because one before them was lost.
"""

from dataclasses import dataclass

SILENCE_MIN_MS = 4_000
SILENCE_MAX_MS = 60_000
ROUND_TRIPS = 3
DOUBT_MIN_MS = 1_000
DOUBT_ROUND_TRIPS = 2
FAR_MS = 200
CONNECT_MIN_MS = 2_000
CONNECT_ALIVE_MS = 20_000


@dataclass(slots=True)
class Pulse:
    """What was heard of one connection.

    Attributes:
        round_trip_ms: without any queue, 0 while unknown.
        queue_ms: how long packets wait on the way, beyond that.
        patience: doubles the rule once per failure in a row, for a peer that is slow rather than dead.
    """

    heard_ms: int
    packets: int = 0
    round_trip_ms: int = 0
    queue_ms: int = 0
    patience: int = 0

    @property
    def silence_max_ms(self) -> int:
        """Return after how much silence the peer is dead: max(4 s, 3 round trips + queue), at most a minute."""
        rule_ms = max(SILENCE_MIN_MS, ROUND_TRIPS * self.round_trip_ms + self.queue_ms)
        return min(SILENCE_MAX_MS, rule_ms << min(self.patience, 4))

    @property
    def doubt_ms(self) -> int:
        """Return after how much silence it is worth finding out: two round trips, at least a second."""
        return max(DOUBT_MIN_MS, DOUBT_ROUND_TRIPS * self.round_trip_ms)

    def hear(self, now_ms: int, packets: int) -> None:
        """Take note of the number of packets that came so far; a higher one than before is a sign of life."""
        if packets > self.packets:
            self.heard_ms, self.packets = now_ms, packets

    def is_doubtful(self, now_ms: int) -> bool:
        """Return whether a far peer is silent for longer than packets on their way explain."""
        return self.round_trip_ms >= FAR_MS and now_ms - self.heard_ms >= self.doubt_ms

    def is_dead(self, now_ms: int) -> bool:
        """Return whether the silence lasted too long."""
        return now_ms - self.heard_ms >= self.silence_max_ms


def connect_max_ms(round_trip_ms: int, patience: int, *, is_alive: bool) -> int:
    """Return how long a new connection may take.

    Not long after a cut, for one begun a moment before it ends stays dead. But where another connection is just being
    heard (`is_alive`), the answer waits behind what that one gets.
    """
    if is_alive:
        return CONNECT_ALIVE_MS
    rule_ms = max(CONNECT_MIN_MS, ROUND_TRIPS * round_trip_ms)
    return min(SILENCE_MAX_MS, rule_ms << min(max(patience - 2, 0), 4))
