"""The hub's tables of what merges: one per record kind, with the columns of the table of kinds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, Table, Text, UniqueConstraint
from sqlalchemy.types import TypeEngine

from sync.hub.store.schema import METADATA, row_no, row_ref
from sync.records.field import Field, FieldType
from sync.records.kinds import KINDS, Kind
from sync.records.merging import KEYS


def _type(field: Field) -> TypeEngine[Any]:
    if field.type is FieldType.INTEGER:
        return BigInteger()
    if field.type is FieldType.BOOLEAN:
        return Boolean()
    return Text() if field.type is FieldType.TEXT else LargeBinary()


def _merged(kind: Kind) -> Table:
    columns = [Column(f.name, _type(f), nullable=f.is_optional and f.name != "origin") for f in KINDS[kind].fields]
    unique = UniqueConstraint("school_no", *KEYS[kind], name=f"uq_{kind.name.lower()}_key")
    return Table(kind.name.lower(), METADATA, row_no(), row_ref("school_no", "school.no"), *columns, unique)


MERGED: Mapping[Kind, Table] = MappingProxyType({kind: _merged(kind) for kind in KEYS})
Index("ix_hand_in_hash", MERGED[Kind.HAND_IN].c.school_no, MERGED[Kind.HAND_IN].c.hash)
