"""The seals of the rows that a statement is read with: its verb, activity, device and person, and what is beside it.

A statement that is whole says something else when its verb was changed. What is sealed of these rows is written once,
but for `outside`, where a client takes a statement back.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from edgebox.store import seals

SEALED: dict[str, tuple[str, ...]] = {
    "verb": ("no", "iri"),
    "activity": ("no", "iri", "pack", "resource", "item"),
    "device": ("no", "id"),
    "person": ("no", "pseudonym"),
    "outside": ("id", "client_no", "target", "is_void", "voids"),
}
_NAMES = {table: (*(f"{table}.{column}" for column in columns), seals.SEAL) for table, columns in SEALED.items()}
# What is read for `are_whole`, besides what a statement is written out with.
COLUMNS = """
verb.no, verb.seal, activity.no, activity.seal, device.no, device.seal, person.no, person.seal,
outside.id, outside.client_no, outside.target, outside.is_void, outside.voids, outside.seal
"""
NEEDED_BY = ("device_no", "person_no", "body", "digest")
_CACHED_MAX = 10_000
_CHUNK = 500
_FIRST = "IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Unfit:
    """A row that does not fit its seal, and the one it was, None when that cannot be told."""

    table: str
    row: seals.Row
    mended: seals.Row | None


def are_whole(
    names: seals.Row, values: seals.Row, device_no: int | None, person_no: int | None, body: bytes | None, digest: bytes
) -> bool:
    """Tell whether the rows are there that a statement needs, and fit their seals.

    Args:
        names: pseudonym, verb, activity with pack, resource and item, and device, as they were read.
        values: the rest of the rows, read as `COLUMNS`, nulls where there is none.
        device_no: this and what follows are of the statement, see `NEEDED_BY`; what the hub brought has no digest.
    """
    pseudonym, verb, iri, pack, resource, item, device = names
    verb_no, verb_seal, activity_no, activity_seal, found_device, device_seal, found_person, person_seal = values[:8]
    return (
        _is_known_whole("verb", verb_no, verb, verb_seal)
        and _is_known_whole("activity", activity_no, iri, pack, resource, item, activity_seal)
        and found_device == device_no
        and (device_no is None or _is_known_whole("device", device_no, device, device_seal))
        and found_person == person_no
        and (person_no is None or _is_known_whole("person", person_no, pseudonym, person_seal))
        and (body is None or (not digest if values[8] is None else _is_whole("outside", values[8:])))
    )


def seal(connection: sqlite3.Connection, table: str, key: object) -> None:
    """Seal a row as it is now, in the transaction that wrote it."""
    for row in _select(connection, table, "= ?", (key,)):
        _put(connection, table, row)


def seal_rest(connection: sqlite3.Connection) -> None:
    """Seal all rows that have no seal, as they are now."""
    for table in SEALED:
        rows = _select(connection, table, _FIRST)
        while rows:
            for row in rows:
                if row[-1] is None:
                    _put(connection, table, row)
            rows = _select(connection, table, "> ?", (rows[-1][0],))


def find_unfit(
    connection: sqlite3.Connection, table: str, place: str, is_over: Callable[[], bool]
) -> tuple[list[Unfit], str | None]:
    """Read on in a table until time is over; return the rows that do not fit, and the place where to go on, if any."""
    found: list[Unfit] = []
    rows = _select(connection, table, "> ?", (_key(table, place),)) if place else _select(connection, table, _FIRST)
    while rows:
        found += [Unfit(table, row, _mended(connection, table, row)) for row in rows if not _is_whole(table, row)]
        if not isinstance(rows[-1][0], int | bytes):
            break  # its structure is damaged, and that is looked at next
        last = rows[-1][0]
        if is_over():
            return found, last.hex() if isinstance(last, bytes) else str(last)
        rows = _select(connection, table, "> ?", (last,))
    return found, None


def put_right(connection: sqlite3.Connection, unfit: Sequence[Unfit]) -> int:
    """Write the rows as they were that are still as they were found; return how many could be put right.

    Raises:
        sqlite3.IntegrityError: the table or its index has something else under a name of one.
    """
    count = 0
    for each in unfit:
        if each.mended is None or each.row not in _select(connection, each.table, "= ?", (each.row[0],)):
            continue
        try:
            _update(connection, each.table, each.row[0], each.mended)
        except sqlite3.IntegrityError:
            # Its number was changed, and the index has the row under the right one.
            connection.execute(f"REINDEX {each.table}")
            _update(connection, each.table, each.row[0], each.mended)
        count += 1
        # With the changed text it may have been the entry of another row that was taken out.
        connection.execute(f"REINDEX {each.table}")
    return count


def _update(connection: sqlite3.Connection, table: str, key: object, row: seals.Row) -> None:
    columns = SEALED[table]
    values = ", ".join(f"{name} = ?" for name in (*columns, seals.SEAL))
    # The index has what was there before. SQLite lets no row be changed of which an index lacks the text, but so:
    # https://www.sqlite.org/pragma.html#pragma_writable_schema; nothing here writes to the schema.
    connection.execute("PRAGMA writable_schema = ON")
    try:
        connection.execute(f"UPDATE {table} SET {values} WHERE {columns[0]} = ?", (*row, key))  # noqa: S608 - our names
    finally:
        connection.execute("PRAGMA writable_schema = OFF")


@lru_cache(maxsize=_CACHED_MAX)
def _is_known_whole(table: str, *row: Any) -> bool:
    return _is_whole(table, row)


def _is_whole(table: str, row: seals.Row) -> bool:
    return row[-1] is None or bool(row[-1] == seals.seal_of(_NAMES[table], row))


def _mended(connection: sqlite3.Connection, table: str, row: seals.Row) -> seals.Row | None:
    """Return a row as it was: with one bit turned back, or with what its unique index has."""
    found = seals.mended(_NAMES[table], row)
    if found is not None or table == "outside":
        return found
    return next((each for each in _indexed(connection, table, row) if _is_whole(table, each)), None)


def _indexed(connection: sqlite3.Connection, table: str, row: seals.Row) -> Iterator[seals.Row]:
    name = SEALED[table][1]
    query = f"SELECT {name} FROM {table} INDEXED BY sqlite_autoindex_{table}_1 WHERE no = ? ORDER BY {name}"  # noqa: S608
    with suppress(sqlite3.DatabaseError):
        for (value,) in seals.select(connection, query, (row[0],))[1]:
            yield (row[0], value, *row[2:])


def _select(connection: sqlite3.Connection, table: str, condition: str, values: Sequence[Any] = ()) -> list[seals.Row]:
    columns = SEALED[table]
    query = (
        f"SELECT {', '.join(columns)}, seal FROM {table} NOT INDEXED"  # noqa: S608 - our names
        f" WHERE {columns[0]} {condition} ORDER BY {columns[0]} LIMIT {_CHUNK}"
    )
    return [tuple(row) for row in seals.select(connection, query, values)[1]]


def _put(connection: sqlite3.Connection, table: str, row: seals.Row) -> None:
    value = seals.seal_of(_NAMES[table], row)
    connection.execute(f"UPDATE {table} SET seal = ? WHERE {SEALED[table][0]} = ?", (value, row[0]))  # noqa: S608


def _key(table: str, place: str) -> object:
    return bytes.fromhex(place) if table == "outside" else int(place)
