"""xAPI state documents: what a learning app wants back when it is opened again."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

_FIND = """
SELECT content_type, content, updated_ms FROM activity_state
WHERE person_no = ? AND activity_iri = ? AND registration = ? AND state_id = ?
"""
_LIST = """
SELECT state_id FROM activity_state
WHERE person_no = ? AND activity_iri = ? AND registration = ? AND updated_ms > ? ORDER BY state_id
"""
_COUNT = "SELECT count(*) FROM activity_state WHERE person_no = ?"
_STORE = """
INSERT INTO activity_state (person_no, activity_iri, registration, state_id, content_type, content, updated_ms)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET content_type = excluded.content_type, content = excluded.content,
    updated_ms = excluded.updated_ms
"""
_DELETE = """
DELETE FROM activity_state WHERE person_no = ? AND activity_iri = ? AND registration = ? AND state_id = ?
"""
_DELETE_ALL = "DELETE FROM activity_state WHERE person_no = ? AND activity_iri = ? AND registration = ?"


@dataclass(frozen=True, slots=True)
class Place:
    """Whose documents, about what; `registration` is empty when none was given."""

    person_no: int
    activity_iri: str
    registration: bytes = b""

    @property
    def key(self) -> tuple[int, str, bytes]:
        """Return the columns that name it."""
        return self.person_no, self.activity_iri, self.registration


@dataclass(frozen=True, slots=True)
class Document:
    """One document as it was sent."""

    content_type: str
    content: bytes
    updated_ms: int


def find_state(connection: sqlite3.Connection, place: Place, state_id: str) -> Document | None:
    """Return one document."""
    row = connection.execute(_FIND, (*place.key, state_id)).fetchone()
    return None if row is None else Document(*row)


def list_states(connection: sqlite3.Connection, place: Place, since_ms: int) -> list[str]:
    """Return the ids of the documents changed after a moment."""
    return [row[0] for row in connection.execute(_LIST, (*place.key, since_ms))]


def change_state(
    connection: sqlite3.Connection,
    place: Place,
    state_id: str,
    decide: Callable[[Document | None, int], Document | None],
) -> None:
    """Let `decide` choose what follows the document that is there, and store that; None removes it.

    `decide` gets the document and the number of all documents of the person, and may raise to change nothing.
    """
    count = int(connection.execute(_COUNT, (place.person_no,)).fetchone()[0])
    after = decide(find_state(connection, place, state_id), count)
    if after is None:
        connection.execute(_DELETE, (*place.key, state_id))
    else:
        connection.execute(_STORE, (*place.key, state_id, after.content_type, after.content, after.updated_ms))


def delete_states(connection: sqlite3.Connection, place: Place) -> None:
    """Remove all documents of a place."""
    connection.execute(_DELETE_ALL, place.key)
