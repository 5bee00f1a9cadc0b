"""The catalogue in `cache.db`: one row per manifest file, per lesson and per resource, so that lists open no manifest.

The manifests are the truth. A row is used only while the file it was read from has the same stamp.
"""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from content_packs.format.manifest import Lesson, Manifest
from edgebox.domain.catalogue import ListedPart, Shelved

_ADD_SHELVED = "INSERT OR REPLACE INTO shelved (file, stamp, pack, version, signer, record) VALUES (?, ?, ?, ?, ?, ?)"
_ADD_LESSON = "INSERT INTO lesson (pack, version, lesson, place, resources, record) VALUES (?, ?, ?, ?, ?, ?)"
_ADD_RESOURCE = (
    "INSERT INTO resource (pack, version, resource, lesson, place, kind, title) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_LESSONS = """
SELECT pack, version, lesson, place, record FROM lesson
WHERE pack = ? AND version = ? AND place >= ? ORDER BY place LIMIT ?
"""
_LESSON = "SELECT pack, version, lesson, place, record FROM lesson WHERE pack = ? AND version = ? AND lesson = ?"
_RESOURCES = """
SELECT resource, lesson, kind, title FROM resource WHERE pack = ? AND version = ? AND lesson = ? ORDER BY place
"""
_RESOURCE = "SELECT resource, lesson, kind, title FROM resource WHERE pack = ? AND version = ? AND resource = ?"
_DROPPED = """
SELECT resource, lesson, kind, title FROM resource AS old WHERE pack = ?1 AND version = ?2 AND NOT EXISTS
(SELECT 1 FROM resource AS new WHERE new.pack = ?1 AND new.version = ?3 AND new.resource = old.resource)
ORDER BY place
"""


@dataclass(frozen=True, slots=True)
class ListedLesson:
    """A lesson of one version of a pack; `place` counts from 0."""

    pack: str
    version: int
    place: int
    lesson: Lesson


@dataclass(frozen=True, slots=True)
class ListedResource:
    """A resource as tables and search results show it; `pack` is named in lessons of several."""

    id: str
    lesson: str
    kind: str
    title: dict[str, str]
    pack: str = ""


class Catalogue:
    """The catalogue on an open `cache.db`. Not for two threads at once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def list_shelved(self) -> dict[str, Shelved]:
        """Return what was read of each manifest file, by the file's name."""
        rows = self._connection.execute("SELECT file, stamp, pack, version, signer, record FROM shelved")
        return {row[0]: _shelved(*row[1:]) for row in rows}

    def put_shelved(self, file: str, shelved: Shelved, manifest: Manifest) -> None:
        """Put what lists say of a manifest in place of what the file said before; all of it or nothing."""
        with self._connection:
            _remove(self._connection, file)
            named = (shelved.pack, shelved.version)
            record = json.dumps(_record(shelved), ensure_ascii=False)
            self._connection.execute(_ADD_SHELVED, (file, shelved.stamp, *named, shelved.signer, record))
            self._connection.executemany(_ADD_LESSON, (named + row for row in _lesson_rows(manifest)))
            self._connection.executemany(_ADD_RESOURCE, (named + row for row in _resource_rows(manifest)))

    def remove_shelved(self, file: str) -> None:
        """Forget what a file said; safe to repeat."""
        with self._connection:
            _remove(self._connection, file)

    def list_lessons(self, pack: str, version: int, *, start: int = 0, limit: int) -> list[ListedLesson]:
        """Return the lessons of a version from the place `start` on, in order."""
        return [_lesson(*row) for row in self._connection.execute(_LESSONS, (pack, version, start, limit))]

    def find_lesson(self, pack: str, version: int, lesson: str) -> ListedLesson | None:
        """Return one lesson."""
        row = self._connection.execute(_LESSON, (pack, version, lesson)).fetchone()
        return None if row is None else _lesson(*row)

    def list_resources(self, pack: str, version: int, lesson: str) -> list[ListedResource]:
        """Return the resources of a lesson in order."""
        return [_resource(*row) for row in self._connection.execute(_RESOURCES, (pack, version, lesson))]

    def find_resource(self, pack: str, version: int, resource: str) -> ListedResource | None:
        """Return one resource."""
        row = self._connection.execute(_RESOURCE, (pack, version, resource)).fetchone()
        return None if row is None else _resource(*row)

    def list_dropped(self, pack: str, old: int, new: int) -> list[ListedResource]:
        """Return the resources of the version `old` that `new` does not have any more."""
        return [_resource(*row) for row in self._connection.execute(_DROPPED, (pack, old, new))]


def _remove(connection: sqlite3.Connection, file: str) -> None:
    row = connection.execute("SELECT pack, version FROM shelved WHERE file = ?", (file,)).fetchone()
    if row is not None:
        connection.execute("DELETE FROM shelved WHERE file = ?", (file,))
        connection.execute("DELETE FROM lesson WHERE pack = ? AND version = ?", tuple(row))
        connection.execute("DELETE FROM resource WHERE pack = ? AND version = ?", tuple(row))


def _lesson_rows(manifest: Manifest) -> Iterable[tuple[Any, ...]]:
    for place, lesson in enumerate(manifest.lessons):
        record = {
            "title": dict(lesson.title),
            "description": dict(lesson.description),
            "resources": lesson.resource_ids,
            "teaches": lesson.teaches,
            "timeRequired": lesson.time_required,
            "thumbnail": lesson.thumbnail,
        }
        yield lesson.id, place, len(lesson.resource_ids), json.dumps(record, ensure_ascii=False)


def _resource_rows(manifest: Manifest) -> Iterable[tuple[Any, ...]]:
    resources = {resource.id: resource for resource in manifest.resources}
    for lesson in manifest.lessons:
        for place, resource_id in enumerate(lesson.resource_ids):
            resource = resources[resource_id]
            yield resource_id, lesson.id, place, resource.kind, json.dumps(dict(resource.title), ensure_ascii=False)


def _lesson(pack: str, version: int, lesson: str, place: int, record: str) -> ListedLesson:
    read = json.loads(record)
    return ListedLesson(
        pack,
        version,
        place,
        Lesson(
            id=lesson,
            title=read["title"],
            description=read["description"],
            resource_ids=tuple(read["resources"]),
            teaches=tuple(read["teaches"]),
            time_required=read["timeRequired"],
            thumbnail=read["thumbnail"],
        ),
    )


def _resource(resource: str, lesson: str, kind: str, title: str) -> ListedResource:
    return ListedResource(resource, lesson, kind, json.loads(title))


def _record(shelved: Shelved) -> dict[str, Any]:
    return {
        "title": dict(shelved.title),
        "inLanguage": shelved.languages,
        "educationalLevel": shelved.educational_level,
        "about": shelved.about,
        "lessons": shelved.lessons,
        "resources": shelved.resources,
        "size_bytes": shelved.size_bytes,
        "installed_ms": shelved.installed_ms,
        "overlay_of": shelved.overlay_of,
        "overlays": shelved.overlays,
        "localised": dict(shelved.localised),
        "parts": [[part.id, dict(part.title), part.is_taken] for part in shelved.parts],
    }


def _shelved(stamp: str, pack: str, version: int, signer: bytes, record: str) -> Shelved:
    read = json.loads(record)
    return Shelved(
        pack=pack,
        version=version,
        signer=signer,
        title=read["title"],
        languages=tuple(read["inLanguage"]),
        educational_level=read["educationalLevel"],
        about=read["about"],
        lessons=read["lessons"],
        resources=read["resources"],
        size_bytes=read["size_bytes"],
        stamp=stamp,
        installed_ms=read["installed_ms"],
        overlay_of=read["overlay_of"],
        overlays=tuple(read["overlays"]),
        localised=read["localised"],
        parts=tuple(ListedPart(*part) for part in read["parts"]),
    )
