"""Progress that was lost while the statements it came from were not."""

import sqlite3
from collections.abc import Iterator

from edgebox.domain.statement_in import from_record
from edgebox.store import spans, statements
from sync.records.activity import parse_activity
from sync.records.kinds import Kind
from sync.records.rows import Statement

_CHUNK = 100  # rows in memory at once, of which each may have 256 kB
_STATEMENTS = """
SELECT id, person_no, activity_no FROM statement WHERE id > ? AND person_no IS NOT NULL ORDER BY id LIMIT ?
"""
_SHARED = (
    "person_no, activity_no, progress, is_complete, score_scaled, attempts, duration_ms, first_ms, last_ms, version"
)
_OF_REMOVED = f"""
INSERT OR IGNORE INTO progress ({_SHARED}, stored_ms) SELECT {_SHARED}, stored_ms FROM removed_progress
"""  # noqa: S608 - made of the constant above


def count(connection: sqlite3.Connection) -> None:
    """Make the progress of learners on resources of which there is none, from all of their statements.

    It begins with what those come to that have left the box.
    """
    iris: dict[int, str] = dict(connection.execute("SELECT no, iri FROM activity").fetchall())
    numbers = {iri: no for no, iri in iris.items()}
    wholes: dict[int, int] = {no: numbers.get(parse_activity(iri).whole.iri, no) for no, iri in iris.items()}
    known = set(connection.execute("SELECT person_no, activity_no FROM progress"))
    connection.execute(_OF_REMOVED)
    verbs = dict(connection.execute("SELECT no, iri FROM verb").fetchall())
    devices = dict(connection.execute("SELECT no, id FROM device").fetchall())
    for rows in _chunks(connection):
        ids = [id_ for id_, person_no, no in rows if no in wholes and (person_no, wholes[no]) not in known]
        for record in spans.read_records(connection, {Kind.STATEMENT: ids}):
            if not isinstance(record, Statement) or record.learner_no is None or record.verb_no not in verbs:
                continue
            device_id = None if record.device_no is None else devices.get(record.device_no)
            verb_iri, iri = verbs[record.verb_no], iris[record.activity_no]
            found = from_record(record, record.learner_no, verb_iri, iri, device_id)
            if found is not None:
                stored_ms = record.timestamp_ms + (record.stored_lag_seconds or 0) * 1000
                statements.step_progress(connection, found, wholes[record.activity_no], stored_ms)


def _chunks(connection: sqlite3.Connection) -> Iterator[list[tuple[bytes, int, int]]]:
    """Return the statements of people, some at a time; in which order they count makes no difference."""
    after = b""
    while rows := connection.execute(_STATEMENTS, (after, _CHUNK)).fetchall():
        yield rows
        after = rows[-1][0]
