"""Registrations and launches of cmi5 courses."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgebox.domain.cmi5.session import READS_FOR_MS, SPEAKS_FOR_MS, Launch, Mode, Stage
from edgebox.domain.cmi5.vocabulary import Verb, from_bits, to_bits

READ_LAUNCH = 1
READ_PREFERENCES = 2
_LAUNCH = """
SELECT l.no, l.session, r.no, r.id, r.agent, r.person_no, l.activity_iri, l.publisher_id, l.mode,
    l.mastery_score, l.launched_ms, l.last_ms
FROM cmi5_launch AS l JOIN cmi5_registration AS r ON r.no = l.registration_no
"""
_STAGE = """
SELECT l.verbs, coalesce(u.verbs, 0), l.documents, l.ended_ms, l.launched_ms FROM cmi5_launch AS l
LEFT JOIN cmi5_unit AS u ON u.registration_no = l.registration_no AND u.publisher_id = l.publisher_id WHERE l.no = ?
"""
_READER = """
SELECT 1 FROM cmi5_launch AS l JOIN cmi5_registration AS r ON r.no = l.registration_no
LEFT JOIN person ON person.no = r.person_no
WHERE l.no = ? AND l.ended_ms IS NULL AND l.is_signed_out = 0 AND l.launched_ms > ? AND person.removed_ms IS NULL
"""
_SIGN_OUT = """
UPDATE cmi5_launch SET is_signed_out = 1
WHERE ended_ms IS NULL AND registration_no IN (SELECT no FROM cmi5_registration WHERE person_no = ?)
"""
_REGISTRATION = "SELECT no, id, course_no, pack, agent, actor, person_no FROM cmi5_registration"
_INSERT_REGISTRATION = """
INSERT INTO cmi5_registration (id, course_no, pack, agent, actor, person_no) VALUES (?, ?, ?, ?, ?, ?)
"""
_INSERT_LAUNCH = """
INSERT INTO cmi5_launch (session, registration_no, activity_iri, publisher_id, mode, mastery_score, launched_ms,
    last_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
"""
_ADD_VERBS = """
INSERT INTO cmi5_unit (registration_no, publisher_id, verbs) VALUES (?, ?, ?)
ON CONFLICT (registration_no, publisher_id) DO UPDATE SET verbs = verbs | excluded.verbs
"""


@dataclass(frozen=True, slots=True)
class Registration:
    """A learner's turn with a course."""

    no: int
    id: bytes
    course_no: int
    pack: str
    agent: str
    actor: Mapping[str, Any]
    person_no: int | None


def keep_course(connection: sqlite3.Connection, pack: str, version: int, content: bytes) -> int:
    """Return the number of a course, kept if it was not."""
    connection.execute(
        "INSERT OR IGNORE INTO cmi5_course (pack, version, content) VALUES (?, ?, ?)", (pack, version, content)
    )
    row = connection.execute("SELECT no FROM cmi5_course WHERE pack = ? AND version = ?", (pack, version)).fetchone()
    return int(row[0])


def find_course(connection: sqlite3.Connection, course_no: int) -> bytes:
    """Return the file of a course."""
    return bytes(connection.execute("SELECT content FROM cmi5_course WHERE no = ?", (course_no,)).fetchone()[0])


def find_registration(connection: sqlite3.Connection, registration: bytes) -> Registration | None:
    """Return a registration by its id."""
    return _registration(connection.execute(f"{_REGISTRATION} WHERE id = ?", (registration,)).fetchone())


def find_current(connection: sqlite3.Connection, agent: str, pack: str) -> Registration | None:
    """Return the registration in which a learner takes a course now."""
    query = f"{_REGISTRATION} WHERE agent = ? AND pack = ? AND ended_ms IS NULL"
    return _registration(connection.execute(query, (agent, pack)).fetchone())


def list_registrations(connection: sqlite3.Connection, person_no: int) -> list[Registration]:
    """Return the courses that a person of this box takes now."""
    query = f"{_REGISTRATION} WHERE person_no = ? AND ended_ms IS NULL ORDER BY no"
    found = [_registration(row) for row in connection.execute(query, (person_no,))]
    return [one for one in found if one is not None]


def insert_registration(
    connection: sqlite3.Connection,
    registration: bytes,
    course_no: int,
    pack: str,
    agent: str,
    actor: Mapping[str, Any],
    person_no: int | None,
    now_ms: int,
) -> None:
    """Begin a learner's turn with a course; the one before it is over."""
    end = "UPDATE cmi5_registration SET ended_ms = ? WHERE agent = ? AND pack = ? AND ended_ms IS NULL"
    connection.execute(end, (now_ms, agent, pack))
    text = json.dumps(dict(actor), ensure_ascii=False, sort_keys=True)
    connection.execute(_INSERT_REGISTRATION, (registration, course_no, pack, agent, text, person_no))


def set_course(connection: sqlite3.Connection, registration_no: int, course_no: int) -> None:
    """Note which version of the course a learner takes."""
    connection.execute("UPDATE cmi5_registration SET course_no = ? WHERE no = ?", (course_no, registration_no))


def insert_launch(connection: sqlite3.Connection, launch: Launch) -> None:
    """Keep a launch; its number is made here."""
    values = (
        launch.session,
        launch.registration_no,
        launch.activity_iri,
        launch.publisher_id,
        launch.mode.value,
        launch.mastery_score,
        launch.launched_ms,
    )
    connection.execute(_INSERT_LAUNCH, values)


def find_launch(connection: sqlite3.Connection, session: bytes) -> Launch | None:
    """Return the launch of a session."""
    row = connection.execute(f"{_LAUNCH} WHERE l.session = ?", (session,)).fetchone()
    return None if row is None else _launch(row)


def list_open(connection: sqlite3.Connection, registration_no: int) -> list[tuple[Launch, int]]:
    """Return the launches of a registration that may still speak, each with the time of its last statement."""
    query = f"{_LAUNCH} WHERE l.registration_no = ? AND l.ended_ms IS NULL ORDER BY l.no"
    rows = connection.execute(query, (registration_no,)).fetchall()
    return [(_launch(row), tuple(row)[-1]) for row in rows]


def find_stage(connection: sqlite3.Connection, launch: Launch, now_ms: int) -> Stage:
    """Return how far a session has come."""
    verbs, unit_verbs, documents, ended_ms, launched_ms = connection.execute(_STAGE, (launch.no,)).fetchone()
    return Stage(
        from_bits(verbs),
        from_bits(unit_verbs),
        bool(documents & READ_LAUNCH),
        bool(documents & READ_PREFERENCES),
        ended_ms is not None or now_ms - launched_ms >= SPEAKS_FOR_MS,
    )


def may_read(connection: sqlite3.Connection, launch: Launch, now_ms: int) -> bool:
    """Tell whether a unit may read, and keep documents: not when its learner has left."""
    return connection.execute(_READER, (launch.no, now_ms - READS_FOR_MS)).fetchone() is not None


def sign_out(connection: sqlite3.Connection, person_no: int) -> None:
    """Let the units of a person hand in what was done, and nothing else."""
    connection.execute(_SIGN_OUT, (person_no,))


def store_stage(connection: sqlite3.Connection, launch: Launch, stage: Stage, now_ms: int) -> None:
    """Keep how far a session has come with a statement of its unit."""
    query = "UPDATE cmi5_launch SET verbs = ?, last_ms = ? WHERE no = ?"
    connection.execute(query, (to_bits(stage.session_verbs), now_ms, launch.no))
    add_verbs(connection, launch.registration_no, launch.publisher_id, stage.session_verbs)
    if stage.is_over:
        end_launch(connection, launch.no, now_ms)


def add_verbs(connection: sqlite3.Connection, registration_no: int, unit: str, verbs: frozenset[Verb]) -> None:
    """Note what was said of a unit in a registration; units and blocks go by the ids that their course gives them."""
    connection.execute(_ADD_VERBS, (registration_no, unit, to_bits(verbs)))


def end_launch(connection: sqlite3.Connection, launch_no: int, now_ms: int) -> None:
    """End a session, by a statement of its unit or by abandoning it."""
    connection.execute("UPDATE cmi5_launch SET ended_ms = ? WHERE no = ? AND ended_ms IS NULL", (now_ms, launch_no))


def take_fetch(connection: sqlite3.Connection, session: bytes, now_ms: int) -> bool:
    """Note that the token of a session is given out; return False when it was before, or its unit may not read."""
    launch = find_launch(connection, session)
    if launch is None or not may_read(connection, launch, now_ms):
        return False
    query = "UPDATE cmi5_launch SET fetched_ms = ? WHERE no = ? AND fetched_ms IS NULL"
    return connection.execute(query, (now_ms, launch.no)).rowcount == 1


def note_read(connection: sqlite3.Connection, launch: Launch, document: int) -> None:
    """Note that a unit read one of the documents it has to read."""
    connection.execute("UPDATE cmi5_launch SET documents = documents | ? WHERE no = ?", (document, launch.no))


def list_verbs(connection: sqlite3.Connection, registration_no: int) -> dict[str, frozenset[Verb]]:
    """Return what was said of each unit."""
    rows = connection.execute("SELECT publisher_id, verbs FROM cmi5_unit WHERE registration_no = ?", (registration_no,))
    return {unit: from_bits(verbs) for unit, verbs in rows}


def note_satisfied(connection: sqlite3.Connection, registration_no: int, blocks: Iterable[str]) -> None:
    """Note that blocks or the course are satisfied."""
    query = "INSERT INTO cmi5_satisfied (registration_no, block) VALUES (?, ?)"
    connection.executemany(query, [(registration_no, block) for block in blocks])


def list_satisfied(connection: sqlite3.Connection, registration_no: int) -> frozenset[str]:
    """Return which blocks, and whether the course, were called satisfied."""
    rows = connection.execute("SELECT block FROM cmi5_satisfied WHERE registration_no = ?", (registration_no,))
    return frozenset(block for (block,) in rows)


def is_satisfied(connection: sqlite3.Connection, registration_no: int, block: str) -> bool:
    """Tell whether a block or the course was called satisfied."""
    query = "SELECT 1 FROM cmi5_satisfied WHERE registration_no = ? AND block = ?"
    return connection.execute(query, (registration_no, block)).fetchone() is not None


def is_known(connection: sqlite3.Connection, launch: Launch, statement_id: bytes) -> bool:
    """Tell whether there is a statement with this id in the registration of a launch."""
    query = "SELECT 1 FROM statement WHERE id = ? AND registration = ?"
    return connection.execute(query, (statement_id, launch.registration)).fetchone() is not None


def _registration(row: Any) -> Registration | None:
    if row is None:
        return None
    no, id_, course_no, pack, agent, actor, person_no = row
    return Registration(no, id_, course_no, pack, agent, json.loads(actor), person_no)


def _launch(row: Any) -> Launch:
    (no, session, turn_no, turn, agent, person_no, activity, publisher_id, mode, score, launched_ms, _) = row
    return Launch(no, session, turn_no, turn, agent, person_no, activity, publisher_id, Mode(mode), score, launched_ms)
