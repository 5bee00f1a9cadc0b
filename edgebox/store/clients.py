"""Credentials of outside clients. A revoked one stays, because statements name it as their authority."""

import json
import sqlite3
from collections.abc import Iterable

from edgebox.domain.caller import Client, Reach

_COLUMNS = "no, login, title, may_write, reach, class_no, created_ms, revoked_ms, may_launch"
_INSERT = """
INSERT INTO client (login, secret_hash, title, may_write, reach, class_no, person_no, created_ms,
    may_launch)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIND = f"SELECT secret_hash, {_COLUMNS} FROM client WHERE login = ? AND revoked_ms IS NULL"  # noqa: S608 - a constant
_LIST = f"SELECT {_COLUMNS} FROM client ORDER BY no"  # noqa: S608 - likewise
_REVOKE = "UPDATE client SET revoked_ms = ? WHERE no = ? AND revoked_ms IS NULL"
_REVOKE_OTHERS = """
UPDATE client SET revoked_ms = ? WHERE revoked_ms IS NULL AND no NOT IN (SELECT value FROM json_each(?))
"""
_KEEP_NUMBERS = """
INSERT INTO client (no, login, secret_hash, title, may_write, reach, created_ms, revoked_ms)
SELECT DISTINCT client_no, 'lost-' || client_no, x'', '', 0, 'none', ?1, ?1 FROM statement
WHERE client_no IS NOT NULL AND client_no NOT IN (SELECT no FROM client)
"""
_LIST_ENDED = """
SELECT DISTINCT at_ms FROM repair JOIN client ON revoked_ms = at_ms WHERE kind = 'rebuilt' ORDER BY 1
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
    may_launch: bool,
) -> None:
    """Keep a credential."""
    values = (login, secret_hash, title, may_write, reach.value, class_no, person_no, now_ms, may_launch)
    connection.execute(_INSERT, values)


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


def revoke_others(connection: sqlite3.Connection, known: Iterable[int], now_ms: int) -> None:
    """End the credentials that came from a copy: somebody may have revoked them since it was made."""
    connection.execute(_REVOKE_OTHERS, (now_ms, json.dumps(list(known))))


def keep_numbers(connection: sqlite3.Connection, now_ms: int) -> None:
    """Keep the numbers of lost credentials that statements name, so that no other app gets them."""
    connection.execute(_KEEP_NUMBERS, (now_ms,))


def list_ended_ms(connection: sqlite3.Connection) -> list[int]:
    """Return when repairs of the database ended credentials, because nobody knew whether they were good."""
    return [at_ms for (at_ms,) in connection.execute(_LIST_ENDED)]


def _client(row: tuple[object, ...]) -> Client:
    no, login, title, may_write, reach, class_no, created_ms, revoked_ms, may_launch = row
    values = (no, login, title, bool(may_write), Reach(reach), class_no, created_ms, revoked_ms, bool(may_launch))
    return Client(*values)  # type: ignore[arg-type]  # the columns are STRICT
