"""Sessions and shapes: the order in which statements stand in a bundle, and what follows from it.

A session is what one learner did on one device in one attempt. A shape is a verb and the set of fields that are
present; a bundle has about a dozen, and in every column the values of one shape stand together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from operator import attrgetter
from types import NoneType
from typing import Any, TypeVar

from sync.bundle.columns import pack_integers, unpack_integers, wrap
from sync.bundle.errors import BundleMalformed
from sync.records.rows import Statement

T = TypeVar("T")

# Bit of each optional field in the mask of a shape; the order is part of the format.
OPTIONAL = (
    "device_seq",
    "id",
    "registration",
    "success",
    "completion",
    "score_raw",
    "score_max",
    "score_scaled",
    "duration_ms",
    "progress",
    "response",
    "body",
)
_OPTIONAL_OF = attrgetter(*OPTIONAL)
LAG_DIRECT, LAG_AFTER_DURATION, DURATION_SINCE_START = 0, 1, 2
_MODES = (LAG_DIRECT, LAG_AFTER_DURATION, DURATION_SINCE_START)

Shape = tuple[int, int, int]  # verb number, mask of OPTIONAL, mode of lag and duration


@dataclass(frozen=True)
class Layout:
    """What both sides know once sessions and shapes are known: who stands where."""

    lengths: list[int]
    shapes: list[Shape]
    shape_of: list[int]

    @cached_property
    def starts(self) -> list[int]:
        """Return the position of the opener of each session."""
        return list(accumulate(self.lengths, initial=0))[:-1]

    @cached_property
    def start_of_each(self) -> list[int]:
        """Return, for each statement, the position of its session's opener."""
        return self.spread(self.starts)

    @cached_property
    def followers(self) -> list[int]:
        """Return the positions that do not open a session, shape by shape."""
        return [place for place in self._by_shape if self.start_of_each[place] != place]

    def having(self, *fields: str) -> list[int]:
        """Return the positions of statements that have all of `fields`, shape by shape."""
        wanted = sum(1 << OPTIONAL.index(field) for field in fields)
        return [place for place in self._by_shape if self.shapes[self.shape_of[place]][1] & wanted == wanted]

    def spread(self, per_session: Sequence[T]) -> list[T]:
        """Return the value of its session for each statement."""
        return [value for value, length in zip(per_session, self.lengths, strict=True) for _ in range(length)]

    def mode(self, place: int) -> int:
        """Return how lag and duration of the statement at `place` are written."""
        return self.shapes[self.shape_of[place]][2]

    @cached_property
    def _by_shape(self) -> list[int]:
        return sorted(range(len(self.shape_of)), key=self.shape_of.__getitem__)


def number(value: int | None) -> int:
    """Return 0 for nothing, else the value plus one."""
    return 0 if value is None else value + 1


def group(statements: Sequence[Statement]) -> list[list[Statement]]:
    """Return sessions by the time of their first statement, each in device order."""
    sessions: dict[tuple[int, int, int], list[Statement]] = {}
    for row in statements:
        key = (number(row.device_no), number(row.learner_no), number(row.attempt_seq))
        sessions.setdefault(key, []).append(row)
    for session in sessions.values():
        session.sort(key=lambda row: (number(row.device_seq), row.timestamp_ms, row.id or b""))
    return sorted(sessions.values(), key=lambda session: session[0].timestamp_ms)


def mask_of(row: Statement) -> int:
    """Return the set of optional fields that are present."""
    return _mask(tuple(map(type, _OPTIONAL_OF(row))))


@cache
def _mask(types: tuple[type, ...]) -> int:
    return sum(1 << bit for bit, present in enumerate(types) if present is not NoneType)


def layout_of(sessions: list[list[Statement]]) -> Layout:
    """Return sessions and shapes, with the cheapest mode of lag and duration for each shape."""
    indexes: dict[tuple[int, int], int] = {}
    costs: list[list[int]] = []
    shape_of = []
    for session in sessions:
        before_ms = start_ms = session[0].timestamp_ms
        for row in session:
            time_ms, duration_ms = row.timestamp_ms, row.duration_ms
            index = indexes.setdefault((row.verb_no, mask_of(row)), len(costs))
            if index == len(costs):
                costs.append([0] * len(_MODES))
            if duration_ms is not None:
                _add_costs(costs[index], time_ms - before_ms, time_ms - start_ms, duration_ms)
            shape_of.append(index)
            before_ms = time_ms
    shapes = [(*kind, costs[index].index(min(costs[index]))) for kind, index in indexes.items()]
    return Layout([len(session) for session in sessions], shapes, shape_of)


def _add_costs(costs: list[int], lag_ms: int, since_ms: int, duration_ms: int) -> None:
    """Add the bits that a lag and a duration take in each mode, see `split_time`."""
    lag_bits, duration_bits = lag_ms.bit_length(), duration_ms.bit_length()
    costs[LAG_DIRECT] += lag_bits + duration_bits
    costs[LAG_AFTER_DURATION] += (lag_ms - duration_ms).bit_length() + duration_bits
    costs[DURATION_SINCE_START] += lag_bits + (since_ms - duration_ms).bit_length()


def pack_layout(layout: Layout) -> list[bytes]:
    """Return the columns that `read_layout` reads."""
    return [
        pack_integers([len(layout.lengths), len(layout.shapes)]),
        pack_integers(layout.lengths),
        *[pack_integers([shape[part] for shape in layout.shapes]) for part in range(3)],
        pack_integers(layout.shape_of),
    ]


def read_layout(source: Iterator[Any], count: int) -> Layout:
    """Return who stands where among `count` statements."""
    counts = unpack_integers(next(source), 2)
    if not all(0 <= claimed <= count for claimed in counts):
        raise BundleMalformed(reason="statement counts")
    lengths = unpack_integers(next(source), counts[0])
    verbs, masks, modes = (unpack_integers(next(source), counts[1]) for _ in range(3))
    shape_of = unpack_integers(next(source), count)
    if min(lengths, default=1) < 1 or sum(lengths) != count:
        raise BundleMalformed(reason="sessions")
    if not all(0 <= mask < 1 << len(OPTIONAL) for mask in masks) or not set(modes) <= set(_MODES):
        raise BundleMalformed(reason="shapes")
    if not all(0 <= shape < counts[1] for shape in shape_of):
        raise BundleMalformed(reason="shapes")
    return Layout(lengths, list(zip(verbs, masks, modes, strict=True)), shape_of)


def split_time(mode: int, row: Statement, before_ms: int, start_ms: int) -> tuple[int, int]:
    """Return lag and duration of a statement as its shape writes them."""
    lag_ms, duration_ms = row.timestamp_ms - before_ms, row.duration_ms or 0
    if mode == LAG_AFTER_DURATION:
        return lag_ms - duration_ms, duration_ms
    if mode == DURATION_SINCE_START:
        return lag_ms, row.timestamp_ms - start_ms - duration_ms
    return lag_ms, duration_ms


def code_attempt(opener: Statement) -> int:
    """Return 0 for no attempt, else its distance from the session's first sequence number, shifted past 0."""
    if opener.attempt_seq is None:
        return 0
    distance = (opener.device_seq or 0) - opener.attempt_seq
    return distance + 1 if distance >= 0 else distance


def undo_attempt(code: int, first_seq: int | None) -> int | None:
    """Return the attempt that `code_attempt` was given."""
    if code == 0:
        return None
    return wrap((first_seq or 0) - (code - 1 if code > 0 else code))
