"""Schools, boxes, enrolment codes and daily quotas."""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, insert, or_, select, update

from content_packs.base.signing import VerifyKey
from sync.hub.errors import EnrolmentCodeInvalid, QuotaReached
from sync.hub.store.database import add_row
from sync.hub.store.schema import box, box_day, enrolment_code, school

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Box:
    """An enrolled box."""

    no: int
    school_no: int
    verify_key: VerifyKey


def add_code(connection: Connection, code_hash: bytes, school_title: str, created_ms: int, expires_ms: int) -> None:
    """Keep the hash of a new enrolment code."""
    values = {"hash": code_hash, "school": school_title, "created_ms": created_ms, "expires_ms": expires_ms}
    connection.execute(insert(enrolment_code).values(values))


def use_code(connection: Connection, code_hash: bytes, key_id: bytes, now_ms: int) -> str:
    """Spend a code for a box and return the school it was made for; the same box may ask again, as answers get lost.

    Raises:
        EnrolmentCodeInvalid: there is no such code, another box used it, or it is too old.
    """
    unused_or_same = or_(enrolment_code.c.used_by.is_(None), enrolment_code.c.used_by == key_id)
    is_good = and_(enrolment_code.c.hash == code_hash, enrolment_code.c.expires_ms > now_ms, unused_or_same)
    spent = connection.execute(update(enrolment_code).where(is_good).values(used_ms=now_ms, used_by=key_id))
    if spent.rowcount != 1:
        raise EnrolmentCodeInvalid
    found = select(enrolment_code.c.school).where(enrolment_code.c.hash == code_hash)
    title: str = connection.execute(found).scalar_one()
    return title


def add_box(connection: Connection, verify_key: VerifyKey, school_title: str, now_ms: int) -> int:
    """Enrol a box and return its number; one that is enrolled already keeps its number and school."""
    school_no = _find_or_add_school(connection, school_title)
    found = connection.execute(select(box.c.no).where(box.c.key_id == verify_key.key_id)).scalar()
    if found is not None:
        return int(found)
    values = {
        "school_no": school_no,
        "key_id": verify_key.key_id,
        "verify_key": verify_key.raw,
        "enrolled_ms": now_ms,
    }
    return add_row(connection, box, values)


def find_school(connection: Connection, title: str) -> int | None:
    """Return the number of the school of that title."""
    found = connection.execute(select(school.c.no).where(school.c.title == title)).scalar()
    return None if found is None else int(found)


def list_schools(connection: Connection) -> list[int]:
    """Return the numbers of all schools."""
    return list(connection.execute(select(school.c.no).order_by(school.c.no)).scalars())


def find_box(connection: Connection, key_id: bytes) -> Box | None:
    """Return the box with this key."""
    columns = select(box.c.no, box.c.school_no, box.c.verify_key)
    row = connection.execute(columns.where(box.c.key_id == key_id)).one_or_none()
    return None if row is None else Box(row.no, row.school_no, VerifyKey(row.verify_key))


def find_box_no(connection: Connection, no: int) -> Box | None:
    """Return the box with this number."""
    is_there = connection.execute(select(box.c.no).where(box.c.no == no)).scalar() is not None
    return get_box(connection, no) if is_there else None


def get_box(connection: Connection, no: int) -> Box:
    """Return the box with this number, which exists."""
    columns = select(box.c.no, box.c.school_no, box.c.verify_key)
    row = connection.execute(columns.where(box.c.no == no)).one()
    return Box(row.no, row.school_no, VerifyKey(row.verify_key))


def note_contact(connection: Connection, box_no: int, now_ms: int, *, is_forked: bool = False) -> None:
    """Remember that the box was heard of, and whether a second history of it was seen."""
    values = {"contact_ms": now_ms} | ({"forked_ms": now_ms} if is_forked else {})
    connection.execute(update(box).where(box.c.no == box_no).values(values))


def spend_quota(connection: Connection, box_no: int, now_ms: int, size_bytes: int, limit_bytes: int) -> None:
    """Count what a box sends today.

    Raises:
        QuotaReached: it would be more than `limit_bytes`; nothing is counted.
    """
    today = (box_day.c.box_no == box_no) & (box_day.c.day == now_ms // DAY_MS)
    sent_bytes = connection.execute(select(box_day.c.received_bytes).where(today)).scalar()
    if (sent_bytes or 0) + size_bytes > limit_bytes:
        raise QuotaReached(limit_bytes=limit_bytes)
    if sent_bytes is None:
        values = {"box_no": box_no, "day": now_ms // DAY_MS, "received_bytes": size_bytes}
        connection.execute(insert(box_day).values(values))
    else:
        connection.execute(update(box_day).where(today).values(received_bytes=sent_bytes + size_bytes))


def _find_or_add_school(connection: Connection, title: str) -> int:
    found = find_school(connection, title)
    return add_row(connection, school, {"title": title}) if found is None else found
