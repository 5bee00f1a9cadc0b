"""Lessons that teachers made of resources of installed packs."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from content_packs.base import ids
from edgebox.store.teaching import end_assignment
from edgebox.store.writing import write_fact
from sync.records.facts import OFF, ON, Entity, LessonField
from sync.records.lessons import OWN_PACK, Named, read_resources, write_resources

_FIND = "SELECT id, title, resources FROM own_lesson WHERE id = ? AND (is_active OR ?)"
_LIST = "SELECT id, title, resources FROM own_lesson WHERE is_active ORDER BY title, no"
_INSERT = "INSERT INTO own_lesson (id, title, resources) VALUES (?, ?, ?)"
_GIVEN = "SELECT class_no, no FROM assignment WHERE pack = ? AND lesson = ? AND is_active"
_END = "UPDATE own_lesson SET is_active = 0 WHERE id = ? AND is_active"


@dataclass(frozen=True)
class OwnLesson:
    """A lesson that a teacher made; `resources` are (pack, resource) in order."""

    id: str
    title: str
    resources: tuple[Named, ...]


def find_lesson(connection: sqlite3.Connection, lesson: str, *, is_ended_too: bool = False) -> OwnLesson | None:
    """Return a lesson by its id in hexadecimal; one that was taken away only if asked."""
    try:
        row = connection.execute(_FIND, (bytes.fromhex(lesson), is_ended_too)).fetchone()
    except ValueError:
        return None
    return None if row is None else _lesson(*row)


def list_lessons(connection: sqlite3.Connection) -> list[OwnLesson]:
    """Return all lessons by title."""
    return [_lesson(*row) for row in connection.execute(_LIST)]


def insert_lesson(connection: sqlite3.Connection, title: str, resources: Sequence[Named], now_ms: int) -> str:
    """Make a lesson and return its id."""
    id_, text = ids.random_bytes(ids.ID_BYTES), write_resources(resources)
    connection.execute(_INSERT, (id_, title, text))
    values = {LessonField.TITLE: title, LessonField.RESOURCES: text, LessonField.IS_ACTIVE: ON}
    for field, value in values.items():
        write_fact(connection, Entity.LESSON, id_, field, value, now_ms=now_ms)
    return id_.hex()


def end_lesson(connection: sqlite3.Connection, lesson: str, now_ms: int) -> None:
    """Take a lesson away, also from the classes that were given it. Safe to repeat."""
    found = find_lesson(connection, lesson)
    if found is None:
        return
    connection.execute(_END, (bytes.fromhex(found.id),))
    write_fact(connection, Entity.LESSON, bytes.fromhex(found.id), LessonField.IS_ACTIVE, OFF, now_ms=now_ms)
    for class_no, no in connection.execute(_GIVEN, (OWN_PACK, found.id)).fetchall():
        end_assignment(connection, class_no, no, now_ms)


def _lesson(id_: bytes, title: str, resources: str) -> OwnLesson:
    return OwnLesson(id_.hex(), title, tuple(read_resources(resources)))
