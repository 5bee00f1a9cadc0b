"""Statements read back: one by its id, or pages in the order in which they were stored.

The change log is that order, so no index on time is needed. A page looks at a bounded part of the log and says where
the next one goes on, however few of the rows it looked at were wanted.
"""

import sqlite3
from dataclasses import dataclass
from typing import Any

from edgebox.domain.statements import Outcome, StoredStatement
from edgebox.store import seals
from edgebox.store.boots import find_timeline
from sync.records.activity import Activity
from sync.records.kinds import Kind
from sync.records.retiming import Timeline

LOOKED_AT_MAX = 20_000

_COLUMNS = """
statement.id, person.pseudonym, verb.iri, activity.iri, activity.pack, activity.resource, activity.item, device.id,
statement.attempt_seq, statement.registration, statement.timestamp_ms, statement.stored_ms, statement.success,
statement.completion, statement.score_raw, statement.score_max, statement.score_scaled, statement.duration_ms,
statement.progress, statement.response, statement.body, statement.pack_version
"""
_JOINS = """
JOIN verb ON verb.no = statement.verb_no JOIN activity ON activity.no = statement.activity_no
LEFT JOIN device ON device.no = statement.device_no LEFT JOIN person ON person.no = statement.person_no
"""
# What is to be added to when a statement was stored; see sync.records.retiming.
_STORED = """(statement.stored_ms + coalesce((SELECT offset_ms FROM boot WHERE start_ms <= statement.stored_ms
ORDER BY start_ms DESC LIMIT 1), 0))"""
_ONE = f"""
SELECT {_COLUMNS} FROM statement {_JOINS} WHERE statement.id = ?1 AND (?2 IS NULL OR statement.person_no = ?2)
"""  # noqa: S608 - made of the constants above
_PAGE = f"""
SELECT change.seq, {_COLUMNS}
FROM change CROSS JOIN statement ON statement.id = change.key {_JOINS}
WHERE change.kind = {int(Kind.STATEMENT)} AND change.seq BETWEEN :low AND :high
AND (:person_no IS NULL OR statement.person_no = :person_no)
AND (:verb IS NULL OR verb.iri = :verb)
AND (:activity IS NULL OR activity.iri = :activity)
AND (:registration IS NULL OR statement.registration = :registration
     OR (statement.registration IS NULL AND statement.attempt_seq = :attempt_seq))
AND (:since_ms IS NULL OR {_STORED} > :since_ms)
AND (:until_ms IS NULL OR {_STORED} <= :until_ms)
"""  # noqa: S608 - made of the constants above
_NEWEST_FIRST = _PAGE + "ORDER BY change.seq DESC LIMIT :limit"
_OLDEST_FIRST = _PAGE + "ORDER BY change.seq ASC LIMIT :limit"
_LAST_SEQ = "SELECT max(seq) FROM change"
_ATTEMPT_MASK = (1 << 48) - 1


@dataclass(frozen=True, slots=True)
class Filter:
    """Which statements are wanted; None does not restrict."""

    person_no: int | None = None
    verb: str | None = None
    activity: str | None = None
    registration: bytes | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    is_ascending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some statements, and the place in the log where the next page starts; None at the end."""

    statements: list[StoredStatement]
    next_seq: int | None


def find_statement(
    connection: sqlite3.Connection, statement_id: bytes, person_no: int | None
) -> StoredStatement | None:
    """Return one statement; with `person_no`, only if it is that person's."""
    row = connection.execute(_ONE, (statement_id, person_no)).fetchone()
    return (
        None
        if row is None or statement_id not in seals.find_whole(connection, [statement_id])
        else _stored(tuple(row), find_timeline(connection))
    )


def list_statements(connection: sqlite3.Connection, wanted: Filter, start_seq: int | None, limit: int) -> Page:
    """Return a page, newest first unless asked otherwise.

    A registration may belong to another device's attempt of the same number: the caller compares it.
    """
    last_seq = connection.execute(_LAST_SEQ).fetchone()[0] or 0
    if wanted.is_ascending:
        low = start_seq or 1
        high = min(last_seq, low + LOOKED_AT_MAX - 1)
        statement, after = _OLDEST_FIRST, (high + 1 if high < last_seq else None)
    else:
        high = last_seq if start_seq is None else start_seq
        low = max(1, high - LOOKED_AT_MAX + 1)
        statement, after = _NEWEST_FIRST, (low - 1 if low > 1 else None)
    values = {
        "low": low,
        "high": high,
        "person_no": wanted.person_no,
        "verb": wanted.verb,
        "activity": wanted.activity,
        "registration": wanted.registration,
        "attempt_seq": wanted.registration and int.from_bytes(wanted.registration, "big") & _ATTEMPT_MASK,
        "since_ms": wanted.since_ms,
        "until_ms": wanted.until_ms,
        "limit": limit,
    }
    rows = [tuple(row) for row in connection.execute(statement, values)]
    if len(rows) == limit:
        after = rows[-1][0] + (1 if wanted.is_ascending else -1)
    timeline, whole = find_timeline(connection), seals.find_whole(connection, [row[1] for row in rows])
    return Page([_stored(row[1:], timeline) for row in rows if row[1] in whole], after)


def _stored(row: tuple[Any, ...], timeline: Timeline) -> StoredStatement:
    row_id, pseudonym, verb_iri, iri, pack, resource, item, device_id, *rest = row
    attempt_seq, registration, timestamp_ms, stored_ms, success, completion, *numbers, body, pack_version = rest
    repaired = timeline.repair(timestamp_ms, stored_ms, is_own_page=device_id is not None)
    values: tuple[object, ...] = (
        row_id,
        pseudonym,
        verb_iri,
        Activity(iri, pack, resource, item),
        device_id,
        attempt_seq,
        registration,
        repaired.timestamp_ms,
        repaired.stored_ms,
        Outcome(_boolean(success), _boolean(completion), *numbers),
        body,
        pack_version,
        (timestamp_ms, stored_ms) if repaired.is_repaired else None,
    )
    return StoredStatement(*values)  # type: ignore[arg-type]  # likewise


def _boolean(value: object) -> bool | None:
    return None if value is None else bool(value)
