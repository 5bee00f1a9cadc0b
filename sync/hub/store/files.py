"""Which files that learners handed in are at the hub, and that their boxes are told so.

The record of a hand-in comes with the log of its box, its file apart from that, in any order. Whichever is the later
writes the fact that the file has arrived, which goes down to the boxes of the school like any other. A hub that was
restored from a backup says in the same way which files it does not have, and the boxes send them again.
"""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select

from sync.hub.errors import QuotaReached
from sync.hub.store import merged
from sync.hub.store.boxes import DAY_MS, Box, find_box
from sync.hub.store.schema import school_file, unnoted_file
from sync.hub.store.writing import SchoolWriter
from sync.records.facts import Entity, HandInField
from sync.records.kinds import Kind
from sync.records.rows import HandIn
from sync.records.sizes import is_file


def check_quota(
    connection: Connection, box: Box, digest: bytes, size_bytes: int, now_ms: int, limit_bytes: int
) -> None:
    """Return if a box may bring a file today. One that is noted already it may bring as often as it likes.

    Raises:
        QuotaReached: with it, what is new of the box today would be more than `limit_bytes`.
    """
    if _received_ms(connection, box.school_no, digest) is not None:
        return
    is_of_today = school_file.c.received_ms >= now_ms - now_ms % DAY_MS
    of_box = and_(school_file.c.school_no == box.school_no, school_file.c.box_no == box.no, is_of_today)
    came_bytes = connection.execute(select(func.sum(school_file.c.size_bytes)).where(of_box)).scalar() or 0
    if came_bytes + size_bytes > limit_bytes:
        raise QuotaReached(limit_bytes=limit_bytes)


def add_file(connection: Connection, box: Box, digest: bytes, size_bytes: int, now_ms: int) -> None:
    """Note a file that is on the disk, and tell whoever waits for the word on it. Safe to repeat."""
    if _received_ms(connection, box.school_no, digest) is None:
        values = {"school_no": box.school_no, "hash": digest, "size_bytes": size_bytes}
        connection.execute(insert(school_file).values(values | {"box_no": box.no, "received_ms": now_ms}))
        forget_unnoted(connection, box.school_no, digest)
    waiting: list[HandIn] = merged.list_where(connection, box.school_no, Kind.HAND_IN, hash=digest)
    tell_arrived(connection, box.school_no, waiting, now_ms)


def list_noted(connection: Connection) -> set[tuple[int, bytes]]:
    """Return school and hash of every file that is noted, and so has a right to its place on the disk."""
    return {
        (row.school_no, row.hash) for row in connection.execute(select(school_file.c.school_no, school_file.c.hash))
    }


def adopt(connection: Connection, school_no: int, digest: bytes, size_bytes: int, now_ms: int) -> bool:
    """Note a file that is on the disk and whole, if its hand-in is known here, as one its box brought; return that."""
    hand_ins: list[HandIn] = merged.list_where(connection, school_no, Kind.HAND_IN, hash=digest)
    found = (find_box(connection, hand_in.origin or b"") for hand_in in hand_ins)
    box = next((box for box in found if box is not None and box.school_no == school_no), None)
    if box is not None:
        add_file(connection, box, digest, size_bytes, now_ms)
    return box is not None


def see_unnoted(connection: Connection, school_no: int, digest: bytes, now_ms: int) -> int:
    """Return when a file that is not noted was seen on the disk first; the file itself may be much older."""
    found = connection.execute(select(unnoted_file.c.seen_ms).where(_unnoted(school_no, digest))).scalar()
    if found is not None:
        return int(found)
    connection.execute(insert(unnoted_file).values(school_no=school_no, hash=digest, seen_ms=now_ms))
    return now_ms


def forget_unnoted(connection: Connection, school_no: int, digest: bytes) -> None:
    """Forget a file that is noted now, or no longer there."""
    connection.execute(delete(unnoted_file).where(_unnoted(school_no, digest)))


def tell_arrived(connection: Connection, school_no: int, hand_ins: Iterable[HandIn], now_ms: int) -> None:
    """Say of those hand-ins whose file is here that it has arrived. Safe to repeat."""
    writer = SchoolWriter(connection, school_no, now_ms)
    for hand_in in hand_ins:
        received_ms = _received_ms(connection, school_no, hand_in.hash)
        if received_ms is not None:
            value = str(max(received_ms, 0))
            writer.write_fact(Entity.HAND_IN, hand_in.id, HandInField.ARRIVED_MS, value)


def tell_lacking(connection: Connection, school_no: int, hand_ins: Iterable[HandIn], now_ms: int) -> None:
    """Say of those hand-ins whose file is not here that it has not arrived. Safe to repeat.

    Only a hub that lost a file, as one restored from a backup did, has ever said otherwise.
    """
    writer = SchoolWriter(connection, school_no, now_ms)
    for hand_in in hand_ins:
        is_due = is_file(hand_in.media_type, hand_in.size_bytes)
        if is_due and _received_ms(connection, school_no, hand_in.hash) is None:
            writer.write_fact(Entity.HAND_IN, hand_in.id, HandInField.ARRIVED_MS, "")


def tell_all_lacking(connection: Connection, school_no: int, now_ms: int) -> None:
    """Do so for all hand-ins of a school."""
    tell_lacking(connection, school_no, merged.list_where(connection, school_no, Kind.HAND_IN), now_ms)


def _unnoted(school_no: int, digest: bytes) -> ColumnElement[bool]:
    return and_(unnoted_file.c.school_no == school_no, unnoted_file.c.hash == digest)


def _received_ms(connection: Connection, school_no: int, digest: bytes) -> int | None:
    this = and_(school_file.c.school_no == school_no, school_file.c.hash == digest)
    found: int | None = connection.execute(select(school_file.c.received_ms).where(this)).scalar()
    return found
