"""Received bundles: what is held of each (box, epoch), and the vector that acknowledges it."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, insert, select, update

from sync.bundle.layout import NO_PREVIOUS, PREVIOUS_BYTES, Head, Vector
from sync.bundle.limits import RANGES_MAX
from sync.engine.receiver import Holding, ranges
from sync.hub.store.access import find_setting, put_setting
from sync.hub.store.schema import box, bundle, cursor

_TRIED_BY = "set_aside_tried_by"


class BundleState(Enum):
    """What became of a bundle; its file is kept in every case."""

    APPLIED = "applied"
    HELD = "held"
    FORKED = "forked"
    QUARANTINED = "quarantined"
    REFUSED = "refused"


@dataclass(frozen=True)
class Place:
    """The identity of a bundle at the hub."""

    box_no: int
    epoch: int
    seq: int


@dataclass(frozen=True)
class Waiting:
    """A bundle whose turn has come: held and next in order, or set aside and explained by now."""

    place: Place
    digest: bytes
    state: BundleState


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of an epoch; `tail` is the start of the hash of the last bundle that was applied.

    `express` are the numbers of its express bundles that came, `express_tail` is the start of the hash of the last.
    """

    vector: Vector
    tail: bytes
    is_forked: bool
    express: tuple[tuple[int, int], ...] = ()
    express_tail: bytes = b""


def find_holding(connection: Connection, place: Place) -> Holding:
    """Return what is held of the place's epoch, with the hashes known for its number."""
    row = _cursor(connection, place.box_no, place.epoch)
    same = _in_epoch(place.box_no, place.epoch) & (bundle.c.seq == place.seq)
    taken = same & (bundle.c.state != BundleState.REFUSED.value)
    known = frozenset(connection.execute(select(bundle.c.hash).where(taken)).scalars())
    held = _held(connection, place.box_no, place.epoch)
    if row is None:
        return Holding(tail=NO_PREVIOUS, held=held, known=known)
    return Holding(row.tail, row.through_seq, held, known, row.is_forked)


def is_known(connection: Connection, place: Place, digest: bytes) -> bool:
    """Return whether there is a row of this very bundle, whatever became of it."""
    this = _in_epoch(place.box_no, place.epoch) & (bundle.c.seq == place.seq) & (bundle.c.hash == digest)
    return connection.execute(select(bundle.c.seq).where(this)).scalar() is not None


def add_bundle(
    connection: Connection,
    place: Place,
    head: Head,
    state: BundleState,
    *,
    size_bytes: int,
    now_ms: int,
    reason: str | None = None,
) -> None:
    """Add the row of a bundle whose file is on the disk; one that was refused before is taken now."""
    forget(connection, place, head.hash, BundleState.REFUSED)
    values = {
        "box_no": place.box_no,
        "epoch": place.epoch,
        "seq": place.seq,
        "hash": head.hash,
        "state": state.value,
        "from_change": head.from_change,
        "through_change": head.through_change,
        "size_bytes": size_bytes,
        "records": sum(count for _kind, count in head.counts),
        "clock_quality": head.clock_quality,
        "created_ms": head.created_ms,
        "received_ms": now_ms,
        "reason": reason,
    }
    connection.execute(insert(bundle).values(values))


def find_state(connection: Connection, place: Place, digest: bytes) -> BundleState | None:
    """Return what became of a bundle; None when there is no row of it."""
    this = _in_epoch(place.box_no, place.epoch) & (bundle.c.seq == place.seq) & (bundle.c.hash == digest)
    state = connection.execute(select(bundle.c.state).where(this)).scalar()
    return None if state is None else BundleState(state)


def set_state(
    connection: Connection, place: Place, digest: bytes, state: BundleState, reason: str | None = None
) -> None:
    """Change what became of a bundle."""
    this = _in_epoch(place.box_no, place.epoch) & (bundle.c.seq == place.seq) & (bundle.c.hash == digest)
    connection.execute(update(bundle).where(this).values(state=state.value, reason=reason))


def note_logged(connection: Connection, place: Place, digest: bytes, logged_no: int) -> None:
    """Note the last place of the school's log when a bundle was applied."""
    this = _in_epoch(place.box_no, place.epoch) & (bundle.c.seq == place.seq) & (bundle.c.hash == digest)
    connection.execute(update(bundle).where(this).values(logged_no=logged_no))


def find_logged(connection: Connection, place: Place, digest: bytes) -> int | None:
    """Return the last place of the school's log when a bundle was applied; None when it was not, or nobody noted it."""
    this = _in_epoch(place.box_no, place.epoch) & (bundle.c.seq == place.seq) & (bundle.c.hash == digest)
    logged_no: int | None = connection.execute(select(bundle.c.logged_no).where(this)).scalar()
    return logged_no


def forget(connection: Connection, place: Place, digest: bytes, state: BundleState) -> None:
    """Take a bundle for never received, if this is still what became of it."""
    this = _in_epoch(place.box_no, place.epoch) & (bundle.c.seq == place.seq) & (bundle.c.hash == digest)
    connection.execute(delete(bundle).where(this, bundle.c.state == state.value))


def list_waiting(connection: Connection, box_no: int) -> list[Waiting]:
    """Return the bundles of a box whose turn has come, in the order it made them; none when it is revoked."""
    found: list[Waiting] = []
    for query in (_next_held(), _explained()):
        rows = connection.execute(query.where(box.c.no == box_no).order_by(bundle.c.epoch, bundle.c.seq))
        found += [Waiting(Place(row.box_no, row.epoch, row.seq), row.hash, BundleState(row.state)) for row in rows]
    return found


def list_waiting_boxes(connection: Connection) -> list[int]:
    """Return the numbers of the boxes that have bundles whose turn has come: a hub was stopped before them."""
    queries = (query.with_only_columns(bundle.c.box_no).distinct() for query in (_next_held(), _explained()))
    return sorted({no for query in queries for no in connection.execute(query).scalars()})


def note_explained(connection: Connection, place: Place, reasons: set[str]) -> bool:
    """Let bundles of an epoch be tried again that were set aside for reasons that are gone; return whether any was."""
    if not reasons:
        return False
    aside = _in_epoch(place.box_no, place.epoch) & (bundle.c.state == BundleState.QUARANTINED.value)
    found = connection.execute(select(bundle.c.reason).where(aside).distinct()).scalars()
    gone = [reason for reason in found if reason in reasons]
    for reason in gone:
        connection.execute(update(bundle).where(aside, bundle.c.reason == reason).values(reason=None))
    return bool(gone)


def try_again_under(connection: Connection, version: str) -> None:
    """Let everything that was set aside be tried again, once for each version of this program."""
    if find_setting(connection, _TRIED_BY) != version:
        put_setting(connection, _TRIED_BY, version)
        aside = bundle.c.state == BundleState.QUARANTINED.value
        connection.execute(update(bundle).where(aside).values(reason=None))


def move_cursor(connection: Connection, place: Place, head: Head) -> None:
    """Note that every bundle of the epoch through this one is applied or set aside."""
    values = {
        "through_seq": place.seq,
        "through_change": head.through_change,
        "tail": head.hash[:PREVIOUS_BYTES],
        "is_forked": False,
    }
    _put_cursor(connection, place, values)


def mark_forked(connection: Connection, place: Place) -> None:
    """Note that the epoch has two histories."""
    _put_cursor(
        connection, place, {"is_forked": True}, new={"through_seq": 0, "through_change": 0, "tail": NO_PREVIOUS}
    )


def find_held_of(connection: Connection, origin: bytes, place: Place) -> Held:
    """Return what is held of an epoch, for an ack."""
    row = _cursor(connection, place.box_no, place.epoch)
    gaps = ranges(_held(connection, place.box_no, place.epoch), RANGES_MAX)
    if row is None:
        return Held(Vector(origin, place.epoch, 0, 0, gaps), NO_PREVIOUS, is_forked=False)
    vector = Vector(origin, place.epoch, row.through_seq, row.through_change, gaps)
    return Held(vector, row.tail, is_forked=row.is_forked)


def _put_cursor(
    connection: Connection, place: Place, values: dict[str, object], new: dict[str, object] | None = None
) -> None:
    this = and_(cursor.c.box_no == place.box_no, cursor.c.epoch == place.epoch)
    if connection.execute(update(cursor).where(this).values(values)).rowcount == 0:
        keys = {"box_no": place.box_no, "epoch": place.epoch}
        connection.execute(insert(cursor).values(keys | (new or {}) | values))


def _cursor(connection: Connection, box_no: int, epoch: int) -> Row[Any, Any, Any, Any] | None:
    columns = select(cursor.c.through_seq, cursor.c.through_change, cursor.c.tail, cursor.c.is_forked)
    return connection.execute(columns.where(cursor.c.box_no == box_no, cursor.c.epoch == epoch)).one_or_none()


def _held(connection: Connection, box_no: int, epoch: int) -> frozenset[int]:
    held = select(bundle.c.seq).where(_in_epoch(box_no, epoch), bundle.c.state == BundleState.HELD.value)
    return frozenset(connection.execute(held).scalars())


def _next_held() -> Select[Any]:
    same = and_(cursor.c.box_no == bundle.c.box_no, cursor.c.epoch == bundle.c.epoch)
    is_next = and_(bundle.c.seq == cursor.c.through_seq + 1, cursor.c.is_forked.is_(False))
    query = _of_trusted().join(cursor, and_(same, is_next))
    return query.where(bundle.c.state == BundleState.HELD.value)


def _explained() -> Select[Any]:
    """Return the query of what was set aside and may be tried again: no reason is left."""
    return _of_trusted().where(bundle.c.state == BundleState.QUARANTINED.value, bundle.c.reason.is_(None))


def _of_trusted() -> Select[Any]:
    columns = select(bundle.c.box_no, bundle.c.epoch, bundle.c.seq, bundle.c.hash, bundle.c.state)
    return columns.join_from(bundle, box, box.c.no == bundle.c.box_no).where(box.c.revoked_ms.is_(None))


def _in_epoch(box_no: int, epoch: int) -> ColumnElement[bool]:
    return (bundle.c.box_no == box_no) & (bundle.c.epoch == epoch)
