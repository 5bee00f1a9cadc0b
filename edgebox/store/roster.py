"""Learners, teachers, classes and who is in which class."""

import sqlite3

from content_packs.base import ids
from content_packs.base.errors import N_, EdgeboxError
from edgebox.store import row_seals
from edgebox.store.log import append_change, number_key
from edgebox.store.telling import tell_class, tell_enrollment
from sync.records.kinds import Kind

# For services, which may not import sqlite3, to name what their jobs get.
Connection = sqlite3.Connection

_CODE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_CHARACTERS = 4

_INSERT_PERSON = """
INSERT INTO person (pseudonym, role, given_name, family_name, avatar, login, language, created_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_PERSON = """
SELECT no, pseudonym, role, given_name, family_name, avatar, login, secret_kind, language, created_ms
FROM person WHERE no = ? AND removed_ms IS NULL
"""
_CLASSES = """
SELECT no, pseudonym, code, title, created_ms,
       (SELECT count(*) FROM enrollment JOIN person ON person.no = person_no
        WHERE class_no = class.no AND is_active AND role = 'learner' AND person.removed_ms IS NULL) AS learners
FROM class WHERE removed_ms IS NULL ORDER BY title, no
"""
_LEARNERS_OF_CLASS = """
SELECT no, pseudonym, given_name, family_name, avatar, secret_kind, language
FROM enrollment JOIN person ON person.no = person_no
WHERE class_no = ? AND is_active AND role = 'learner' AND removed_ms IS NULL
ORDER BY given_name, family_name, no
"""
_CLASSES_OF_PERSON = """
SELECT class.no, class.title, class.code FROM enrollment JOIN class ON class.no = class_no
WHERE person_no = ? AND is_active AND removed_ms IS NULL ORDER BY title, class.no
"""
_ENROLL = """
INSERT INTO enrollment (class_no, person_no, is_active) VALUES (?, ?, ?)
ON CONFLICT (class_no, person_no) DO UPDATE SET is_active = excluded.is_active WHERE is_active != excluded.is_active
"""


class LoginTaken(EdgeboxError):
    """A teacher with that login exists."""

    code = "roster.login_taken"
    status = 409
    exit_code = 90
    sentence = N_("Somebody already signs in as {login}.")
    remedy = N_("Choose another name to sign in with.")


class LoginUnknown(EdgeboxError):
    """No teacher has that login."""

    code = "roster.login_unknown"
    status = 404
    exit_code = 104
    sentence = N_("No teacher signs in as {login}.")
    remedy = N_("Look up the name with: edgebox users list")


class PersonUnknown(EdgeboxError):
    """Nobody has that number."""

    code = "roster.person_unknown"
    status = 404
    exit_code = 91
    sentence = N_("This person is not on the box.")
    remedy = N_("Go back and choose again.")


class ClassUnknown(EdgeboxError):
    """No class has that number."""

    code = "roster.class_unknown"
    status = 404
    exit_code = 92
    sentence = N_("This class is not on the box.")
    remedy = N_("Go back and choose again.")


def insert_learner(
    connection: Connection,
    now_ms: int,
    given_name: str,
    *,
    family_name: str = "",
    avatar: str = "fox",
    language: str | None = None,
) -> int:
    """Add a learner without a secret and return the learner's number."""
    pseudonym = ids.random_bytes(ids.ID_BYTES)
    values = (pseudonym, "learner", given_name, family_name, avatar, None, language, now_ms)
    no = _new_row(connection, _INSERT_PERSON, values)
    row_seals.seal(connection, "person", no)
    append_change(connection, Kind.LEARNER, number_key(no))
    return no


def insert_teacher(connection: Connection, now_ms: int, login: str, given_name: str, avatar: str = "owl") -> int:
    """Add a teacher without a secret and return the number; teachers do not travel.

    Raises:
        LoginTaken: the login, compared without regard to case, belongs to somebody.
    """
    folded = login.strip().casefold()
    if connection.execute("SELECT 1 FROM person WHERE login = ?", (folded,)).fetchone():
        raise LoginTaken(login=folded)
    pseudonym = ids.random_bytes(ids.ID_BYTES)
    values = (pseudonym, "teacher", given_name, "", avatar, folded, None, now_ms)
    no = _new_row(connection, _INSERT_PERSON, values)
    row_seals.seal(connection, "person", no)
    return no


def find_teacher(connection: Connection, login: str) -> sqlite3.Row:
    """Return number and name of the teacher with that login, compared without regard to case.

    Raises:
        LoginUnknown: there is none.
    """
    folded = login.strip().casefold()
    statement = "SELECT no, given_name FROM person WHERE login = ? AND removed_ms IS NULL"
    row: sqlite3.Row | None = connection.execute(statement, (folded,)).fetchone()
    if row is None:
        raise LoginUnknown(login=folded)
    return row


def insert_class(connection: Connection, now_ms: int, title: str) -> int:
    """Add a class and return its number; its code is drawn so that no other class has it."""
    code = _draw_code()
    while connection.execute("SELECT 1 FROM class WHERE code = ?", (code,)).fetchone():
        code = _draw_code()
    statement = "INSERT INTO class (pseudonym, code, title, created_ms) VALUES (?, ?, ?, ?)"
    no = _new_row(connection, statement, (ids.random_bytes(ids.ID_BYTES), code, title, now_ms))
    tell_class(connection, no, now_ms)
    return no


def set_enrollment(
    connection: Connection, now_ms: int, class_no: int, person_no: int, *, is_active: bool = True
) -> bool:
    """Put a learner into a class or take one out; tell whether that changed anything. Safe to repeat.

    Raises:
        ClassUnknown, PersonUnknown: one of them does not exist.
    """
    find_class(connection, class_no)
    find_person(connection, person_no)
    if connection.execute(_ENROLL, (class_no, person_no, is_active)).rowcount == 0:
        return False
    tell_enrollment(connection, class_no, person_no, now_ms)
    return True


def find_person(connection: Connection, person_no: int) -> sqlite3.Row:
    """Return one person who was not removed.

    Raises:
        PersonUnknown: there is none.
    """
    row: sqlite3.Row | None = connection.execute(_PERSON, (person_no,)).fetchone()
    if row is None:
        raise PersonUnknown(person_no=person_no)
    return row


def find_class(connection: Connection, class_no: int) -> sqlite3.Row:
    """Return one class that was not removed.

    Raises:
        ClassUnknown: there is none.
    """
    statement = "SELECT no, pseudonym, code, title, created_ms FROM class WHERE no = ? AND removed_ms IS NULL"
    row: sqlite3.Row | None = connection.execute(statement, (class_no,)).fetchone()
    if row is None:
        raise ClassUnknown(class_no=class_no)
    return row


def list_classes(connection: Connection) -> list[sqlite3.Row]:
    """Return all classes by title, each with the number of its `learners`."""
    return connection.execute(_CLASSES).fetchall()


def list_learners(connection: Connection, class_no: int) -> list[sqlite3.Row]:
    """Return the learners of a class by name."""
    return connection.execute(_LEARNERS_OF_CLASS, (class_no,)).fetchall()


def list_classes_of(connection: Connection, person_no: int) -> list[sqlite3.Row]:
    """Return the classes a person is in."""
    return connection.execute(_CLASSES_OF_PERSON, (person_no,)).fetchall()


def list_people(connection: Connection, role: str) -> list[sqlite3.Row]:
    """Return everybody of a role (`learner` or `teacher`) by name."""
    statement = """
    SELECT no, pseudonym, given_name, family_name, avatar, login, secret_kind, language
    FROM person WHERE role = ? AND removed_ms IS NULL ORDER BY given_name, family_name, no
    """
    return connection.execute(statement, (role,)).fetchall()


def has_teacher(connection: Connection) -> bool:
    """Tell whether a teacher with a password exists."""
    statement = "SELECT 1 FROM person WHERE role = 'teacher' AND secret_hash IS NOT NULL AND removed_ms IS NULL"
    return connection.execute(statement).fetchone() is not None


def _new_row(connection: Connection, statement: str, values: tuple[object, ...]) -> int:
    return int(connection.execute(statement, values).lastrowid or 0)


def _draw_code() -> str:
    return "".join(_CODE_ALPHABET[byte & 31] for byte in ids.random_bytes(_CODE_CHARACTERS))
