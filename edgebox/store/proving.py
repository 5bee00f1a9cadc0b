"""After the disk failed: open the database anew and prove that everything acknowledged is in it.

When a flush fails, Linux may mark what it could not write as written, and the next flush then succeeds without it
(Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). So a failed flush is never tried
again: whatever the log holds is written once more, into the database itself, flushed, and the log cut to nothing. Then
the file is read from the disk, past the memory of the system.
"""

import os
import sqlite3
from pathlib import Path

from edgebox.store.connections import find_fault, open_writer

_LAST_CHANGE = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change'), 0)"


def last_change(connection: sqlite3.Connection) -> int:
    """Return the number of the last change that was ever logged, also inside a transaction."""
    return int(connection.execute(_LAST_CHANGE).fetchone()[0])


def open_proved(path: Path, acknowledged_change: int) -> sqlite3.Connection:
    """Open the writer of a database of which the disk failed.

    Args:
        path: the file; no other connection may write to it.
        acknowledged_change: the last change of which anybody was told.

    Raises:
        sqlite3.OperationalError: the disk still fails, or a reader is in the way; try again later.
        sqlite3.DatabaseError: the file is damaged, or lacks what was acknowledged.
    """
    connection = open_writer(path)
    try:
        if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise sqlite3.OperationalError("the log could not be written into the database")
        _forget_pages(path)
        if fault := find_fault(connection):
            raise sqlite3.DatabaseError(fault)
        if last_change(connection) < acknowledged_change:
            raise sqlite3.DatabaseError("an acknowledged change is missing")
    except BaseException:
        connection.close()
        raise
    return connection


def _forget_pages(path: Path) -> None:
    """Let the system forget what it holds of the file, so that the next read is one of the disk; a hint."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
