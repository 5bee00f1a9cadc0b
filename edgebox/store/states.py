"""xAPI state documents: what a learning app wants back when it is opened again."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace

from edgebox.store.writing import write_state
from sync.records.rows import State
from sync.records.sizes import state_travels

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
_LEARNER = "SELECT pseudonym FROM person WHERE no = ? AND role = 'learner'"
_BEFORE_ALL_MS = -(1 << 62)


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
    now_ms: int,
) -> None:
    """Let `decide` choose what follows the document that is there, and store that; None removes it.

    `decide` gets the document and the number of all documents of the person, and may raise to change nothing.
    """
    count = int(connection.execute(_COUNT, (place.person_no,)).fetchone()[0])
    before = find_state(connection, place, state_id)
    after = decide(before, count)
    if after is not None:
        connection.execute(_STORE, (*place.key, state_id, after.content_type, after.content, after.updated_ms))
        _tell(connection, place, state_id, after, now_ms)
    elif before is not None:
        _remove(connection, place, state_id, now_ms)


def delete_states(connection: sqlite3.Connection, place: Place, now_ms: int) -> None:
    """Remove all documents of a place."""
    for state_id in list_states(connection, place, _BEFORE_ALL_MS):
        _remove(connection, place, state_id, now_ms)


def _remove(connection: sqlite3.Connection, place: Place, state_id: str, now_ms: int) -> None:
    connection.execute(_DELETE, (*place.key, state_id))
    _tell(connection, place, state_id, None, now_ms)


def _tell(connection: sqlite3.Connection, place: Place, state_id: str, document: Document | None, now_ms: int) -> None:
    """Let a learner's document travel, or that it is gone, if it is of a size that does."""
    row = connection.execute(_LEARNER, (place.person_no,)).fetchone()
    if row is None or (document is not None and not state_travels(len(document.content))):
        return
    content_type, content = (document.content_type, document.content) if document else ("", b"")
    state = State(row[0], place.activity_iri, state_id, content_type, content, 0, place.registration)
    write_state(connection, replace(state, is_removed=document is None), now_ms=now_ms)
