"""The change log as records, the bundles made of it, and how far the hub has them."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from content_packs.base.signing import VerifyKey
from edgebox.store import merged, stamping, switches
from edgebox.store.boots import read_boots
from edgebox.store.log import number_key
from sync.bundle.layout import Vector
from sync.enrolment import Hub
from sync.introduction import LastBundle
from sync.records import rows
from sync.records.facts import may_go
from sync.records.kinds import Direction, Kind, find_flaw
from sync.records.merging import KEYS, without_origin
from sync.records.outside import without_people
from sync.records.rows import Record, Statement

_CHUNK = 500
_ROW_BYTES = 200  # a generous guess of what a row takes before compression
_FIRST_EPOCH = 1

_CHANGES = "SELECT seq, kind, key FROM change WHERE seq >= ? ORDER BY seq LIMIT ?"
_STATEMENTS = """
SELECT id, person_no, verb_no, activity_no, device_no, device_seq, attempt_seq, registration, timestamp_ms, stored_ms,
       success, completion, score_raw, score_max, score_scaled, duration_ms, progress, response, body
FROM statement WHERE id IN ({marks})
AND (person_no IS NULL OR person_no IN (SELECT no FROM person WHERE role = 'learner'))
"""
_SETTLE_DEVICES = """
WITH unsent AS (
    SELECT statement.device_no AS device_no, min(statement.device_seq) AS first_seq
    FROM change JOIN statement ON statement.id = change.key
    WHERE change.seq > ? AND change.kind = ? AND statement.device_no IS NOT NULL
    GROUP BY statement.device_no
)
UPDATE device SET hub_seq = max(hub_seq, min(box_seq, coalesce(
    (SELECT first_seq - 1 FROM unsent WHERE unsent.device_no = device.no), box_seq)))
"""


@dataclass(frozen=True, slots=True)
class Span:
    """A run of the log as the records it names, each row as it is now."""

    from_change: int
    through_change: int
    records: list[Record]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next bundle goes."""

    epoch: int
    seq: int
    from_change: int
    previous_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle that was made and not yet acknowledged; its file is in the spool."""

    epoch: int
    seq: int
    from_change: int
    through_change: int
    hash: bytes
    size_bytes: int
    created_ms: int
    is_express: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be sent."""

    changes: int
    bundles: int
    size_bytes: int
    last_success_ms: int | None


@dataclass(frozen=True, slots=True)
class Form:
    """How bundles are to be written.

    Attributes:
        is_short_read: the hub has said that it reads codec 1 and paired bundles.
        is_coarse: times go out in whole seconds, to save bytes; the exact ones stay here.
    """

    is_short_read: bool
    is_coarse: bool


def find_form(connection: sqlite3.Connection) -> Form:
    """Return how bundles are to be written now."""
    return Form(
        is_short_read=switches.is_on(connection, switches.HUB_READS_SHORT),
        is_coarse=switches.is_on(connection, switches.COARSE_TIMES),
    )


def read_span(connection: sqlite3.Connection, from_change: int, *, max_changes: int, max_bytes: int) -> Span | None:
    """Return the records of the log from `from_change` on, or None when there are no more.

    A row that was logged twice is given once, as it is now. A row that is gone and whatever a teacher did are left out.
    The span ends early when its rows get larger than `max_bytes`, but has at least one change.
    """
    logged = connection.execute(_CHANGES, (from_change, max_changes)).fetchall()
    if not logged:
        return None
    through = _fitting(connection, logged, max_bytes)
    keys: dict[Kind, dict[bytes, None]] = {}
    for seq, kind, key in logged:
        if seq <= through:
            keys.setdefault(Kind(kind), {})[key] = None
    return Span(from_change, through, read_records(connection, keys))


def read_records(connection: sqlite3.Connection, keys: Mapping[Kind, Iterable[bytes]]) -> list[Record]:
    """Return the rows with these keys as records, each as it is now; one that is gone or must stay is left out."""
    return [record for kind, read in _READERS.items() for record in read(connection, list(keys.get(kind, ())))]


def find_cursor(connection: sqlite3.Connection) -> Cursor:
    """Return where the next bundle goes."""
    epoch = find_epoch(connection)
    row = connection.execute(
        "SELECT seq, through_change, hash FROM bundle_out WHERE epoch = ? ORDER BY seq DESC LIMIT 1", (epoch,)
    ).fetchone()
    return Cursor(epoch, 1, 1, None) if row is None else Cursor(epoch, row[0] + 1, row[1] + 1, row[2])


def find_epoch(connection: sqlite3.Connection) -> int:
    """Return the number of this life of the database."""
    row = connection.execute("SELECT value FROM setting WHERE name = 'epoch'").fetchone()
    return _FIRST_EPOCH if row is None else int(row[0])


def last_bundle(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return epoch and number of the last bundle that was made, or of none in a new epoch."""
    epoch = find_epoch(connection)
    row = connection.execute("SELECT max(seq) FROM bundle_out WHERE epoch = ?", (epoch,)).fetchone()
    return epoch, row[0] or 0


def find_last_confirmed(connection: sqlite3.Connection) -> LastBundle | None:
    """Return the last bundle of this epoch that the hub has confirmed."""
    row = connection.execute(
        "SELECT epoch, seq, hash FROM bundle_out WHERE epoch = ? AND acked_ms IS NOT NULL ORDER BY seq DESC LIMIT 1",
        (find_epoch(connection),),
    ).fetchone()
    return None if row is None else LastBundle(*row)


def is_of_a_copy(connection: sqlite3.Connection, vector: Vector, tail: bytes = b"") -> bool:
    """Return whether a vector of this box and epoch speaks of bundles that this database did not make.

    That is so after a restore from a backup: what the box did after the backup was taken is at the hub, under numbers
    that it gives out once more. `tail` is the start of the hash of the last bundle the hub applied, empty when the hub
    does not say.
    """
    epoch, last_seq = last_bundle(connection)
    if vector.epoch != epoch:
        return False
    row = connection.execute(
        "SELECT through_change, hash FROM bundle_out WHERE epoch = ? AND seq = ?", (epoch, vector.through_seq)
    ).fetchone()
    is_other = row is not None and (row[0] != vector.through_change or not row[1].startswith(tail))
    return is_other or max([vector.through_seq, *(last for _first, last in vector.ranges)]) > last_seq


def begin_epoch(connection: sqlite3.Connection, epoch: int) -> None:
    """Start a new epoch: the whole log is sent again in it, and the hub tells what it has already by the ids.

    For a restored or copied database, and for a spool that lost a file.
    """
    if epoch <= find_epoch(connection):
        return
    connection.execute(
        "INSERT INTO setting (name, value) VALUES ('epoch', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (str(epoch),),
    )
    connection.execute("DELETE FROM bundle_out WHERE acked_ms IS NULL")
    connection.execute("DELETE FROM setting WHERE name = 'hub_said_ms'")


def insert_bundle(connection: sqlite3.Connection, made: Made) -> None:
    """Note a bundle whose file is on the disk."""
    connection.execute(
        "INSERT INTO bundle_out (epoch, seq, from_change, through_change, hash, size_bytes, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (made.epoch, made.seq, made.from_change, made.through_change, made.hash, made.size_bytes, made.created_ms),
    )


def list_unacknowledged(connection: sqlite3.Connection) -> list[Made]:
    """Return the bundles of this epoch that the hub has not confirmed, in order."""
    found = connection.execute(
        "SELECT epoch, seq, from_change, through_change, hash, size_bytes, created_ms FROM bundle_out"
        " WHERE epoch = ? AND acked_ms IS NULL ORDER BY seq",
        (find_epoch(connection),),
    )
    return [Made(*row) for row in found]


def find_bundle_hash(connection: sqlite3.Connection, epoch: int, seq: int) -> bytes | None:
    """Return the hash of a bundle that was made here and is not forgotten."""
    row = connection.execute("SELECT hash FROM bundle_out WHERE epoch = ? AND seq = ?", (epoch, seq)).fetchone()
    return None if row is None else bytes(row[0])


def settle(
    connection: sqlite3.Connection, vector: Vector, now_ms: int, *, said_ms: int = 0, is_carried: bool = False
) -> bool:
    """Take over what a signed ack says; one of another epoch changes nothing.

    A hub that was restored from a backup lacks bundles it once confirmed, below others it has. They wait again. An ack
    that was carried here may be old, and somebody may bring it again and again: what it covers counts, what it lacks
    counts only when the hub said so (`said_ms`, by the hub's clock) after everything it said before.

    Returns:
        Whether every bundle that the hub lacks is still here; if not, only a new epoch brings it everything.
    """
    if vector.epoch != find_epoch(connection):
        return True
    is_news = _note_said(connection, said_ms, is_carried=is_carried)
    covered = sorted([(0, vector.through_seq), *vector.ranges])
    for first, last in covered:
        connection.execute(
            "UPDATE bundle_out SET acked_ms = ? WHERE epoch = ? AND seq BETWEEN ? AND ? AND acked_ms IS NULL",
            (now_ms, vector.epoch, first, last),
        )
    gaps = [(low[1] + 1, high[0] - 1) for low, high in pairwise(covered) if is_news and low[1] + 1 < high[0]]
    is_whole = all(_wait_again(connection, vector.epoch, first, last) for first, last in gaps)
    connection.execute(_SETTLE_DEVICES, (find_settled_change(connection), int(Kind.STATEMENT)))
    return is_whole


def _note_said(connection: sqlite3.Connection, said_ms: int, *, is_carried: bool) -> bool:
    """Return whether the hub said this last. What it answers to a bundle is new whatever its clock says."""
    row = connection.execute("SELECT value FROM setting WHERE name = 'hub_said_ms'").fetchone()
    if is_carried and row is not None and said_ms <= int(row[0]):
        return False
    connection.execute(
        "INSERT INTO setting (name, value) VALUES ('hub_said_ms', ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (str(said_ms),),
    )
    return True


def _wait_again(connection: sqlite3.Connection, epoch: int, first: int, last: int) -> bool:
    """Let bundles wait whether or not they were confirmed, and return whether all of them are here."""
    found = connection.execute(
        "UPDATE bundle_out SET acked_ms = NULL WHERE epoch = ? AND seq BETWEEN ? AND ?", (epoch, first, last)
    )
    return found.rowcount == last - first + 1


def find_settled_change(connection: sqlite3.Connection) -> int:
    """Return the last change up to which the hub has everything, in this epoch."""
    epoch = find_epoch(connection)
    waiting = connection.execute(
        "SELECT min(from_change) FROM bundle_out WHERE epoch = ? AND acked_ms IS NULL", (epoch,)
    ).fetchone()[0]
    if waiting is not None:
        return int(waiting) - 1
    through = connection.execute("SELECT max(through_change) FROM bundle_out WHERE epoch = ?", (epoch,)).fetchone()[0]
    return int(through or 0)


def forget_bundles(connection: sqlite3.Connection, before_ms: int) -> None:
    """Drop the rows of bundles acknowledged before a time, the latest excepted."""
    connection.execute(
        "DELETE FROM bundle_out WHERE acked_ms < ? AND (epoch, seq) NOT IN"
        " (SELECT epoch, max(seq) FROM bundle_out GROUP BY epoch)",
        (before_ms,),
    )


def list_bundles(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Return (epoch, seq) of every bundle that has a row, and so a right to its file."""
    return [(row[0], row[1]) for row in connection.execute("SELECT epoch, seq FROM bundle_out")]


def find_backlog(connection: sqlite3.Connection) -> Backlog:
    """Return what waits to be sent."""
    settled = find_settled_change(connection)
    changes = connection.execute("SELECT count(*) FROM change WHERE seq > ?", (settled,)).fetchone()[0]
    waiting = list_unacknowledged(connection)
    success_ms = connection.execute("SELECT max(acked_ms) FROM bundle_out").fetchone()[0]
    return Backlog(changes, len(waiting), sum(made.size_bytes for made in waiting), success_ms)


def find_hub(connection: sqlite3.Connection) -> tuple[str, Hub] | None:
    """Return the address and keys of the hub this box is enrolled with."""
    row = connection.execute("SELECT url, verify_key, sealing_key, box_no FROM hub").fetchone()
    return None if row is None else (row[0], Hub(VerifyKey(row[1]), row[2], row[3]))


def put_hub(connection: sqlite3.Connection, url: str, hub: Hub, now_ms: int) -> None:
    """Keep the hub this box is enrolled with; another hub than before gets everything from the start."""
    known = find_hub(connection)
    if known is not None and known[1].verify_key != hub.verify_key:
        begin_epoch(connection, find_epoch(connection) + 1)
        switches.set_switch(connection, switches.HUB_READS_SHORT, on=False)
    connection.execute("DELETE FROM hub")
    connection.execute(
        "INSERT INTO hub (no, url, verify_key, sealing_key, box_no, enrolled_ms) VALUES (1, ?, ?, ?, ?, ?)",
        (url, hub.verify_key.raw, hub.sealing_key, hub.box_no, now_ms),
    )


def _fitting(connection: sqlite3.Connection, logged: list[Any], max_bytes: int) -> int:
    """Return the last change whose rows, with those before it, stay within `max_bytes`."""
    ids = [key for _seq, kind, key in logged if kind == Kind.STATEMENT]
    query = "SELECT id, coalesce(length(body), 0) + coalesce(length(response), 0) FROM statement WHERE id IN ({marks})"
    sizes: dict[Any, int] = dict(tuple(row) for row in _select(connection, query, ids))
    nos = _numbers([key for _seq, kind, key in logged if kind == Kind.STATE])
    query = "SELECT no, length(content) FROM state WHERE no IN ({marks})"
    sizes |= {number_key(no): size_bytes for no, size_bytes in _select(connection, query, nos)}
    total_bytes = 0
    through: int = logged[0][0]
    for seq, kind, key in logged:
        total_bytes += _ROW_BYTES + (sizes.get(key, 0) if kind in (Kind.STATEMENT, Kind.STATE) else 0)
        if total_bytes > max_bytes:
            break
        through = seq
    return through


def _select(connection: sqlite3.Connection, query: str, keys: list[Any]) -> Iterable[Any]:
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        yield from connection.execute(query.format(marks=",".join("?" * len(chunk))), chunk).fetchall()


def _numbers(keys: list[bytes]) -> list[int]:
    return [int.from_bytes(key, "big") for key in keys]


def _read_statements(connection: sqlite3.Connection, keys: list[bytes]) -> list[Record]:
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
