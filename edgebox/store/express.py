"""Closing results that the hub does not have, and the express bundles that bring them ahead of the main ones."""

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from edgebox.store import changes, spans
from edgebox.store.changes import Cursor, Made
from edgebox.store.log import number_key
from edgebox.store.spans import Span
from sync.bundle.layout import AckHead
from sync.records.kinds import Kind
from sync.records.rows import Statement

CLOSING_IRIS = (
    "http://adlnet.gov/expapi/verbs/completed",
    "http://adlnet.gov/expapi/verbs/passed",
    "http://adlnet.gov/expapi/verbs/failed",
    "http://adlnet.gov/expapi/verbs/mastered",
)
RECORDS_MAX = 1_000
# A result with a long text waits for its turn: it would hold up the others.
TEXT_MAX_BYTES = 4_096
ROWS_MAX_BYTES = 256 << 10
_ROW_BYTES = 200

_CLOSING = """
SELECT change.seq, change.kind, change.key, coalesce(length(body), 0) + coalesce(length(response), 0)
FROM change LEFT JOIN statement ON change.kind = :statement AND statement.id = change.key
WHERE change.seq BETWEEN :first AND :last AND (
    change.kind IN (:mark, :hand_in)
    OR (verb_no IN (SELECT no FROM verb WHERE iri IN (SELECT value FROM json_each(:iris)))
        AND coalesce(length(body), 0) + coalesce(length(response), 0) <= :text_bytes)
) ORDER BY change.seq LIMIT :records
"""
_CONSTANT = {
    "statement": int(Kind.STATEMENT),
    "mark": int(Kind.MARK),
    "hand_in": int(Kind.HAND_IN),
    "iris": json.dumps(CLOSING_IRIS),
    "text_bytes": TEXT_MAX_BYTES,
    "records": RECORDS_MAX,
}
_INSERT = """
INSERT INTO express_out (epoch, seq, from_change, through_change, hash, size_bytes, created_ms)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_WAITING = """
SELECT epoch, seq, from_change, through_change, hash, size_bytes, created_ms FROM express_out
WHERE epoch = ? AND acked_ms IS NULL ORDER BY seq
"""
_SETTLE = "UPDATE express_out SET acked_ms = ? WHERE acked_ms IS NULL AND epoch = ? AND seq BETWEEN ? AND ?"
_SETTLE_THROUGH = "UPDATE express_out SET acked_ms = ? WHERE acked_ms IS NULL AND epoch = ? AND through_change <= ?"


def find_last_change(connection: sqlite3.Connection) -> int:
    """Return the number of the last row of the log."""
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM change").fetchone()[0])


def find_cursor(connection: sqlite3.Connection) -> Cursor:
    """Return where the next express bundle goes: behind what the hub has, by main bundles or by these."""
    epoch = changes.find_epoch(connection)
    row = connection.execute("SELECT max(seq), max(through_change) FROM express_out WHERE epoch = ?", (epoch,))
    seq, through = row.fetchone()
    return Cursor(epoch, (seq or 0) + 1, max(through or 0, changes.find_settled_change(connection)) + 1, None)


def read_closing(connection: sqlite3.Connection, from_change: int, max_changes: int) -> Span | None:
    """Return the closing results in a part of the log, with the rows they name; None behind its end.

    It ends early when there are many. Each statement brings its learner, verb, activity, device and boot, so that no
    other bundle is needed to understand it.
    """
    through = min(from_change + max_changes - 1, find_last_change(connection))
    if through < from_change:
        return None
    logged = connection.execute(_CLOSING, {**_CONSTANT, "first": from_change, "last": through}).fetchall()
    fitting = _fitting(logged)
    if len(fitting) < len(logged) or len(logged) == RECORDS_MAX:
        through = fitting[-1][0]
    keys: dict[Kind, dict[bytes, None]] = {}
    for _seq, kind, key, _text_bytes in fitting:
        keys.setdefault(Kind(kind), {})[key] = None
    results = spans.read_records(connection, keys)
    statements = [record for record in results if isinstance(record, Statement)]
    stored_in = [row[0] for row in fitting if row[1] == Kind.STATEMENT]
    explained = spans.read_records(connection, _named(connection, statements, stored_in))
    return Span(from_change, through, explained + results)


def insert(connection: sqlite3.Connection, made: Made) -> None:
    """Note an express bundle whose file is on the disk; those of epochs before are of no use any more."""
    connection.execute("DELETE FROM express_out WHERE epoch <> ?", (made.epoch,))
    values = (made.epoch, made.seq, made.from_change, made.through_change, made.hash, made.size_bytes, made.created_ms)
    connection.execute(_INSERT, values)


def list_waiting(connection: sqlite3.Connection) -> list[Made]:
    """Return the express bundles of this epoch that are still of use, in order."""
    found = connection.execute(_WAITING, (changes.find_epoch(connection),))
    return [replace(Made(*row), is_express=True) for row in found]


def find_hash(connection: sqlite3.Connection, epoch: int, seq: int) -> bytes | None:
    """Return the hash of an express bundle that was made here and is not forgotten."""
    row = connection.execute("SELECT hash FROM express_out WHERE epoch = ? AND seq = ?", (epoch, seq)).fetchone()
    return None if row is None else bytes(row[0])


def is_of_a_copy(connection: sqlite3.Connection, ack: AckHead) -> bool:
    """Return whether the hub has an express bundle of this epoch that was not made here.

    So it is after a restore from a backup, when the numbers of the main bundles need not show it: the express ones were
    faster, and what they brought is at the hub and not here. They are forgotten some time after they were settled, the
    latest excepted.
    """
    epoch = changes.find_epoch(connection)
    if not ack.express or ack.vector.epoch != epoch:
        return False
    made = connection.execute("SELECT coalesce(max(seq), 0) FROM express_out WHERE epoch = ?", (epoch,)).fetchone()[0]
    last = max(last for _first, last in ack.express)
    known = find_hash(connection, epoch, last)
    return last > made or (known is not None and not known.startswith(ack.express_tail))


def settle(connection: sqlite3.Connection, ack: AckHead, now_ms: int) -> None:
    """Take over what a signed ack says of express bundles; how far the log is at the hub does not follow from it."""
    if ack.vector.epoch != changes.find_epoch(connection):
        return
    for first, last in ack.express:
        connection.execute(_SETTLE, (now_ms, ack.vector.epoch, first, last))
    settled = changes.find_settled_change(connection)
    connection.execute(_SETTLE_THROUGH, (now_ms, ack.vector.epoch, settled))


def drop(connection: sqlite3.Connection, epoch: int, seq: int, now_ms: int) -> None:
    """Let an express bundle go: the hub has it, or will have its rows by a main one."""
    connection.execute(_SETTLE, (now_ms, epoch, seq, seq))


def forget(connection: sqlite3.Connection, before_ms: int) -> None:
    """Drop the rows of those that were settled before a time, the latest excepted."""
    connection.execute(
        "DELETE FROM express_out WHERE acked_ms < ? AND seq < (SELECT max(seq) FROM express_out)", (before_ms,)
    )


def _fitting(logged: list[Any]) -> list[Any]:
    """Return the first rows that stay within a size."""
    left_bytes = ROWS_MAX_BYTES
    for place, row in enumerate(logged):
        left_bytes -= _ROW_BYTES + row[3]
        if left_bytes < 0:
            return logged[:place]
    return logged


def _named(
    connection: sqlite3.Connection, statements: list[Statement], stored_in: list[int]
) -> dict[Kind, dict[bytes, None]]:
    """Return the keys of the rows that statements name, and of the boots that the changes belong to."""
    numbers: dict[Kind, Iterable[int | None]] = {
        Kind.VERB: [row.verb_no for row in statements],
        Kind.ACTIVITY: [row.activity_no for row in statements],
        Kind.DEVICE: [row.device_no for row in statements],
        Kind.LEARNER: [row.learner_no for row in statements],
        Kind.BOOT: _boots_of(connection, stored_in),
    }
    return {kind: {number_key(no): None for no in nos if no is not None} for kind, nos in numbers.items()}


def _boots_of(connection: sqlite3.Connection, stored_in: list[int]) -> list[int]:
    boots = connection.execute("SELECT first_change, no FROM boot ORDER BY first_change, no").fetchall()
    starts = [row[0] for row in boots]
    places = [bisect_right(starts, change) for change in stored_in]
    return [boots[place - 1][1] for place in places if place]
