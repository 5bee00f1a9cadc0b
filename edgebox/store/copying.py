"""Tables copied row by row, from a database of which parts may be unreadable; and the nightly copy of the small ones.

Names of learners are on the box and nowhere else, so everything but the large tables, which the hub has, is copied
every night: a few hundred kilobytes.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from content_packs.base import atomic
from edgebox.store.connections import explained, is_unreadable
from edgebox.store.upgrade import SCHEMA_VERSION, upgrade

STATEMENT = "statement"
LARGE = frozenset({STATEMENT, "statement_conflict", "damaged_statement", "change", "chain", "mention", "listing"})
_TABLES = """
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '\\_%' ESCAPE '\\'
"""
_CHUNK = 500
UNREADABLE = (sqlite3.DatabaseError, UnicodeError, MemoryError)
_REFUSED = (sqlite3.IntegrityError, sqlite3.DataError, UnicodeError)


def nightly_path(path: Path) -> Path:
    """Return where the nightly copy of a database is."""
    return path.with_name(f"{path.name}.nightly")


def copy_small(path: Path) -> None:
    """Replace the nightly copy by one of now; the old one stays until the new one is whole. Blocks.

    Raises:
        StoreUnavailable, OSError: something could not be read or written; the old copy is as it was.
    """
    copy = nightly_path(path)
    beside = copy.with_name(f"{copy.name}.part")
    try:
        _write_small(path, beside)
    except sqlite3.Error as error:
        raise explained(error) from error
    put_in_place(beside, copy)


def _write_small(path: Path, beside: Path) -> None:
    make_fresh(beside)
    with closing(open_source(path)) as source, closing(open_target(beside)) as target:
        source.execute("BEGIN")
        for table in list_tables(target):
            if table not in LARGE and not copy_table(source, target, table):
                raise sqlite3.DatabaseError(table)


def make_fresh(path: Path, version: int = SCHEMA_VERSION) -> None:
    """Make an empty database, at the newest schema or an older one, whatever was there."""
    remove(path)
    upgrade(path, version)


def remove(path: Path) -> None:
    """Remove a database and what SQLite puts beside it. Safe to repeat."""
    for name in (path.name, *(f"{path.name}-{end}" for end in ("wal", "shm", "journal"))):
        path.with_name(name).unlink(missing_ok=True)


def put_in_place(beside: Path, path: Path) -> None:
    """Flush a closed database and give it its name."""
    with beside.open("rb+") as file:
        os.fsync(file.fileno())
    beside.replace(path)
    atomic.sync_directory(path.parent)


def open_source(path: Path) -> sqlite3.Connection:
    """Open a database that may be damaged, without changing it or its log."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
    return connection


def open_target(path: Path) -> sqlite3.Connection:
    """Open a database that counts only once it is closed and flushed."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = MEMORY")
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def list_tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the box's own tables."""
    return [name for (name,) in connection.execute(_TABLES)]


def list_columns(connection: sqlite3.Connection, table: str, *, is_key: bool = False) -> list[str]:
    """Return the names of a table's columns, or of those its rows are known by."""
    found = connection.execute("SELECT name, pk FROM pragma_table_info(?)", (table,)).fetchall()
    return [name for name, place in found if place or not is_key]


def copy_table(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> bool:
    """Copy the rows that can be read and are not there yet; return whether all could be read."""
    columns = shared_columns(source, target, table)
    if not columns:
        return False
    marks = ", ".join("?" * len(columns))
    insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our names
    rows, is_good = Rows(source, table, columns), True
    target.execute("BEGIN")
    while chunk := list(islice(rows, _CHUNK)):
        is_good &= insert_rows(target, insert, chunk)
    target.execute("COMMIT")
    return rows.is_all and is_good


def shared_columns(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> list[str]:
    """Return the columns that both have; none when the source does not even tell which it has."""
    try:
        known = list_columns(source, table)
    except UNREADABLE as error:
        if not is_unreadable(error):
            raise
        return []
    return [name for name in list_columns(target, table) if name in known]


class Rows:
    """The rows of a table from its first on, and where one is unreadable, from its last back to it.

    Attributes:
        is_all: nothing was unreadable so far.
    """

    def __init__(self, connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> None:
        self.is_all = True
        key = list_columns(connection, table, is_key=True) or ["rowid"]
        names = ", ".join(columns)
        self._orders = [
            f"SELECT {names} FROM {table} ORDER BY {', '.join(f'{name} {way}' for name in key)}"  # noqa: S608 - ours
            for way in ("ASC", "DESC")
        ]
        self._connection = connection
        self._rows = self._read()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows

    def __next__(self) -> tuple[Any, ...]:
        return next(self._rows)

    def _read(self) -> Iterator[tuple[Any, ...]]:
        for query in self._orders:
            try:
                yield from self._connection.execute(query)
            except UNREADABLE as error:
                if not is_unreadable(error):
                    raise
                self.is_all = False
            else:
                # The second way round would give the same rows once more.
                return


def insert_rows(target: sqlite3.Connection, insert: str, rows: list[tuple[Any, ...]]) -> bool:
    """Insert those of the rows that the table takes, and return whether it takes all: damage makes anything of them."""
    try:
        target.executemany(insert, rows)
    except _REFUSED:
        return sum(not _insert_one(target, insert, row) for row in rows) == 0
    return True


def _insert_one(target: sqlite3.Connection, insert: str, row: tuple[Any, ...]) -> bool:
    try:
        target.execute(insert, row)
    except _REFUSED:
        return False
    return True
