"""Bundles of the hub: what is held of each stream, and taking one in with its records in one transaction."""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from content_packs.base.errors import EdgeboxError
from edgebox.store.downstream import apply_records
from sync.bundle.layout import NO_PREVIOUS, PREVIOUS_BYTES, Head, Vector
from sync.bundle.limits import RANGES_MAX
from sync.engine.receiver import Holding, Verdict, judge, ranges
from sync.records.rows import Record

log = logging.getLogger(__name__)

# For services, which may not import sqlite3, to name what their jobs get.
Connection = sqlite3.Connection

_CURSOR = (
    "SELECT through_seq, through_change, tail, is_forked FROM inbox_cursor WHERE hub = ? AND box = ? AND epoch = ?"
)
_KNOWN = "SELECT hash FROM inbox_bundle WHERE hub = ? AND box = ? AND epoch = ? AND seq = ?"
_HELD = "SELECT seq FROM inbox_bundle WHERE hub = ? AND box = ? AND epoch = ? AND state = 'held'"
_NEXT_HELD = """
SELECT bundle.epoch, bundle.seq, bundle.hash FROM inbox_bundle AS bundle
LEFT JOIN inbox_cursor AS cursor USING (hub, box, epoch)
WHERE bundle.hub = ? AND bundle.box = ? AND bundle.state = 'held'
AND bundle.seq = coalesce(cursor.through_seq, 0) + 1 AND NOT coalesce(cursor.is_forked, 0)
ORDER BY bundle.epoch LIMIT 1
"""
_ASIDE = """
SELECT epoch, seq, hash FROM inbox_bundle WHERE hub = ? AND box = ? AND state = 'aside' ORDER BY epoch, seq
"""
_PUT_CURSOR = """
INSERT INTO inbox_cursor (hub, box, epoch, through_seq, through_change, tail) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (hub, box, epoch) DO UPDATE SET through_seq = excluded.through_seq,
through_change = excluded.through_change, tail = excluded.tail
"""
_MARK_FORKED = """
INSERT INTO inbox_cursor (hub, box, epoch, is_forked) VALUES (?, ?, ?, 1)
ON CONFLICT (hub, box, epoch) DO UPDATE SET is_forked = 1
"""
_PUT_BUNDLE = """
INSERT INTO inbox_bundle (hub, box, epoch, seq, hash, state, reason, received_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (hub, box, epoch, seq, hash) DO UPDATE SET state = excluded.state, reason = excluded.reason
"""
_FORGET = "DELETE FROM inbox_bundle WHERE hub = ? AND box = ? AND epoch = ? AND seq = ? AND hash = ?"
_LOST_BEHIND = """
UPDATE inbox_cursor SET is_forked = 1 WHERE hub = ? AND box = ? AND epoch = ? AND through_seq >= ?
"""
_REASON_MAX_CHARACTERS = 80


class InboxState(Enum):
    """What became of a bundle of the hub."""

    APPLIED = "applied"
    HELD = "held"
    ASIDE = "aside"
    FORKED = "forked"


@dataclass(frozen=True, slots=True)
class Pair:
    """Who sends and who takes in: the key ids of a hub and of this box."""

    hub: bytes
    box: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A bundle that is not applied; its file is in the spool."""

    epoch: int
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Arrival:
    """A bundle whose signature and hash passed; `fault` is the code of what kept its body from being read."""

    pair: Pair
    head: Head
    records: Sequence[Record]
    fault: str | None
    now_ms: int


def judge_arrival(connection: Connection, pair: Pair, head: Head) -> Verdict:
    """Return what is to be done with a bundle."""
    return judge(_find_holding(connection, pair, head), head.seq, head.hash, head.previous)


def take(connection: Connection, arrival: Arrival) -> tuple[Verdict, InboxState]:
    """Do what the receiver's table says with a bundle; return that, and what became of it. Safe to repeat."""
    pair, head = arrival.pair, arrival.head
    verdict = judge_arrival(connection, pair, head)
    if verdict is Verdict.APPLY:
        return verdict, _apply_next(connection, arrival)
    state = InboxState.HELD if verdict is Verdict.HOLD else InboxState.FORKED
    if verdict is not Verdict.DUPLICATE:
        _put_bundle(connection, arrival, state)
    if verdict is Verdict.FORK:
        connection.execute(_MARK_FORKED, (pair.hub, pair.box, head.epoch))
    return verdict, state


def take_held(connection: Connection, arrival: Arrival) -> InboxState:
    """Do the same with a bundle that was held, once the hole before it is filled."""
    holding = _find_holding(connection, arrival.pair, arrival.head)
    if arrival.head.previous == holding.tail:
        return _apply_next(connection, arrival)
    _put_bundle(connection, arrival, InboxState.FORKED)
    connection.execute(_MARK_FORKED, (arrival.pair.hub, arrival.pair.box, arrival.head.epoch))
    return InboxState.FORKED


def take_aside(connection: Connection, arrival: Arrival) -> InboxState:
    """Try once more to apply a bundle that was set aside; the stream went on without it."""
    state, fault = _apply(connection, arrival)
    _put_bundle(connection, arrival, state, fault)
    return state


def find_next_held(connection: Connection, pair: Pair) -> Kept | None:
    """Return a held bundle that has no hole before it any more."""
    row = connection.execute(_NEXT_HELD, (pair.hub, pair.box)).fetchone()
    return None if row is None else Kept(*row)


def list_aside(connection: Connection, pair: Pair) -> list[Kept]:
    """Return the bundles that could not be read or applied, in order."""
    return [Kept(*row) for row in connection.execute(_ASIDE, (pair.hub, pair.box))]


def list_kept(connection: Connection) -> list[Kept]:
    """Return every bundle that has a right to its file in the spool."""
    return [
        Kept(*row) for row in connection.execute("SELECT epoch, seq, hash FROM inbox_bundle WHERE state != 'applied'")
    ]


def forget(connection: Connection, pair: Pair, kept: Kept) -> None:
    """Take a bundle for never received, because the disk lost its file.

    The next ack lacks a held one, so that the hub gives it again. One that was set aside is behind the cursor: then the
    epoch counts as forked, and the hub starts over.
    """
    connection.execute(_FORGET, (pair.hub, pair.box, kept.epoch, kept.seq, kept.hash))
    connection.execute(_LOST_BEHIND, (pair.hub, pair.box, kept.epoch, kept.seq))


def find_vector(connection: Connection, pair: Pair) -> Vector:
    """Return what is held of the hub's newest epoch: nothing of epoch 0 before the first bundle came."""
    newest = "SELECT max(epoch) FROM inbox_bundle WHERE hub = ? AND box = ?"
    epoch = connection.execute(newest, (pair.hub, pair.box)).fetchone()[0] or 0
    row = connection.execute(_CURSOR, (pair.hub, pair.box, epoch)).fetchone()
    through_seq, through_change = (row[0], row[1]) if row else (0, 0)
    held = _held(connection, pair, epoch)
    return Vector(pair.hub, epoch, through_seq, through_change, ranges(held, RANGES_MAX))


def is_forked(connection: Connection, pair: Pair, epoch: int) -> bool:
    """Return whether an epoch of the hub has two histories."""
    row = connection.execute(_CURSOR, (pair.hub, pair.box, epoch)).fetchone()
    return bool(row and row[3])


def _apply_next(connection: Connection, arrival: Arrival) -> InboxState:
    """Apply the next bundle of a stream, or set it aside, and move the cursor: what follows may not depend on it."""
    state, fault = _apply(connection, arrival)
    _put_bundle(connection, arrival, state, fault)
    pair, head = arrival.pair, arrival.head
    tail = head.hash[:PREVIOUS_BYTES]
    connection.execute(_PUT_CURSOR, (pair.hub, pair.box, head.epoch, head.seq, head.through_change, tail))
    return state


def _apply(connection: Connection, arrival: Arrival) -> tuple[InboxState, str | None]:
    """Apply the records, or nothing of them when they make no sense here; a full or broken disk is another matter."""
    if arrival.fault is not None:
        return InboxState.ASIDE, arrival.fault
    head = arrival.head
    connection.execute("SAVEPOINT inbox")
    try:
        apply_records(connection, arrival.records, origin=head.origin, epoch=head.epoch, now_ms=arrival.now_ms)
        fault = None
    except EdgeboxError as error:
        fault = error.code
    except (sqlite3.IntegrityError, LookupError, ValueError, TypeError, ArithmeticError) as error:
        log.exception("inbox.fault %d-%d", head.epoch, head.seq)
        fault = type(error).__name__
    if fault is not None:
        connection.execute("ROLLBACK TO inbox")
    connection.execute("RELEASE inbox")
    return (InboxState.APPLIED, None) if fault is None else (InboxState.ASIDE, fault)


def _put_bundle(connection: Connection, arrival: Arrival, state: InboxState, fault: str | None = None) -> None:
    pair, head = arrival.pair, arrival.head
    reason = fault[:_REASON_MAX_CHARACTERS] if fault else None
    values = (pair.hub, pair.box, head.epoch, head.seq, head.hash, state.value, reason, arrival.now_ms)
    connection.execute(_PUT_BUNDLE, values)


def _find_holding(connection: Connection, pair: Pair, head: Head) -> Holding:
    stream = (pair.hub, pair.box, head.epoch)
    row = connection.execute(_CURSOR, stream).fetchone()
    known = frozenset(bytes(found[0]) for found in connection.execute(_KNOWN, (*stream, head.seq)))
    held = _held(connection, pair, head.epoch)
    if row is None:
        return Holding(NO_PREVIOUS, 0, held, known)
    return Holding(bytes(row[2]), row[0], held, known, bool(row[3]))


def _held(connection: Connection, pair: Pair, epoch: int) -> frozenset[int]:
    return frozenset(row[0] for row in connection.execute(_HELD, (pair.hub, pair.box, epoch)))
