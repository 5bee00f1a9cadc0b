"""The stamps of this box's writes, and whose writes they are; both are rows of `setting`.

They move in the transaction of the write that they stamp, so that a power cut takes both or none.
"""

import sqlite3

from sync.records.stamps import STAMP_MAX, following, observed

_STAMP = "stamp"
_ORIGIN = "origin"
_NOBODY = bytes(16)
_FIND = "SELECT value FROM setting WHERE name = ?"
_PUT = "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


def make_stamp(connection: sqlite3.Connection, now_ms: int, above: int = 0) -> int:
    """Return the stamp of a write made now, and keep it as the highest.

    Args:
        above: the stamp of what the write replaces. One from a clock that runs years ahead is passed for this write
            alone, so that the person who writes is heard and the box's own clock stays.
    """
    stamp = following(_find_stamp(connection), now_ms)
    connection.execute(_PUT, (_STAMP, str(stamp)))
    return min(max(stamp, above + 1), STAMP_MAX)


def observe(connection: sqlite3.Connection, stamps: list[int], now_ms: int) -> None:
    """Let later writes of this box be above stamps that others made."""
    before = highest = _find_stamp(connection)
    for stamp in stamps:
        highest = observed(highest, stamp, now_ms)
    if highest != before:
        connection.execute(_PUT, (_STAMP, str(highest)))


def find_origin(connection: sqlite3.Connection) -> bytes:
    """Return whose writes are made here: zeros until the box has told its id."""
    row = connection.execute(_FIND, (_ORIGIN,)).fetchone()
    return _NOBODY if row is None else bytes.fromhex(row[0])


def put_origin(connection: sqlite3.Connection, origin: bytes) -> None:
    """Keep the id of this box for its writes; earlier ones stay under the id they were made with."""
    if find_origin(connection) != origin:
        connection.execute(_PUT, (_ORIGIN, origin.hex()))


def _find_stamp(connection: sqlite3.Connection) -> int:
    row = connection.execute(_FIND, (_STAMP,)).fetchone()
    return 0 if row is None else int(row[0])
