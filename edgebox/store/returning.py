"""Statements that come back: from their senders, after they were put aside, or from the hub, without their people."""

import json
import sqlite3
from typing import Any

from edgebox.domain.statements import NewStatement
from edgebox.domain.xapi.equality import comparable
from edgebox.domain.xapi.values import canonical_json
from edgebox.store import removed, seals
from sync.records.kinds import Kind
from sync.records.outside import without_people

_NOTED = "SELECT change.seq FROM outside JOIN change ON change.seq = outside.seq WHERE outside.id = ?1 AND key = ?1"
# Reads the log, which has no index by key; so only for those that were put aside, and these are looked up first: as a
# condition on the log SQLite would look at it for every row.
_PUT_ASIDE = """
SELECT min(change.seq) FROM (SELECT id FROM damaged_statement WHERE id = ?1 LIMIT 1) AS aside
CROSS JOIN change ON change.key = aside.id WHERE change.kind = ?2
"""
_KNOWN = """
SELECT digest, body, timestamp_ms = stored_ms, device_no, person_no, verb.iri, activity.iri
FROM statement JOIN verb ON verb.no = verb_no JOIN activity ON activity.no = activity_no WHERE id = ?
"""
_WHOLE = "SELECT * FROM statement WHERE id = ?"
_COMPLETE = "UPDATE statement SET body = ?, digest = ?, stored_ms = ?, client_no = ?, seal = ? WHERE id = ?"


def find_place(connection: sqlite3.Connection, statement_id: bytes) -> int | None:
    """Return the place in the log of a statement that was here before, None when there is none or nobody knows it."""
    row = connection.execute(_NOTED, (statement_id,)).fetchone()
    row = row or connection.execute(_PUT_ASIDE, (statement_id, int(Kind.STATEMENT))).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def leave_place(connection: sqlite3.Connection, seq: int) -> None:
    """Give up the earlier place of a statement that was stored anew at the end of the log.

    There it travels although the earlier place was passed while it was gone, and is in no list twice.
    """
    connection.execute("DELETE FROM change WHERE seq = ?", (seq,))


def is_taken(connection: sqlite3.Connection, statement: NewStatement, device_no: int | None = None) -> bool:
    """Tell whether the id belongs to another content."""
    row = connection.execute(_KNOWN, (statement.id,)).fetchone()
    if row is None:
        of_device = (device_no, statement.device_seq)
        return removed.is_other(connection, statement.id, *of_device, lambda: _contents(statement))
    digest, body, is_timed_here, *others = row
    if digest:
        return bool(digest != statement.digest) and not _is_same(body, statement, is_timed=not is_timed_here)
    if statement.outside is None:
        return False
    wanted = [None, statement.person_no, statement.verb_iri, statement.activity.iri]
    return others != wanted or body is None or _travelled(body, statement) != _travelled(statement.body, statement)


def content_of(digest: bytes, body: bytes | None, *, is_timed: bool) -> bytes:
    """Return what is kept of the content of a statement that leaves the box; empty when nobody knows it."""
    return comparable(json.loads(body), is_timed=is_timed) if digest and body is not None else digest


def _contents(statement: NewStatement) -> list[bytes]:
    """Return what may have been kept of a statement, whether or not its sender gave the time."""
    return [content_of(statement.digest, statement.body, is_timed=is_timed) for is_timed in (True, False)]


def _is_same(body: bytes | None, statement: NewStatement, *, is_timed: bool) -> bool:
    """Tell whether two contents differ in nothing that counts; a time that the box gave is none of the sender's."""
    if body is None or statement.body is None:
        return False
    first, second = (comparable(json.loads(one), is_timed=is_timed) for one in (body, statement.body))
    return first == second


def _travelled(body: bytes | None, statement: NewStatement) -> dict[str, Any]:
    """Return what a body and the same one from the hub have in common."""
    found: dict[str, Any] = json.loads(without_people(body or b"{}"))
    set_here = {"version"} if "timestamp" in statement.received else {"version", "timestamp"}
    return {name: value for name, value in found.items() if name not in set_here}


def lacks_people(connection: sqlite3.Connection, statement: NewStatement) -> bool:
    """Tell whether a statement of an outside client is here only as the hub gave it."""
    row = connection.execute("SELECT digest FROM statement WHERE id = ?", (statement.id,)).fetchone()
    return statement.outside is not None and row is not None and not row[0]


def complete(connection: sqlite3.Connection, statement: NewStatement, stored_ms: int | None) -> bool:
    """Give a statement that came from the hub what only its sender knows; return False when it is damaged.

    Args:
        stored_ms: when it was stored if it has had no place in the log so far; None leaves that as it is.
    """
    names, rows = seals.select(connection, _WHOLE, (statement.id,))
    if not seals.is_whole(names, rows[0]):
        return False
    row = dict(zip(names, rows[0], strict=True))
    before, stored_ms = row[seals.SEAL], row["stored_ms"] if stored_ms is None else stored_ms
    client_no = None if statement.outside is None else statement.outside.client_no
    completed = (_body(row["body"], statement), statement.digest, stored_ms, client_no)
    row |= zip(("body", "digest", "stored_ms", "client_no"), completed, strict=True)
    seal = seals.seal_of(row.keys(), row.values())
    seals.join(connection, row["device_no"], before, statements=-1)
    connection.execute(_COMPLETE, (*completed, seal, statement.id))
    seals.join(connection, row["device_no"], seal)
    return True


def _body(known: bytes, statement: NewStatement) -> bytes:
    if "timestamp" in statement.received:
        return statement.body or known
    # It was sent without a time, so it has the one at which it came first.
    timestamp = json.loads(known).get("timestamp")
    whole = json.loads(statement.body or known)
    return canonical_json(whole if timestamp is None else whole | {"timestamp": timestamp})
