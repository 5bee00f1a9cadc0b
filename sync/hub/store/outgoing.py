"""What a box of a school has not been told yet: a log of every row that the hub wrote or that another box brought."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, func, or_, select

from content_packs.base.ids import derive_registration, derive_statement_id
from sync.hub.store import merged
from sync.hub.store.database import add_rows
from sync.hub.store.merged_tables import MERGED
from sync.hub.store.schema import activity, box, device, learner, school_change, statement, verb
from sync.hub.store.statement_rows import CONTENT
from sync.records import rows
from sync.records.facts import may_go
from sync.records.kinds import KINDS, Direction, Kind
from sync.records.rows import Record, Statement

SPAN_MAX_BYTES = 8 << 20
_BATCH = 400
_ROW_BYTES = 200  # a generous guess of what a row takes before compression
_SEQ_BYTES = 6


def log_rows(
    connection: Connection, school_no: int, box_no: int | None, kind: Kind, keys: Iterable[int] | Iterable[bytes]
) -> None:
    """Note that rows are new or changed; `box_no` is the box that brought them, None for the hub itself."""
    if Direction.DOWN not in KINDS[kind].directions:
        return
    name = "row_id" if kind is Kind.STATEMENT else "row_no"
    names = ("school_no", "box_no", "kind", name)
    add_rows(connection, school_change, names, [(school_no, box_no, int(kind), key) for key in keys])


def read_due(
    connection: Connection,
    school_no: int,
    box_no: int,
    after: int,
    max_records: int,
    *,
    max_bytes: int = SPAN_MAX_BYTES,
) -> tuple[list[Record], int]:
    """Return the records that are due to a box behind place `after` of the log, and the place they reach through.

    A row that was logged twice is given once, as it is now; what the box itself brought is left out, and so are the
    statements that it brought under an earlier key and is known to have. The records end early when their rows get
    larger than `max_bytes`, but one place is always passed.
    """
    log = school_change.c
    others = or_(log.box_no.is_(None), log.box_no != box_no)
    query = select(log.no, log.kind, log.row_no, log.row_id).where(log.school_no == school_no, log.no > after, others)
    for earlier_no, own_no in _earlier(connection, box_no):
        query = query.where(~and_(log.box_no == earlier_no, log.no <= own_no, log.kind == int(Kind.STATEMENT)))
    logged = connection.execute(query.order_by(log.no).limit(max_records)).all()
    fitting = _fitting(connection, school_no, logged, max_bytes)
    is_all = fitting == len(logged) < max_records
    through = _last(connection, school_no, after) if is_all else logged[fitting - 1].no
    keys: dict[Kind, dict[Any, None]] = {}
    for row in logged[:fitting]:
        keys.setdefault(Kind(row.kind), {})[row.row_id if row.row_no is None else row.row_no] = None
    statements = _read_statements(connection, school_no, list(keys.pop(Kind.STATEMENT, ())))
    records = [record for kind, read in _READERS.items() for record in read(connection, list(keys.get(kind, ())))]
    records += statements
    return [record for record in records if may_go(record, Direction.DOWN)], through


def last_place(connection: Connection, school_no: int) -> int:
    """Return the last place of a school's log."""
    return _last(connection, school_no, 0)


def _earlier(connection: Connection, box_no: int) -> list[tuple[int, int]]:
    """Return the rows of a box's earlier keys, each with the place up to which the box has what came under it."""
    found: list[tuple[int, int]] = []
    columns = select(box.c.succeeds_no, box.c.own_no)
    row = connection.execute(columns.where(box.c.no == box_no)).one_or_none()
    while row is not None and row.succeeds_no is not None and row.own_no is not None:
        found.append((row.succeeds_no, row.own_no))
        row = connection.execute(columns.where(box.c.no == row.succeeds_no)).one_or_none()
    return found


def _fitting(connection: Connection, school_no: int, logged: Sequence[Any], max_bytes: int) -> int:
    """Return how many places of the log have rows that stay within `max_bytes` together: at least one, if any."""
    length = func.coalesce(func.length(statement.c.body), 0) + func.coalesce(func.length(statement.c.response), 0)
    query = select(statement.c.id, length).where(statement.c.school_no == school_no)
    ids = [row.row_id for row in logged if row.kind == Kind.STATEMENT]
    sizes: dict[Any, int] = dict(tuple(row) for row in _select(connection, query, statement.c.id, ids))
    state = MERGED[Kind.STATE]
    query = select(state.c.no, func.length(state.c.content))
    nos = [row.row_no for row in logged if row.kind == Kind.STATE]
    state_sizes: dict[Any, int] = dict(tuple(row) for row in _select(connection, query, state.c.no, nos))
    total_bytes = 0
    for place, row in enumerate(logged):
        more = state_sizes.get(row.row_no, 0) if row.kind == Kind.STATE else sizes.get(row.row_id, 0)
        total_bytes += _ROW_BYTES + more
        if place and total_bytes > max_bytes:
            return place
    return len(logged)


def _last(connection: Connection, school_no: int, after: int) -> int:
    """Return the last place of a school's log."""
    query = select(func.max(school_change.c.no)).where(school_change.c.school_no == school_no)
    return max(after, connection.execute(query).scalar() or 0)


def _number_reader(record: type[Any], table: Table, column: str) -> Callable[[Connection, Sequence[Any]], list[Record]]:
    def read(connection: Connection, nos: Sequence[Any]) -> list[Record]:
        query = select(table.c.no, table.c[column])
        return [record(row[0], row[1]) for row in _select(connection, query, table.c.no, nos)]

    return read


def _merging_reader(kind: Kind) -> Callable[[Connection, Sequence[Any]], list[Record]]:
    return lambda connection, nos: merged.read(connection, kind, nos)


def _read_statements(connection: Connection, school_no: int, ids: Sequence[Any]) -> list[Record]:
    query = select(statement, device.c.id.label("device_id")).outerjoin(device, device.c.no == statement.c.device_no)
    query = query.where(statement.c.school_no == school_no)
    return [_statement(row) for row in _select(connection, query, statement.c.id, ids)]


def _statement(row: Any) -> Statement:
    """Return a statement with what follows from its device and its number left out."""
    is_derived = None not in (row.device_id, row.device_seq) and row.id == derive_statement_id(
        row.device_id, row.device_seq, row.timestamp_ms
    )
    attempt_seq = _attempt(row.device_id, row.registration)
    values = {name: row._mapping[name] for name in _SAME}
    return Statement(
        **values,
        id=None if is_derived else row.id,
        attempt_seq=attempt_seq,
        registration=row.registration if attempt_seq is None else None,
        stored_lag_seconds=(row.stored_ms - row.timestamp_ms) // 1000,
    )


def _attempt(device_id: bytes | None, registration: bytes | None) -> int | None:
    """Return the number of the event that opened the attempt, which the end of its registration is."""
    if device_id is None or registration is None:
        return None
    seq = int.from_bytes(registration[-_SEQ_BYTES:], "big")
    return seq if derive_registration(device_id, seq) == registration else None


def _select(connection: Connection, query: Any, column: Any, keys: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(keys), _BATCH):
        found += connection.execute(query.where(column.in_(keys[start : start + _BATCH]))).all()
    return found


_SAME = ("learner_no", "verb_no", "activity_no", "device_no", *CONTENT)
_READERS: dict[Kind, Callable[[Connection, Sequence[Any]], list[Record]]] = {
    Kind.VERB: _number_reader(rows.Verb, verb, "iri"),
    Kind.ACTIVITY: _number_reader(rows.Activity, activity, "iri"),
    Kind.DEVICE: _number_reader(rows.Device, device, "id"),
    Kind.LEARNER: _number_reader(rows.Learner, learner, "pseudonym"),
    **{kind: _merging_reader(kind) for kind in MERGED},
}
