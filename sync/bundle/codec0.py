"""Codec 0: the records of a bundle as msgpack columns, kind by kind. See docs/bundle-format.md, "Codec 0"."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from content_packs.base import codec
from sync.bundle import columns
from sync.bundle.errors import BundleMalformed
from sync.bundle.limits import PLAIN_MAX_BYTES, RECORDS_MAX
from sync.bundle.statements import pack_statements, unpack_statements
from sync.records.kinds import KINDS, Field, FieldType, Kind, check, kind_of
from sync.records.rows import Record, Statement

CODEC = 0
# Nine sections of at most 28 columns, each of at most three parts, and some of those of two.
_PARTS_MAX = 500
# Registries come first, so that one pass over the records meets every number before its use.
ORDER = (
    Kind.VERB,
    Kind.ACTIVITY,
    Kind.DEVICE,
    Kind.LEARNER,
    Kind.CLASS,
    Kind.ENROLLMENT,
    Kind.PACK_INSTALL,
    Kind.ASSIGNMENT,
    Kind.STATEMENT,
)


def encode_records(records: Sequence[Record]) -> bytes:
    """Return the plain body of a bundle.

    Raises:
        RecordMalformed: a field out of its bounds.
    """
    check(records)
    by_kind: dict[Kind, list[Any]] = {}
    for record in records:
        by_kind.setdefault(kind_of(record), []).append(record)
    return codec.encode([[int(kind), _pack(kind, by_kind[kind])] for kind in ORDER if kind in by_kind])


def decode_records(plain: bytes, counts: Mapping[Kind, int]) -> list[Record]:
    """Return the records, registries first, statements in session order.

    Raises:
        BundleMalformed: not what `encode_records` makes, or other counts than the head states.
        RecordMalformed: a field out of its bounds.
    """
    if sum(counts.values()) > RECORDS_MAX:
        raise BundleMalformed(reason="too many records")
    try:
        sections = codec.decode(plain, max_bytes=PLAIN_MAX_BYTES, max_containers=_PARTS_MAX)
    except codec.CodecMalformed as error:
        raise BundleMalformed(reason="body") from error
    expected = [kind for kind in ORDER if counts.get(kind)]
    if not isinstance(sections, list) or len(sections) != len(expected):
        raise BundleMalformed(reason="sections")
    records: list[Record] = []
    for kind, section in zip(expected, sections, strict=True):
        if not isinstance(section, list) or len(section) != 2 or section[0] != kind:
            raise BundleMalformed(reason="section")
        records += _unpack(kind, section[1], counts[kind])
    check(records)
    return records


def count_by_kind(records: Sequence[Record]) -> dict[Kind, int]:
    """Return how many records of each kind there are."""
    return dict(Counter(kind_of(record) for record in records))


def _pack(kind: Kind, records: list[Any]) -> list[Any]:
    if kind is Kind.STATEMENT:
        return pack_statements(records)
    return [_pack_field(field, [getattr(record, field.name) for record in records]) for field in KINDS[kind].fields]


def _unpack(kind: Kind, packed: Any, count: int) -> list[Any]:
    if kind is Kind.STATEMENT:
        statements: list[Statement] = unpack_statements(packed, count)
        return statements
    rule = KINDS[kind]
    if not isinstance(packed, list) or len(packed) != len(rule.fields):
        raise BundleMalformed(reason="columns")
    values = [_unpack_field(field, column, count) for field, column in zip(rule.fields, packed, strict=True)]
    return [rule.record(*row) for row in zip(*values, strict=True)]


def _pack_field(field: Field, values: list[Any]) -> Any:
    if field.type is FieldType.INTEGER:
        return columns.pack_integers(columns.deltas(values))
    if field.type is FieldType.BOOLEAN:
        return columns.pack_bits(values)
    if field.type is FieldType.TEXT:
        return columns.pack_texts([value.encode() for value in values])
    return columns.pack_fixed(values)


def _unpack_field(field: Field, column: Any, count: int) -> list[Any]:
    if field.type is FieldType.INTEGER:
        return columns.undo_deltas(columns.unpack_integers(column, count))
    if field.type is FieldType.BOOLEAN:
        return list(columns.unpack_bits(column, count))
    if field.type is FieldType.TEXT:
        return [columns.to_text(value) for value in columns.unpack_texts(column, count)]
    return list(columns.unpack_fixed(column, count, int(field.high)))
