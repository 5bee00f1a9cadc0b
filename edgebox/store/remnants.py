"""Rows out of what is left of them in a damaged database: texts with a flipped bit, and rows that only an index has.

Statements name verbs, activities, devices and people by numbers, and are nobody's where a number means nothing. A text
that is no UTF-8 is no fault of the file's structure, so SQLite finds none.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from edgebox.store import seals
from edgebox.store.connections import UNDECODABLE, is_undecodable, is_unreadable
from edgebox.store.copying import LARGE, UNREADABLE, Rows, insert_rows, list_columns, list_tables, shared_columns
from edgebox.store.log import append_change, number_key
from edgebox.store.repairs import put_aside
from sync.records.activity import parse_activity
from sync.records.kinds import Kind

_CHUNK = 500
_UTF8_MAX_BYTES = 4
_TEXTS = "SELECT name FROM pragma_table_info(?) WHERE type = 'TEXT'"
_LEARNERS = "SELECT no FROM person WHERE role = 'learner'"
_VERBS = f"""
SELECT no FROM verb WHERE stays = 0 UNION SELECT verb_no FROM statement WHERE person_no IN ({_LEARNERS})
"""  # noqa: S608 - made of the constant above
_ACTIVITIES = f"""
SELECT no FROM activity WHERE stays = 0 UNION SELECT activity_no FROM statement WHERE person_no IN ({_LEARNERS})
"""  # noqa: S608 - likewise
_INDEX = """
SELECT list.name FROM pragma_index_list(?) AS list, pragma_index_info(list.name) AS part
WHERE list.partial = 0 GROUP BY list.name HAVING count(*) = 1 AND max(part.name) = ?
"""
_IS_MISSING = """
SELECT EXISTS (SELECT 1 FROM statement WHERE {table}_no IS NOT NULL AND {table}_no NOT IN (SELECT no FROM {table}))
"""
_NAMELESS = """
SELECT * FROM statement WHERE verb_no NOT IN (SELECT no FROM verb) OR activity_no NOT IN (SELECT no FROM activity)
    OR person_no IS NOT NULL AND person_no NOT IN (SELECT no FROM person)
    OR device_no IS NOT NULL AND device_no NOT IN (SELECT no FROM device) LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A table whose rows are known by a number and by one other column, of which there is an index.

    Attributes:
        fill: makes the values of a row, in the order of `columns`, out of both and a time.
        travelling: asks for the numbers that belong in the log.
    """

    table: str
    kind: Kind
    column: str
    columns: str
    fill: Callable[[int, Any, int], tuple[Any, ...]]
    travelling: str


def _activity(no: int, iri: str, _now_ms: int) -> tuple[Any, ...]:
    activity = parse_activity(iri)
    return no, iri, activity.pack, activity.resource, activity.item, 1


def _person(no: int, pseudonym: bytes, now_ms: int) -> tuple[Any, ...]:
    return no, pseudonym, "learner", _name(no), now_ms


def _name(no: int) -> str:
    """Return what a person is called whose name is lost; teachers see by the class who it must be."""
    return f"? {no}"


_NUMBERED = (
    _Numbered("verb", Kind.VERB, "iri", "no, iri, stays", lambda no, iri, _now_ms: (no, iri, 1), _VERBS),
    _Numbered("activity", Kind.ACTIVITY, "iri", "no, iri, pack, resource, item, stays", _activity, _ACTIVITIES),
    _Numbered("device", Kind.DEVICE, "id", "no, id, first_ms", lambda *values: values, "SELECT no FROM device"),
    _Numbered("person", Kind.LEARNER, "pseudonym", "no, pseudonym, role, given_name, created_ms", _person, _LEARNERS),
)
NUMBERED = frozenset(each.table for each in _NUMBERED)


def find_undecodable(connection: sqlite3.Connection, *tables: str) -> str:
    """Return a fault if a text of these tables, or of any, is none; those in statements show in their seals."""
    before, connection.text_factory = connection.text_factory, str
    try:
        for table in tables or list_tables(connection):
            names = [name for (name,) in connection.execute(_TEXTS, (table,)) if table not in LARGE]
            query = f"SELECT {', '.join(names)} FROM {table} NOT INDEXED"  # noqa: S608 - our names
            for _row in connection.execute(query) if names else ():
                pass
    except sqlite3.OperationalError as error:
        if not is_undecodable(error):
            raise
        return UNDECODABLE
    finally:
        connection.text_factory = before
    return ""


def find_missing(out: sqlite3.Connection) -> set[str]:
    """Return the tables that lack numbers which statements name, although all of them could be read.

    Two pages that a card has swapped are whole, and each is that of another table.
    """
    return {each.table for each in _NUMBERED if out.execute(_IS_MISSING.format(table=each.table)).fetchone()[0]}


def bring_texts(
    damaged: sqlite3.Connection, nightly: sqlite3.Connection | None, out: sqlite3.Connection, table: str
) -> None:
    """Insert the rows of a small table that have texts that are none, each text as it most likely was."""
    columns = shared_columns(damaged, out, table)
    if not columns:
        return
    keys = list_columns(out, table, is_key=True)
    insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
    indexed = {each.column: _read_index(damaged, each.table, each.column) for each in _NUMBERED if each.table == table}
    for row in Rows(damaged, table, columns):
        if not any(map(_is_broken, row)):
            continue
        key = {name: row[columns.index(name)] for name in keys}
        hints = [_find_row(nightly, table, columns, key), *_in_index(indexed, columns, row)]
        values = [
            restored(value, [hint[at] for hint in hints if hint is not None]) if _is_broken(value) else value
            for at, value in enumerate(row)
        ]
        insert_rows(out, insert, [tuple(values)])


def bring_from_indexes(damaged: sqlite3.Connection, out: sqlite3.Connection, now_ms: int) -> None:
    """Insert the rows of which only an index is left; it does not tell the names of people."""
    for each in _NUMBERED:
        marks = ", ".join("?" * (each.columns.count(",") + 1))
        insert = f"INSERT OR IGNORE INTO {each.table} ({each.columns}) VALUES ({marks})"  # noqa: S608 - our names
        found = _read_index(damaged, each.table, each.column)
        insert_rows(out, insert, [each.fill(no, value, now_ms) for no, value in found.items() if not _is_broken(value)])
    teachers = _read_index(damaged, "person", "login")
    put = "UPDATE OR IGNORE person SET role = 'teacher', login = ? WHERE no = ? AND given_name = ? AND login IS NULL"
    out.executemany(put, [(login, no, _name(no)) for no, login in teachers.items() if login and not _is_broken(login)])


def put_nameless_aside(connection: sqlite3.Connection, now_ms: int) -> int:
    """Put the statements aside of which nothing says any more whose they are or what they say; return how many.

    Their numbers will be given out again. Whoever has them may bring them again.
    """
    count = 0
    while True:
        names, rows = seals.select(connection, _NAMELESS, (_CHUNK,))
        if not rows:
            return count
        for row in rows:
            put_aside(connection, names, row, now_ms)
            connection.execute("DELETE FROM statement WHERE id = ?", (row[0],))
        count += len(rows)


def log_numbers(connection: sqlite3.Connection) -> None:
    """Log what travels and is not in the log any more: without it nobody can read the statements that name it."""
    for each in _NUMBERED:
        keys = {key for (key,) in connection.execute("SELECT key FROM change WHERE kind = ?", (int(each.kind),))}
        for no in [no for (no,) in connection.execute(each.travelling).fetchall()]:
            if number_key(no) not in keys:
                append_change(connection, each.kind, number_key(no))
        if "stays" in each.columns:
            known = [(int.from_bytes(key, "big"),) for key in keys]
            connection.execute(f"UPDATE {each.table} SET stays = 0 WHERE no IN ({each.travelling})")  # noqa: S608 - ours
            connection.executemany(f"UPDATE {each.table} SET stays = 0 WHERE no = ? AND stays", known)  # noqa: S608


def restored(text: str, known: Iterable[object]) -> str:
    """Return what a text was before one bit of it was turned: one that is known, or the only possible one.

    Where several are possible, what cannot be read is replaced.
    """
    content = text.encode("utf-8", "surrogateescape")
    possible = list(_possible(content))
    likely = [each for each in known if isinstance(each, str) and each in possible]
    if likely or len(possible) == 1:
        return (likely or possible)[0]
    return content.decode("utf-8", "replace")


def _possible(content: bytes) -> Iterator[str]:
    try:
        content.decode()
        return
    except UnicodeDecodeError as error:
        first, last = error.start, error.end
    for at in range(max(0, first - _UTF8_MAX_BYTES), min(last + 1, len(content))):
        for bit in range(8):
            turned = content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
            try:
                yield turned.decode()
            except UnicodeDecodeError:
                continue


def _is_broken(value: object) -> bool:
    if not isinstance(value, str) or value.isascii():
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def _read_index(damaged: sqlite3.Connection, table: str, column: str) -> dict[int, Any]:
    """Return what the index of a column has, by the number of the row, as far as it can be read from either end."""
    found: dict[int, Any] = {}
    for way in ("ASC", "DESC"):
        try:
            index = damaged.execute(_INDEX, (table, column)).fetchone()
            if index is not None:
                query = f"SELECT no, {column} FROM {table} INDEXED BY {index[0]} ORDER BY {column} {way}"  # noqa: S608
                found.update(damaged.execute(query))
            return found
        except UNREADABLE as error:
            if not is_unreadable(error):
                raise
    return found


def _in_index(
    indexed: dict[str, dict[int, Any]], columns: list[str], row: tuple[Any, ...]
) -> Iterator[tuple[Any, ...]]:
    """Return a row with the values that indexes have of it."""
    no = row[columns.index("no")] if "no" in columns else None
    for column, found in indexed.items():
        if no in found:
            yield tuple(found[no] if name == column else None for name in columns)


def _find_row(
    nightly: sqlite3.Connection | None, table: str, columns: list[str], key: dict[str, Any]
) -> tuple[Any, ...] | None:
    if nightly is None or not key or any(map(_is_broken, key.values())):
        return None
    wanted = " AND ".join(f"{name} = ?" for name in key)
    query = f"SELECT {', '.join(columns)} FROM {table} WHERE {wanted}"  # noqa: S608 - our names
    try:
        found: tuple[Any, ...] | None = nightly.execute(query, tuple(key.values())).fetchone()
    except sqlite3.Error:
        return None  # the copy is damaged too, or older than the table
    return found
