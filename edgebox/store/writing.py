"""What staff and learners of this box change, as facts, members and marks with the row of the change log.

Everything is written in the caller's transaction. What changes nothing is not written.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import replace

from content_packs.base.signing import VerifyKey
from edgebox.store import merged, stamping
from edgebox.store.log import append_change, number_key
from sync.records.kinds import Kind, kind_of
from sync.records.merging import Tag, is_member, write_tags
from sync.records.rows import Fact, Mark, Member, Merged, State

_HUB = "SELECT verify_key FROM hub"


def write_fact(
    connection: sqlite3.Connection, entity: int, row_id: bytes, field: int, value: str, *, now_ms: int
) -> None:
    """Say what a field of a row is from now on; where the hub has the last word and has spoken, that stays."""
    held = merged.find(connection, Kind.FACT, entity, row_id, field)
    if held is not None and held.value == value:
        return
    stamp = stamping.make_stamp(connection, now_ms, above=0 if held is None else held.stamp)
    put(connection, Fact(int(entity), row_id, int(field), value, stamp, stamping.find_origin(connection)))


def add_member(connection: sqlite3.Connection, set_no: int, owner: bytes, member: bytes, *, now_ms: int) -> None:
    """Put a member into a set; whoever takes the member out at the same time elsewhere has not seen this putting."""
    if is_member(merged.list_where(connection, Kind.MEMBER, set_no=set_no, owner=owner, member=member)):
        return
    stamp = stamping.make_stamp(connection, now_ms)
    put(connection, Member(set_no, owner, member, stamp, stamping.find_origin(connection)))


def remove_member(connection: sqlite3.Connection, set_no: int, owner: bytes, member: bytes) -> None:
    """Take a member out of a set: every putting that is known here is removed, and no other."""
    for putting in merged.list_where(connection, Kind.MEMBER, set_no=set_no, owner=owner, member=member):
        if not putting.is_removed:
            put(connection, replace(putting, is_removed=True))


def write_mark(
    connection: sqlite3.Connection,
    assignment: bytes,
    learner: bytes,
    value: str,
    comment: str,
    *,
    replaces: Iterable[Tag],
    now_ms: int,
) -> None:
    """Give a mark in place of those that the teacher saw; others that are known or come later stay beside it."""
    seen = list(replaces)
    stamp = stamping.make_stamp(connection, now_ms, above=max((tag[0] for tag in seen), default=0))
    origin = stamping.find_origin(connection)
    put(connection, Mark(assignment, learner, value, comment, stamp, origin, write_tags(seen)))


def write_state(connection: sqlite3.Connection, state: State, *, now_ms: int) -> None:
    """Keep a state document that travels; its own stamp and origin are set here."""
    held = merged.find(connection, Kind.STATE, state.learner, state.activity, state.registration, state.state_id)
    stamp = stamping.make_stamp(connection, now_ms, above=0 if held is None else held.stamp)
    put(connection, replace(state, stamp=stamp, origin=stamping.find_origin(connection)))


def put(connection: sqlite3.Connection, record: Merged) -> None:
    """Merge a record that was written here, and let it travel if that changed anything."""
    no = merged.merge(connection, record, find_hub_origin(connection))
    if no is not None:
        append_change(connection, kind_of(record), number_key(no))


def find_hub_origin(connection: sqlite3.Connection) -> bytes | None:
    """Return the origin of the hub this box is enrolled with."""
    row = connection.execute(_HUB).fetchone()
    return None if row is None else VerifyKey(row[0]).key_id
