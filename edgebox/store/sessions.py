"""Signed-in browsers, the hashes of secrets, and wrong tries."""

import sqlite3
from dataclasses import dataclass

from edgebox.domain import throttle
from edgebox.store import launches

SHARED = ""
SET_UP_CODE = "set_up_code_hash"

_LIVE_SESSIONS = """
SELECT token_hash, person_no, device_key, seen_ms, expires_ms, role, pseudonym, given_name, avatar, language
FROM session JOIN person ON person.no = person_no WHERE removed_ms IS NULL
"""
_INSERT_SESSION = """
INSERT INTO session (token_hash, person_no, device_key, created_ms, seen_ms, expires_ms) VALUES (?, ?, ?, ?, ?, ?)
"""
_COUNT_TRIES = """
INSERT INTO sign_in_failure (person_no, device_key, failures, last_ms, is_familiar) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (person_no, device_key) DO UPDATE
SET failures = excluded.failures, last_ms = excluded.last_ms, is_familiar = excluded.is_familiar
"""


@dataclass(frozen=True)
class Secret:
    """What a person proves themselves with; `hash` is None for nobody, or before a secret was given."""

    person_no: int
    kind: str | None
    hash: str | None


@dataclass(frozen=True)
class _Tries:
    failures: int
    last_ms: int
    is_familiar: bool


def list_live(connection: sqlite3.Connection, now_ms: int) -> list[sqlite3.Row]:
    """Return the sessions that have not expired, each with its person."""
    return connection.execute(f"{_LIVE_SESSIONS} AND expires_ms > ?", (now_ms,)).fetchall()


def find_live(connection: sqlite3.Connection, token_hash: bytes) -> sqlite3.Row | None:
    """Return one session with its person, or None when it was ended."""
    row: sqlite3.Row | None = connection.execute(f"{_LIVE_SESSIONS} AND token_hash = ?", (token_hash,)).fetchone()
    return row


def insert_session(
    connection: sqlite3.Connection, token_hash: bytes, person_no: int, device_key: str, now_ms: int, expires_ms: int
) -> None:
    """Remember a signed-in browser, and forget the sessions that have expired."""
    connection.execute("DELETE FROM session WHERE expires_ms <= ?", (now_ms,))
    connection.execute(_INSERT_SESSION, (token_hash, person_no, device_key, now_ms, now_ms, expires_ms))


def delete_session(connection: sqlite3.Connection, token_hash: bytes) -> None:
    """Forget one signed-in browser."""
    _sign_units_out(connection, "token_hash = ?", token_hash)
    connection.execute("DELETE FROM session WHERE token_hash = ?", (token_hash,))


def delete_sessions_of(connection: sqlite3.Connection, person_no: int) -> None:
    """Forget all browsers a person is signed in on."""
    launches.sign_out(connection, person_no)
    connection.execute("DELETE FROM session WHERE person_no = ?", (person_no,))


def delete_sessions_on(connection: sqlite3.Connection, device_key: str) -> None:
    """Forget whoever is signed in on a browser."""
    _sign_units_out(connection, "device_key = ?", device_key)
    connection.execute("DELETE FROM session WHERE device_key = ?", (device_key,))


def _sign_units_out(connection: sqlite3.Connection, condition: str, value: bytes | str) -> None:
    query = f"SELECT DISTINCT person_no FROM session WHERE {condition}"  # noqa: S608 - one of those above
    for (person_no,) in connection.execute(query, (value,)).fetchall():
        launches.sign_out(connection, person_no)


def touch_session(connection: sqlite3.Connection, token_hash: bytes, now_ms: int) -> None:
    """Note that a session is in use."""
    connection.execute("UPDATE session SET seen_ms = ? WHERE token_hash = ?", (now_ms, token_hash))


def learner_secret(connection: sqlite3.Connection, person_no: int) -> Secret:
    """Return a learner's secret; of nobody, one that no secret fits."""
    statement = (
        "SELECT no, secret_kind, secret_hash FROM person WHERE no = ? AND role = 'learner' AND removed_ms IS NULL"
    )
    row = connection.execute(statement, (person_no,)).fetchone()
    return Secret(*row) if row else Secret(person_no, None, None)


def staff_secret(connection: sqlite3.Connection, login: str, unknown_no: int) -> Secret:
    """Return the secret of the teacher with that login; of nobody, one under `unknown_no` that no password fits."""
    statement = "SELECT no, secret_kind, secret_hash FROM person WHERE login = ? AND removed_ms IS NULL"
    row = connection.execute(statement, (login,)).fetchone()
    return Secret(*row) if row else Secret(unknown_no, None, None)


def store_secret(connection: sqlite3.Connection, person_no: int, kind: str, secret_hash: str) -> None:
    """Replace a person's secret, sign the person out everywhere and forget wrong tries."""
    statement = "UPDATE person SET secret_kind = ?, secret_hash = ? WHERE no = ?"
    connection.execute(statement, (kind, secret_hash, person_no))
    delete_sessions_of(connection, person_no)
    delete_tries_of(connection, person_no)


def store_language(connection: sqlite3.Connection, person_no: int, language: str | None) -> None:
    """Keep the interface language a person chose."""
    connection.execute("UPDATE person SET language = ? WHERE no = ?", (language, person_no))


def begin_try(connection: sqlite3.Connection, person_no: int, device_key: str, now_ms: int) -> int:
    """Count a try as wrong before it is checked, or return how many milliseconds it must wait.

    Counting first means that many tries at once are not many tries for the price of one. `end_try` takes it back.
    """
    own = _tries(connection, person_no, device_key, now_ms)
    counted = [(device_key, own, throttle.FREE_TRIES)]
    if not own.is_familiar:
        counted.append((SHARED, _tries(connection, person_no, SHARED, now_ms), throttle.SHARED_FREE_TRIES))
    if pause_ms := max(throttle.wait_ms(tries.failures, tries.last_ms, now_ms, free) for _, tries, free in counted):
        return pause_ms
    for key, tries, _ in counted:
        connection.execute(_COUNT_TRIES, (person_no, key, tries.failures + 1, now_ms, tries.is_familiar))
    return 0


def end_try(connection: sqlite3.Connection, person_no: int, device_key: str, now_ms: int) -> None:
    """Forget the wrong tries of a browser that got it right; from now on it is familiar."""
    connection.execute(_COUNT_TRIES, (person_no, device_key, 0, now_ms, True))
    connection.execute("DELETE FROM sign_in_failure WHERE person_no = ? AND device_key = ?", (person_no, SHARED))


def delete_tries_of(connection: sqlite3.Connection, person_no: int) -> None:
    """Forget all tries for a person, on every browser."""
    connection.execute("DELETE FROM sign_in_failure WHERE person_no = ?", (person_no,))


def forget_old_tries(connection: sqlite3.Connection, now_ms: int) -> None:
    """Remove the wrong tries of strange browsers that no longer count."""
    forgotten_ms = now_ms - throttle.FORGET_AFTER_MS
    connection.execute("DELETE FROM sign_in_failure WHERE NOT is_familiar AND last_ms <= ?", (forgotten_ms,))


def set_up_code_hash(connection: sqlite3.Connection) -> bytes | None:
    """Return the hash of the one-time code that makes the first teacher."""
    row = connection.execute("SELECT value FROM setting WHERE name = ?", (SET_UP_CODE,)).fetchone()
    return bytes.fromhex(row[0]) if row else None


def store_set_up_code(connection: sqlite3.Connection, code_hash: bytes | None) -> None:
    """Replace the hash of the one-time code, or use it up with None."""
    connection.execute("DELETE FROM setting WHERE name = ?", (SET_UP_CODE,))
    if code_hash is not None:
        connection.execute("INSERT INTO setting (name, value) VALUES (?, ?)", (SET_UP_CODE, code_hash.hex()))


def _tries(connection: sqlite3.Connection, person_no: int, device_key: str, now_ms: int) -> _Tries:
    statement = "SELECT failures, last_ms, is_familiar FROM sign_in_failure WHERE person_no = ? AND device_key = ?"
    row = connection.execute(statement, (person_no, device_key)).fetchone()
    if row is None:
        return _Tries(0, now_ms, False)
    failures, last_ms, is_familiar = row
    if last_ms > now_ms:  # the clock was set back: the pause starts again, so that it ends
        last_ms = now_ms
        moved = "UPDATE sign_in_failure SET last_ms = ? WHERE person_no = ? AND device_key = ?"
        connection.execute(moved, (now_ms, person_no, device_key))
    if throttle.is_forgotten(last_ms, now_ms):
        failures = 0
    return _Tries(failures, last_ms, bool(is_familiar))
