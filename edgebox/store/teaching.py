"""Which lessons a class was given, and how far its learners are."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from edgebox.store import roster
from edgebox.store.boots import find_timeline
from edgebox.store.catalogue import ListedLesson
from edgebox.store.telling import tell_assignment

_ASSIGN = """
INSERT INTO assignment (class_no, pack, lesson, version, assigned_ms, person_no) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (class_no, pack, lesson) DO UPDATE
SET assigned_ms = excluded.assigned_ms, person_no = excluded.person_no, version = excluded.version, is_active = 1
WHERE is_active = 0
"""
_OF_CLASS = """
SELECT no, pack, lesson, version, assigned_ms FROM assignment
WHERE class_no = ? AND is_active = ? ORDER BY assigned_ms, no
"""
_SET_VERSION = "UPDATE assignment SET version = ? WHERE no = ? AND class_no = ? AND is_active = 1"
# Learners have begun far more than a class was given, so what is asked for is looked up learner by learner.
_PROGRESS = """
WITH wanted AS MATERIALIZED (
    SELECT no, activity.pack AS pack, activity.resource AS resource FROM json_each(?) AS column
    CROSS JOIN activity ON activity.pack = column.value ->> 0 AND activity.resource = column.value ->> 1
    WHERE item IS NULL
)
SELECT progress.person_no, wanted.pack, wanted.resource, progress, is_complete, score_scaled
FROM enrollment CROSS JOIN wanted CROSS JOIN progress
    ON progress.person_no = enrollment.person_no AND progress.activity_no = wanted.no
WHERE enrollment.class_no = ? AND enrollment.is_active
"""
_BEGUN = """
SELECT pack, resource FROM (
    SELECT DISTINCT activity_no FROM enrollment CROSS JOIN progress USING (person_no) WHERE class_no = ? AND is_active
) JOIN activity ON activity.no = activity_no WHERE pack IS NOT NULL AND item IS NULL
"""
_WORKED = """
SELECT progress.person_no, last_ms FROM enrollment CROSS JOIN progress USING (person_no)
JOIN activity ON activity.no = activity_no
WHERE class_no = ? AND enrollment.is_active AND pack IS NOT NULL AND item IS NULL
"""
_WORK = """
SELECT iri, pack, resource, progress, is_complete, score_scaled, attempts, duration_ms, first_ms, last_ms
FROM progress JOIN activity ON activity.no = activity_no
WHERE person_no = ? AND item IS NULL ORDER BY first_ms, activity_no
"""


@dataclass(frozen=True)
class Assignment:
    """A lesson that a class was given; `version` is None when it follows the newest one."""

    no: int
    pack: str
    lesson: str
    version: int | None
    assigned_ms: int


@dataclass(frozen=True)
class ProgressRow:
    """How far one learner is with one resource."""

    person_no: int
    pack: str
    resource: str
    progress: float
    is_complete: bool
    score_scaled: float | None


@dataclass(frozen=True)
class Work:
    """What one learner did with one resource, times repaired; `pack` is None for what another app is about."""

    iri: str
    pack: str | None
    resource: str | None
    progress: float
    is_complete: bool
    score_scaled: float | None
    attempts: int
    duration_ms: int
    first_ms: int
    last_ms: int


def insert_member(
    connection: sqlite3.Connection, class_no: int, now_ms: int, *, given_name: str, family_name: str, avatar: str
) -> int:
    """Add a learner to a class and return the learner's number.

    Raises:
        ClassUnknown: there is no such class; nobody is added.
    """
    roster.find_class(connection, class_no)
    person_no = roster.insert_learner(connection, now_ms, given_name, family_name=family_name, avatar=avatar)
    roster.set_enrollment(connection, now_ms, class_no, person_no)
    return person_no


def insert_assignment(
    connection: sqlite3.Connection, class_no: int, listed: ListedLesson, *, person_no: int | None, now_ms: int
) -> int:
    """Give a lesson to a class and return the assignment's number; safe to repeat.

    Raises:
        ClassUnknown: there is no such class.
    """
    roster.find_class(connection, class_no)
    pack, lesson = listed.pack, listed.lesson.id
    changed = connection.execute(_ASSIGN, (class_no, pack, lesson, listed.version, now_ms, person_no)).rowcount
    row = connection.execute(
        "SELECT no FROM assignment WHERE class_no = ? AND pack = ? AND lesson = ?", (class_no, pack, lesson)
    ).fetchone()
    if changed:
        tell_assignment(connection, row[0], now_ms)
    return int(row[0])


def end_assignment(connection: sqlite3.Connection, class_no: int, no: int, now_ms: int) -> None:
    """Take a lesson back; what was learned stays. Safe to repeat."""
    statement = "UPDATE assignment SET is_active = 0 WHERE no = ? AND class_no = ? AND is_active = 1"
    if connection.execute(statement, (no, class_no)).rowcount:
        tell_assignment(connection, no, now_ms)


def set_version(connection: sqlite3.Connection, class_no: int, no: int, version: int, now_ms: int) -> None:
    """Let a class have another version of a lesson from now on. Safe to repeat."""
    if connection.execute(_SET_VERSION, (version, no, class_no)).rowcount:
        tell_assignment(connection, no, now_ms)


def list_assignments(connection: sqlite3.Connection, class_no: int, *, is_active: bool = True) -> list[Assignment]:
    """Return what a class was given, or what it was given and had taken back, in the order it was given."""
    return [Assignment(*row) for row in connection.execute(_OF_CLASS, (class_no, is_active))]


def list_progress(
    connection: sqlite3.Connection, class_no: int, wanted: Iterable[tuple[str, str]]
) -> list[ProgressRow]:
    """Return the progress of all learners of a class in resources, named by (pack, resource)."""
    columns = json.dumps(list(dict.fromkeys(wanted)))
    return [
        ProgressRow(person_no, pack, resource, progress, bool(is_complete), score_scaled)
        for person_no, pack, resource, progress, is_complete, score_scaled in connection.execute(
            _PROGRESS, (columns, class_no)
        )
    ]


def list_begun(connection: sqlite3.Connection, class_no: int) -> set[tuple[str, str]]:
    """Return (pack, resource) of whatever the learners of a class have begun."""
    return {(pack, resource) for pack, resource in connection.execute(_BEGUN, (class_no,))}


def list_worked(connection: sqlite3.Connection, class_no: int) -> dict[int, tuple[int, bool]]:
    """Return when each learner of a class worked last, and whether that is not what the box told then."""
    timeline = find_timeline(connection)
    worked: dict[int, tuple[int, bool]] = {}
    for person_no, last_ms in connection.execute(_WORKED, (class_no,)):
        offset_ms = timeline.offset_at(last_ms)
        if person_no not in worked or last_ms + offset_ms > worked[person_no][0]:
            worked[person_no] = last_ms + offset_ms, offset_ms != 0
    return worked


def list_work(connection: sqlite3.Connection, person_no: int) -> list[Work]:
    """Return all that a learner did, what was begun first coming first."""
    timeline = find_timeline(connection)
    return [
        Work(
            iri=row[0],
            pack=row[1],
            resource=row[2],
            progress=row[3],
            is_complete=bool(row[4]),
            score_scaled=row[5],
            attempts=row[6],
            duration_ms=row[7],
            first_ms=row[8] + timeline.offset_at(row[8]),
            last_ms=row[9] + timeline.offset_at(row[9]),
        )
        for row in connection.execute(_WORK, (person_no,))
    ]
