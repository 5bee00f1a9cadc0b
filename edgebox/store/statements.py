"""Statements in, in one transaction with all that follows from them. This is the box's hot path: no query per row that
a primary key does not answer, and nothing read that is already in memory.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgebox.domain import progress, sequence
from edgebox.domain.progress import Progress
from edgebox.domain.statements import NewStatement
from edgebox.store import definitions, removed, returning, row_seals, seals, stretches
from edgebox.store.changes import find_last_change
from edgebox.store.log import append_change, number_key
from edgebox.store.outside import insert_outside
from edgebox.store.registry import Numbers, Registry
from sync.records.kinds import Kind

_FIND_LEARNER = "SELECT 1 FROM person WHERE no = ? AND pseudonym = ? AND role = 'learner'"
_HAS_LEARNER = "SELECT 1 FROM person WHERE no = ? AND role = 'learner'"
_FIND_PERSON = "SELECT no FROM person WHERE pseudonym = ?"
_FIND_DEVICE = "SELECT no, box_seq, ahead, hub_seq, refused FROM device WHERE id = ?"
_INSERT_DEVICE = "INSERT INTO device (id, first_ms) VALUES (?, ?)"
_NOTE_REFUSED = "UPDATE device SET refused = ?, refused_ms = ? WHERE no = ?"
_COUNT_REFUSING = "SELECT count(*) FROM device WHERE refused > 0 AND refused_ms > ?"
_ADVANCE_DEVICE = "UPDATE device SET box_seq = ?, ahead = ? WHERE no = ?"
# In the order in which the table has them: their seal is compared with what is read of it.
_COLUMNS = (
    "id", "person_no", "verb_no", "activity_no", "device_no", "device_seq", "attempt_seq", "registration",
    "timestamp_ms", "stored_ms", "success", "completion", "score_raw", "score_max", "score_scaled", "duration_ms",
    "progress", "response", "body", "digest", "pack_version",
    "client_no",
)  # fmt: skip
_INSERT_STATEMENT = f"""
INSERT INTO statement ({", ".join(_COLUMNS)}, seal) VALUES ({"?, " * len(_COLUMNS)}?) ON CONFLICT (id) DO NOTHING
"""  # noqa: S608 - made of the constants above
_INSERT_CONFLICT = """
INSERT INTO statement_conflict (id, received_ms, body) SELECT ?1, ?2, ?3
WHERE NOT EXISTS (SELECT 1 FROM statement_conflict WHERE id = ?1 AND body = ?3)
"""
_COUNT_CONFLICTS = "SELECT count(*) FROM statement_conflict WHERE id = ?"
CONFLICTS_MAX = 20  # of one id are kept of outside clients, which are told so; of our own pages all are
_FIND_PROGRESS = """
SELECT progress, is_complete, score_scaled, attempts, duration_ms, first_ms, last_ms
FROM progress WHERE person_no = ? AND activity_no = ?
"""
_STORE_PROGRESS = """
INSERT INTO progress (progress, is_complete, score_scaled, attempts, duration_ms, first_ms, last_ms, version, stored_ms,
    person_no, activity_no)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (person_no, activity_no) DO UPDATE SET progress = excluded.progress, is_complete = excluded.is_complete,
    score_scaled = excluded.score_scaled, attempts = excluded.attempts, duration_ms = excluded.duration_ms,
    first_ms = excluded.first_ms, last_ms = excluded.last_ms, version = coalesce(excluded.version, version),
    stored_ms = max(stored_ms, excluded.stored_ms)
"""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """How much of a device's work is here, how much is at the hub, and how much it holds that was refused."""

    no: int
    box_seq: int
    ahead: str
    hub_seq: int
    refused: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request of a tablet brings.

    Attributes:
        people: pseudonyms of those for whom it may submit.
        refused_seqs: events that will never be stored under their number.
    """

    device_id: bytes
    held_from: int | None
    statements: Sequence[NewStatement]
    people: Mapping[int, bytes]
    refused_seqs: Sequence[int]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a job stored; true once it is committed."""

    device: DeviceState | None
    known_people: frozenset[int]
    numbers: Numbers


def insert_batch(connection: sqlite3.Connection, registry: Registry, batch: Batch, now_ms: int) -> Accepted:
    """Store the events of one request. Safe to repeat."""
    numbers = Numbers(connection, registry)
    known = frozenset(no for no, pseudonym in batch.people.items() if is_learner(connection, no, pseudonym))
    statements = [statement for statement in batch.statements if statement.person_no in known]
    if not statements:
        return Accepted(find_device(connection, batch.device_id), known, numbers)
    device = find_device(connection, batch.device_id) or _make_device(connection, batch.device_id, now_ms)
    last = find_last_change(connection)
    for statement in statements:
        _insert(connection, numbers, statement, device.no, now_ms)
    stretches.note_stored(connection, last, now_ms)
    seqs = [statement.device_seq for statement in batch.statements if statement.device_seq is not None]
    device = _advance_device(connection, device, [*seqs, *batch.refused_seqs], batch.held_from)
    return Accepted(device, known, numbers)


def insert_statements(
    connection: sqlite3.Connection, registry: Registry, statements: Sequence[NewStatement], now_ms: int
) -> tuple[list[bytes], Numbers]:
    """Store all statements of an outside client or none; return the ids that are taken by another content.

    Those are kept as conflicts, the first few of each id. Safe to repeat.
    """
    numbers = Numbers(connection, registry)
    taken = [statement for statement in statements if returning.is_taken(connection, statement)]
    for statement in taken:
        if connection.execute(_COUNT_CONFLICTS, (statement.id,)).fetchone()[0] < CONFLICTS_MAX:
            _keep_conflict(connection, statement, now_ms)
    if not taken:
        last = find_last_change(connection)
        new = [statement for statement in statements if _insert(connection, numbers, statement, None, now_ms)]
        stretches.note_stored(connection, last, now_ms)
        definitions.define(connection, numbers, [each.outside for each in new if each.outside is not None])
    return [statement.id for statement in taken], numbers


def is_learner(connection: sqlite3.Connection, person_no: int, pseudonym: bytes) -> bool:
    """Tell whether this is a learner of the box, present or removed: late work of a removed learner is kept too."""
    return connection.execute(_FIND_LEARNER, (person_no, pseudonym)).fetchone() is not None


def find_person_no(connection: sqlite3.Connection, pseudonym: bytes) -> int | None:
    """Return the number of a person."""
    row = connection.execute(_FIND_PERSON, (pseudonym,)).fetchone()
    return None if row is None else int(row[0])


def find_device(connection: sqlite3.Connection, device_id: bytes) -> DeviceState | None:
    """Return what is known of a device."""
    row = connection.execute(_FIND_DEVICE, (device_id,)).fetchone()
    return None if row is None else DeviceState(*row)


def note_refused(connection: sqlite3.Connection, device_no: int, refused: int, now_ms: int) -> None:
    """Remember how many events a device holds that were refused."""
    connection.execute(_NOTE_REFUSED, (refused, now_ms, device_no))


def count_refusing_devices(connection: sqlite3.Connection, since_ms: int) -> int:
    """Return how many devices said since then that they hold refused events."""
    return int(connection.execute(_COUNT_REFUSING, (since_ms,)).fetchone()[0])


def _make_device(connection: sqlite3.Connection, device_id: bytes, now_ms: int) -> DeviceState:
    no = int(connection.execute(_INSERT_DEVICE, (device_id, now_ms)).lastrowid or 0)
    row_seals.seal(connection, "device", no)
    append_change(connection, Kind.DEVICE, number_key(no))
    return DeviceState(no, 0, "", 0, 0)


def _advance_device(
    connection: sqlite3.Connection, device: DeviceState, seqs: Iterable[int], held_from: int | None
) -> DeviceState:
    box_seq, ahead = sequence.advance(device.box_seq, device.ahead, seqs, held_from)
    if (box_seq, ahead) != (device.box_seq, device.ahead):
        connection.execute(_ADVANCE_DEVICE, (box_seq, ahead, device.no))
    return DeviceState(device.no, box_seq, ahead, device.hub_seq, device.refused)


def _insert(
    connection: sqlite3.Connection, numbers: Numbers, statement: NewStatement, device_no: int | None, now_ms: int
) -> bool:
    """Store one statement, keep it as a conflict, or leave what is known as it is; return whether it told anything."""
    if _add(connection, numbers, statement, device_no, now_ms):
        before = returning.find_place(connection, statement.id)
        insert_outside(connection, numbers, statement, append_change(connection, Kind.STATEMENT, statement.id))
        if before is not None:
            returning.leave_place(connection, before)
        return True
    if returning.is_taken(connection, statement, device_no):
        _keep_conflict(connection, statement, now_ms)
        return False
    return returning.lacks_people(connection, statement) and _complete(connection, numbers, statement, now_ms)


def _complete(connection: sqlite3.Connection, numbers: Numbers, statement: NewStatement, now_ms: int) -> bool:
    place = returning.find_place(connection, statement.id)
    if not returning.complete(connection, statement, now_ms if place is None else None):
        return False
    place = append_change(connection, Kind.STATEMENT, statement.id) if place is None else place
    insert_outside(connection, numbers, statement, place)
    return True


def insert_from_hub(
    connection: sqlite3.Connection, numbers: Numbers, statement: NewStatement, device_no: int | None, stored_ms: int
) -> None:
    """Store a statement that another box, or this one in an earlier life, brought to the hub. Safe to repeat.

    It has no digest: what a tablet sends under this id later is the same, and what an outside client sends is compared
    with what travelled.
    """
    _add(connection, numbers, statement, device_no, stored_ms)


def advance_device(connection: sqlite3.Connection, device_id: bytes, seqs: Iterable[int]) -> None:
    """Note that events of a known device are here, whoever brought them."""
    device = find_device(connection, device_id)
    if device is not None:
        _advance_device(connection, device, seqs, None)


def find_or_make_device(connection: sqlite3.Connection, device_id: bytes, now_ms: int) -> int:
    """Return the number of a device."""
    return (find_device(connection, device_id) or _make_device(connection, device_id, now_ms)).no


def _add(
    connection: sqlite3.Connection, numbers: Numbers, statement: NewStatement, device_no: int | None, stored_ms: int
) -> bool:
    """Store a statement with what follows from it; return False when its id is known, though it has left the box."""
    if removed.is_removed(connection, statement.id, device_no, statement.device_seq):
        return False
    stays = not _travels(connection, statement)
    verb_no = numbers.of_verb(statement.verb_iri, stays=stays)
    activity_no = numbers.of_activity(statement.activity, stays=stays)
    outcome = statement.outcome
    values = (
        statement.id,
        statement.person_no,
        verb_no,
        activity_no,
        device_no,
        statement.device_seq,
        statement.attempt_seq,
        statement.registration,
        statement.timestamp_ms,
        stored_ms,
        outcome.success,
        outcome.completion,
        outcome.score_raw,
        outcome.score_max,
        outcome.score_scaled,
        outcome.duration_ms,
        outcome.progress,
        outcome.response,
        statement.body,
        statement.digest,
        statement.pack_version,
        None if statement.outside is None else statement.outside.client_no,
    )
    seal = seals.seal_of(_COLUMNS, values)
    if connection.execute(_INSERT_STATEMENT, (*values, seal)).rowcount == 0:
        return False
    seals.join(connection, device_no, seal)
    if statement.person_no is not None:
        whole = statement.activity.whole
        whole_no = activity_no if whole is statement.activity else numbers.of_activity(whole, stays=stays)
        step_progress(connection, statement, whole_no, stored_ms)
    return True


def _travels(connection: sqlite3.Connection, statement: NewStatement) -> bool:
    """Tell whether a statement goes to the hub, or came from there; its verb and activity go where it goes."""
    return statement.outside is None or connection.execute(_HAS_LEARNER, (statement.person_no,)).fetchone() is not None


def step_progress(connection: sqlite3.Connection, statement: NewStatement, activity_no: int, now_ms: int) -> None:
    """Let a statement count for the progress of its learner on a whole resource."""
    row = connection.execute(_FIND_PROGRESS, (statement.person_no, activity_no)).fetchone()
    before = None
    if row is not None:
        done, is_complete, *others = row
        before = Progress(done, bool(is_complete), *others)
    after = progress.advance(before, statement.step)
    values = (
        after.progress,
        after.is_complete,
        after.score_scaled,
        after.attempts,
        after.duration_ms,
        after.first_ms,
        after.last_ms,
        statement.pack_version,
        now_ms,
        statement.person_no,
        activity_no,
    )
    connection.execute(_STORE_PROGRESS, values)


def _keep_conflict(connection: sqlite3.Connection, statement: NewStatement, now_ms: int) -> None:
    body = json.dumps(statement.received, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    connection.execute(_INSERT_CONFLICT, (statement.id, now_ms, body))
