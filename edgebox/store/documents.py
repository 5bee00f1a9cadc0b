"""Documents of learning apps: state about an activity for somebody, and profiles of activities and of agents.

State of a learner of this box has a table of its own, because it travels; all else stays here.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

from edgebox.store.agents import find_agent, number_agent
from edgebox.store.writing import write_state
from sync.records.rows import State
from sync.records.sizes import state_travels

DOCUMENTS_MAX = 2000
UNIT_DOCUMENTS_MAX = 100
# Whether documents of a place are those of a launched unit, in its registration.
_OF_UNIT = """
EXISTS (SELECT 1 FROM cmi5_registration AS r JOIN cmi5_launch AS l ON l.registration_no = r.no
    WHERE r.id = {0}registration AND l.activity_iri = {0}activity_iri)
"""
_IS_OF_UNIT = f"SELECT {_OF_UNIT.format(':')}"
_LEARNER = "SELECT pseudonym FROM person WHERE no = ? AND role = 'learner'"


class Subject(IntEnum):
    """What kind of document. The numbers are in the database."""

    STATE = 1
    ACTIVITY_PROFILE = 2
    AGENT_PROFILE = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Whose documents, about what.

    Attributes:
        person_no: the person of this box whose state it is.
        agent: identifier of any other agent; both None for profiles of activities.
        activity_iri: empty for profiles of agents.
        registration: None when none was given, which is any when several documents are asked for.
    """

    resource: Subject
    person_no: int | None = None
    agent: str | None = None
    activity_iri: str = ""
    registration: bytes | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One document as it was sent."""

    content_type: str
    content: bytes
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Room:
    """How many documents there are where one more would count, and how many there may be."""

    count: int
    limit: int


@dataclass(frozen=True, slots=True)
class _Table:
    """The table of a place and the columns that are the same for all documents there."""

    title: str
    name: str
    columns: tuple[str, ...]
    values: tuple[int | str, ...]

    @property
    def here(self) -> str:
        return " AND ".join(f"{column} = ?" for column in self.columns)


def find_document(connection: sqlite3.Connection, place: Place, name: str) -> Document | None:
    """Return one document."""
    rows = _find_table(connection, place)
    if rows is None:
        return None
    query = f"SELECT content_type, content, updated_ms FROM {rows.title} WHERE {rows.here}"  # noqa: S608 - constants
    values = (*rows.values, place.registration or b"", name)
    row = connection.execute(f"{query} AND registration = ? AND {rows.name} = ?", values).fetchone()
    return None if row is None else Document(*row)


def list_documents(connection: sqlite3.Connection, place: Place, since_ms: int | None) -> list[tuple[str, int]]:
    """Return names of the documents changed after a moment, and when they were."""
    rows = _find_table(connection, place)
    if rows is None:
        return []
    return [(name, updated_ms) for _registration, name, updated_ms in _list(connection, rows, place, since_ms)]


def change_document(
    connection: sqlite3.Connection,
    place: Place,
    name: str,
    decide: Callable[[Document | None, Room], Document | None],
    now_ms: int,
) -> None:
    """Let `decide` choose what follows the document that is there, and store that; None removes it.

    `decide` gets the document and what room there is, and may raise to change nothing.
    """
    rows = _make_table(connection, place)
    before = find_document(connection, place, name)
    after = decide(before, _room(connection, rows, place))
    if after is not None:
        _store(connection, rows, place, name, after)
        _tell(connection, place, place.registration or b"", name, after, now_ms)
    elif before is not None:
        _remove(connection, rows, place, place.registration or b"", name, now_ms)


def delete_documents(connection: sqlite3.Connection, place: Place, now_ms: int) -> None:
    """Remove all documents of a place."""
    rows = _find_table(connection, place)
    for registration, name, _updated_ms in [] if rows is None else _list(connection, rows, place, None):
        _remove(connection, rows, place, registration, name, now_ms)  # type: ignore[arg-type]


def _room(connection: sqlite3.Connection, rows: _Table, place: Place) -> Room:
    """Count the documents of the person, agent or activity, and those of a launched unit only for that unit."""
    own = {"registration": place.registration or b"", "activity_iri": place.activity_iri}
    if place.registration and connection.execute(_IS_OF_UNIT, own).fetchone()[0]:
        query = f"SELECT count(*) FROM {rows.title} WHERE {rows.here} AND registration = ?"  # noqa: S608 - constants
        count = connection.execute(query, (*rows.values, place.registration)).fetchone()[0]
        return Room(int(count), UNIT_DOCUMENTS_MAX)
    scope = 3 if place.resource is Subject.ACTIVITY_PROFILE else rows.columns.index("activity_iri")
    owner = " AND ".join(f"{column} = ?" for column in rows.columns[:scope])
    others = f"registration = x'' OR NOT {_OF_UNIT.format(rows.title + '.')}"
    query = f"SELECT count(*) FROM {rows.title} WHERE {owner} AND ({others})"  # noqa: S608 - constants
    return Room(int(connection.execute(query, rows.values[:scope]).fetchone()[0]), DOCUMENTS_MAX)


def _find_table(connection: sqlite3.Connection, place: Place) -> _Table | None:
    found = None if place.agent is None else find_agent(connection, place.agent)
    if place.agent is not None and found is None:
        return None
    return _table(place, 0 if found is None else found[0])


def _make_table(connection: sqlite3.Connection, place: Place) -> _Table:
    return _table(place, 0 if place.agent is None else number_agent(connection, place.agent))


def _table(place: Place, agent_no: int) -> _Table:
    if place.person_no is not None:
        values: tuple[int | str, ...] = (place.person_no, place.activity_iri)
        return _Table("activity_state", "state_id", ("person_no", "activity_iri"), values)
    values = (int(place.resource), agent_no, place.activity_iri)
    return _Table("document", "name", ("resource", "agent_no", "activity_iri"), values)


def _list(
    connection: sqlite3.Connection, rows: _Table, place: Place, since_ms: int | None
) -> list[tuple[bytes, str, int]]:
    query = f"SELECT registration, {rows.name}, updated_ms FROM {rows.title} WHERE {rows.here}"  # noqa: S608
    values: list[object] = list(rows.values)
    if place.registration is not None:
        query += " AND registration = ?"
        values.append(place.registration)
    if since_ms is not None:
        query += " AND updated_ms > ?"
        values.append(since_ms)
    return [(row[0], row[1], row[2]) for row in connection.execute(f"{query} ORDER BY {rows.name}", values)]


def _store(connection: sqlite3.Connection, rows: _Table, place: Place, name: str, new: Document) -> None:
    columns = (*rows.columns, "registration", rows.name, "content_type", "content", "updated_ms")
    values = (*rows.values, place.registration or b"", name, new.content_type, new.content, new.updated_ms)
    marks = ", ".join("?" * len(values))
    query = f"INSERT OR REPLACE INTO {rows.title} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
    connection.execute(query, values)


def _remove(
    connection: sqlite3.Connection, rows: _Table, place: Place, registration: bytes, name: str, now_ms: int
) -> None:
    query = f"DELETE FROM {rows.title} WHERE {rows.here} AND registration = ? AND {rows.name} = ?"  # noqa: S608
    connection.execute(query, (*rows.values, registration, name))
    _tell(connection, place, registration, name, None, now_ms)


def _tell(
    connection: sqlite3.Connection, place: Place, registration: bytes, name: str, document: Document | None, now_ms: int
) -> None:
    """Let a learner's state travel, or that it is gone, if it is of a size that does."""
    row = None if place.person_no is None else connection.execute(_LEARNER, (place.person_no,)).fetchone()
    if row is None or (document is not None and not state_travels(len(document.content))):
        return
    content_type, content = (document.content_type, document.content) if document else ("", b"")
    state = State(row[0], place.activity_iri, name, content_type, content, 0, registration)
    write_state(connection, replace(state, is_removed=document is None), now_ms=now_ms)
