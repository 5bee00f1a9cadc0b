"""The end of the change log: every row that travels is named here, in the transaction that wrote it."""

import sqlite3

_APPEND = "INSERT INTO change (kind, key) VALUES (?, ?)"


def append_change(connection: sqlite3.Connection, kind: int, key: bytes) -> int:
    """Note that the row `key` of a kind is new or changed, and return the number of the note."""
    return int(connection.execute(_APPEND, (int(kind), key)).lastrowid or 0)


def number_key(no: int) -> bytes:
    """Return the key of a row that is known by its number."""
    return no.to_bytes(8, "big")
