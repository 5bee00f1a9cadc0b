"""The tables of what merges, keyed by school: one per record kind."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select, update

from sync.hub.store.access import find_setting, put_setting
from sync.hub.store.database import add_row
from sync.hub.store.merged_tables import MERGED
from sync.records.kinds import KINDS, Kind, kind_of
from sync.records.merging import KEYS, join, key_of
from sync.records.rows import Merged

_ORIGIN = "origin"
_BATCH = 400


def put_origin(connection: Connection, origin: bytes) -> None:
    """Keep the id of this hub, whose word is official."""
    if find_origin(connection) != origin:
        put_setting(connection, _ORIGIN, origin.hex())


def find_origin(connection: Connection) -> bytes | None:
    """Return the id of this hub."""
    found = find_setting(connection, _ORIGIN)
    return None if found is None else bytes.fromhex(found)


def merge(connection: Connection, school_no: int, record: Merged, hub: bytes | None) -> int | None:
    """Merge one record into what the school has and return the number of its row, or None when it changed nothing."""
    kind = kind_of(record)
    table = MERGED[kind]
    found = connection.execute(select(table).where(_is(school_no, kind, key_of(record)))).one_or_none()
    if found is None:
        return add_row(connection, table, {"school_no": school_no, **_values(record)})
    held = _record(kind, found)
    after = join(held, record, hub)
    if after == held:
        return None
    connection.execute(update(table).where(table.c.no == found.no).values(_values(after)))
    return int(found.no)


def find(connection: Connection, school_no: int, kind: Kind, *key: Any) -> Any:
    """Return the record of a kind with this key, see `sync.records.merging`; None when the school has none."""
    found = connection.execute(select(MERGED[kind]).where(_is(school_no, kind, key))).one_or_none()
    return None if found is None else _record(kind, found)


def list_where(connection: Connection, school_no: int, kind: Kind, **values: Any) -> list[Any]:
    """Return the records of a kind with these values, in the order they came."""
    table = MERGED[kind]
    these = and_(table.c.school_no == school_no, *(table.c[name] == value for name, value in values.items()))
    return [_record(kind, row) for row in connection.execute(select(table).where(these).order_by(table.c.no))]


def read(connection: Connection, kind: Kind, nos: Sequence[int]) -> list[Any]:
    """Return the records in rows with these numbers."""
    table, records = MERGED[kind], []
    for start in range(0, len(nos), _BATCH):
        these = table.c.no.in_(nos[start : start + _BATCH])
        records += [_record(kind, row) for row in connection.execute(select(table).where(these).order_by(table.c.no))]
    return records


def _is(school_no: int, kind: Kind, key: Sequence[Any]) -> ColumnElement[bool]:
    table = MERGED[kind]
    named = zip(KEYS[kind], key, strict=True)
    return and_(table.c.school_no == school_no, *(table.c[name] == value for name, value in named))


def _record(kind: Kind, row: Any) -> Any:
    rule = KINDS[kind]
    return rule.record(**{field.name: row._mapping[field.name] for field in rule.fields})


def _values(record: Merged) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in KINDS[kind_of(record)].fields}
