"""Marks that teachers gave for lessons of a class."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from edgebox.store import merged
from edgebox.store.writing import write_mark
from sync.records.facts import assignment_id
from sync.records.kinds import TAGS_MAX, Kind
from sync.records.merging import Tag, open_marks, tag_of
from sync.records.rows import Mark

_ASSIGNMENT = """
SELECT class.pseudonym, pack, lesson FROM assignment JOIN class ON class.no = class_no
WHERE assignment.no = ? AND class_no = ?
"""
_ASSIGNMENTS = """
SELECT assignment.no, class.pseudonym, pack, lesson FROM assignment JOIN class ON class.no = class_no
WHERE class_no = ?
"""
_LEARNER = """
SELECT pseudonym FROM enrollment JOIN person ON person.no = person_no
WHERE class_no = ? AND person_no = ? AND is_active AND role = 'learner'
"""


def find_assignment_id(connection: sqlite3.Connection, class_no: int, assignment_no: int) -> bytes | None:
    """Return what names a lesson that a class has or had; None when it never had it."""
    row = connection.execute(_ASSIGNMENT, (assignment_no, class_no)).fetchone()
    return None if row is None else assignment_id(*row)


def list_open_marks(connection: sqlite3.Connection, assignment: bytes) -> dict[bytes, list[Mark]]:
    """Return the marks of a lesson that hold, by the learner's pseudonym; newest first."""
    by_learner: dict[bytes, list[Any]] = {}
    for mark in merged.list_where(connection, Kind.MARK, assignment=assignment):
        by_learner.setdefault(mark.learner, []).append(mark)
    return {learner: open_marks(marks) for learner, marks in by_learner.items()}


def list_undecided(connection: sqlite3.Connection, class_no: int) -> set[int]:
    """Return the numbers of the lessons that a class has or had for which a learner has two marks or more."""
    found = set()
    for no, *named in connection.execute(_ASSIGNMENTS, (class_no,)).fetchall():
        by_learner = list_open_marks(connection, assignment_id(*named))
        if any(len(given) > 1 for given in by_learner.values()):
            found.add(no)
    return found


def give_mark(
    connection: sqlite3.Connection,
    assignment: bytes,
    class_no: int,
    person_no: int,
    value: str,
    comment: str,
    *,
    seen: Iterable[Tag],
    now_ms: int,
) -> bool:
    """Give a mark in place of those of the tags in `seen`; return whether the learner is in the class."""
    row = connection.execute(_LEARNER, (class_no, person_no)).fetchone()
    if row is None:
        return False
    holding = list_open_marks(connection, assignment).get(row[0], [])
    known = {tag_of(mark) for mark in holding}
    replaces = [tag for tag in seen if tag in known][:TAGS_MAX]
    if not _says(holding, replaces, value, comment):
        write_mark(connection, assignment, row[0], value, comment, replaces=replaces, now_ms=now_ms)
    return True


def _says(holding: Sequence[Mark], replaces: Sequence[Tag], value: str, comment: str) -> bool:
    """Return whether the one mark that holds is the same: a form that was sent twice gives no second mark."""
    if not holding:
        return not value and not comment
    only = holding[0]
    return len(holding) == 1 and (only.value, only.comment) == (value, comment) and len(replaces) <= 1
