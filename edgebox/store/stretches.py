"""Where in the log statements are that were stored between two times.

Statements are not always logged in the order of their times: a clock is set back, a rebuilding logs old ones again. The
log is kept as stretches within which they are, each with its first and last time, so that a time is found by halving
the few stretches it falls into, and all others are in or out as a whole.
"""

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from edgebox.store import seals
from sync.records.kinds import Kind
from sync.records.retiming import EARLIEST_MS, LATEST_MS

Range = tuple[int, int]  # the first and the last of what it holds

_AT_ONCE = 50  # statements in memory, of which each may have 256 kB
_HALVED_MAX = 100  # stretches for one page; more overlap only under a clock that tells the same times again and again
_FIRST_BEHIND = "SELECT seq FROM change WHERE seq > ? AND kind = ? ORDER BY seq LIMIT 1"
# Behind several changes without a statement, as there are where statements were lost, another stretch simply begins.
_BEFORE = "SELECT seq, kind, key FROM change WHERE seq < ? ORDER BY seq DESC LIMIT 20"
_NEXT = """
SELECT change.seq, statement.* FROM change CROSS JOIN statement ON statement.id = change.key
WHERE change.seq > ? AND change.kind = ? ORDER BY change.seq LIMIT ?
"""
_PLACES = "SELECT seq, key FROM change WHERE kind = ? AND seq BETWEEN ? AND ? ORDER BY seq"
_WHOLE = "SELECT * FROM statement WHERE id = ?"
_LATEST_BOOT = "SELECT first_change FROM boot ORDER BY no DESC LIMIT 1"
_BOOTS = "SELECT first_change FROM boot ORDER BY first_change"
_ALL = "SELECT * FROM stretch ORDER BY first_change"
_LATEST = "SELECT * FROM stretch WHERE first_change < ? ORDER BY first_change DESC LIMIT 1"
_COLUMNS = ("first_change", "first_ms", "last_ms")
_STORE = "INSERT OR REPLACE INTO stretch (first_change, first_ms, last_ms, seal) VALUES (?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class _Stored:
    """A statement's place in the log, and when the box says it stored it; None when the statement is damaged."""

    seq: int
    told_ms: int | None


def note_stored(connection: sqlite3.Connection, after_seq: int, told_ms: int) -> None:
    """Note in which stretch the statements are that were all stored at one time, behind a place in the log."""
    row = connection.execute(_FIRST_BEHIND, (after_seq, int(Kind.STATEMENT))).fetchone()
    if row is not None:
        boot = connection.execute(_LATEST_BOOT).fetchone()
        starts = [] if boot is None else [boot[0]]
        _join(connection, _last_before(connection, row[0]), _Stored(row[0], told_ms), starts)


def note_logged(connection: sqlite3.Connection, after_seq: int) -> None:
    """Note the stretches behind a place in the log, whenever its statements were stored. Reads them all."""
    starts = [row[0] for row in connection.execute(_BOOTS)]
    before = _last_before(connection, after_seq + 1)
    for stored in _read_behind(connection, after_seq):
        _join(connection, before, stored, starts)
        before = stored


def make_all(connection: sqlite3.Connection) -> None:
    """Note all stretches anew. Reads every statement."""
    connection.execute("DELETE FROM stretch")
    note_logged(connection, 0)


def find_ranges(connection: sqlite3.Connection, told: Sequence[Range], last_seq: int) -> list[Range]:
    """Return the ranges of the log, in order, where all statements are whose told times are in any of some ranges.

    Few others are in them.

    Args:
        told: in order, and apart from each other.
        last_seq: where the log is to end.
    """
    names, rows = seals.select(connection, _ALL)
    if not all(seals.is_whole(names, row) for row in rows):
        return [(1, last_seq)]
    ends = [*(row[0] - 1 for row in rows[1:]), last_seq]
    found: list[Range] = []  # the last one first: what is new is asked for most
    left = _HALVED_MAX
    for (first, first_ms, last_ms, _seal), end in reversed([*zip(rows, ends, strict=False)]):
        places = first, min(end, last_seq)
        times = EARLIEST_MS if first_ms is None else first_ms, LATEST_MS if last_ms is None else last_ms
        wanted = told[bisect_left(told, times[0], key=itemgetter(1)) : bisect_right(told, times[1], key=itemgetter(0))]
        if not wanted or first > last_seq:
            continue
        is_within = wanted[0][0] <= times[0] and wanted[0][1] >= times[1]
        left -= not is_within
        found += [places] if is_within or left < 0 else [*_find_parts(connection, places, times, wanted)][::-1]
    return _joined(reversed(found))


def _find_parts(connection: sqlite3.Connection, places: Range, times: Range, told: Sequence[Range]) -> Iterator[Range]:
    """Return the parts of one stretch whose times are in any of the ranges."""
    first, last = places
    for since_ms, until_ms in told:
        low = first if since_ms <= times[0] else _halve(connection, first, last, since_ms)
        high = last if until_ms >= times[1] else _halve(connection, low, last, until_ms + 1) - 1
        if low <= high:
            yield low, high


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """Return ranges with those made one that follow each other without a gap."""
    joined: list[Range] = []
    for low, high in ranges:
        if joined and joined[-1][1] + 1 == low:
            joined[-1] = joined[-1][0], high
        else:
            joined.append((low, high))
    return joined


def _halve(connection: sqlite3.Connection, first: int, last: int, told_ms: int) -> int:
    """Return the first place of a stretch whose statement was stored at a time or later, else `last` + 1."""
    low, high = first, last + 1
    while low < high:
        middle = (low + high) // 2
        stored = _first_whole(connection, middle, high - 1)
        if stored is None or stored[1] >= told_ms:
            high = middle
        else:
            low = stored[0] + 1
    return low


def _first_whole(connection: sqlite3.Connection, first: int, last: int) -> tuple[int, int] | None:
    """Return the first place whose statement is whole, and when that was stored; a damaged time would lead away."""
    for seq, key in connection.execute(_PLACES, (int(Kind.STATEMENT), first, last)):
        names, rows = seals.select(connection, _WHOLE, (key,))
        if rows and seals.is_whole(names, rows[0]):
            return seq, rows[0][names.index("stored_ms")]
    return None


def _join(connection: sqlite3.Connection, before: _Stored | None, stored: _Stored, starts: Sequence[int]) -> None:
    """Let a statement be in the stretch of the one before it if it can be, else begin another."""
    if before is not None and before.told_ms is not None and stored.told_ms is not None:
        is_same_boot = bisect_right(starts, before.seq) == bisect_right(starts, stored.seq)
        if is_same_boot and before.told_ms <= stored.told_ms:
            return
    names, rows = seals.select(connection, _LATEST, (stored.seq,))
    if rows and before is not None and seals.is_whole(names, rows[0]):
        first_change, first_ms, *_ = rows[0]
        _store(connection, first_change, first_ms, before.told_ms)
    _store(connection, stored.seq, stored.told_ms, None)


def _store(connection: sqlite3.Connection, first_change: int, first_ms: int | None, last_ms: int | None) -> None:
    values = (first_change, first_ms, last_ms)
    connection.execute(_STORE, (*values, seals.seal_of(_COLUMNS, values)))


def _last_before(connection: sqlite3.Connection, seq: int) -> _Stored | None:
    for place, kind, key in connection.execute(_BEFORE, (seq,)):
        names, rows = seals.select(connection, _WHOLE, (key,)) if kind == Kind.STATEMENT else ([], [])
        if rows:
            return _stored(place, names, rows[0])
    return None


def _read_behind(connection: sqlite3.Connection, seq: int) -> Iterator[_Stored]:
    while True:
        names, rows = seals.select(connection, _NEXT, (seq, int(Kind.STATEMENT), _AT_ONCE))
        yield from (_stored(row[0], names[1:], row[1:]) for row in rows)
        if not rows:
            return
        seq = rows[-1][0]


def _stored(seq: int, names: Sequence[str], row: seals.Row) -> _Stored:
    return _Stored(seq, row[names.index("stored_ms")] if seals.is_whole(names, row) else None)
