"""The small numbers of agents whom outside clients named, with the names they gave."""

import sqlite3

_FIND = "SELECT no, name FROM agent WHERE identifier = ?"
_INSERT = "INSERT INTO agent (identifier, name) VALUES (?, ?)"
_RENAME = "UPDATE agent SET name = ? WHERE no = ?"


def find_agent(connection: sqlite3.Connection, identifier: str) -> tuple[int, str | None] | None:
    """Return number and last name of an agent."""
    row = connection.execute(_FIND, (identifier,)).fetchone()
    return None if row is None else (int(row[0]), row[1])


def number_agent(
    connection: sqlite3.Connection, identifier: str, name: str | None = None, *, may_rename: bool = False
) -> int:
    """Return the number of an agent, made if need be; a name that is given is kept, and replaces one only if it may."""
    found = find_agent(connection, identifier)
    if found is None:
        return int(connection.execute(_INSERT, (identifier, name)).lastrowid or 0)
    if name is not None and name != found[1] and (may_rename or found[1] is None):
        connection.execute(_RENAME, (name, found[0]))
    return found[0]
