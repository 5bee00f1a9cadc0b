"""Runs of the change log as records, each row as it is now."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from edgebox.store import merged, seals, stamping
from edgebox.store.boots import read_boots
from edgebox.store.log import number_key
from sync.records import rows
from sync.records.facts import may_go
from sync.records.kinds import Direction, Kind, find_flaw
from sync.records.merging import KEYS, without_origin
from sync.records.outside import without_people
from sync.records.rows import Record, Statement

_CHUNK = 500
_ROW_BYTES = 200  # a generous guess of what a row takes before compression, without its long texts
_LONG_BYTES = {
    Kind.STATEMENT: (
        "SELECT id, coalesce(length(body), 0) + coalesce(length(CAST(response AS BLOB)), 0)"
        " FROM statement WHERE id IN ({marks})"
    ),
    Kind.STATE: "SELECT no, length(content) FROM state WHERE no IN ({marks})",
    Kind.FACT: "SELECT no, length(CAST(value AS BLOB)) FROM fact WHERE no IN ({marks})",
    Kind.MARK: "SELECT no, length(CAST(value || comment AS BLOB)) FROM mark WHERE no IN ({marks})",
    Kind.ACTIVITY: "SELECT no, length(CAST(iri AS BLOB)) FROM activity WHERE no IN ({marks})",
}
_CHANGES = "SELECT seq, kind, key FROM change WHERE seq >= ? ORDER BY seq LIMIT ?"
_STATEMENTS = """
SELECT id, person_no, verb_no, activity_no, device_no, device_seq, attempt_seq, registration, timestamp_ms, stored_ms,
       success, completion, score_raw, score_max, score_scaled, duration_ms, progress, response, body
FROM statement WHERE id IN ({marks}) AND person_no IN (SELECT no FROM person WHERE role = 'learner')
"""


@dataclass(frozen=True, slots=True)
class Span:
    """A run of the log as the records it names, each row as it is now.

    Attributes:
        through_change: the last change of the run; the one before the first when a damaged statement is next.
    """

    from_change: int
    through_change: int
    records: list[Record]


def read_span(connection: sqlite3.Connection, from_change: int, *, max_changes: int, max_bytes: int) -> Span | None:
    """Return the records of the log from `from_change` on, or None when there are no more.

    A row that was logged twice is given once, as it is now. A row that is gone, and whatever a teacher or somebody
    unknown did, are left out.
    The span ends early when its rows get larger than `max_bytes`, but has at least one change. It ends before a damaged
    statement, which has to be put right first: what is acknowledged behind it is deleted on the tablet it came from.
    """
    logged = connection.execute(_CHANGES, (from_change, max_changes)).fetchall()
    if not logged:
        return None
    statements = _statement_keys(logged)
    whole = seals.find_whole(connection, statements)
    if damaged := _find_present(connection, [key for key in statements if key not in whole]):
        logged = list(takewhile(lambda change: change[1] != Kind.STATEMENT or change[2] not in damaged, logged))
    if not logged:
        return Span(from_change, from_change - 1, [])
    through = _fitting(connection, logged, max_bytes)
    keys: dict[int, dict[bytes, None]] = {}
    for seq, kind, key in logged:
        if seq <= through and (kind != Kind.STATEMENT or key in whole):
            keys.setdefault(kind, {})[key] = None
    found = {Kind(kind): list(of_kind) for kind, of_kind in keys.items()}
    readers = {**_READERS, Kind.STATEMENT: _read_whole}
    records = [record for kind, read in readers.items() for record in read(connection, found.get(kind, []))]
    return Span(from_change, through, records)


def find_damaged(connection: sqlite3.Connection, from_change: int, max_changes: int) -> tuple[bytes, ...]:
    """Return the ids of the damaged statements in a part of the log."""
    keys = _statement_keys(connection.execute(_CHANGES, (from_change, max_changes)).fetchall())
    whole = seals.find_whole(connection, keys)
    return tuple(_find_present(connection, [key for key in keys if key not in whole]))


def read_records(connection: sqlite3.Connection, keys: Mapping[Kind, Iterable[bytes]]) -> list[Record]:
    """Return the rows with these keys as records, each as it is now; one that is gone or must stay is left out."""
    return [record for kind, read in _READERS.items() for record in read(connection, list(keys.get(kind, ())))]


def _statement_keys(logged: list[Any]) -> list[bytes]:
    return list(dict.fromkeys(key for _seq, kind, key in logged if kind == Kind.STATEMENT))


def _find_present(connection: sqlite3.Connection, ids: list[bytes]) -> dict[bytes, None]:
    """Return those of the ids under which there is a statement, damaged or not."""
    return {row[0]: None for row in _select(connection, "SELECT id FROM statement WHERE id IN ({marks})", ids)}


def _fitting(connection: sqlite3.Connection, logged: list[Any], max_bytes: int) -> int:
    """Return the last change whose rows, with those before it, stay within `max_bytes`."""
    long_bytes = {kind: _read_long_bytes(connection, kind, logged) for kind in _LONG_BYTES}
    total_bytes = 0
    through: int = logged[0][0]
    for seq, kind, key in logged:
        total_bytes += _ROW_BYTES + long_bytes.get(kind, {}).get(key, 0)
        if total_bytes > max_bytes:
            break
        through = seq
    return through


def _read_long_bytes(connection: sqlite3.Connection, wanted: Kind, logged: list[Any]) -> dict[bytes, int]:
    """Return what the long texts of the logged rows of a kind take, by the key of each."""
    keys = [key for _seq, kind, key in logged if kind == wanted]
    has_ids = wanted == Kind.STATEMENT
    found = _select(connection, _LONG_BYTES[wanted], keys if has_ids else _numbers(keys))
    return {key if has_ids else number_key(key): size_bytes for key, size_bytes in found}


def _select(connection: sqlite3.Connection, query: str, keys: list[Any]) -> Iterable[Any]:
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        yield from connection.execute(query.format(marks=",".join("?" * len(chunk))), chunk).fetchall()


def _numbers(keys: list[bytes]) -> list[int]:
    return [int.from_bytes(key, "big") for key in keys]


def _read_statements(connection: sqlite3.Connection, keys: list[bytes]) -> list[Record]:
    whole = seals.find_whole(connection, keys)
    return _read_whole(connection, [key for key in keys if key in whole])


def _read_whole(connection: sqlite3.Connection, keys: list[bytes]) -> list[Record]:
    """Return statements that are known to be whole. A damaged text may be none, and fails all that is read with it."""
    return [_statement(row) for row in _select(connection, _STATEMENTS, keys)]


def _statement(row: Any) -> Statement:
    id_, person_no, verb_no, activity_no, device_no, seq, attempt, registration, timestamp_ms, stored_ms, *result = row
    success, completion, raw, maximum, scaled, duration_ms, progress, response, body = result
    is_derived = device_no is not None and seq is not None
    return Statement(
        verb_no,
        activity_no,
        timestamp_ms,
        learner_no=person_no,
        device_no=device_no,
        device_seq=seq,
        attempt_seq=attempt,
        id=None if is_derived else id_,
        registration=registration,
        stored_lag_seconds=(stored_ms - timestamp_ms) // 1000,
        success=None if success is None else bool(success),
        completion=None if completion is None else bool(completion),
        score_raw=raw,
        score_max=maximum,
        score_scaled=scaled,
        duration_ms=duration_ms,
        progress=progress,
        response=response,
        body=None if body is None else without_people(body),
    )


def _read_learners(connection: sqlite3.Connection, keys: list[bytes]) -> list[Record]:
    query = "SELECT no, pseudonym FROM person WHERE no IN ({marks})"
    return [rows.Learner(*row) for row in _select(connection, query, _numbers(keys))]


def _read_activities(connection: sqlite3.Connection, keys: list[bytes]) -> list[Record]:
    query = "SELECT no, iri FROM activity WHERE no IN ({marks})"
    return [rows.Activity(*row) for row in _select(connection, query, _numbers(keys))]


def _read_verbs(connection: sqlite3.Connection, keys: list[bytes]) -> list[Record]:
    query = "SELECT no, iri FROM verb WHERE no IN ({marks})"
    return [rows.Verb(*row) for row in _select(connection, query, _numbers(keys))]


def _read_devices(connection: sqlite3.Connection, keys: list[bytes]) -> list[Record]:
    query = "SELECT no, id FROM device WHERE no IN ({marks})"
    return [rows.Device(*row) for row in _select(connection, query, _numbers(keys))]


def _read_packs(connection: sqlite3.Connection, keys: list[bytes]) -> list[Record]:
    query = "SELECT id, version, root, installed_ms, is_active FROM pack WHERE id || '@' || version IN ({marks})"
    found = _select(connection, query, [key.decode() for key in keys])
    return [rows.PackInstall(pack, version, root, at_ms, bool(active)) for pack, version, root, at_ms, active in found]


def _merging_reader(kind: Kind) -> Callable[[sqlite3.Connection, list[bytes]], list[Record]]:
    """Return what reads a kind that merges; what may not go up, such as a name, and what is out of bounds stays."""

    def read(connection: sqlite3.Connection, keys: list[bytes]) -> list[Record]:
        own = stamping.find_origin(connection)
        found = merged.read(connection, kind, _numbers(keys))
        return [
            without_origin(record, own) for record in found if may_go(record, Direction.UP) and not find_flaw(record)
        ]

    return read


_READERS: dict[Kind, Callable[[sqlite3.Connection, list[bytes]], list[Record]]] = {
    Kind.BOOT: read_boots,
    Kind.VERB: _read_verbs,
    Kind.ACTIVITY: _read_activities,
    Kind.DEVICE: _read_devices,
    Kind.LEARNER: _read_learners,
    Kind.PACK_INSTALL: _read_packs,
    Kind.STATEMENT: _read_statements,
    **{kind: _merging_reader(kind) for kind in KEYS},
}
