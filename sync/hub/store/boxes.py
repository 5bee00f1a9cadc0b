"""Schools, boxes, enrolment codes and daily quotas."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from content_packs.base.signing import VerifyKey
from sync.enrolment import EnrolmentExpired
from sync.hub.errors import BoxRevoked, EnrolmentCodeInvalid, EnrolmentCodeUsed, QuotaReached
from sync.hub.store.bundles import Place, find_logged
from sync.hub.store.database import add_row
from sync.hub.store.schema import box, box_day, enrolment_code, school
from sync.introduction import Succession

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Box:
    """An enrolled box.

    Attributes:
        succeeds_no: the row of the key it had before, None when it has its first.
        replaces_no: the box whose place it took.
        is_revoked: nothing is taken from it.
    """

    no: int
    school_no: int
    verify_key: VerifyKey
    succeeds_no: int | None = None
    replaces_no: int | None = None
    is_revoked: bool = False


@dataclass(frozen=True)
class Invitation:
    """What a code or ticket is good for."""

    school: str
    replaces_no: int | None = None


def add_code(
    connection: Connection, code_hash: bytes, invitation: Invitation, created_ms: int, expires_ms: int
) -> None:
    """Keep the hash of a new enrolment code."""
    values = {
        "hash": code_hash,
        "school": invitation.school,
        "replaces_no": invitation.replaces_no,
        "created_ms": created_ms,
        "expires_ms": expires_ms,
    }
    connection.execute(insert(enrolment_code).values(values))


def use_code(connection: Connection, code_hash: bytes, key_id: bytes, now_ms: int) -> Invitation:
    """Spend a code for a box and return what it is good for; the same box may ask again, as answers get lost.

    Raises:
        EnrolmentCodeInvalid, EnrolmentCodeUsed, EnrolmentExpired: there is no such code, another box used it, or
            it is too old.
    """
    this = enrolment_code.c.hash == code_hash
    found = connection.execute(select(enrolment_code).where(this)).one_or_none()
    if found is None:
        raise EnrolmentCodeInvalid
    if found.used_by not in (None, key_id):
        raise EnrolmentCodeUsed
    if found.expires_ms <= now_ms and found.used_by is None:
        raise EnrolmentExpired
    connection.execute(update(enrolment_code).where(this).values(used_ms=now_ms, used_by=key_id))
    return Invitation(found.school, found.replaces_no)


def add_box(connection: Connection, verify_key: VerifyKey, invitation: Invitation, now_ms: int) -> int:
    """Enrol a box and return its number; one that is enrolled already keeps its number and school.

    Raises:
        BoxRevoked: it is enrolled, and nothing is taken from it.
    """
    known = find_box(connection, verify_key.key_id)
    if known is not None:
        return _trusted(known).no
    school_no = _find_or_add_school(connection, invitation.school)
    return _insert_box(connection, verify_key, school_no, now_ms, replaces_no=invitation.replaces_no)


def succeed(connection: Connection, succession: Succession, now_ms: int) -> int | None:
    """Let the last of the keys of one box take the place of those before, and return its number; safe to repeat.

    What came under the key before, up to the last bundle that the box names, it is not sent again. None when no key is
    known here. Several boxes may succeed one: that is what a copied card comes to.

    Raises:
        BoxRevoked: nothing is taken from a box that had one of the keys.
    """
    keys = succession.keys
    found = [find_box(connection, key.key_id) for key in keys]
    known = [_trusted(one) for one in found[:-1] if one is not None]
    this, before = found[-1], known[-1] if known else None
    if this is not None:
        _trusted(this)
        is_later = before is not None and before.no < this.no and before.school_no == this.school_no
        if before is not None and is_later and this.succeeds_no is None:
            connection.execute(update(box).where(box.c.no == this.no).values(succeeds_no=before.no))
        return this.no
    if before is None:
        return None
    own_no = None
    if succession.last is not None and before.verify_key == keys[-2]:
        place = Place(before.no, succession.last.epoch, succession.last.seq)
        own_no = find_logged(connection, place, succession.last.hash)
    return _insert_box(connection, keys[-1], before.school_no, now_ms, succeeds_no=before.no, own_no=own_no)


def find_school(connection: Connection, title: str) -> int | None:
    """Return the number of the school of that title."""
    found = connection.execute(select(school.c.no).where(school.c.title == title)).scalar()
    return None if found is None else int(found)


def list_schools(connection: Connection) -> list[int]:
    """Return the numbers of all schools."""
    return list(connection.execute(select(school.c.no).order_by(school.c.no)).scalars())


def find_box(connection: Connection, key_id: bytes) -> Box | None:
    """Return the box with this key."""
    row = connection.execute(_BOX.where(box.c.key_id == key_id)).one_or_none()
    return None if row is None else _box(row)


def find_box_no(connection: Connection, no: int) -> Box | None:
    """Return the box with this number."""
    is_there = connection.execute(select(box.c.no).where(box.c.no == no)).scalar() is not None
    return get_box(connection, no) if is_there else None


def get_box(connection: Connection, no: int) -> Box:
    """Return the box with this number, which exists."""
    return _box(connection.execute(_BOX.where(box.c.no == no)).one())


def find_school_of(connection: Connection, box_no: int) -> str | None:
    """Return the title of a box's school; None when there is no such box."""
    query = select(school.c.title).join_from(box, school, school.c.no == box.c.school_no).where(box.c.no == box_no)
    title: str | None = connection.execute(query).scalar()
    return title


def has_successor(connection: Connection, box_no: int) -> bool:
    """Return whether a box went on under a new key, whose row names this one."""
    return connection.execute(select(box.c.no).where(box.c.succeeds_no == box_no).limit(1)).scalar() is not None


def revoke(connection: Connection, box_no: int, now_ms: int | None) -> bool:
    """Take nothing from a box any more, or, without a time, take from it again; return whether there is such a box."""
    return connection.execute(update(box).where(box.c.no == box_no).values(revoked_ms=now_ms)).rowcount == 1


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


_BOX = select(box.c.no, box.c.school_no, box.c.verify_key, box.c.succeeds_no, box.c.replaces_no, box.c.revoked_ms)


def _box(row: Any) -> Box:
    no, school_no, raw, succeeds_no, replaces_no, revoked_ms = row
    return Box(no, school_no, VerifyKey(raw), succeeds_no, replaces_no, revoked_ms is not None)


def _trusted(found: Box) -> Box:
    if found.is_revoked:
        raise BoxRevoked
    return found


def _insert_box(connection: Connection, key: VerifyKey, school_no: int, now_ms: int, **origin: int | None) -> int:
    values = {"school_no": school_no, "key_id": key.key_id, "verify_key": key.raw, "enrolled_ms": now_ms}
    return add_row(connection, box, values | origin)


def _find_or_add_school(connection: Connection, title: str) -> int:
    found = find_school(connection, title)
    return add_row(connection, school, {"title": title}) if found is None else found
