"""What a hub learns from a box's word on the bundles it was sent. Pure.

A box says what it holds in the head of everything that it sends, and in acks of its own. Words are late, come twice and
out of order, so nothing that was settled is taken back by a word older than the one that settled it. Old and new are
by the clock of the box, which may be wrong; a wrong one only delays what is told apart by it, and is never believed
when it is more than a day ahead.
"""

from dataclasses import dataclass
from enum import Enum

from sync.bundle.layout import Vector

AHEAD_MAX_MS = 86_400_000
EPOCH_MAX = 1 << 48


class Lesson(Enum):
    """What to do after a word of the box."""

    SETTLE = "settle what it holds"
    WAIT_AGAIN = "settle what it holds; what it lacks waits again, and if that is not kept any more, start over"
    START_OVER = "it has another history than was made here: everything goes again in a new epoch"


@dataclass(frozen=True, slots=True)
class Stream:
    """The bundles for one box.

    Attributes:
        made_seq: number of the last one made in this epoch.
        said_ms: when, by the box's clock, it gave the word that settled something last.
    """

    epoch: int
    made_seq: int
    said_ms: int


@dataclass(frozen=True, slots=True)
class Said:
    """A box's word on what it holds of the hub's bundles, given at `said_ms` of its own clock."""

    vector: Vector
    said_ms: int
    is_forked: bool = False

    def held_of(self, epoch: int) -> Vector:
        """Return what the box holds of an epoch: nothing, when it speaks of another."""
        return self.vector if self.vector.epoch == epoch else Vector(self.vector.origin, epoch, 0, 0)


def learn(stream: Stream, said: Said, now_ms: int) -> Lesson:
    """Return what follows from a word of the box at `now_ms` of the hub's clock."""
    vector = said.vector
    if vector.epoch > EPOCH_MAX:
        return Lesson.SETTLE
    is_same = vector.epoch == stream.epoch
    is_unknown = max((last for _first, last in held(vector)), default=0) > stream.made_seq
    if vector.epoch > stream.epoch or (is_same and (said.is_forked or is_unknown)):
        return Lesson.START_OVER
    is_newer = stream.said_ms < said.said_ms <= now_ms + AHEAD_MAX_MS
    return Lesson.WAIT_AGAIN if is_newer else Lesson.SETTLE


def held(vector: Vector) -> list[tuple[int, int]]:
    """Return the numbers that a vector covers as inclusive ranges, in order and without overlaps."""
    found: list[tuple[int, int]] = []
    for first, last in sorted([(1, vector.through_seq), *vector.ranges]):
        start = max(first, found[-1][1] + 1 if found else 1)
        if start <= last:
            found.append((start, last))
    return found


def lacking(vector: Vector, through_seq: int) -> list[tuple[int, int]]:
    """Return the numbers up to `through_seq` that a vector does not cover, as inclusive ranges."""
    found, start = [], 1
    for first, last in held(vector):
        if start < first:
            found.append((start, min(first - 1, through_seq)))
        start = last + 1
    if start <= through_seq:
        found.append((start, through_seq))
    return [(first, last) for first, last in found if first <= last]
