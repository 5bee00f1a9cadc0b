"""What learners handed in: records that travel with the log, and the files that travel apart from it."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from content_packs.base import ids
from edgebox.store import merged, stamping
from edgebox.store.writing import find_hub_origin, put, write_fact
from sync.records.facts import Entity, HandInField, assignment_id
from sync.records.kinds import Kind
from sync.records.rows import HandIn
from sync.records.sizes import is_file

_ASSIGNED = """
SELECT assignment.no, class.pseudonym, pack, lesson, person.pseudonym
FROM assignment JOIN class ON class.no = assignment.class_no
JOIN enrollment ON enrollment.class_no = assignment.class_no AND enrollment.is_active
JOIN person ON person.no = enrollment.person_no
WHERE person.no = ? AND assignment.is_active AND role = 'learner'
"""
_BY_NO = " AND assignment.no = ?"
_BY_LESSON = " AND pack = ? AND lesson = ? ORDER BY assigned_ms DESC, assignment.no DESC LIMIT 1"
_SAID = f"""
SELECT (SELECT value FROM fact WHERE entity = {int(Entity.HAND_IN)} AND id = hand_in.id
        AND field = {int(HandInField.TEXT)}),
       (SELECT 1 FROM fact WHERE entity = {int(Entity.HAND_IN)} AND id = hand_in.id
        AND field = {int(HandInField.ARRIVED_MS)} AND origin = ? AND value <> ''),
       file.no, is_released, sent_ms
FROM hand_in LEFT JOIN file ON file.hash = hand_in.hash WHERE hand_in.no = ?
"""  # noqa: S608 - numbers of ours
_NOS = "SELECT no, id FROM hand_in WHERE assignment = ?"
_HAS_ARRIVED = f"""EXISTS (
    SELECT 1 FROM hand_in JOIN fact ON fact.entity = {int(Entity.HAND_IN)} AND fact.id = hand_in.id
    WHERE hand_in.hash = file.hash AND field = {int(HandInField.ARRIVED_MS)} AND fact.origin = ? AND value <> ''
)"""  # noqa: S608 - as above
_DUE = f"SELECT no, hash, size_bytes, is_released, sent_ms FROM file WHERE NOT {_HAS_ARRIVED} ORDER BY no"  # noqa: S608
_ARRIVED = f"SELECT no FROM file WHERE {_HAS_ARRIVED}"  # noqa: S608 - as above
_UNNOTED = """
SELECT DISTINCT media_type, size_bytes, hash FROM hand_in
WHERE NOT EXISTS (SELECT 1 FROM file WHERE file.hash = hand_in.hash)
"""
_COUNTS = """
SELECT assignment.no, class.pseudonym, pack, lesson FROM assignment JOIN class ON class.no = class_no
WHERE class_no = ?
"""
_ADD_FILE = "INSERT INTO file (hash, size_bytes, stored_ms) VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING"


@dataclass(frozen=True)
class Assigned:
    """A lesson that a learner was given, as what is handed in for it names it."""

    no: int
    id: bytes
    pack: str
    lesson: str
    learner: bytes


@dataclass(frozen=True)
class Handed:
    """Something that was handed in.

    Attributes:
        no: of its row on this box.
        text: what goes with the record; empty when there is none, or not here.
        has_file: it has a file, which this box need not have.
        file_no: of the file, None while this box does not have it.
        is_arrived: the hub has the file.
        is_sent: the hub has answered to its last bytes.
    """

    no: int
    record: HandIn
    text: str
    has_file: bool
    file_no: int | None
    is_arrived: bool
    is_released: bool
    is_sent: bool


@dataclass(frozen=True)
class FileRow:
    """A file of this box."""

    no: int
    hash: bytes
    size_bytes: int
    is_released: bool
    sent_ms: int | None


def find_assigned(connection: sqlite3.Connection, person_no: int, assignment_no: int) -> Assigned | None:
    """Return a lesson that a learner was given; None when it is not one of the learner's, or not any more."""
    return _assigned(connection.execute(_ASSIGNED + _BY_NO, (person_no, assignment_no)).fetchone())


def find_assigned_lesson(connection: sqlite3.Connection, person_no: int, pack: str, lesson: str) -> Assigned | None:
    """Return by which assignment a learner was given a lesson, the newest of several."""
    return _assigned(connection.execute(_ASSIGNED + _BY_LESSON, (person_no, pack, lesson)).fetchone())


def list_handed(
    connection: sqlite3.Connection, assignment: bytes, learner: bytes | None = None
) -> dict[bytes, list[Handed]]:
    """Return what was handed in for an assignment, by all or by one, by the learner's pseudonym; newest first."""
    hub = find_hub_origin(connection)
    by_learner: dict[bytes, list[Handed]] = {}
    only = {} if learner is None else {"learner": learner}
    records: list[HandIn] = merged.list_where(connection, Kind.HAND_IN, assignment=assignment, **only)
    # After the records: what is handed in between the two has a number and is left out.
    nos = {row[1]: row[0] for row in connection.execute(_NOS, (assignment,))}
    for record in sorted(records, key=lambda each: (each.stamp, each.origin or b""), reverse=True):
        by_learner.setdefault(record.learner, []).append(_handed(connection, nos[record.id], record, hub))
    return by_learner


def find_handed(connection: sqlite3.Connection, no: int) -> Handed | None:
    """Return what was handed in under a number of this box."""
    found = merged.read(connection, Kind.HAND_IN, [no])
    return _handed(connection, no, found[0], find_hub_origin(connection)) if found else None


def count_learners(connection: sqlite3.Connection, class_no: int) -> dict[int, int]:
    """Return how many learners handed something in, by the number of the assignment, ended ones too."""
    counts = {}
    for no, *named in connection.execute(_COUNTS, (class_no,)).fetchall():
        query = "SELECT count(DISTINCT learner) FROM hand_in WHERE assignment = ?"
        counts[no] = int(connection.execute(query, (assignment_id(*named),)).fetchone()[0])
    return counts


def is_named(connection: sqlite3.Connection, digest: bytes) -> bool:
    """Return whether anything that was handed in has this file."""
    return connection.execute("SELECT 1 FROM hand_in WHERE hash = ? LIMIT 1", (digest,)).fetchone() is not None


def insert_hand_in(
    connection: sqlite3.Connection, assigned: Assigned, *, media_type: str, size_bytes: int, digest: bytes, text: str,
    now_ms: int, at_most: int,
) -> bool | None:  # fmt: skip
    """Note what a learner handed in, whose file is on the disk; return whether it is new, None when it is too often.

    A form that was sent twice hands nothing in twice: what the learner handed in last is not noted again.
    """
    before = list_handed(connection, assigned.id, assigned.learner).get(assigned.learner, [])
    if before and (before[0].record.hash, before[0].text) == (digest, text):
        return False
    if len(before) >= at_most:
        return None
    if is_file(media_type, size_bytes):
        add_files(connection, [(digest, size_bytes)], now_ms)
    newest = before[0].record.stamp if before else 0
    stamp, origin = stamping.make_stamp(connection, now_ms, above=newest), stamping.find_origin(connection)
    id_ = ids.random_bytes(ids.ID_BYTES)
    put(connection, HandIn(id_, assigned.id, assigned.learner, media_type, size_bytes, digest, stamp, origin))
    if text:
        write_fact(connection, Entity.HAND_IN, id_, HandInField.TEXT, text, now_ms=now_ms)
    return True


def list_due_files(connection: sqlite3.Connection) -> list[FileRow]:
    """Return the files that the hub of this box has not said to have, in order."""
    hub = find_hub_origin(connection)
    return [FileRow(row[0], row[1], row[2], bool(row[3]), row[4]) for row in connection.execute(_DUE, (hub or b"",))]


def list_arrived_files(connection: sqlite3.Connection) -> set[int]:
    """Return the numbers of the files that the hub of this box said to have."""
    return {row[0] for row in connection.execute(_ARRIVED, (find_hub_origin(connection) or b"",))}


def list_unnoted_files(connection: sqlite3.Connection) -> list[tuple[bytes, int]]:
    """Return hash and size of the files that records tell of and this box does not count as its own."""
    found = connection.execute(_UNNOTED).fetchall()
    return [(digest, size_bytes) for media_type, size_bytes, digest in found if is_file(media_type, size_bytes)]


def add_files(connection: sqlite3.Connection, files: Iterable[tuple[bytes, int]], now_ms: int) -> None:
    """Note files that are on the disk, by hash and size. Safe to repeat."""
    connection.executemany(_ADD_FILE, [(digest, size_bytes, now_ms) for digest, size_bytes in files])


def note_sent(connection: sqlite3.Connection, file_no: int, now_ms: int) -> None:
    """Note that the hub answered to the last bytes of a file; only its own word says that it has the file."""
    connection.execute("UPDATE file SET sent_ms = ? WHERE no = ?", (now_ms, file_no))


def release(connection: sqlite3.Connection, file_no: int) -> None:
    """Let a file go over the line, large as it is. Safe to repeat."""
    connection.execute("UPDATE file SET is_released = 1, sent_ms = NULL WHERE no = ?", (file_no,))


def _assigned(row: Any) -> Assigned | None:
    if row is None:
        return None
    no, class_id, pack, lesson, learner = row
    return Assigned(no, assignment_id(class_id, pack, lesson), pack, lesson, learner)


def _handed(connection: sqlite3.Connection, no: int, record: HandIn, hub: bytes | None) -> Handed:
    text, arrived, file_no, is_released, sent_ms = connection.execute(_SAID, (hub or b"", no)).fetchone()
    has_file = is_file(record.media_type, record.size_bytes)
    return Handed(no, record, text or "", has_file, file_no, bool(arrived), bool(is_released), sent_ms is not None)
