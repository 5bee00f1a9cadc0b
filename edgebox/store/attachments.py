"""Which files came with which statements."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

_INSERT = "INSERT OR IGNORE INTO attachment (statement_id, sha2, content_type) VALUES (?, ?, ?)"
_LIST = "SELECT statement_id, sha2, content_type FROM attachment WHERE statement_id = ?"
_FIND_NAMED = "SELECT sha2 FROM attachment WHERE sha2 IN (SELECT value FROM json_each(?))"

_ALL = "SELECT sha2 FROM attachment ORDER BY statement_id"  # in the order of the table, so that the index is not read
_BODIES = "SELECT body FROM statement WHERE instr(body, CAST('\"attachments\"' AS BLOB))"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a statement; others that name its hash may never have had it."""

    statement_id: bytes
    sha2: str
    content_type: str


def insert_attachments(connection: sqlite3.Connection, found: Iterable[Attachment]) -> None:
    """Note files that are on the disk. Safe to repeat."""
    connection.executemany(_INSERT, [(one.statement_id, one.sha2, one.content_type) for one in found])


def list_attachments(connection: sqlite3.Connection, statement_ids: Iterable[bytes]) -> list[Attachment]:
    """Return the files that came with some statements."""
    return [Attachment(*row) for id_ in statement_ids for row in connection.execute(_LIST, (id_,))]


def find_named(connection: sqlite3.Connection, hashes: Iterable[str]) -> frozenset[str]:
    """Return those of some hashes whose file came with any statement.

    The table is asked where the index says no: a bit that turned in one of them costs no file.
    """
    wanted = set(hashes)
    found = {row[0] for row in connection.execute(_FIND_NAMED, (json.dumps(list(wanted)),))}
    return frozenset(found if found == wanted else wanted & _list_hashes(connection))


def find_nobodys(connection: sqlite3.Connection, hashes: Iterable[str]) -> frozenset[str]:
    """Return those of some hashes that no statement names, whatever is noted of files; reads all statements."""
    left = set(hashes) - _list_hashes(connection)
    for (body,) in connection.execute(_BODIES) if left else ():
        named = body.lower()
        left -= {sha2 for sha2 in left if sha2.encode() in named}
    return frozenset(left)


def _list_hashes(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute(_ALL)}
