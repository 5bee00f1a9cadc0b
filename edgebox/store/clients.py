"""Credentials of outside clients. A revoked one stays, because statements name it as their authority."""

import sqlite3

from edgebox.domain.caller import Client, Reach

_COLUMNS = "no, login, title, may_write, reach, class_no, created_ms, revoked_ms"
_INSERT = """
INSERT INTO client (login, secret_hash, title, may_write, reach, class_no, person_no, created_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIND = f"SELECT secret_hash, {_COLUMNS} FROM client WHERE login = ? AND revoked_ms IS NULL"  # noqa: S608 - a constant
_LIST = f"SELECT {_COLUMNS} FROM client ORDER BY no"  # noqa: S608 - likewise
_REVOKE = "UPDATE client SET revoked_ms = ? WHERE no = ? AND revoked_ms IS NULL"
_LEARNERS = """
SELECT person_no FROM enrollment JOIN person ON person.no = person_no
WHERE class_no = ? AND enrollment.is_active = 1 AND role = 'learner'
"""


def insert_client(
    connection: sqlite3.Connection,
    login: str,
    secret_hash: bytes,
    *,
    title: str,
    may_write: bool,
    reach: Reach,
    class_no: int | None,
    person_no: int,
    now_ms: int,
) -> int:
    """Keep a credential and return its number."""
    values = (login, secret_hash, title, may_write, reach.value, class_no, person_no, now_ms)
    return int(connection.execute(_INSERT, values).lastrowid or 0)


def find_client(connection: sqlite3.Connection, login: str) -> tuple[bytes, Client] | None:
    """Return the hash of a secret and whose it is; None for an unknown or revoked credential."""
    row = connection.execute(_FIND, (login,)).fetchone()
    return None if row is None else (bytes(row[0]), _client(tuple(row)[1:]))


def list_clients(connection: sqlite3.Connection) -> list[Client]:
    """Return all credentials, revoked ones too."""
    return [_client(tuple(row)) for row in connection.execute(_LIST)]


def revoke_client(connection: sqlite3.Connection, client_no: int, now_ms: int) -> None:
    """End a credential. Safe to repeat."""
    connection.execute(_REVOKE, (now_ms, client_no))


def list_learners_of_class(connection: sqlite3.Connection, class_no: int) -> frozenset[int]:
    """Return the learners who are in a class now."""
    return frozenset(row[0] for row in connection.execute(_LEARNERS, (class_no,)))


def _client(row: tuple[object, ...]) -> Client:
    no, login, title, may_write, reach, class_no, created_ms, revoked_ms = row
    values = (no, login, title, bool(may_write), Reach(reach), class_no, created_ms, revoked_ms)
    return Client(*values)  # type: ignore[arg-type]  # the columns are STRICT
