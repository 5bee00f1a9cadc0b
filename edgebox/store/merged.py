"""The tables of what merges: one per record kind, written from the table of kinds."""

import sqlite3
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sync.records.field import FieldType
from sync.records.kinds import KINDS, Kind, kind_of
from sync.records.merging import KEYS, join, key_of
from sync.records.rows import Merged

_CHUNK = 500


def _columns(kind: Kind) -> list[str]:
    return [field.name for field in KINDS[kind].fields]


def _table(kind: Kind) -> str:
    return kind.name.lower()


def _insert(kind: Kind) -> str:
    names = _columns(kind)
    return f"INSERT INTO {_table(kind)} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - names of the table of kinds


def _update(kind: Kind) -> str:
    return f"UPDATE {_table(kind)} SET {', '.join(f'{name} = ?' for name in _columns(kind))} WHERE no = ?"  # noqa: S608 - as above


_SELECT: Mapping[Kind, str] = MappingProxyType(
    {kind: f"SELECT no, {', '.join(_columns(kind))} FROM {_table(kind)} WHERE " for kind in KEYS}  # noqa: S608 - as above
)
_INSERT: Mapping[Kind, str] = MappingProxyType({kind: _insert(kind) for kind in KEYS})
_UPDATE: Mapping[Kind, str] = MappingProxyType({kind: _update(kind) for kind in KEYS})


def merge(connection: sqlite3.Connection, record: Merged, hub: bytes | None) -> int | None:
    """Merge one record into what is here and return the number of its row, or None when that changed nothing.

    Args:
        hub: the origin whose word is official.
    """
    kind = kind_of(record)
    found = _find(connection, kind, key_of(record))
    if found is None:
        return int(connection.execute(_INSERT[kind], _values(record)).lastrowid or 0)
    no, held = found
    after = join(held, record, hub)
    if after == held:
        return None
    connection.execute(_UPDATE[kind], (*_values(after), no))
    return no


def find(connection: sqlite3.Connection, kind: Kind, *key: Any) -> Any:
    """Return the record of a kind with this key, see `sync.records.merging`; None when there is none."""
    found = _find(connection, kind, key)
    return None if found is None else found[1]


def list_where(connection: sqlite3.Connection, kind: Kind, **values: Any) -> list[Any]:
    """Return the records of a kind with these values, in the order they came."""
    where = " AND ".join(f"{name} = ?" for name in values)
    found = connection.execute(f"{_SELECT[kind]} {where} ORDER BY no", tuple(values.values()))
    return [_record(kind, row[1:]) for row in found]


def read(connection: sqlite3.Connection, kind: Kind, nos: Sequence[int]) -> list[Any]:
    """Return the records in rows with these numbers."""
    records: list[Any] = []
    for start in range(0, len(nos), _CHUNK):
        chunk = nos[start : start + _CHUNK]
        found = connection.execute(f"{_SELECT[kind]} no IN ({','.join('?' * len(chunk))}) ORDER BY no", chunk)
        records += [_record(kind, row[1:]) for row in found]
    return records


def _find(connection: sqlite3.Connection, kind: Kind, key: Sequence[Any]) -> tuple[int, Any] | None:
    where = " AND ".join(f"{name} = ?" for name in KEYS[kind])
    row = connection.execute(_SELECT[kind] + where, key).fetchone()
    return None if row is None else (row[0], _record(kind, row[1:]))


def _record(kind: Kind, values: Sequence[Any]) -> Any:
    rule = KINDS[kind]
    is_boolean = [field.type is FieldType.BOOLEAN for field in rule.fields]
    given = [bool(value) if flag else value for flag, value in zip(is_boolean, values, strict=True)]
    return rule.record(**dict(zip(_columns(kind), given, strict=True)))


def _values(record: Merged) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in _columns(kind_of(record)))
