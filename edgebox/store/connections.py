"""How connections to the learner database are opened, and what an error of SQLite means for people."""

import errno
import sqlite3
from pathlib import Path

from content_packs.base.errors import N_, EdgeboxError

CHECKPOINT_PAGES = 4000
DISK_FULL = N_("the disk is full")
NOT_WRITTEN = N_("the disk did not take it")
DAMAGED = N_("a part of its records is damaged, and it repairs them")
_BUSY_MS = 5000
UNDECODABLE = "a text is no UTF-8"
_PRIMARY_CODE = 0xFF
_NOT_GIVEN = (
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
    sqlite3.SQLITE_IOERR_DATA,
)

# A commit returns after the log is flushed, and a checkpoint flushes both files.
WRITER_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "mmap_size = 0",
    f"busy_timeout = {_BUSY_MS}",
    f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
    "journal_size_limit = 33554432",
    "temp_store = MEMORY",
)
READER_PRAGMAS = ("query_only = ON", "mmap_size = 0", "trusted_schema = OFF", f"busy_timeout = {_BUSY_MS}")


class StoreUnavailable(EdgeboxError):
    """The disk refused a write; nothing of the request was kept."""

    code = "store.unavailable"
    status = 503
    exit_code = 51
    retryable = True
    sentence = N_("The box cannot save right now ({reason}).")
    remedy = N_("Answers stay on the tablets. Free some space or restart the box.")


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the one connection that may write."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256, check_same_thread=False)
    for pragma in WRITER_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot write, nor checkpoint."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    for pragma in READER_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    connection.row_factory = sqlite3.Row
    return connection


def find_fault(connection: sqlite3.Connection) -> str:
    """Return the first fault in the structure of the file, empty when it is whole; reads all of it."""
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return "" if found == "ok" else found


def is_damage(error: BaseException) -> bool:
    """Tell whether SQLite found the file broken: then it raises the base class itself, or a length is absurd.

    Of a text that a flipped bit left no UTF-8 the structure is whole, and only who reads it finds out.
    """
    return type(error) in (sqlite3.DatabaseError, sqlite3.DataError) or is_undecodable(error)


def is_undecodable(error: BaseException) -> bool:
    """Tell whether what was read is no text; the module raises that itself, without a code of SQLite."""
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith("Could not decode to UTF-8")


def is_unreadable(error: BaseException) -> bool:
    """Tell whether a part of a file is damaged, or the disk does not give it.

    Other errors of the disk say nothing of the file: one that is full has no room for what SQLite puts beside it.
    """
    if isinstance(error, (UnicodeError, MemoryError)):
        return True  # in what SQLite says of it, or what it calls its tables; by a length that damage made
    return is_damage(error) or getattr(error, "sqlite_errorcode", 0) in _NOT_GIVEN


def is_full(error: BaseException) -> bool:
    """Tell whether there was no room: SQLite has taken the transaction back, and nothing else is wrong."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC
    return isinstance(error, sqlite3.Error) and _code(error) == sqlite3.SQLITE_FULL


def is_of_the_disk(error: BaseException) -> bool:
    """Tell whether an error in a job is the disk's, so that no other job of its group can do better."""
    codes = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
    return isinstance(error, sqlite3.Error) and (is_damage(error) or _code(error) in codes)


def explained(error: sqlite3.Error | OSError | MemoryError) -> EdgeboxError:
    """Return what an error of SQLite, of the file system or of too little memory means for people."""
    is_broken = isinstance(error, sqlite3.Error) and is_unreadable(error)
    reason = DAMAGED if is_broken else DISK_FULL if is_full(error) else NOT_WRITTEN
    return StoreUnavailable(reason=reason, fault=type(error).__name__)


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & _PRIMARY_CODE
