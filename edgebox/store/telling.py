"""From the rows that staff change to the facts and members that travel. What is told already is not told again."""

import sqlite3

from edgebox.store.writing import add_member, remove_member, write_fact
from sync.records.facts import CLASS_MEMBERS, OFF, ON, AssignmentField, ClassField, Entity, assignment_id

_CLASS = "SELECT pseudonym, code, removed_ms FROM class WHERE no = ?"
_ASSIGNMENT = """
SELECT pseudonym, pack, lesson, version, assigned_ms, is_active FROM assignment JOIN class ON class.no = class_no
WHERE assignment.no = ?
"""
_ENROLLMENT = """
SELECT class.pseudonym, person.pseudonym, is_active
FROM enrollment JOIN class ON class.no = class_no JOIN person ON person.no = person_no
WHERE class_no = ? AND person_no = ? AND role = 'learner'
"""


def tell_class(connection: sqlite3.Connection, no: int, now_ms: int) -> None:
    """Say how a class is now; its title stays in the school."""
    pseudonym, code, removed_ms = connection.execute(_CLASS, (no,)).fetchone()
    for field, value in ((ClassField.CODE, code), (ClassField.IS_ACTIVE, _switch(removed_ms is None))):
        write_fact(connection, Entity.CLASS, pseudonym, field, value, now_ms=now_ms)


def tell_enrollment(connection: sqlite3.Connection, class_no: int, person_no: int, now_ms: int) -> None:
    """Say whether a learner is in a class now; who teaches it stays in the school."""
    row = connection.execute(_ENROLLMENT, (class_no, person_no)).fetchone()
    if row is None:
        return
    if row[2]:
        add_member(connection, CLASS_MEMBERS, row[0], row[1], now_ms=now_ms)
    else:
        remove_member(connection, CLASS_MEMBERS, row[0], row[1])


def tell_assignment(connection: sqlite3.Connection, no: int, now_ms: int) -> None:
    """Say how a lesson that a class was given is now."""
    class_id, pack, lesson, version, assigned_ms, is_active = connection.execute(_ASSIGNMENT, (no,)).fetchone()
    fields = {
        AssignmentField.CLASS_ID: class_id.hex(),
        AssignmentField.PACK: pack,
        AssignmentField.LESSON: lesson,
        AssignmentField.VERSION: "" if version is None else str(version),
        AssignmentField.ASSIGNED_MS: str(max(assigned_ms, 0)),
        AssignmentField.IS_ACTIVE: _switch(bool(is_active)),
    }
    row_id = assignment_id(class_id, pack, lesson)
    for field, value in fields.items():
        write_fact(connection, Entity.ASSIGNMENT, row_id, field, value, now_ms=now_ms)


def tell_all(connection: sqlite3.Connection) -> None:
    """Say how everything is that was written before boxes kept facts."""
    for no, created_ms in connection.execute("SELECT no, created_ms FROM class ORDER BY no").fetchall():
        tell_class(connection, no, created_ms)
    for class_no, person_no in connection.execute("SELECT class_no, person_no FROM enrollment").fetchall():
        tell_enrollment(connection, class_no, person_no, 0)
    for no, assigned_ms in connection.execute("SELECT no, assigned_ms FROM assignment ORDER BY no").fetchall():
        tell_assignment(connection, no, assigned_ms)


def _switch(value: bool) -> str:
    return ON if value else OFF
