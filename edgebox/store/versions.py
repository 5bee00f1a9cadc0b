"""What keeps an old version of a pack on the box, and what reports need of it after it has gone."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from edgebox.domain.versions import OPEN_MS, PackInUse
from edgebox.store.catalogue import ListedResource

_GIVEN = """
SELECT DISTINCT assignment.pack, assignment.version FROM assignment JOIN class ON class.no = assignment.class_no
WHERE assignment.is_active = 1 AND assignment.version IS NOT NULL AND class.removed_ms IS NULL
"""
_OPENED = """
SELECT DISTINCT activity.pack, progress.version FROM progress JOIN activity ON activity.no = progress.activity_no
WHERE progress.version IS NOT NULL AND activity.pack IS NOT NULL AND progress.stored_ms BETWEEN ? AND ?
"""
_GIVEN_TO = """
SELECT DISTINCT class.title FROM assignment JOIN class ON class.no = assignment.class_no
WHERE assignment.is_active = 1 AND class.removed_ms IS NULL AND assignment.pack = ? ORDER BY class.title
"""
_AT_WORK = """
SELECT DISTINCT person.given_name FROM progress
JOIN activity ON activity.no = progress.activity_no JOIN person ON person.no = progress.person_no
WHERE activity.pack = ? AND progress.version IS NOT NULL AND progress.stored_ms BETWEEN ? AND ?
ORDER BY person.given_name LIMIT 10
"""
_PUT_DROPPED = """
INSERT INTO dropped_resource (pack, resource, lesson, kind, title, version) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (pack, resource) DO UPDATE SET lesson = excluded.lesson, kind = excluded.kind, title = excluded.title,
    version = excluded.version WHERE excluded.version > dropped_resource.version
"""
_DROPPED_OF = """
SELECT resource, lesson, kind, title FROM dropped_resource WHERE pack = ? AND lesson = ? ORDER BY resource
"""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Resources that are not in the newest version any more, as the version `version` had them."""

    pack: str
    version: int
    resources: tuple[ListedResource, ...]


def list_pins(connection: sqlite3.Connection, now_ms: int) -> set[tuple[str, int]]:
    """Return (pack, version) of what a class was given or a learner is at work in."""
    # Both ways around now: after the clock was set back, what was done last seems to be to come.
    opened = connection.execute(_OPENED, (now_ms - OPEN_MS, now_ms + OPEN_MS))
    return {(row[0], row[1]) for rows in (connection.execute(_GIVEN), opened) for row in rows}


def check_unused(connection: sqlite3.Connection, pack: str, now_ms: int) -> None:
    """Return if nobody uses any version of a pack.

    Raises:
        PackInUse: a class has a lesson of it, or a learner is at work in it.
    """
    classes = [row[0] for row in connection.execute(_GIVEN_TO, (pack,))]
    learners = connection.execute(_AT_WORK, (pack, now_ms - OPEN_MS, now_ms + OPEN_MS))
    users = classes or [row[0] for row in learners]
    if users:
        raise PackInUse(pack=pack, users=", ".join(users))


def put_dropped(connection: sqlite3.Connection, dropped: Iterable[Dropped]) -> None:
    """Keep what reports need of resources that a newer version dropped; safe to repeat."""
    for each in dropped:
        rows = (
            (each.pack, one.id, one.lesson, one.kind, json.dumps(one.title, ensure_ascii=False), each.version)
            for one in each.resources
        )
        connection.executemany(_PUT_DROPPED, rows)


def list_dropped(connection: sqlite3.Connection, pack: str, lesson: str) -> list[ListedResource]:
    """Return the resources a lesson once had; some may be back in the newest version."""
    rows = connection.execute(_DROPPED_OF, (pack, lesson))
    return [ListedResource(row[0], row[1], row[2], json.loads(row[3])) for row in rows]
