"""Statements as columns, in session order. See docs/bundle-format.md, "Statement columns".

Inside a session nearly everything can be foretold from the statement before: sequence numbers rise by one, activities
are neighbours, and the time between two answers is what the second one took to give. Derived ids are not carried.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sync.bundle.columns import deltas, pack_integers, undo_deltas, unpack_integers, wrap
from sync.bundle.errors import BundleMalformed
from sync.bundle.results import RESULT_COLUMNS, pack_results, unpack_results
from sync.bundle.sessions import (
    DURATION_SINCE_START,
    LAG_AFTER_DURATION,
    Layout,
    code_attempt,
    group,
    layout_of,
    number,
    pack_layout,
    read_layout,
    split_time,
    undo_attempt,
)
from sync.records.rows import Statement

_COLUMNS = 17 + RESULT_COLUMNS


def pack_statements(statements: Sequence[Statement]) -> list[Any]:
    """Return the columns of `statements`; the reader gives them back in session order."""
    sessions = group(statements)
    rows = [row for session in sessions for row in session]
    layout = layout_of(sessions)
    openers = [rows[start] for start in layout.starts]
    return [
        *pack_layout(layout),
        pack_integers([number(row.device_no) for row in openers]),
        pack_integers([number(row.learner_no) for row in openers]),
        pack_integers([code_attempt(row) for row in openers]),
        *_pack_sequence(rows, layout),
        *_pack_activities(rows, layout),
        *_pack_times(rows, layout),
        pack_integers([row.stored_lag_seconds for row in rows]),
        *pack_results(rows, layout),
    ]


def unpack_statements(columns: Any, count: int) -> list[Statement]:
    """Return `count` statements.

    Raises:
        BundleMalformed: any column is not what the format says.
    """
    if not isinstance(columns, list) or len(columns) != _COLUMNS:
        raise BundleMalformed(reason="statement columns")
    source = iter(columns)
    layout = read_layout(source, count)
    fields: dict[str, list[Any]] = {"verb_no": [layout.shapes[shape][0] for shape in layout.shape_of]}
    fields |= _read_sessions(source, layout)
    fields["activity_no"] = _unpack_activities(source, layout)
    fields["timestamp_ms"], fields["duration_ms"] = _unpack_times(source, layout)
    fields["stored_lag_seconds"] = unpack_integers(next(source), count)
    fields |= unpack_results(source, layout, fields["activity_no"])
    return [Statement(**dict(zip(fields, row, strict=True))) for row in zip(*fields.values(), strict=True)]


def _read_sessions(source: Iterator[Any], layout: Layout) -> dict[str, list[int | None]]:
    """Return device, learner, sequence number and attempt of every statement."""
    devices, learners, attempts = (unpack_integers(next(source), len(layout.starts)) for _ in range(3))
    if min(devices, default=0) < 0 or min(learners, default=0) < 0:
        raise BundleMalformed(reason="session numbers")
    device_of = layout.spread([code - 1 if code else None for code in devices])
    seq_of = _unpack_sequence(source, layout, device_of)
    opened = [undo_attempt(code, seq_of[start]) for code, start in zip(attempts, layout.starts, strict=True)]
    return {
        "device_no": device_of,
        "learner_no": layout.spread([code - 1 if code else None for code in learners]),
        "device_seq": seq_of,
        "attempt_seq": layout.spread(opened),
    }


def _pack_sequence(rows: list[Statement], layout: Layout) -> list[bytes]:
    """Return sequence numbers as distance from the one after the device's last: session openers, then the rest."""
    expected: dict[int | None, int] = {}
    codes = {}
    for place in sorted(layout.having("device_seq")):
        seq = rows[place].device_seq or 0
        codes[place] = seq - expected.get(rows[place].device_no, 0)
        expected[rows[place].device_no] = seq + 1
    starts = set(layout.starts)
    openers = [code for place, code in codes.items() if place in starts]
    return [pack_integers(openers), pack_integers([code for place, code in codes.items() if place not in starts])]


def _unpack_sequence(source: Iterator[Any], layout: Layout, devices: list[int | None]) -> list[int | None]:
    starts = set(layout.starts)
    places = sorted(layout.having("device_seq"))
    opener_count = sum(place in starts for place in places)
    openers = iter(unpack_integers(next(source), opener_count))
    rest = iter(unpack_integers(next(source), len(places) - opener_count))
    expected: dict[int | None, int] = {}
    values: list[int | None] = [None] * len(layout.shape_of)
    for place in places:
        seq = wrap(next(openers if place in starts else rest) + expected.get(devices[place], 0))
        values[place] = seq
        expected[devices[place]] = seq + 1
    return values


def _pack_activities(rows: list[Statement], layout: Layout) -> list[bytes]:
    numbers = [row.activity_no for row in rows]
    return [
        pack_integers(deltas(numbers[start] for start in layout.starts)),
        pack_integers([numbers[place] - numbers[place - 1] for place in layout.followers]),
    ]


def _unpack_activities(source: Iterator[Any], layout: Layout) -> list[int]:
    numbers = [0] * len(layout.shape_of)
    for start, opener in zip(
        layout.starts, undo_deltas(unpack_integers(next(source), len(layout.starts))), strict=True
    ):
        numbers[start] = opener
    steps = dict(zip(layout.followers, unpack_integers(next(source), len(layout.followers)), strict=True))
    for place in sorted(steps):
        numbers[place] = wrap(numbers[place - 1] + steps[place])
    return numbers


def _pack_times(rows: list[Statement], layout: Layout) -> list[bytes]:
    """Return the time of session openers, the lags of the others, and durations."""
    times = [row.timestamp_ms for row in rows]
    starts = layout.start_of_each
    lags, durations = {}, {}
    for place, row in enumerate(rows):
        before_ms = times[place] if place == starts[place] else times[place - 1]
        lags[place], durations[place] = split_time(layout.mode(place), row, before_ms, times[starts[place]])
    return [
        pack_integers(deltas(times[start] for start in layout.starts)),
        pack_integers([lags[place] for place in layout.followers]),
        pack_integers([durations[place] for place in layout.having("duration_ms")]),
    ]


def _unpack_times(source: Iterator[Any], layout: Layout) -> tuple[list[int], list[int | None]]:
    openers = undo_deltas(unpack_integers(next(source), len(layout.starts)))
    lags = dict(zip(layout.followers, unpack_integers(next(source), len(layout.followers)), strict=True))
    timed = layout.having("duration_ms")
    rests = dict(zip(timed, unpack_integers(next(source), len(timed)), strict=True))
    times = [0] * len(layout.shape_of)
    durations: list[int | None] = [None] * len(layout.shape_of)
    for start, opener in zip(layout.starts, openers, strict=True):
        times[start] = opener
    for place, start in enumerate(layout.start_of_each):
        rest, mode = rests.get(place), layout.mode(place)
        if place != start:
            after_ms = rest or 0 if mode == LAG_AFTER_DURATION else 0
            times[place] = wrap(times[place - 1] + lags[place] + after_ms)
        if rest is not None:
            durations[place] = wrap(times[place] - times[start] - rest) if mode == DURATION_SINCE_START else rest
    return times, durations
