"""What a receiver does with a bundle: one table from what is held to what happens.

Bundles of one (origin, epoch) are numbered from 1 without gaps, and each names the one before it. One that arrives
early is held until the hole before it is filled. The same number with another content, or a bundle that follows one we
do not have in its place, means that two boxes use one identity: both histories are kept, the later one aside, nothing
more of that epoch is applied, and the sender is told to start a new epoch and send everything again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Verdict(Enum):
    """What to do with an arriving bundle."""

    APPLY = "next in order: apply it, and whatever was held behind it"
    HOLD = "early: keep the file, apply it when the hole is filled"
    DUPLICATE = "the same again: change nothing, acknowledge again"
    FORK = "the same number, another content: keep it aside, flag the origin, tell the sender"


class Relation(Enum):
    """Where a bundle stands."""

    NEXT = "one after the last applied, and it names that one as the bundle before it"
    EARLY = "further ahead, not seen yet"
    SAME = "seen before, the same bytes"
    OTHER = "a number seen before with other bytes, or one that follows another bundle than ours"
    BRANCHED = "new, but this epoch has branched already"


TRANSITIONS: Mapping[Relation, Verdict] = MappingProxyType(
    {
        Relation.NEXT: Verdict.APPLY,
        Relation.EARLY: Verdict.HOLD,
        Relation.SAME: Verdict.DUPLICATE,
        Relation.OTHER: Verdict.FORK,
        Relation.BRANCHED: Verdict.FORK,
    }
)


@dataclass(frozen=True, slots=True)
class Holding:
    """What a receiver has of one (origin, epoch).

    Attributes:
        through_seq: every bundle up to here is applied.
        tail: start of the hash of bundle `through_seq`, zeros before the first.
        held: numbers of the bundles kept beyond the hole.
        known: hashes kept for the number in question, forks included.
        is_forked: two histories were seen in this epoch; nothing more of it is applied.
    """

    tail: bytes
    through_seq: int = 0
    held: frozenset[int] = frozenset()
    known: frozenset[bytes] = frozenset()
    is_forked: bool = False


def judge(holding: Holding, seq: int, digest: bytes, previous: bytes) -> Verdict:
    """Return what to do with bundle `seq` whose body hashes to `digest` and that follows `previous`, or its start."""
    return TRANSITIONS[_relation(holding, seq, digest, previous)]


def ranges(held: frozenset[int], max_ranges: int) -> tuple[tuple[int, int], ...]:
    """Return the held numbers as inclusive ranges, the lowest `max_ranges` of them."""
    found: list[tuple[int, int]] = []
    for seq in sorted(held):
        if found and found[-1][1] == seq - 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return tuple(found[:max_ranges])


def _relation(holding: Holding, seq: int, digest: bytes, previous: bytes) -> Relation:
    if digest in holding.known:
        return Relation.SAME
    if holding.is_forked:
        return Relation.BRANCHED
    if seq <= holding.through_seq or seq in holding.held:
        return Relation.OTHER
    if seq > holding.through_seq + 1:
        return Relation.EARLY
    return Relation.NEXT if holding.tail.startswith(previous) else Relation.OTHER
